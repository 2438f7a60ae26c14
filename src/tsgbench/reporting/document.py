"""A table as every form of it is written from: the document, and its file.

The builders (`systems_table`, `statistics_table`, `efficiency_table`) fill it, `describe`
completes it with caption and legend, and LaTeX, Markdown, CSV, pages, the report and
`tsgbench explain` read nothing else. Its file is `{table}.provenance.json`.
"""

from dataclasses import asdict, dataclass, field, fields
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from tsgbench.errors import UserError
from tsgbench.files import read_json, write_json
from tsgbench.jobs.cells import DEFAULT
from tsgbench.reporting.provenance import anchor

SCHEMA = 3
# How captions of generated data start
DEMO = (
    "DEMO numbers on generated data, not results on any public data set: they show that "
    "the pipeline works and nothing else."
)

# What a printed value is to the reproduced one and its interval
Verdict = Literal["within interval", "above", "below", "not run", "protocol differs"]
Status = Literal["complete", "partial", "not run", "people"]


@dataclass(frozen=True)
class Value:
    """One number of the table, in percent. mean is None where the system does not define it.

    std: sample standard deviation (n-1), None for a single seed. interval: 95 % bootstrap interval
    of the mean over videos. rank: 1 best, 2 second among the trained systems. p_value: of a paired
    permutation test against the table's reference system, corrected for all comparisons of the
    data set, on test_videos videos; detectable: the smallest difference that it finds with a chance
    of 80 %. published, published_text: the printed value, and with its own digits; published_rank:
    as rank, among printed values. difference: mean minus printed. decimals: as many as are written.
    """

    mean: float | None = None
    std: float | None = None
    interval: tuple[float, float] | None = None
    seeds: list[float] = field(default_factory=list)
    rank: int | None = None
    p_value: float | None = None
    detectable: float | None = None
    test_videos: int | None = None
    published: float | None = None
    published_text: str | None = None
    published_std: float | None = None
    published_uncertain: bool = False
    published_rank: int | None = None
    difference: float | None = None
    verdict: Verdict | None = None
    decimals: int = 2


@dataclass(frozen=True)
class Departure:
    """In what a row departs from the paper's own, in words. is_material: whether it forbids a
    verdict."""

    text: str
    is_material: bool = True


@dataclass(frozen=True)
class PrintedRow:
    """The row of a paper that a result stands beside. label: what the row of its numbers is called,
    with the letters of the departures."""

    paper: str
    system: str
    table: str
    row: str
    label: str


@dataclass(frozen=True)
class Result:
    """One system in one block.

    label: the system's name, with what is missing or other. status: `people` of what annotators of
    the queries reach, which the record of the one cell says. is_only_printed: no cell of the study
    could ever stand beside its printed numbers. wanted: names of the cells that the table asks for.
    cells: those that were run, with all that made them (`provenance` of `cells.Cell`,
    `statistics_table.Described` and `efficiency_table.Measured`). values: by metric.
    """

    label: str
    is_only_printed: bool
    status: Status
    wanted: list[str]
    departures: list[Departure]
    cells: list[dict[str, Any]]
    printed: PrintedRow | None
    values: dict[str, Value]

    @property
    def anchor(self) -> str:
        """The id of the section that its numbers lead to."""
        return anchor(self.cells[0]["cell"])


@dataclass(frozen=True)
class Row:
    """One system. results: by block, only for those that it is meant for.

    is_quoted: a row of the paper that nobody reproduces here; it has printed values alone. group:
    id of the part of the table that it stands in.
    """

    label: str
    model: str
    ablation: str
    seeds: list[int]
    group: str | None
    is_quoted: bool
    results: dict[str, Result]


@dataclass(frozen=True)
class Convention:
    """How predictions were turned into numbers."""

    name: str
    about: str
    is_headline: bool = True


