"""A table while it is assembled: its rows with the cells themselves, before it is a document.

Ranks, tests and captions ask the cells; `describe` then leaves of them what readers see.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tsgbench.jobs.cells import DEFAULT
from tsgbench.reporting.document import Block, Departure, Group, Value
from tsgbench.reporting.published import Printed


@dataclass
class Result:
    """One system on one data set: `values` by metric, empty if no cell of it was run.

    departures: in what the cells depart from the way in which the printed numbers were obtained.
    block_protocol: that of the block that it stands in. Results by another one are marked, and not
    ranked with the others.
    """

    wanted: list[str]
    # Of a table of systems, evaluated ones (`cells.Cell`); of others, what stands in their place:
    # `efficiency_table.Measured`, `statistics_table.Described`
    cells: list[Any]
    values: dict[str, Value] = field(default_factory=dict)
    printed: Printed | None = None
    departures: list[Departure] = field(default_factory=list)
    block_protocol: str = DEFAULT

    @property
    def protocol(self) -> str | None:
        """The protocol of its cells; None if none was run."""
        return self.cells[0].protocol if self.cells else None

    @property
    def is_off_protocol(self) -> bool:
        """Whether its cells follow another protocol than the block's."""
        return self.protocol not in (None, self.block_protocol)

    @property
    def is_comparable(self) -> bool:
        """Whether nothing material sets it apart from the printed numbers."""
        return not any(departure.is_material for departure in self.departures)

    @property
    def scored(self) -> tuple[int, int] | None:
        """Queries scored and queries of the split, if these differ: some videos were not there."""
        return self.cells[0].coverage if self.cells else None

    @property
    def is_only_printed(self) -> bool:
        """Whether no cell of the study could ever stand beside its printed numbers."""
        return self.printed is not None and not self.wanted

    @property
    def status(self) -> Literal["complete", "partial", "not run"]:
        """`complete`, `partial` (some seeds) or `not run`."""
        if not self.cells:
            return "not run"
        return "complete" if len(self.cells) == len(self.wanted) else "partial"


@dataclass
class Row:
    """One system; see `document.Row`."""

    label: str
    model: str
    ablation: str
    seeds: list[int]
    group: str | None
    results: dict[str, Result]
    is_quoted: bool = False


@dataclass
class Table:
    """All of it; see `document.Document`. notes: the study's own.

    about, printed_note: what the caption says instead of how systems are scored, and the legend
    instead of what a paper's own number is, in tables of something else.
    """

    id: str
    study: str
    title: str
    is_demo: bool
    metrics: list[str]
    datasets: list[Block]
    groups: list[Group]
    rows: list[Row]
    notes: list[str]
    about: str = ""
    printed_note: str = ""
    has_one_block: bool = False
    heading: str = ""
    against: str | None = None

    @property
    def departures(self) -> dict[str, str]:
        """Letter -> departure, of all reproduced rows with a printed number, each once."""
        texts = dict.fromkeys(
            departure.text
            for row in self.rows
            for result in row.results.values()
            if result.printed is not None
            for departure in result.departures
        )
        return {letter(index): text for index, text in enumerate(texts)}


def letter(index: int) -> str:
    """`a` to `z`, then `aa`, `ab` and so on."""
    high, low = divmod(index, 26)
    return (letter(high - 1) if high else "") + chr(ord("a") + low)


def with_printed(
    value: Value, printed: Printed, metric: str, *, decimals: int | None = None
) -> Value:
    """A value beside the printed one. decimals: of the printed, where it has others."""
    number = printed.values.get(metric)
    digits = value.decimals if decimals is None else decimals
    return replace(
        value,
        published=number,
        published_text=None if number is None else f"{number:.{digits}f}",
        published_std=printed.std.get(metric),
        published_uncertain=metric in printed.uncertain,
    )


def with_difference(value: Value) -> Value:
    """A value with its distance from the printed one, where there are both."""
    if value.mean is None or value.published is None:
        return value
    return replace(value, difference=value.mean - value.published)


def of_study(spec: dict) -> dict:
    """What every table says of itself and its study, from its specification."""
    return {
        **{name: spec[name] for name in ("id", "study", "title")},
        "is_demo": bool(spec.get("is_demo", False)),
    }
