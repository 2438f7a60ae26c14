"""A paper's table of time and size: its printed rows beside what our cells measure here.

Printed and measured numbers come from different machines, so no difference is taken. A printed
metric stands in the column that means the same; one whose unit is in doubt in a column of its own,
where nothing measured can stand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from tsgbench.errors import UserError
from tsgbench.jobs.cells import CellId, split_ablation
from tsgbench.jobs.records import Record
from tsgbench.reporting.document import Block, Group, Value
from tsgbench.reporting.draft import Result, Row, Table, of_study, with_printed
from tsgbench.reporting.published import Printed, head_line, read_rows

MEASURED = (
    "Of our cells: seconds per query from a video's features in memory to the moments that survive"
    " suppression (forward pass, decoding, suppression), on real queries of the test split, median"
    " of repeated answers after warm-up; parameters that are trained, without fixed word vectors;"
    " the checkpoint as it lies on disk; and the memory that answering a batch of 64 takes beside"
    " the features. Extracting features is in none of them."
)
GROUPS = [
    Group("quoted", "quoted from the paper, not run here"),
    Group("own", "the paper's own"),
    Group("beside", "other models of this study, measured in the same way"),
]
PRINTED_NOTE = "“printed” rows: the value in the paper, measured on its own machine."


@dataclass(frozen=True)
class Column:
    """One measured quantity. spread: whether it varies from run to run, so that a ± is of use."""

    title: str
    read: Callable[[dict], float | None]
    decimals: int
    spread: bool = False


def _seconds(batch: str) -> Callable[[dict], float | None]:
    return lambda facts: facts["seconds_per_query"].get(batch, {}).get("answer", {}).get("median")


def _peak_mb(facts: dict) -> float | None:
    peak = (facts["memory"]["bytes"] or {}).get("64")
    return None if peak is None else peak / 1e6


COLUMNS = (
    # One title before the comma: LaTeX sets it above both
    Column("s/query, batch 1", _seconds("1"), 4, spread=True),
    Column("s/query, batch 64", _seconds("64"), 5, spread=True),
    Column("params (M)", lambda facts: facts["sizes"]["parameters"] / 1e6, 2),
    Column("disk (MB)", lambda facts: facts["sizes"]["checkpoint_bytes"] / 1e6, 1),
    Column("memory (MB)", _peak_mb, 0, spread=True),
)
# Printed metrics that a column means; any other has a column of its own
MEANT = {"run_time_s": COLUMNS[0].title}
OWN_TITLES = {"model_size_M": "printed size (M)"}


@dataclass(frozen=True)
class Measured:
    """A measured cell, where a table of systems has an evaluated one."""

    name: str
    record: Record
    protocol: None = None  # nothing is scored
    coverage: None = None

    @property
    def folder(self) -> Path:
        """Where its record lies."""
        return self.record.path.parent

    def provenance(self) -> dict:
        """Where its numbers come from, and on what they were measured."""
        facts = self.record.facts
        return {
            # Not the cell's scores, which its own name leads to
            "cell": f"measured/{self.name}",
            "record": self.record.path.as_posix(),
            "identity": self.record.identity,
            "digest": self.record.digest,
            "code": self.record.content.get("code"),
            "inputs": self.record.content["inputs"],
            "git_commit": self.record.content.get("made", {}).get("git_commit"),
            **{name: facts[name] for name in ("device", "hardware", "threads", "shapes")},
            "memory": facts["memory"]["how"],
            "seconds_per_query": facts["seconds_per_query"],
        }


def build_efficiency_table(
    spec: dict, records: dict[str, Record], published_folder: str | Path
) -> Table:
    """Assemble the table of `spec["paper"]` called `spec["table"]`.

    spec: `id`, `study`, `title`, `is_demo`, `notes`, `paper`, `table`; `datasets`: blocks, as of a
    table of systems (specifications/grammar.py); `cells`: names of those measured; `models`: name
    -> title. records: cell name -> record of its `measure` job; a cell without one is shown as not
    run.
    """
    folder = Path(published_folder)
    entry, printed = read_rows(folder, spec["paper"], spec["table"])
    columns = _columns_of_printed(entry, f"{folder / spec['paper']}.yaml: {spec['table']}")
    blocks = spec["datasets"]
    rows = [_printed_row(spec, row, numbers, blocks, records) for row, numbers in printed]
    rows.sort(key=lambda row: not row.is_quoted)  # the paper's own stand below, as it prints them
    own = {f"{row.model}/{row.ablation}" for row in rows}
    beside = dict.fromkeys(_system(cell) for cell in spec["cells"])
    rows += [_beside_row(spec, name, blocks, records) for name in beside if name not in own]
    for row in rows:
        for result in row.results.values():
            _fill_values(result, columns)
    return Table(
        **of_study(spec),
        metrics=[*(column.title for column in COLUMNS), *_added(columns)],
        datasets=[Block.of(block) for block in blocks],
        groups=GROUPS,
        rows=rows,
        notes=[*spec.get("notes", []), *_units(entry, columns), *_memory(rows), *_shapes(rows)],
        about=_about(rows),
        printed_note=PRINTED_NOTE,
        heading=head_line(entry, [numbers for _, numbers in printed]),
    )


def _system(cell: str) -> str:
    """`model/ablation` of a cell, by whichever protocol."""
    parsed = CellId.parse(cell)
    return f"{parsed.model}/{split_ablation(parsed.ablation)[0]}"


def _columns_of_printed(entry: dict, where: str) -> dict[str, str]:
    """Printed metric -> title of its column."""
    metrics = {metric for names in entry["metrics"].values() for metric in names}
    unknown = sorted(metrics - MEANT.keys() - OWN_TITLES.keys())
    if unknown:
        raise UserError(
            f"{where}: metrics: no column of an efficiency table is for {unknown[0]!r}; known:"
            f" {', '.join([*MEANT, *OWN_TITLES])}"
        )
    return {name: title for name, title in (MEANT | OWN_TITLES).items() if name in metrics}


def _added(columns: dict[str, str]) -> list[str]:
    return [title for title in columns.values() if title in OWN_TITLES.values()]


def _printed_row(
    spec: dict, row: dict, numbers: Printed, blocks: list[dict], records: dict[str, Record]
) -> Row:
    """A printed row, on the data set that it was printed for; the paper's own on stand-ins too."""
    system = row.get("cell", "")
    is_quoted = "/" not in system
    results = {}
    for block in blocks:
        if block["printed"] == row["dataset"] or (block["printed"] is None and not is_quoted):
            result = _result(spec, system, block, records)
            result.printed = numbers if block["printed"] else None
            results[block["name"]] = result
    model, _, ablation = ("", "", "") if is_quoted else system.partition("/")
    group = "quoted" if is_quoted else "own"
    return Row(row["method"], model, ablation, [], group, results, is_quoted=is_quoted)


