"""A study: one config file, checked, and the plan of every job it takes.

The plan is the single description of what is made from what. The Snakemake rules ask it for their
inputs and parameters, the command line for settings, and compares it with the records on disk to
find what is out of date. `planning/` holds what it consists of. Nothing here imports torch: it runs
before every command.
"""

import difflib
from typing import Any

from tsgbench.config import (
    HEADLINE,
    Catalogue,
    as_list,
    check_study,
    expand_adopted,
    expand_own,
    expand_variants,
    maker_of,
    merge,
    others_here,
)
from tsgbench.downloads import content_key
from tsgbench.errors import UserError
from tsgbench.files import digest
from tsgbench.jobs.cells import CellId
from tsgbench.jobs.layout import Job, Layout, describe_study
from tsgbench.outside import module_of
from tsgbench.specifications.cells import BLANK_PREFIX, Cells, settings_of_cells
from tsgbench.specifications.reports import Reports
from tsgbench.specifications.tables import Tables

LEARNED_VECTORS = "learned"


class Study:
    """A checked study and its jobs, by record path, inputs before consumers."""

    def __init__(
        self, config: dict[str, Any], catalogue: Catalogue | None = None, source: str = "config"
    ):
        catalogue = catalogue or Catalogue.load()
        check_study(config, catalogue, source, settings_of_cells)
        config, catalogue = expand_own(config, catalogue, source)
        config, catalogue = expand_variants(*expand_adopted(config, catalogue, source))
        self.config, self.catalogue = config, catalogue
        self.name = config["study"]
        self.layout = Layout(self.name)
        self.jobs: dict[str, Job] = {}
        self._identities: dict[str, str] = {}
        self._on_demand: dict[str, bool] = {}
        self._videos: dict[str, str] = {}  # data set -> record of its videos
        self.cells = Cells(config, self.catalogue)
        self.cells.check_pixels(source)
        for dataset in config["datasets"]:
            self._plan_dataset(dataset)
        for cell in self.cells:
            self._plan_cell(cell)
        self._plan_report()

    # --- the plan --------------------------------------------------------------------------

    def _add(self, job: Job) -> str:
        self.jobs.setdefault(job.record, job)
        return job.record

    def _plan_dataset(self, dataset: str) -> None:
        chosen = self.config["datasets"][dataset]
        entry = self.catalogue.datasets[dataset]
        maker = maker_of(entry)
        raw = {role: self._plan_source(name) for role, name in entry["files"].items()}
        features = [self.catalogue.features[name] for name in self._features_of(dataset)]
        # Released features are reduced without a video, too
        is_decoded = any(recipe.get("clips") in self.catalogue.clips for recipe in features)
        if "videos" in entry and (maker or is_decoded):
            raw["videos"] = self._plan_source(entry["videos"])
        if maker:
            settings = merge(entry[maker], chosen.get(maker, {}))
            own_files = entry.get("own_files", {})
            made = self._add(
                self.layout.job(maker, {"dataset": dataset}, settings, raw, own_files=own_files)
            )
            raw = dict.fromkeys([*entry["generated"], "videos"], made)
        if "videos" in raw:
            self._videos[dataset] = raw["videos"]
        annotations = self._add(
            self.layout.job(
                "annotations",
                {"dataset": dataset},
                {
                    "reader": entry["reader"],
                    "generated": entry.get("generated", {}),
                    **entry.get("settings", {}),
                },
                {role: path for role, path in raw.items() if role != "videos"},
                (module_of("datasets", entry["reader"]),),
            )
        )
        for recipe in self._features_of(dataset):
            self._plan_features(dataset, recipe, raw, annotations)
        if chosen["vectors"] == LEARNED_VECTORS:
            vectors = self._add(
                self.layout.job(
                    "vectors",
                    {"dataset": dataset},
                    {**chosen.get("learn_vectors", {}), "splits": self._train_splits(dataset)},
                    {"annotations": annotations},
                )
            )
        else:
            vectors = self._plan_source(chosen["vectors"])
        for tokenizer in self.cells.chosen_inputs(dataset, "tokenizer"):
            self._add(
                self.layout.job(
                    "vocabulary",
                    {"dataset": dataset, "tokenizer": tokenizer},
                    {"tokenizer": tokenizer},
                    {"annotations": annotations, "vectors": vectors},
                )
            )

    def _train_splits(self, dataset: str) -> list[str]:
        """What word vectors and reductions of features learn from: the default protocol's."""
        return as_list(self.catalogue.datasets[dataset]["splits"]["train"])

    def _plan_source(self, name: str) -> str:
        source = self.catalogue.sources[name]
        needs = {other: self._plan_source(other) for other in source.get("needs", [])}
        return self._add(
            self.layout.job("download", {"source": name}, {"content": content_key(source)}, needs)
        )

    def _plan_features(
        self, dataset: str, name: str, raw: dict[str, Any], annotations: str
    ) -> None:
        recipe = self.catalogue.features[name]
        wildcards = {"dataset": dataset, "features": name}
        if name.startswith(BLANK_PREFIX):
            settings = {"timeline": recipe["timeline"]}
            self._add(self.layout.job("blank", wildcards, settings, {"annotations": annotations}))
            return
        if "released" in recipe:
            released = recipe["released"]
            reads = {"annotations": annotations}
            for number, source in enumerate(as_list(released["source"]), start=1):
                role = "released" if number == 1 else f"released:{number}"
                reads[role] = self._plan_source(source)
            if "vectors" in released:
                reads["vectors"] = self._plan_source(released["vectors"])
            self._add(self.layout.job("released", wildcards, {"released": released}, reads))
            return
        inputs = {"annotations": annotations}
        inputs["clips"] = self._plan_clips(dataset, recipe["clips"], raw, annotations)
        settings = {
            "reduce": recipe["reduce"],
            "splits": self._train_splits(dataset),
        }
        self._add(self.layout.job("reduce", wildcards, settings, inputs))

    def _plan_clips(self, dataset: str, name: str, raw: dict[str, Any], annotations: str) -> str:
        """What a reduction reads: clips of our own, or features as released."""
        if name not in self.catalogue.clips:
            self._plan_features(dataset, name, raw, annotations)
            return self.layout.records["released"].format(dataset=dataset, features=name)
        extraction = self.catalogue.clips[name]
        extractor = f"tsgbench.features.{extraction['extractor']}"
        reads = {"annotations": annotations, "videos": raw["videos"]}
        if extraction["checkpoint"]:
            reads["checkpoint"] = self._plan_source(extraction["checkpoint"])
        made = {"dataset": dataset, "clips": name}
        return self._add(self.layout.job("extract", made, extraction, reads, (extractor,)))

    def _features_of(self, dataset: str) -> list[str]:
        return self.cells.chosen_inputs(dataset, "features")

    def _plan_cell(self, cell: CellId) -> None:
        settings = self.cells.settings(cell)
        annotations = self.layout.records["annotations"].format(dataset=cell.dataset)
        plan = self._plan_adopting if "predictions" in settings else self._plan_training
        run = plan(cell, settings, annotations)
        self._add(
            self.layout.job(
                "evaluate",
                cell.wildcards,
                {
                    "headline": HEADLINE,
                    "splits": settings["splits"]["test"],
                    "score": settings["splits"]["score"],
                    "conventions": self.catalogue.conventions_of(cell.dataset),
                },
                {"run": run, "annotations": annotations},
            )
        )

    def _plan_training(self, cell: CellId, settings: dict[str, Any], annotations: str) -> str:
        dataset, inputs = cell.dataset, settings["inputs"]
        records = self.layout.records
        reads = {
            "annotations": annotations,
            "features": records["reduce"].format(dataset=dataset, features=inputs["features"]),
            "vocabulary": records["vocabulary"].format(
                dataset=dataset, tokenizer=inputs["tokenizer"]
            ),
        }
        model = module_of("models", settings["module"])
        return self._add(self.layout.job("train", cell.wildcards, settings, reads, (model,)))

    def _plan_adopting(self, cell: CellId, settings: dict[str, Any], annotations: str) -> str:
        reads = {"annotations": annotations}
        return self._add(self.layout.job("adopt", cell.wildcards, settings, reads))

    def _plan_report(self) -> None:
        ordinary = [cell for cell in self.cells if not self.cells.is_on_demand(cell)]
        everything = self._cell_inputs(ordinary)
        tables = Tables(self.config, self.catalogue, self.cells)
        for table, spec in self.config["tables"].items():
            settings = tables.settings(table, spec)
            shown = {prefix for row in settings["rows"] for prefix in row["prefixes"].values()}
            read = self._cell_inputs([cell for cell in ordinary if cell.prefix in shown])
            self._add_new(self.layout.job("table", {"table": table}, settings, read))
        self._add_new(self.layout.job("summary", {}, {"study": self.name}, everything))
        annotations = {
            dataset: self.find("annotations", {"dataset": dataset})
            for dataset in self.config["datasets"]
        }
        reports = Reports(
            self.config,
            self.catalogue,
            self.cells,
            annotations,
            self._videos,
            self.jobs.__getitem__,
        )
        for job in reports.jobs():
            # Several figures may inspect one cell
            add = self._add if job.phase in ("inspect", "measure") else self._add_new
            add(job)
        self._plan_page()

    def _plan_page(self) -> None:
        """The report: every table and figure of the study, on one page."""
        roles = {
            "table": self.targets("table"),
            "figure": self.targets("figure"),
            "statistics": self.targets("statistics"),
            "findings": self.targets("findings"),
        }
        inputs = {
            f"{role}:{self.jobs[record].key}": record
            for role, records in roles.items()
            for record in records
        }
        settings = {
            **describe_study(self.config, "report"),
            "papers": {
                name: {
                    key: content["paper"].get(key) for key in ("system", "title", "year", "venue")
                }
                for name, content in self.catalogue.published.items()
            },
        }
        page = self._add_new(self.layout.job("report", {}, settings, inputs))
        for table in roles["table"]:
            name = {"document": self.jobs[table].key}
            self._add_new(self.layout.job("pdf", name, {}, {"document": table}))
        drawn = {f"figure:{self.jobs[record].key}": record for record in roles["figure"]}
        self._add_new(
            self.layout.job("pdf", {"document": "report"}, {}, {"document": page, **drawn})
        )

    def needs_on_demand(self, record: str) -> bool:
        """Whether a job reads, however indirectly, a cell that is trained on demand alone."""
        if record not in self._on_demand:
            job = self.jobs[record]
            waits = job.phase == "train" and self.cells.is_on_demand(CellId.of(job.wildcards))
            self._on_demand[record] = waits or any(map(self.needs_on_demand, job.inputs.values()))
        return self._on_demand[record]

    def _cell_inputs(self, cells: list[CellId]) -> dict[str, str]:
        return self.layout.cell_records(list(map(str, cells)), "run", "metrics")

    def _add_new(self, job: Job) -> str:
        """A report that would overwrite another is refused."""
        if job.record in self.jobs:
            raise UserError(
                f"study {self.name!r}: {job.phase} {job.key!r} would overwrite {job.record}, which"
                f" {self.jobs[job.record].phase} makes; give it another name"
            )
        return self._add(job)

    # --- identity --------------------------------------------------------------------------

    def identity(self, record: str) -> str:
        """Digest of the job's phase, key, settings, code and the identities of its inputs."""
        if record not in self._identities:
            job = self.jobs[record]
            self._identities[record] = digest(
                {
                    "phase": job.phase,
                    "key": job.key,
                    "settings": job.settings,
                    "code": job.code,
                    "inputs": {role: self.identity(path) for role, path in job.inputs.items()},
                }
            )
        return self._identities[record]

    # --- finding jobs ------------------------------------------------------------------------

    def targets(self, *phases: str) -> list[str]:
        """Record paths of all jobs of the named phases."""
        return [record for record, job in self.jobs.items() if job.phase in phases]

    def find(self, phase: str, wildcards: dict[str, str]) -> Job:
        """The job of a phase for these wildcards; `UserError` if the study has none."""
        record = self.layout.records[phase].format(**wildcards)
        if record not in self.jobs:
            raise UserError(
                f"{record}: not part of study {self.name!r}; add it to the study's config, or "
                "choose another study with --configfile"
            )
        return self.jobs[record]

    def find_key(self, phase: str, key: str) -> Job:
        """The job of a phase by its key, such as `seqpan/shapes/full/seed0`."""
        keys = {job.key: job for job in self.jobs.values() if job.phase == phase}
        if key not in keys:
            close = difflib.get_close_matches(key, keys, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"it has {sorted(keys)[:8]}"
            raise UserError(
                f"study {self.name!r} has no {phase} job {key!r}; {hint}{others_here(self.name)}"
            )
        return keys[key]
