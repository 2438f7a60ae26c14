"""What a table holds: rows of results on data sets, of values by metric. Writers read only this."""

from dataclasses import dataclass, field

from tsgbench.jobs.layout import DEFAULT
from tsgbench.reporting.cells import Cell
from tsgbench.reporting.departures import Departure
from tsgbench.reporting.published import Printed

# What a printed value is to the reproduced one and its interval
VERDICTS = ("within interval", "above", "below", "not run", "protocol differs")


@dataclass
class Value:
    """One number of the table, in percent. mean is None where the system does not define it.

    std: sample standard deviation (n-1), None for a single seed. interval: 95 % bootstrap interval
    of the mean over videos. difference: mean minus printed. verdict: one of VERDICTS, empty where
    nothing is printed. p_value: of a paired permutation test against the table's reference system,
    corrected for all comparisons of the table; None where none was asked for. rank: 1 best, 2
    second among the trained systems, else 0; printed_rank: the same among printed values.
    decimals: as many as are written; printed_decimals: the same of the printed value, where it has
    others.
    """

    mean: float | None
    std: float | None
    seeds: list[float]
    printed: float | None = None
    printed_std: float | None = None
    is_printed_uncertain: bool = False
    difference: float | None = None
    rank: int = 0
    decimals: int = 2
    interval: tuple[float, float] | None = None
    verdict: str = ""
    p_value: float | None = None
    printed_rank: int = 0
    printed_decimals: int | None = None

    @property
    def printed_text(self) -> str:
        """The printed value with its own digits."""
        decimals = self.decimals if self.printed_decimals is None else self.printed_decimals
        return f"{self.printed:.{decimals}f}"


@dataclass
class Result:
    """One system on one data set: `values` by metric, empty if no cell of it was run.

    departures: in what the cells depart from the way in which the printed numbers were obtained.
    block_protocol: that of the block that it stands in. Results by another one are marked, and not
    ranked with the others.
    """

    wanted: list[str]
    cells: list[Cell]
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
    def status(self) -> str:
        """`complete`, `partial` (some seeds) or `not run`."""
        if not self.cells:
            return "not run"
        return "complete" if len(self.cells) == len(self.wanted) else "partial"


@dataclass
class Row:
    """One system. results: data set -> Result, only for the data sets it is meant for.

    is_quoted: a row of the paper that nobody reproduces here; it has printed values alone. group:
    id of the part of the table that it stands in.
    """

    label: str
    model: str
    ablation: str
    seeds: list[int]
    group: str | None
    results: dict[str, Result]
    is_quoted: bool = False


@dataclass
class Table:
    """A table of systems x metrics, one block of rows for each data set.

    about, printed_note: what the caption says instead of how systems are scored, and the legend
    instead of what a paper's own number is, in tables of something else. has_one_block: data sets
    are rows of their own and need no block each. convention: of all blocks that name none of their
    own. heading: the printed table that it stands beside, such as `SeqPAN, Table 5`. against: label
    of the row that the others are tested against.
    """

    id: str
    study: str
    title: str
    is_demo: bool
    metrics: list[str]
    datasets: list[dict]
    groups: list[dict]
    rows: list[Row]
    notes: list[str]
    about: str = ""
    printed_note: str = ""
    has_one_block: bool = False
    convention: dict = field(default_factory=dict)
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
        return {letter(place): text for place, text in enumerate(texts)}


def letter(place: int) -> str:
    """`a` to `z`, then `aa`, `ab` and so on."""
    high, low = divmod(place, 26)
    return (letter(high - 1) if high else "") + chr(ord("a") + low)


def of_study(spec: dict) -> dict:
    """What every table says of itself and its study, from its specification."""
    return {
        **{name: spec[name] for name in ("id", "study", "title")},
        "is_demo": bool(spec.get("is_demo", False)),
    }