@dataclass(frozen=True)
class Block:
    """A data set, or a part of its test split, with its rows. What of its protocol is known before
    any cell is run; select_split is empty where none selects. is_missing: not in this study."""

    name: str
    title: str
    dataset: str | None = None
    part: str | None = None
    features: str = ""
    note: str = ""
    protocol: str = DEFAULT
    protocol_about: str = ""
    test_split: str | None = None
    select_split: str | None = None
    convention: Convention | None = None
    is_missing: bool = False

    @classmethod
    def of(cls, spec: dict) -> "Block":
        """The block of a specification (specifications/grammar.py)."""
        title = spec["title"]
        if spec.get("stands_in"):
            title += ": stands in for the paper's data"
        if spec.get("is_missing"):
            title += ": not in this study"
        return cls.read({**spec, "title": title})

    @classmethod
    def read(cls, content: dict) -> "Block":
        """A block from its fields; what else is told of it is left out."""
        names = {entry.name for entry in fields(cls)} & content.keys()
        known = {name: content[name] for name in names}
        if known.get("convention"):
            known["convention"] = Convention(**known["convention"])
        return cls(**known)

    @property
    def data(self) -> str:
        """The data set's name."""
        return self.dataset or self.name

    @property
    def scoring(self) -> str | None:
        """The convention that its cells are read under; None for the headline's."""
        if self.convention is None or self.convention.is_headline:
            return None
        return self.convention.name


@dataclass(frozen=True)
class Group:
    """A part of the rows of every block, under a title."""

    id: str
    title: str


@dataclass(frozen=True)
class Document:
    """A table of systems x metrics, one block of rows for each data set.

    table: its name, such as `seqpan/table5`. notes: the legend. heading: the printed table that it
    stands beside, such as `SeqPAN, Table 5: ...`. against: label of the row that the others are
    tested against. convention: what all blocks are scored by, if it is one. has_one_block: data
    sets are rows of their own and need no block each.
    """

    table: str
    identity: str
    study: str
    title: str
    is_demo: bool
    caption: str
    notes: list[str]
    heading: str
    against: str | None
    convention: str | None
    has_one_block: bool
    metrics: list[str]
    datasets: list[Block]
    groups: list[Group]
    rows: list[Row]

    @property
    def results(self) -> list[Result]:
        """Of all rows and data sets, row by row."""
        return [result for row in self.rows for result in row.results.values()]

    def results_of(self, block: Block) -> list[Result]:
        """The results of a block, row by row."""
        return [row.results[block.name] for row in self.rows if block.name in row.results]

    def grouped(self, block: Block) -> list[tuple[Group | None, list[Result]]]:
        """The results of a block by the groups that its rows stand in."""
        titles = {group.id: group for group in self.groups}
        rows = [row for row in self.rows if block.name in row.results]
        return [
            (
                name and titles.get(name, Group(name, "")),
                [row.results[block.name] for row in members],
            )
            for name, members in groupby(rows, key=lambda row: row.group)
        ]


def write_document(document: Document, path: str | Path) -> None:
    """Write a table's `.provenance.json`."""
    write_json(Path(path), {"schema": SCHEMA, **asdict(document)})


def read_document(path: str | Path) -> Document:
    """A table's `.provenance.json`; `UserError` if it is not one of this version, or damaged."""
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        raise UserError(f"{path}: not a table's provenance of this version; write the table again")
    try:
        return _document(content)
    except (AttributeError, KeyError, TypeError) as error:
        said = f"not a table's provenance ({error})"
        raise UserError(f"{path}: {said}; write the table again") from None


def _document(content: dict) -> Document:
    parts = {
        "datasets": [Block.read(block) for block in content["datasets"]],
        "groups": [Group(**group) for group in content["groups"]],
        "rows": [_row(row) for row in content["rows"]],
    }
    return Document(**content | parts)


def _row(content: dict) -> Row:
    results = {name: _result(result) for name, result in content["results"].items()}
    return Row(**content | {"results": results})


def _result(content: dict) -> Result:
    parts = {
        "departures": [Departure(**departure) for departure in content["departures"]],
        "printed": content["printed"] and PrintedRow(**content["printed"]),
        "values": {metric: _value(value) for metric, value in content["values"].items()},
    }
    return Result(**content | parts)


def _value(content: dict) -> Value:
    return Value(**content | {"interval": content["interval"] and tuple(content["interval"])})
