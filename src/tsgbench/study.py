"""A study: one config file, checked, and the plan of every job it takes.

The plan is the single description of what is made from what. The Snakemake rules ask it for their
inputs and parameters, the command line for settings, and `reconcile` compares it with the records
on disk to find what is out of date. Nothing here imports torch: it runs before every command.
"""

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tsgbench.code import code_digest
from tsgbench.config import ALL, HEADLINE, OWN_FEATURES, Catalogue, as_list, check_study, merge
from tsgbench.downloads import content_key
from tsgbench.errors import UserError
from tsgbench.files import digest, read_json
from tsgbench.records import current_record
from tsgbench.report_plan import plan_reports

# Where results live: the one place that knows. Patterns in Snakemake's wildcard syntax, relative
# to the working directory.
CELL = "results/cells/{model}/{dataset}/{ablation}/seed{seed}"
RECORDS = {
    "download": "data/raw/{source}.json",
    "render": "data/raw/{dataset}.json",
    "annotations": "data/annotations/{dataset}/annotations.json",
    "statistics": "data/annotations/{dataset}/statistics.json",
    "extract": "data/features/{dataset}/{clips}.clips.json",
    "reduce": "data/features/{dataset}/{features}.json",
    "released": "data/features/{dataset}/{features}.json",
    "blank": "data/features/{dataset}/{features}.json",
    "vectors": "data/text/{dataset}/vectors.json",
    "vocabulary": "data/text/{dataset}/{tokenizer}.json",
    "train": f"{CELL}/run.json",
    "evaluate": f"{CELL}/metrics.json",
    "track": "results/mlflow.json",
    "table": "results/{table}.json",
    "figure": "results/{figure}.json",
    "findings": "results/findings.json",
    "summary": "results/summary.json",
}
# Files with fixed names that a phase makes beside its record.
FILES = {
    "extract": {
        "features": "data/features/{dataset}/{clips}.clips.h5",
        "failed": "data/features/{dataset}/{clips}.clips.failed.csv",
    },
    "reduce": {"features": "data/features/{dataset}/{features}.h5"},
    "released": {
        "features": "data/features/{dataset}/{features}.h5",
        "failed": "data/features/{dataset}/{features}.failed.csv",
    },
    "blank": {"features": "data/features/{dataset}/{features}.h5"},
    "vectors": {"vectors": "data/text/{dataset}/vectors.txt"},
    "vocabulary": {"words": "data/text/{dataset}/{tokenizer}.npz"},
    "train": {
        "checkpoint": f"{CELL}/checkpoint.pt",
        "history": f"{CELL}/history.csv",
        "predictions": f"{CELL}/predictions.parquet",
    },
    "table": {
        "tex": "results/{table}.tex",
        "csv": "results/{table}.csv",
        "markdown": "results/{table}.md",
        "provenance": "results/{table}.provenance.json",
    },
    "figure": {
        "pdf": "results/{figure}.pdf",
        "png": "results/{figure}.png",
        "csv": "results/{figure}.csv",
    },
    "findings": {"markdown": "results/findings.md"},
    "summary": {
        "metrics": "results/metrics.json",
        "learning": "results/plots/learning.csv",
        "systems": "results/plots/systems.csv",
    },
}
# What a job is called among its phase's, and so its log and benchmark.
KEYS = {
    "download": "{source}",
    "render": "{dataset}",
    "annotations": "{dataset}",
    "statistics": "{dataset}",
    "extract": "{dataset}/{clips}",
    "reduce": "{dataset}/{features}",
    "released": "{dataset}/{features}",
    "blank": "{dataset}/{features}",
    "vectors": "{dataset}",
    "vocabulary": "{dataset}/{tokenizer}",
    "train": "{model}/{dataset}/{ablation}/seed{seed}",
    "evaluate": "{model}/{dataset}/{ablation}/seed{seed}",
    "track": "cells",
    "table": "{table}",
    "figure": "{figure}",
    "findings": "cells",
    "summary": "cells",
}
LOGS = {phase: f"logs/{phase}/{key}.log" for phase, key in KEYS.items()}
BENCHMARKS = {phase: f"logs/benchmarks/{phase}/{key}.tsv" for phase, key in KEYS.items()}
# Phases whose feature files hold no pixels are told apart by this prefix of the recipe's name.
BLANK_PREFIX = "blank_"
LEARNED_VECTORS = "learned"
FULL = "full"
SECTIONS = ("inputs", "model", "train")
DEFAULT = "default"  # the protocol that a data set's `splits` state


