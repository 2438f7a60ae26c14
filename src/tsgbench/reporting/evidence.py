"""What statements about a study rest on: its scored systems, its statistics and the printed rows.

Every number that a statement prints goes through `System.show`, which links it to its record.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tsgbench.jobs.cells import CellId, split_ablation
from tsgbench.jobs.records import Record
from tsgbench.reporting.cells import Cell, read_cells
from tsgbench.reporting.departures import find_departures
from tsgbench.reporting.document import Value
from tsgbench.reporting.markdown import escape, link
from tsgbench.reporting.numbers import UNDEFINED, Shown
from tsgbench.reporting.published import Printed, find_printed, read_paper, read_rows
from tsgbench.specifications.printed import protocol_of, system_label

OFFICIAL = "official_"  # and a paper's key: the convention that stands for how it scored


@dataclass(frozen=True)
class System:
    """All seeds of one model, data set, ablation and protocol that were evaluated, in the order of
    seeds. ablation: as cells are called, so with the protocol if it is not the default one."""

    model: str
    dataset: str
    ablation: str
    title: str
    cells: tuple[Cell, ...]
    root: str  # from the page's folder to the project's, such as `../`

    @property
    def sees_video(self) -> bool:
        """Whether its clips are not all zero."""
        return self.cells[0].run["settings"]["inputs"].get("video", "real") != "zero"

    @property
    def is_adopted(self) -> bool:
        """Whether another program made its predictions."""
        return "predictions" in self.cells[0].run["settings"]

    @property
    def is_trained(self) -> bool:
        """Whether it has parameters to learn: baselines have none."""
        return self.cells[0].is_trained

    @property
    def features(self) -> str | None:
        """Name of the features that it reads, as in config/features.yaml; None if others ran it."""
        return self.cells[0].run["settings"]["inputs"].get("features")

    @property
    def protocol(self) -> str:
        """The data set's protocol by which it was trained and tested."""
        return self.cells[0].protocol

    @property
    def split(self) -> str:
        """The split or splits that it was tested on."""
        return self._facts(self.cells[0])["split"]

    @property
    def parts(self) -> list[str]:
        """Parts of the test split that are scored on their own."""
        return list(self._facts(self.cells[0]).get("parts", {}))

    def conventions(self, part: str | None = None) -> list[str]:
        """Conventions that its predictions could be scored under, beside the headline's."""
        facts = self._facts(self.cells[0], part)
        headline = self._facts(self.cells[0]).get("headline")
        return [name for name in facts.get("conventions", {}) if name != headline]

    def people(self, convention: str) -> dict[str, float]:
        """As `Cell.people`, which is the same of every seed."""
        return self.cells[0].people(convention)

    def scores(
        self, metric: str, *, convention: str | None = None, part: str | None = None
    ) -> list[float]:
        """One percentage a seed; empty where the metric does not exist."""
        values = []
        for cell in self.cells:
            facts = self._facts(cell, part)
            metrics = facts["conventions"].get(convention, {}) if convention else facts["metrics"]
            values.append(metrics.get(metric))
        return [] if None in values else values

    def mean(self, metric: str, **scope: Any) -> float | None:
        """Mean over seeds of what `scores` gives."""
        values = self.scores(metric, **scope)
        return fmean(values) if values else None

    def deviation(self, metric: str, **scope: Any) -> float | None:
        """Sample standard deviation over seeds; None for a single one."""
        values = self.scores(metric, **scope)
        return stdev(values) if len(values) > 1 else None

    def show(self, metric: str, **scope: Any) -> str:
        """The mean, with its deviation, as a link to where it comes from; `n/a` without one."""
        value = Value(self.mean(metric, **scope), self.deviation(metric, **scope))
        return UNDEFINED if value.mean is None else self.link(Shown(value).mean_std)

    def link(self, text: str) -> str:
        """Text that links to the one cell's metrics, or to the folder of all seeds."""
        folder = Path(os.path.relpath(self.cells[0].folder))
        target = folder / "metrics.json" if len(self.cells) == 1 else folder.parent
        return link(text, f"{self.root}{target.as_posix()}")

    @staticmethod
    def _facts(cell: Cell, part: str | None = None) -> dict:
        facts = cell.evaluation["facts"]
        return facts if part is None else facts["parts"][part]


@dataclass(frozen=True)
class PrintedRow:
    """A row of a paper's table. `row` is as it stands in the file, `number` its index there."""

    printed: Printed
    row: dict
    kind: str
    number: int
    root: str

    @property
    def source(self) -> str:
        """The table, as a link."""
        return link_table(self.printed, self.root)

    @property
    def method(self) -> str:
        """As the paper calls it, as Markdown."""
        return escape(self.printed.method)

    @property
    def key(self) -> tuple[str, str, int]:
        """Paper, table and index in it."""
        return self.printed.paper, self.printed.table, self.number

    def value(self, metric: str) -> float | None:
        """The printed number; None if there is none or it is in doubt."""
        return None if metric in self.printed.uncertain else self.printed.values.get(metric)


