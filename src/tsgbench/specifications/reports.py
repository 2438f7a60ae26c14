"""The reports of a study beside its own tables: printed tables and figures, findings, the report.

Tables of statistics and some figures read `statistics` records alone, and so can be made before any
cell; the others read the cells that reproduce what was printed (specifications/papers.py), their
inspections or their measured efficiency.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tsgbench.config import Catalogue, as_list, is_variant
from tsgbench.files import digest
from tsgbench.jobs.cells import FULL, cell_names
from tsgbench.jobs.layout import Job, Layout, describe_study
from tsgbench.specifications.cells import Cells
from tsgbench.specifications.figures import Figures
from tsgbench.specifications.papers import Papers
from tsgbench.specifications.printed import own_method, practice_of
from tsgbench.text.tokens import TOKENIZERS

BINS = 20  # of histograms over a video's length
PARTS = {"train": "train", "val": "select", "test": "test"}  # as papers count -> as we use them
BATCHES = [1, 64]  # queries at a time, whose speed is measured


class Reports:
    """Plans every report that is named after a printed table or figure, and the findings.

    annotations: data set -> its annotations job. videos: data set -> the record of its videos,
    where the study has pixels. find: record path -> its job, for what is planned already.
    """

    def __init__(
        self,
        config: dict[str, Any],
        catalogue: Catalogue,
        cells: Cells,
        annotations: dict[str, Job],
        videos: dict[str, str],
        find: Callable[[str], Job],
    ):
        self.config, self.catalogue, self.cells = config, catalogue, cells
        self.annotations, self.videos, self.find = annotations, videos, find
        self.layout = Layout(config["study"])
        self.papers = Papers(config, catalogue, cells)
        self.statistics = {
            dataset: self.layout.records["statistics"].format(dataset=dataset)
            for dataset in annotations
        }
        self.figures = Figures(
            config, catalogue, self.papers, annotations, self.statistics, videos, find
        )

    def jobs(self) -> Iterator[Job]:
        """Every job, inputs before consumers."""
        for dataset in self.statistics:
            yield self._plan_statistics(dataset)
        for name, content, table in self.papers.tables():
            plan = {"statistics": self._plan_statistics_table, "efficiency": self._plan_efficiency}
            yield from plan.get(table["kind"], self._plan_systems_table)(name, content, table)
        yield from self.figures.jobs()
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
        return self.layout.job("statistics", {"dataset": dataset}, settings, inputs, job.modules)

    def _plan_statistics_table(
        self, name: str, content: dict[str, Any], table: dict[str, Any]
    ) -> Iterator[Job]:
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
        yield self.layout.job("table", {"table": name}, settings, inputs)

    def _stand_in(self, dataset: str, table: dict[str, Any]) -> dict[str, Any]:
        """A generated data set's row: counted as the first of the paper's, by its own splits."""
        tokenizer = table["rows"][0]["reproduce"]["tokenizer"]
        return {
            "title": self.catalogue.datasets[dataset]["title"],
            "dataset": dataset,
            "reproduce": {"tokenizer": tokenizer, "parts": self._parts(dataset)},
        }

    def _parts(self, dataset: str) -> dict[str, list[str]]:
        """The splits of a data set by what papers call them, and all of them."""
        splits = self.catalogue.datasets[dataset]["splits"]
        parts = {part: as_list(splits[role]) for part, role in PARTS.items()}
        return {**parts, "all": [split for part in parts.values() for split in part]}

    def _plan_systems_table(
        self, name: str, content: dict[str, Any], table: dict[str, Any]
    ) -> Iterator[Job]:
        settings = self.papers.settings(name, content, table)
        wanted = self.papers.wanted(settings)
        inputs = self.layout.cell_records(wanted, "run", "metrics")
        yield self.layout.job("table", {"table": name}, settings, inputs)

    def _plan_efficiency(
        self, name: str, content: dict[str, Any], table: dict[str, Any]
    ) -> Iterator[Job]:
        """The paper's own model and the others, each by its first seed on the paper's data."""
        measured = {}
        columns = self.papers.columns(table["datasets"])
        for dataset in [column["dataset"] for column in columns if not column.get("is_missing")]:
            for model, entry in self.catalogue.models.items():
                if "paper" not in entry or is_variant(model, entry):
                    continue
                prefix = self.papers.prefix(f"{model}/{FULL}", dataset, content)
                for cell in cell_names(prefix, self.papers.seeds.get(prefix, [])[:1]):
                    measured[cell] = dataset
        for cell in measured:
            yield self._plan_measure(cell)
        settings = {
            **self._printed(name, content),
            "kind": "efficiency",
            "notes": self.cells.notes(cell.partition("/")[0] for cell in measured),
            "cells": list(measured),
            "models": {name: entry["title"] for name, entry in self.catalogue.models.items()},
            "datasets": columns,
        }
        yield self.layout.job(
            "table",
            {"table": name},
            settings,
            self.layout.cell_records(list(measured), "efficiency"),
        )

    def _plan_measure(self, cell: str) -> Job:
        train = self.find(self.layout.cell_record("train", cell))
        settings = {**train.settings, "batches": BATCHES}
        inputs = {**train.inputs, "run": train.record}
        return self.layout.job("measure", train.wildcards, settings, inputs, train.modules)

    def _printed(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        paper, number = name.split("/")
        return {
            **describe_study(self.config, name),
            "paper": paper,
            "table": number,
            "published": {paper: digest(content)},
        }

    # --- words -------------------------------------------------------------------------------

    def _plan_findings(self) -> Job:
        ordinary = [str(cell) for cell in self.cells if not self.cells.is_on_demand(cell)]
        models = {s["model"]: self.catalogue.models[s["model"]] for s in self.config["systems"]}
        titles = {}
        for name, entry in models.items():
            titles[name] = {"title": entry["title"]}
            if "paper" in entry and not is_variant(name, entry):
                titles[name]["paper"] = entry["paper"]
                method = own_method(self.catalogue.published, entry["paper"], entry["model"])
                titles[name]["printed_as"] = method
                titles[name]["practice"] = self._practices(name, entry["paper"])
        settings = {
            **describe_study(self.config, "findings"),
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
        runs = self.layout.cell_records(ordinary, "run", "metrics")
        return self.layout.job("findings", {}, settings, {**runs, **inputs})

    def _practices(self, model: str, paper: str) -> dict[str, dict[str, Any]]:
        """Data set of the study -> how the model's paper got its numbers there, and the settings
        that the study changed: what a sentence about both must not be read without."""
        content = self.catalogue.published[paper]
        found = {}
        for dataset in self.config["datasets"]:
            printed = self.catalogue.datasets[dataset].get("published")
            if practice := practice_of(content, printed):
                found[dataset] = practice | {"changed": self.cells.changed(model, dataset)}
        return found


def printed_parts(published: dict[str, dict[str, Any]], dataset: str) -> list[list[str]]:
    """Every union of splits of a data set that some paper counts, each once."""
    wanted = []
    for paper in published.values():
        for table in paper.get("tables", []):
            for row in table["rows"] if table["kind"] == "statistics" else []:
                if row["dataset"] == dataset:
                    wanted += row.get("reproduce", {}).get("parts", {}).values()
        for figure in paper.get("figures", []):
            wanted += [
                part for name, part in figure.get("reproduce", {}).items() if name == dataset
            ]
    return [list(part) for part in dict.fromkeys(map(tuple, wanted))]
