"""The reports of a study beside its own tables: printed tables and figures, findings, the report.

Tables of statistics and some figures read `statistics` records alone, and so can be made before any
cell; the others read the cells that reproduce what was printed (planning/papers.py), their
inspections or their measured efficiency.
"""

from collections.abc import Callable, Iterator

from tsgbench.config import Catalogue, as_list
from tsgbench.files import digest
from tsgbench.planning.cells import Cells
from tsgbench.planning.layout import RECORDS, Job
from tsgbench.planning.papers import Papers
from tsgbench.planning.printed import examples_to_choose, own_method, target_name
from tsgbench.text.tokens import TOKENIZERS

BINS = 20  # of histograms over a video's length
PARTS = {"train": "train", "val": "select", "test": "test"}  # as papers count -> as we use them
BATCHES = [1, 64]  # queries at a time, whose speed is measured
DRAWN_BY = ("kind", "reads", "systems")  # of a figure's `draw`; the rest are its kind's options
CHOSEN = {"best": 4, "worst": 4}  # queries that are inspected, beside those asked for


class Reports:
    """Plans every report that is named after a printed table or figure, and the findings.

    annotations: data set -> its annotations job. videos: data set -> the record of its videos,
    where the study has pixels. find: record path -> its job, for what is planned already.
    """

    def __init__(
        self,
        config: dict,
        catalogue: Catalogue,
        cells: Cells,
        annotations: dict[str, Job],
        videos: dict[str, str],
        find: Callable[[str], Job],
    ):
        self.config, self.catalogue, self.cells = config, catalogue, cells
        self.annotations, self.videos, self.find = annotations, videos, find
        self.papers = Papers(config, catalogue, cells)
        self.statistics = {
            dataset: RECORDS["statistics"].format(dataset=dataset) for dataset in annotations
        }

    def jobs(self) -> Iterator[Job]:
        """Every job, inputs before consumers."""
        for dataset in self.statistics:
            yield self._plan_statistics(dataset)
        for name, content, table in self.papers.tables():
            plan = {"statistics": self._plan_statistics_table, "efficiency": self._plan_efficiency}
            yield from plan.get(table["kind"], self._plan_systems_table)(name, content, table)
        for name, (content, parts) in self.papers.figures().items():
            yield from self._plan_figure(name, content, parts)
        if self.config.get("findings"):
            yield self._plan_findings()

    # --- tables ------------------------------------------------------------------------------

    def _plan_statistics(self, dataset: str) -> Job:
        job = self.annotations[dataset]
        parts = printed_parts(self.catalogue.published, dataset)
        if dataset in self.papers.generated:
            parts = [self._parts(dataset)["all"]]
        settings = {
            **job.settings,
            "parts": parts,
            "tokenizers": list(TOKENIZERS),
            "bins": BINS,
        }
        # A data set's files may be called annotations themselves
        inputs = {**job.inputs, "queries": job.record}
        return Job("statistics", {"dataset": dataset}, settings, inputs, job.modules)

    def _plan_statistics_table(self, name: str, content: dict, table: dict) -> Iterator[Job]:
        stand_ins = self.papers.stand_ins(table["datasets"])
        settings = {
            **self._printed(name, content),
            "kind": "statistics",
            "notes": [],
            "stand_ins": {one: self._stand_in(one, table) for one in stand_ins},
        }
        named = {row["dataset"] for row in table["rows"]} | set(stand_ins)
        inputs = {
            f"statistics:{dataset}": path
            for dataset, path in self.statistics.items()
            if dataset in named
        }
        yield Job("table", {"table": name}, settings, inputs)

    def _stand_in(self, dataset: str, table: dict) -> dict:
        """A generated data set's row: counted as the first of the paper's, by its own splits."""
        tokenizer = table["rows"][0]["reproduce"]["tokenizer"]
        return {
            "method": f"{self.catalogue.datasets[dataset]['title']}, stands in",
            "dataset": dataset,
            "reproduce": {"tokenizer": tokenizer, "parts": self._parts(dataset)},
        }

    def _parts(self, dataset: str) -> dict[str, list[str]]:
        """The splits of a data set by what papers call them, and all of them."""
        splits = self.catalogue.datasets[dataset]["splits"]
        parts = {part: as_list(splits[role]) for part, role in PARTS.items()}
        return {**parts, "all": [split for part in parts.values() for split in part]}

    def _plan_systems_table(self, name: str, content: dict, table: dict) -> Iterator[Job]:
        settings = self.papers.settings(name, content, table)
        wanted = self.papers.wanted(settings)
        inputs = {**self._records("run", wanted), **self._records("metrics", wanted)}
        yield Job("table", {"table": name}, settings, inputs)

    def _plan_efficiency(self, name: str, content: dict, table: dict) -> Iterator[Job]:
        """The paper's own model and the others, each by its first seed on the paper's data."""
        measured = {}
        for dataset in self._drawn(table["datasets"]):
            for model in self.catalogue.models:
                prefix = f"{model}/{dataset}/full"
                if prefix in self.papers.seeds and "paper" in self.catalogue.models[model]:
                    measured[f"{prefix}/seed{self.papers.seeds[prefix][0]}"] = dataset
        for cell in measured:
            yield self._plan_measure(cell)
        settings = {
            **self._printed(name, content),
            "kind": "efficiency",
            "notes": [],
            "cells": list(measured),
            "models": {name: entry["title"] for name, entry in self.catalogue.models.items()},
            "datasets": {one: self.catalogue.datasets[one]["title"] for one in measured.values()},
            "stands_in": bool(self.papers.stand_ins(table["datasets"])),
            "missing": {
                one: self.catalogue.datasets[one]["title"]
                for one in table["datasets"]
                if not self.papers.of_study(one)
            },
        }
        yield Job("table", {"table": name}, settings, self._records("efficiency", list(measured)))

    def _plan_measure(self, cell: str) -> Job:
        train = self.find(cell_record("train", cell))
        settings = {**train.settings, "batches": BATCHES}
        inputs = {**train.inputs, "run": train.record}
        return Job("measure", train.wildcards, settings, inputs, train.modules)

    def _printed(self, name: str, content: dict) -> dict:
        paper, number = name.split("/")
        return {
            **self._common(name),
            "paper": paper,
            "table": number,
            "published": {paper: digest(content)},
        }

    # --- figures -----------------------------------------------------------------------------

    def _plan_figure(self, name: str, content: dict, parts: list[dict]) -> Iterator[Job]:
        draw = next(part["draw"] for part in parts if "draw" in part)
        printed = list(dict.fromkeys(one for part in parts for one in as_list(part["dataset"])))
        drawn = [one for printed_one in printed for one in self.papers.of_study(printed_one)]
        stands_in = self.papers.stand_ins(printed)
        drawn = stands_in + drawn
        missing = [one for one in printed if not self.papers.of_study(one)]
        systems = [self._system(system, drawn) for system in draw.get("systems", [])]
        systems = [system for system in systems if system]
        if draw["reads"] == "inspections":
            for cell in self._inspected(systems, drawn):
                yield self._plan_inspect(cell)
        settings = {
            **self._common(name),
            "kind": draw["kind"],
            "datasets": {one: self.catalogue.datasets[one]["title"] for one in [*drawn, *missing]},
            "stands_in": bool(stands_in),
            "systems": systems,
            "options": {key: value for key, value in draw.items() if key not in DRAWN_BY},
            "printed": {
                "paper": content["paper"]["system"],
                "figure": target_name(parts[0]["id"]).replace("figure", "Figure "),
                "plots": " ".join(f"{part['plots']}." for part in parts),
                "numbers": {key: found for part in parts for key, found in part["numbers"].items()},
                "reproduce": parts[0].get("reproduce", {}),
                # The paper's own, which alone may have its numbers beside them
                "datasets": [one for one in [*drawn, *missing] if one not in stands_in],
            },
        }
        inputs = self._figure_inputs(draw["reads"], systems, drawn)
        module = f"tsgbench.reporting.figures.{draw['kind']}"
        yield Job("figure", {"figure": name}, settings, inputs, (module,))

    def _system(self, system: str, datasets: list[str]) -> dict | None:
        """One system of a figure: how it is called, and the seeds of its cells.

        None for an ablation that means nothing on these data sets.
        """
        model, ablation = system.split("/")
        entry = self.catalogue.models[model]
        difference = entry["ablations"][ablation]
        if not set(difference.get("datasets", datasets)) & set(datasets):
            return None
        named = difference.get("label", ablation.replace("_", " "))
        if protocol := difference.get("inputs", {}).get("protocol"):
            named = f"tested by protocol {protocol}"
        return {
            "model": model,
            "ablation": ablation,
            "label": entry["title"] + ("" if ablation == "full" else f", {named}"),
            "seeds": sorted(
                {
                    seed
                    for dataset in datasets
                    for seed in self.papers.seeds.get(f"{model}/{dataset}/{ablation}", [])
                }
            ),
        }

    def _cells_of(
        self, systems: list[dict], datasets: list[str], *, first: bool = True
    ) -> list[str]:
        """Names of the cells of some systems, each by its first seed or by all."""
        prefixes = [
            f"{system['model']}/{dataset}/{system['ablation']}"
            for system in systems
            for dataset in datasets
        ]
        return [
            f"{prefix}/seed{seed}"
            for prefix in prefixes
            for seed in self.papers.seeds.get(prefix, [])[: 1 if first else None]
        ]

    def _inspected(self, systems: list[dict], datasets: list[str]) -> list[str]:
        """The cells that choose a figure's queries: on each data set, of the first system there."""
        found = {}
        for cell in self._cells_of(systems, datasets):
            found.setdefault(cell.split("/")[1], cell)
        return list(found.values())

    def _figure_inputs(self, reads: str, systems: list[dict], datasets: list[str]) -> dict:
        if reads == "statistics":
            return {
                f"statistics:{one}": self.statistics[one]
                for one in datasets
                if one in self.statistics
            }
        is_first = reads == "inspections"
        cells = self._cells_of(systems, datasets, first=is_first)
        inputs = {**self._records("run", cells), **self._records("metrics", cells)}
        shown = {cell.split("/")[1] for cell in cells}
        inputs |= {f"annotations:{one}": self.annotations[one].record for one in sorted(shown)}
        if is_first:
            inputs |= self._records("inspection", self._inspected(systems, datasets))
            inputs |= {f"videos:{one}": path for one, path in self.videos.items() if one in shown}
        return inputs

    def _plan_inspect(self, cell: str) -> Job:
        train = self.find(cell_record("train", cell))
        inputs = {
            **train.inputs,
            "run": train.record,
            "metrics": cell_record("evaluate", cell),
        }
        dataset = train.wildcards["dataset"]
        if dataset in self.videos:
            inputs["videos"] = self.videos[dataset]
        settings = {"model": train.settings, "choose": self._choose(train)}
        return Job("inspect", train.wildcards, settings, inputs, train.modules)

    def _choose(self, train: Job) -> dict:
        """Which queries of a cell are looked at: chosen by the study, printed, best and worst."""
        content = self.catalogue.published.get(train.wildcards["model"], {})
        ids = self.config.get("inspect", {}).get(train.wildcards["dataset"], [])
        return {**CHOSEN, "ids": ids, "examples": examples_to_choose(content.get("figures", []))}

    # --- words -------------------------------------------------------------------------------

    def _plan_findings(self) -> Job:
        ordinary = [cell_name(cell) for cell in self.cells if not self.cells.is_on_demand(*cell)]
        models = {s["model"]: self.catalogue.models[s["model"]] for s in self.config["systems"]}
        titles = {}
        for name, entry in models.items():
            titles[name] = {key: entry[key] for key in ("title", "paper") if key in entry}
            if "paper" in entry:
                method = own_method(self.catalogue.published, entry["paper"], name)
                titles[name]["printed_as"] = method
        settings = {
            **self._common("findings"),
            "datasets": {
                name: {
                    "title": self.catalogue.datasets[name]["title"],
                    "published": self.catalogue.datasets[name].get("published"),
                }
                for name in self.config["datasets"]
            },
            "models": titles,
            "published": {name: digest(each) for name, each in self.catalogue.published.items()},
        }
        inputs = {f"statistics:{one}": path for one, path in self.statistics.items()}
        runs = {**self._records("run", ordinary), **self._records("metrics", ordinary)}
        return Job("findings", {}, settings, {**runs, **inputs})

    def _common(self, name: str) -> dict:
        return {
            "id": name,
            "study": self.config["study"],
            "title": self.config["title"],
            "is_demo": self.config.get("demo", False),
        }

    def _drawn(self, printed: list[str]) -> list[str]:
        found = [one for name in printed for one in self.papers.of_study(name)]
        return found + self.papers.stand_ins(printed)

    def _records(self, role: str, cells: list[str]) -> dict[str, str]:
        return {f"{role}:{cell}": cell_record(PHASES[role], cell) for cell in cells}


PHASES = {
    "run": "train",
    "metrics": "evaluate",
    "inspection": "inspect",
    "efficiency": "measure",
}


def cell_name(cell: tuple[str, str, str, int]) -> str:
    """(model, dataset, ablation, seed) as `model/dataset/ablation/seed0`."""
    return "{}/{}/{}/seed{}".format(*cell)


def cell_record(phase: str, cell: str) -> str:
    """Path of a phase's record of the cell `model/dataset/ablation/seed0`."""
    model, dataset, ablation, seed = cell.split("/")
    return RECORDS[phase].format(
        model=model, dataset=dataset, ablation=ablation, seed=seed.removeprefix("seed")
    )


def printed_parts(published: dict[str, dict], dataset: str) -> list[list[str]]:
    """Every union of splits of a data set that some paper counts, each once."""
    found = []
    for paper in published.values():
        for table in paper.get("tables", []):
            for row in table["rows"] if table["kind"] == "statistics" else []:
                if row["dataset"] == dataset:
                    found += row.get("reproduce", {}).get("parts", {}).values()
        for figure in paper.get("figures", []):
            found += [part for name, part in figure.get("reproduce", {}).items() if name == dataset]
    return [list(part) for part in dict.fromkeys(map(tuple, found))]