@dataclass(frozen=True)
class Evidence:
    """Everything a statement may read.

    Titles are Markdown, whatever was in them.
    datasets: name -> `title` and `published` (its key in the papers' tables). models: name ->
    `title`, and where it is a paper's `paper`, `printed_as` and `practice` (by data set, as of
    `reporting.departures`). root: from the page's folder to the project's, such as `../`.
    """

    spec: dict
    systems: list[System]
    statistics: dict[str, Record]
    published: Path
    root: str

    @property
    def datasets(self) -> dict[str, dict]:
        """Name -> what the study says of each data set, its title among it."""
        return self.spec["datasets"]

    def select(self, **fields: Any) -> list[System]:
        """Systems with these values of fields or properties, in the order of the study."""
        return [
            system
            for system in self.systems
            if all(getattr(system, name) == value for name, value in fields.items())
        ]

    @cached_property
    def _rows(self) -> list[PrintedRow]:
        return [
            PrintedRow(printed, row, entry["kind"], number, self.root)
            for paper in sorted(self.spec["published"])
            for entry in read_paper(self.published, paper)["tables"]
            for number, (row, printed) in enumerate(
                read_rows(self.published, paper, entry["id"])[1]
            )
        ]

    def printed_rows(self, dataset: str, *kinds: str) -> list[PrintedRow]:
        """Rows of all papers on a data set of the study, in tables of these kinds."""
        key = self.datasets[dataset]["published"]
        return [row for row in self._rows if key == row.row["dataset"] and row.kind in kinds]

    def printed_tables(self, kind: str) -> list[Printed]:
        """One row of every table of a kind, which names its paper and table."""
        tables = {
            (r.printed.paper, r.printed.table): r.printed for r in self._rows if r.kind == kind
        }
        return list(tables.values())

    def follows(self, system: System, paper: str) -> bool:
        """Whether a system was trained and tested by the protocol of a paper's numbers."""
        printed = self.datasets[system.dataset]["published"]
        return system.protocol == protocol_of(read_paper(self.published, paper), printed)

    def departures(self, system: System, convention: str | None) -> list[str]:
        """In what a system departs materially from how its paper got its numbers on the data set,
        by the convention that it is seen under."""
        practice = self.spec["models"][system.model].get("practice", {}).get(system.dataset, {})
        found = find_departures(system.cells, practice, convention)
        return [escape(departure.text) for departure in found if departure.is_material]

    def own_row(self, system: System) -> Printed | None:
        """What the paper of a system's model prints for it on this data set."""
        key = self.datasets[system.dataset]["published"]
        return self.own_rows(system.model).get(key) if key else None

    def own_rows(self, model: str) -> dict[str, Printed]:
        """What the paper of a model prints for it: key of the data set -> its row."""
        return self._own_rows[model]

    @cached_property
    def _own_rows(self) -> dict[str, dict[str, Printed]]:
        return {name: self._find_own(entry) for name, entry in self.spec["models"].items()}

    def _find_own(self, model: dict) -> dict[str, Printed]:
        if "paper" not in model:
            return {}
        keys = {row.row["dataset"] for row in self._rows if row.printed.paper == model["paper"]}
        method = model.get("printed_as")
        rows = {
            key: find_printed(self.published, model["paper"], key, method=method)
            for key in sorted(keys)
        }
        return {key: row for key, row in rows.items() if row}


def gather(
    spec: dict,
    cells: dict[str, Path],
    statistics: dict[str, Record],
    published: Path,
    folder: Path,
) -> Evidence:
    """Read every cell and group its seeds into systems.

    spec: see specifications/reports.py. folder: of the page, from which its links start.
    """
    root = Path(os.path.relpath(Path(), folder)).as_posix() + "/"
    grouped: dict[tuple[str, str, str], list[Cell]] = {}
    for name, cell in read_cells(cells).items():
        model, dataset, ablation, _ = CellId.parse(name)
        grouped.setdefault((model, dataset, ablation), []).append(cell)
    systems = []
    for (model, dataset, name), members in grouped.items():
        ablation, protocol = split_ablation(name)
        title = escape(system_label(spec["models"][model]["title"], ablation, protocol))
        ordered = sorted(members, key=lambda cell: CellId.parse(cell.name).seed)
        systems.append(System(model, dataset, name, title, tuple(ordered), root))
    datasets = spec["datasets"].items()
    spec = spec | {"datasets": {k: v | {"title": escape(v["title"])} for k, v in datasets}}
    order = {name: index for index, name in enumerate(spec["datasets"])}
    systems.sort(key=lambda system: order[system.dataset])
    return Evidence(spec, systems, statistics, published, root)


def link_table(printed: Printed, root: str) -> str:
    """The table of a printed row, as a link to the file that holds it."""
    said = escape(f"{printed.system}, {printed.number}")
    return link(said, f"{root}published/{printed.paper}.yaml")


def as_table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown lines; the first column is text, the others numbers."""
    lines = [head, [":---"] + ["---:"] * (len(head) - 1), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
