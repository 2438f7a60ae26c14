"""A paper's table of data sets: what it printed beside what the public files hold.

`published/{paper}.yaml` says what each column counts: `columns` of the table (statistic, part of
the data set, decimals, title) and `reproduce` of a row (tokeniser, the splits of each part, and
statistics that this row averages in another way). Nothing here knows a paper or a data set.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.jobs.records import Record
from tsgbench.reporting.document import Block, Value
from tsgbench.reporting.draft import (
    Result,
    Row,
    Table,
    of_study,
    with_difference,
    with_printed,
)
from tsgbench.reporting.published import Printed, head_line, read_rows

ABOUT = (
    "Data sets as the paper describes them (its own numbers in the “printed” rows) and as the "
    "public annotation files are: every row as it stands there, before any repair. Averages of "
    "words and of moments are over sentences, of videos over videos."
)
PRINTED_NOTE = "“printed” rows: the value in the paper; in parentheses, counted here minus printed."


@dataclass(frozen=True)
class Described:
    """A data set's statistics, where a table of systems has a cell."""

    name: str
    record: Record
    protocol: None = None  # nothing is trained or tested
    coverage: None = None

    def provenance(self) -> dict:
        """Where its numbers come from."""
        return {
            "cell": f"statistics/{self.name}",
            "record": self.record.path.as_posix(),
            "identity": self.record.identity,
            "digest": self.record.digest,
            "code": self.record.content.get("code"),
            "inputs": self.record.content["inputs"],
            "git_commit": self.record.content.get("made", {}).get("git_commit"),
        }


def build_statistics_table(
    spec: dict, statistics: dict[str, Record], published_folder: str | Path
) -> Table:
    """Assemble the table of `spec["paper"]` called `spec["table"]`.

    spec: `id`, `study`, `title`, `is_demo`, `notes`, `paper`, `table`, and `stand_ins`: data set ->
    its row, for generated data in the place of the paper's. statistics: data set -> its record; a
    data set of the paper that is not there is shown as not run, with its printed row.
    """
    paper, number = spec["paper"], spec["table"]
    entry, printed = read_rows(Path(published_folder), paper, number)
    where = f"{Path(published_folder) / paper}.yaml: {number}"
    columns = entry.get("columns")
    if columns is None:
        raise UserError(f"{where}: columns: is missing; say which statistic each metric is")
    rows = []
    stand_ins = [
        (row | {"method": f"{row['title']}, stands in"}, None)
        for row in spec.get("stand_ins", {}).values()
    ]
    for row, numbers in [*stand_ins, *printed]:
        if numbers is not None:
            numbers = replace(numbers, method=numbers.system)  # a row is a data set, not a system
        record = statistics.get(row["dataset"])
        cells = [] if record is None else [Described(row["dataset"], record)]
        result = Result([row["dataset"]], cells, printed=numbers)
        result.values = {
            column["title"]: _value(metric, column, row, record, numbers, where)
            for metric, column in columns.items()
        }
        rows.append(Row(row["method"], "", "", [], None, {row["dataset"]: result}))
    return Table(
        **of_study(spec),
        metrics=[column["title"] for column in columns.values()],
        datasets=[
            Block(name=row["dataset"], title=row["method"]) for row, _ in [*stand_ins, *printed]
        ],
        groups=[],
        rows=rows,
        notes=[*spec.get("notes", []), *_counted([*stand_ins, *printed], statistics)],
        about=ABOUT,
        printed_note=PRINTED_NOTE,
        has_one_block=True,
        heading=head_line(entry, [numbers for _, numbers in printed]),
    )


def count_exact(table: Table) -> tuple[int, int]:
    """How many counted numbers are the printed ones to every digit, of how many with one."""
    values = [
        value
        for row in table.rows
        for result in row.results.values()
        for value in result.values.values()
        if value.difference is not None
    ]
    return sum(is_exact(value) for value in values), len(values)


def is_exact(value: Value) -> bool:
    """Whether the counted number, written with the printed one's digits, is that number."""
    if value.mean is None or value.published is None:
        return False
    return round(value.mean, value.decimals) == round(value.published, value.decimals)


def _value(
    metric: str,
    column: dict,
    row: dict,
    record: Record | None,
    numbers: Printed | None,
    where: str,
) -> Value:
    mean = None
    reproduce = row.get("reproduce")
    if record is not None and reproduce is not None and column["part"] in reproduce["parts"]:
        mean = _statistic(metric, column, reproduce, record, f"{where}, {row['dataset']}")
    seeds = [] if mean is None else [mean]
    value = Value(mean=mean, seeds=seeds, decimals=column["decimals"])
    return with_difference(with_printed(value, numbers, metric)) if numbers else value


def _statistic(metric: str, column: dict, reproduce: dict, record: Record, where: str) -> float:
    """The number itself, from the record's facts."""
    part = "+".join(reproduce["parts"][column["part"]])
    if part not in record.facts["described"]:
        raise UserError(
            f"{where}: reproduce.parts.{column['part']}: {part!r} is no union that {record.path}"
            f" describes; it has {', '.join(record.facts['described'])}"
        )
    described = record.facts["described"][part]
    words = described["words"].get(reproduce["tokenizer"])
    if words is None:
        raise UserError(
            f"{where}: reproduce.tokenizer: {reproduce['tokenizer']!r} is not known; use one of"
            f" {', '.join(described['words'])}"
        )
    name = reproduce.get("statistics", {}).get(metric, column["statistic"])
    if name not in described["rows"] | words:
        raise UserError(
            f"{where}: statistic: {name!r} is not known; use one of"
            f" {', '.join(described['rows'] | words)}"
        )
    return float((described["rows"] | words)[name])


def _counted(
    printed: list[tuple[dict, Printed | None]], statistics: dict[str, Record]
) -> list[str]:
    """What was counted, row by row: the parts, the tokeniser and unusual averages."""
    lines = []
    for row, _ in printed:
        reproduce = row.get("reproduce")
        if reproduce is None or row["dataset"] not in statistics:
            continue
        parts = "; ".join(
            f"{name} = {' + '.join(splits)}" for name, splits in reproduce["parts"].items()
        )
        other = "".join(
            f"; {metric}: {name}" for metric, name in reproduce.get("statistics", {}).items()
        )
        lines.append(f"{row['method']}: {parts}; words: {reproduce['tokenizer']}{other}.")
    return lines