def _beside_row(spec: dict, system: str, blocks: list[dict], records: dict[str, Record]) -> Row:
    model, ablation = system.split("/")
    by_block = {block["name"]: _result(spec, system, block, records) for block in blocks}
    results = {name: result for name, result in by_block.items() if result.wanted}
    return Row(spec["models"][model], model, ablation, [], "beside", results)


def _result(spec: dict, system: str, block: dict, records: dict[str, Record]) -> Result:
    """A system's measured cells in a block; one of the study that has no record was not run."""
    wanted = [
        cell
        for cell in spec["cells"]
        if _system(cell) == system and CellId.parse(cell).dataset == block["name"]
    ]
    return Result(wanted, [Measured(cell, records[cell]) for cell in wanted if cell in records])


def _fill_values(result: Result, columns: dict[str, str]) -> None:
    result.values = {column.title: _value(column, result.cells) for column in COLUMNS}
    result.values |= {title: Value() for title in _added(columns)}
    if result.printed is not None:
        _add_printed(result, result.printed, columns)


def _value(column: Column, cells: list[Measured]) -> Value:
    measured = [column.read(cell.record.facts) for cell in cells]
    seeds = [value for value in measured if value is not None]
    return Value(
        mean=fmean(seeds) if seeds else None,
        std=stdev(seeds) if len(seeds) > 1 and column.spread else None,
        seeds=seeds,
        decimals=column.decimals,
    )


def _add_printed(result: Result, printed: Printed, columns: dict[str, str]) -> None:
    """Printed numbers with the digits that the paper gives."""
    for metric, title in columns.items():
        number = printed.values.get(metric)
        digits = None if number is None else len(f"{number:g}".partition(".")[2])
        value = result.values[title]
        result.values[title] = with_printed(value, printed, metric, decimals=digits)


# Sentences --------------------------------------------------------------------------------------


def _about(rows: list[Row]) -> str:
    machines = dict.fromkeys(_machine(cell.record.facts) for cell in _cells(rows))
    where = f"Measured on {'; '.join(machines)}." if machines else "None of them was measured yet."
    return f"{MEASURED} {where}"


def _machine(facts: dict) -> str:
    on = "GPU" if facts["device"].startswith("cuda") else "CPU"
    return f"{facts['hardware']} ({on}), PyTorch {facts['versions']['torch']}"


def _units(entry: dict, columns: dict[str, str]) -> list[str]:
    """What the paper says of its units, which decides where a printed number stands."""
    units = entry.get("units", {})
    return [
        f"{title}, printed as {metric}: {units[metric]}."
        for metric, title in columns.items()
        if metric in units
    ]


def _memory(rows: list[Row]) -> list[str]:
    ways = dict.fromkeys(cell.record.facts["memory"]["how"] for cell in _cells(rows))
    return [f"Peak memory: {'; '.join(ways)}."] if ways else []


def _shapes(rows: list[Row]) -> list[str]:
    """What a batch of the largest size was, system by system."""
    said = []
    for row in rows:
        for result in row.results.values():
            if not result.cells:
                continue
            shape = result.cells[0].record.facts["shapes"]
            width = f", {shape['width']} wide" if shape["width"] else ""
            said.append(
                f"{row.label} {shape['clips']} × {shape['clip_dim']}, {shape['words']}{width}"
            )
    return [f"Clips × numbers per clip, words, width: {'; '.join(said)}."] if said else []


def _cells(rows: list[Row]) -> list[Measured]:
    return [cell for row in rows for result in row.results.values() for cell in result.cells]