@dataclass(frozen=True)
class Job:
    """One unit of work: a phase applied to a key, with all that decides its result."""

    phase: str
    wildcards: dict[str, str]
    settings: dict
    inputs: dict[str, str]  # role -> record path
    modules: tuple[str, ...] = ()  # code chosen at run time, beside the phase's own

    @property
    def key(self) -> str:
        """Its name among the jobs of its phase, such as `seqpan/shapes/full/seed0`."""
        return KEYS[self.phase].format(**self.wildcards)

    @property
    def record(self) -> str:
        return RECORDS[self.phase].format(**self.wildcards)

    @property
    def files(self) -> dict[str, str]:
        patterns = FILES.get(self.phase, {})
        return {role: pattern.format(**self.wildcards) for role, pattern in patterns.items()}

    @cached_property
    def code(self) -> str:
        # A downloaded file is what its checksum says, whichever code fetched it
        if self.phase == "download":
            return "none"
        return code_digest(f"tsgbench.phases.{self.phase}", *self.modules)


class Study:
    """A checked study and its jobs, by record path, inputs before consumers."""

    def __init__(self, config: dict, catalogue: Catalogue | None = None, source: str = "config"):
        self.catalogue = catalogue or Catalogue.load()
        check_study(config, self.catalogue, source)
        self.config = config
        self.name = config["study"]
        self.jobs: dict[str, Job] = {}
        self._identities: dict[str, str] = {}
        self._settings: dict[tuple, dict] = {}
        self._check_pixels(source)
        for dataset in config["datasets"]:
            self._plan_dataset(dataset)
        for cell in self.cells():
            self._plan_cell(*cell)
        self._plan_report()

    # --- what the study asks for -----------------------------------------------------------

    def cells(self) -> Iterable[tuple[str, str, str, int]]:
        """Every (model, dataset, ablation, seed), in the order of the study's systems."""
        for system in self.config["systems"]:
            if not system.get("run", True):
                continue
            for dataset in system.get("datasets", self.config["datasets"]):
                for ablation in self._ablations(system, dataset):
                    for seed in system["seeds"]:
                        yield system["model"], dataset, ablation, seed

    def _ablations(self, system: dict, dataset: str | None = None) -> list[str]:
        """A system's ablations; of those, with a data set, the ones that mean anything there."""
        known = self.catalogue.models[system["model"]]["ablations"]
        named = system.get("ablations", [FULL])
        return [
            ablation
            for ablation in (known if named == ALL else named)
            if dataset in [None, *known[ablation].get("datasets", [dataset])]
        ]

    def cell_settings(self, model: str, dataset: str, ablation: str, seed: int) -> dict:
        """Everything that decides one cell's training, and nothing else.

        Later sources win: the model's defaults, the preset that the study chose, the model's
        settings for the data set, the preset's for the data set, the study's features of the data
        set, the study's overrides, those for the data set, the ablation's difference.
        """
        key = (model, dataset, ablation)
        if key not in self._settings:
            self._settings[key] = self._settle(*key)
        return self._settings[key] | {"seed": seed}

    def _settle(self, model: str, dataset: str, ablation: str) -> dict:
        entry = self.catalogue.models[model]
        override = self.config.get("overrides", {}).get(model, {})
        preset = entry.get("presets", {}).get(override.get("preset"), {})
        features = self.config["datasets"][dataset]["features"]
        layers = [
            preset,
            entry.get("datasets", {}).get(dataset, {}),
            preset.get("datasets", {}).get(dataset, {}),
            {} if features == OWN_FEATURES else {"inputs": {"features": features}},
            override,
            override.get("datasets", {}).get(dataset, {}),
            entry["ablations"][ablation],
        ]
        merged = entry["settings"]
        for layer in layers:
            merged = merge(merged, {k: v for k, v in layer.items() if k in SECTIONS})
        if "features" not in merged["inputs"]:
            raise UserError(
                f"config/models/{model}.yaml: datasets.{dataset}.inputs.features: is missing, and"
                f" study {self.name!r} says 'own'; name a recipe of config/features.yaml there"
            )
        chosen = merged["inputs"]["features"]
        if chosen not in self.catalogue.features:
            raise UserError(
                f"config/models/{model}.yaml: datasets.{dataset}.inputs.features: {chosen!r} is not"
                f" in config/features.yaml; it has {', '.join(self.catalogue.features)}"
            )
        return {
            "model": model,
            "module": entry.get("module", model),
            "dataset": dataset,
            "ablation": ablation,
            "splits": self._splits(model, dataset, merged["inputs"].get("protocol", DEFAULT)),
            "inputs": merged["inputs"],
            "model_settings": merged.get("model", {}),
            "train": merged.get("train", {}),
        }

    def _check_pixels(self, source: str) -> None:
        """Without video features only systems that never look at the video mean anything."""
        for model, dataset, ablation, seed in self.cells():
            inputs = self.cell_settings(model, dataset, ablation, seed)["inputs"]
            is_blank = inputs["features"].startswith(BLANK_PREFIX)
            if is_blank and inputs.get("video", "real") != "zero":
                raise UserError(
                    f"{source}: systems: {model}/{ablation} looks at the video, but data set"
                    f" {dataset} has no video features here; use the ablation 'blind' or give the"
                    " data set a feature recipe"
                )

    def _splits(self, model: str, dataset: str, protocol: str) -> dict:
        """What a protocol trains, selects and tests on: role -> list of splits; and its parts."""
        entry = self.catalogue.datasets[dataset]
        known = {DEFAULT: entry["splits"], **entry.get("protocols", {})}
        if protocol not in known:
            raise UserError(
                f"study {self.name!r}: {model}: inputs.protocol: data set {dataset} has no protocol"
                f" {protocol!r}; it has {', '.join(known)}"
            )
        chosen = known[protocol]
        parts = {name: as_list(splits) for name, splits in chosen.get("score", {}).items()}
        roles = {role: as_list(chosen[role]) for role in ("train", "select", "test")}
        return {"protocol": protocol, **roles, "score": parts}

    # --- the plan --------------------------------------------------------------------------

    def _add(self, job: Job) -> str:
        self.jobs.setdefault(job.record, job)
        return job.record

    def _plan_dataset(self, dataset: str) -> None:
        chosen = self.config["datasets"][dataset]
        entry = self.catalogue.datasets[dataset]
        if "generated" in entry:
            settings = merge(entry["render"], chosen.get("render", {}))
            rendered = self._add(Job("render", {"dataset": dataset}, settings, {}))
            raw = dict.fromkeys([*entry["generated"], "videos"], rendered)
        else:
            raw = {role: self._plan_source(name) for role, name in entry["files"].items()}
            if any("clips" in self.catalogue.features[name] for name in self._features_of(dataset)):
                raw["videos"] = self._plan_source(entry["videos"])
        annotations = self._add(
            Job(
                "annotations",
                {"dataset": dataset},
                {
                    "reader": entry["reader"],
                    "generated": entry.get("generated", {}),
                    **entry.get("settings", {}),
                },
                {role: path for role, path in raw.items() if role != "videos"},
                (f"tsgbench.datasets.{entry['reader']}",),
            )
        )
        for features in self._features_of(dataset):
            self._plan_features(dataset, features, raw, annotations)
        if chosen["vectors"] == LEARNED_VECTORS:
            vectors = self._add(
                Job(
                    "vectors",
                    {"dataset": dataset},
                    {**chosen.get("learn_vectors", {}), "splits": self._train_splits(dataset)},
                    {"annotations": annotations},
                )
            )
        else:
            vectors = self._plan_source(chosen["vectors"])
        for tokenizer in sorted(self._chosen_inputs(dataset, "tokenizer")):
            self._add(
                Job(
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
        return self._add(Job("download", {"source": name}, {"content": content_key(source)}, needs))

    def _plan_features(self, dataset: str, name: str, raw: dict, annotations: str) -> None:
        recipe = self.catalogue.features[name]
        wildcards = {"dataset": dataset, "features": name}
        if name.startswith(BLANK_PREFIX):
            settings = {"timeline": recipe["timeline"]}
            self._add(Job("blank", wildcards, settings, {"annotations": annotations}))
            return
        if "released" in recipe:
            settings = {"released": recipe["released"]}
            reads = {"annotations": annotations}
            reads["released"] = self._plan_source(recipe["released"]["source"])
            self._add(Job("released", wildcards, settings, reads))
            return
        inputs = {"annotations": annotations}
        inputs["clips"] = self._plan_clips(dataset, recipe["clips"], raw, annotations)
        settings = {
            "reduce": recipe["reduce"],
            "splits": self._train_splits(dataset),
        }
        self._add(Job("reduce", wildcards, settings, inputs))

    def _plan_clips(self, dataset: str, name: str, raw: dict, annotations: str) -> str:
        """What a reduction reads: clips of our own, or features as released."""
        if name not in self.catalogue.clips:
            self._plan_features(dataset, name, raw, annotations)
            return RECORDS["released"].format(dataset=dataset, features=name)
        extraction = self.catalogue.clips[name]
        extractor = f"tsgbench.features.{extraction['extractor']}"
        reads = {"annotations": annotations, "videos": raw["videos"]}
        if extraction["checkpoint"]:
            reads["checkpoint"] = self._plan_source(extraction["checkpoint"])
        made = {"dataset": dataset, "clips": name}
        return self._add(Job("extract", made, extraction, reads, (extractor,)))

    def _features_of(self, dataset: str) -> list[str]:
        return sorted(self._chosen_inputs(dataset, "features"))

    def _chosen_inputs(self, dataset: str, name: str) -> dict[str, list[str]]:
        """The values of one input among the cells of a data set, each with its models."""
        chosen: dict[str, list[str]] = {}
        for model, data, ablation, seed in self.cells():
            if data == dataset:
                value = self.cell_settings(model, data, ablation, seed)["inputs"][name]
                models = chosen.setdefault(value, [])
                if model not in models:
                    models.append(model)
        return chosen

    def _plan_cell(self, model: str, dataset: str, ablation: str, seed: int) -> None:
        settings = self.cell_settings(model, dataset, ablation, seed)
        features = settings["inputs"]["features"]
        text = {"dataset": dataset, "tokenizer": settings["inputs"]["tokenizer"]}
        wildcards = {"model": model, "dataset": dataset, "ablation": ablation, "seed": str(seed)}
        annotations = RECORDS["annotations"].format(dataset=dataset)
        run = self._add(
            Job(
                "train",
                wildcards,
                settings,
                {
                    "annotations": annotations,
                    "features": RECORDS["reduce"].format(dataset=dataset, features=features),
                    "vocabulary": RECORDS["vocabulary"].format(**text),
                },
                (f"tsgbench.models.{settings['module']}",),
            )
        )
        self._add(
            Job(
                "evaluate",
                wildcards,
                {
                    "headline": HEADLINE,
                    "splits": settings["splits"]["test"],
                    "score": settings["splits"]["score"],
                    "conventions": self.catalogue.conventions_of(dataset),
                },
                {"run": run, "annotations": annotations},
            )
        )

    def _plan_report(self) -> None:
        runs, metrics = self._cell_records("train"), self._cell_records("evaluate")
        inputs = {**_named("run", runs), **_named("metrics", metrics)}
        self._add(Job("track", {}, {"study": self.name}, inputs))
        for table, spec in self.config["tables"].items():
            if spec.get("kind") == "statistics":  # reads no cell: planned below
                continue
            settings = self._table_settings(table, spec)
            wanted = {
                (row["model"], dataset, row["ablation"])
                for row in settings["rows"]
                for dataset in spec.get("datasets", row["datasets"])
            }
            read = {
                role: path
                for role, path in inputs.items()
                if tuple(role.partition(":")[2].split("/")[:3]) in wanted
            }
            self._add_new(Job("table", {"table": table}, settings, read))
        self._add_new(Job("summary", {}, {"study": self.name}, inputs))
        annotations = {
            dataset: self.find("annotations", {"dataset": dataset})
            for dataset in self.config["datasets"]
        }
        for planned in plan_reports(self.config, self.catalogue, RECORDS, annotations, inputs):
            self._add_new(Job(*planned))

    def _add_new(self, job: Job) -> None:
        """A report that would overwrite another is refused."""
        if job.record in self.jobs:
            raise UserError(
                f"study {self.name!r}: {job.phase} {job.key!r} would overwrite {job.record}, which"
                f" {self.jobs[job.record].phase} makes; give it another name"
            )
        self._add(job)

    def _cell_records(self, phase: str) -> dict[str, str]:
        return {
            f"{model}/{dataset}/{ablation}/seed{seed}": RECORDS[phase].format(
                model=model, dataset=dataset, ablation=ablation, seed=seed
            )
            for model, dataset, ablation, seed in self.cells()
        }

    def _table_settings(self, table: str, spec: dict) -> dict:
        """The table's specification, complete: labels, protocol, features, published numbers."""
        convention = spec.get("convention", HEADLINE)
        chosen = spec.get("datasets", list(self.config["datasets"]))
        blocks = [block for dataset in chosen for block in self._table_blocks(dataset, spec)]
        rows = [
            self._table_row(system, ablation)
            for system in self.config["systems"]
            for ablation in self._ablations(system)
            if set(chosen) & set(system.get("datasets", chosen))
            and ablation in spec.get("ablations", [ablation])
        ]
        papers = sorted({row["published"]["paper"] for row in rows if row["published"]})
        return {
            "id": table,
            "study": self.name,
            "title": self.config["title"],
            "is_demo": self.config.get("demo", False),
            "notes": spec.get("notes", []),
            "datasets": blocks,
            "metrics": spec["metrics"],
            "convention": {
                "name": convention,
                "about": self.catalogue.conventions[convention]["about"],
                "is_headline": convention == HEADLINE,
            },
            "rows": rows,
            # The printed numbers are an input like any other
            "published": {paper: digest(self.catalogue.published[paper]) for paper in papers},
        }

    def _table_blocks(self, dataset: str, spec: dict) -> list[dict]:
        """A data set's blocks of rows: one, or one for each named part of its test split."""
        entry = self.catalogue.datasets[dataset]
        splits = entry["splits"]
        parts = splits.get("score", {}) if spec.get("by_part", True) else {}
        blocks = []
        for part, tested in (parts or {None: splits["test"]}).items():
            blocks.append(
                {
                    "name": f"{dataset}:{part}" if part else dataset,
                    "dataset": dataset,
                    "part": part,
                    "title": entry["title"] + (f", {part}" if part else ""),
                    "published": entry.get("published"),
                    "features": self._describe_features(dataset),
                    "test_split": " + ".join(as_list(tested)),
                    "select_split": " + ".join(as_list(splits["select"])),
                    "note": entry.get("note", ""),
                }
            )
        return blocks

    def _table_row(self, system: dict, ablation: str) -> dict:
        model = self.catalogue.models[system["model"]]
        label = model["title"]
        if ablation != FULL:
            named = model["ablations"][ablation].get("label", ablation.replace("_", " "))
            label += f", {named}" if named else ""
        published = None
        if "paper" in model and ablation == FULL:
            published = {"paper": model["paper"]}
            if "printed_as" in model:
                published["method"] = model["printed_as"]
        return {
            "label": label,
            "model": system["model"],
            "ablation": ablation,
            "seeds": system["seeds"],
            "datasets": [
                dataset
                for dataset in system.get("datasets", self.config["datasets"])
                if ablation in self._ablations(system, dataset)
            ],
            "published": published,
        }

    def _describe_features(self, dataset: str) -> str:
        """What the cells of a data set read; with several, which models read the rarer ones."""
        by_models = sorted(
            self._chosen_inputs(dataset, "features").items(), key=lambda item: -len(item[1])
        )
        parts = []
        for place, (name, models) in enumerate(by_models):
            readers = ", ".join(self.catalogue.models[model]["title"] for model in models)
            parts.append(
                self.catalogue.features[name]["title"] + (f" ({readers})" if place else "")
            )
        return "; ".join(parts)

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

    # --- what is out of date ---------------------------------------------------------------

    def targets(self, *phases: str) -> list[str]:
        """Record paths of all jobs of the named phases."""
        return [record for record, job in self.jobs.items() if job.phase in phases]

    def find(self, phase: str, wildcards: dict[str, str]) -> Job:
        """The job of a phase for these wildcards; `UserError` if the study has none."""
        record = RECORDS[phase].format(**wildcards)
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
            raise UserError(f"study {self.name!r} has no {phase} job {key!r}; {hint}")
        return keys[key]

    def is_stale(self, record: str) -> bool:
        """Whether the result on disk is not what this study would make now.

        It is if its identity differs, a file it lists is gone or has another size, or one of its
        inputs has been remade with other content since. A record that is missing is not stale:
        Snakemake sees that by itself.
        """
        return Path(record).exists() and not self.is_current(record)

    def is_current(self, record: str) -> bool:
        """Whether the result on disk is this very job's, made from its inputs as they are now."""
        found = current_record(Path(record), self.identity(record))
        if found is None:
            return False
        recorded = found.content["inputs"]
        for role, path in self.jobs[record].inputs.items():
            # An input that is not here (not pulled, or cleaned away) cannot contradict the result
            if Path(path).exists() and read_json(path).get("digest") != recorded[role]["digest"]:
                return False
        return True

    def settle_times(self) -> int:
        """Make file times agree with the records; return how many files were touched.

        Snakemake compares modification times, which a checkout or a pull sets at random. A result
        whose record proves that it is current gets a time no older than its inputs'.
        """
        touched = 0
        for record, job in self.jobs.items():
            inputs = [Path(path) for path in job.inputs.values() if Path(path).exists()]
            if not inputs or not Path(record).exists() or not self.is_current(record):
                continue
            newest = max(path.stat().st_mtime_ns for path in inputs)
            # The benchmark counts: Snakemake takes it for an output
            benchmark = BENCHMARKS[job.phase].format(**job.wildcards)
            for path in map(Path, [record, *job.files.values(), benchmark]):
                if path.exists() and path.stat().st_mtime_ns < newest:
                    os.utime(path, ns=(newest, newest))
                    touched += 1
        return touched


def _named(kind: str, records: dict[str, str]) -> dict[str, str]:
    return {f"{kind}:{cell}": record for cell, record in records.items()}
