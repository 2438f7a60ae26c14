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
from tsgbench.records import Record
from tsgbench.reporting.published import Printed, read_rows
from tsgbench.reporting.rows import Result, Row, Table, Value

MEASURED = (
    "Measured here: seconds from a video's features in memory to the moments that survive"
    " suppression (forward pass, decoding, suppression), on real queries of the test split, median"
    " of repeated answers after warm-up; parameters that are trained, without fixed word vectors;"
    " the checkpoint as it lies on disk; and the memory that answering a batch of 64 takes beside"
    " the features. Extracting features is in none of them."
)
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
    found = (facts["memory"]["bytes"] or {}).get("64")
    return None if found is None else found / 1e6


COLUMNS = (
    # One title before the comma: LaTeX sets it above both
    Column("s/query,batch 1", _seconds("1"), 4, spread=True),
    Column("s/query,batch 64", _seconds("64"), 5, spread=True),
    Column("parameters (M)", lambda facts: facts["sizes"]["parameters"] / 1e6, 2),
    Column("on disk (MB)", lambda facts: facts["sizes"]["checkpoint_bytes"] / 1e6, 1),
    Column("peak memory (MB)", _peak_mb, 0, spread=True),
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
        return self.record.path.parent

    def provenance(self) -> dict:
        """Where its numbers come from, and on what they were measured."""
        facts = self.record.facts
        return {
            "cell": self.name,
            "measured": str(self.record.path),
            "identity": self.record.identity,
            "digest": self.record.digest,
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

    spec: as of any printed table (planning/papers.py): `id`, `study`, `title`, `is_demo`, `notes`,
    `paper`, `table`, `datasets` (blocks), `groups`, and `rows`: {label, cell, group, is_quoted,
    printed: block -> place in the printed table, prefixes: block -> model/dataset/ablation, seeds:
    block -> seeds that are measured}. records: cell name -> record of its `measure` job; a cell
    without one is shown as not run.
    """
    entry, printed = read_rows(Path(published_folder), spec["paper"], spec["table"])
    places = _columns_of_printed(entry, f"{published_folder}/{spec['paper']}.yaml: {spec['table']}")
    numbers = [row for _, row in printed]
    rows = [_build_row(spec, row, records, numbers, places) for row in spec["rows"]]
    return Table(
        id=spec["id"],
        study=spec["study"],
        title=spec["title"],
        is_demo=bool(spec.get("is_demo", False)),
        metrics=[*(column.title for column in COLUMNS), *_added(places)],
        datasets=list(spec["datasets"]),
        groups=list(spec.get("groups", [])),
        rows=rows,
        notes=[*spec.get("notes", []), *_units(entry, places), *_memory(rows), *_shapes(rows)],
        about=_about(entry, numbers, rows),
        printed_note=PRINTED_NOTE,
    )


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


def _added(places: dict[str, str]) -> list[str]:
    return [title for title in places.values() if title in OWN_TITLES.values()]


def _build_row(
    spec: dict, row: dict, records: dict[str, Record], printed: list[Printed], places: dict
) -> Row:
    results = {}
    for block in spec["datasets"]:
        name = block["name"]
        prefix, place = row["prefixes"].get(name), row["printed"].get(name)
        if prefix is None and place is None:
            continue
        wanted = [f"{prefix}/seed{seed}" for seed in row["seeds"].get(name, [])] if prefix else []
        cells = [Measured(cell, records[cell]) for cell in wanted if cell in records]
        result = Result(wanted, cells, printed=None if place is None else printed[place])
        result.values = {column.title: _value(column, cells) for column in COLUMNS}
        result.values |= {title: Value(None, None, []) for title in _added(places)}
        if result.printed is not None:
            _add_printed(result, places)
        results[name] = result
    model, _, ablation = row["cell"].partition("/")
    seeds = sorted({seed for chosen in row["seeds"].values() for seed in chosen})
    is_quoted = row["is_quoted"]
    return Row(row["label"], model, ablation, seeds, row["group"], results, is_quoted=is_quoted)


def _value(column: Column, cells: list[Measured]) -> Value:
    found = [column.read(cell.record.facts) for cell in cells]
    seeds = [value for value in found if value is not None]
    return Value(
        mean=fmean(seeds) if seeds else None,
        std=stdev(seeds) if len(seeds) > 1 and column.spread else None,
        seeds=seeds,
        decimals=column.decimals,
    )


def _add_printed(result: Result, places: dict[str, str]) -> None:
    """Printed numbers with the digits that the paper gives."""
    for metric, title in places.items():
        value, number = result.values[title], result.printed.values.get(metric)
        value.printed = number
        value.is_printed_uncertain = metric in result.printed.uncertain
        if number is not None:
            value.printed_decimals = len(f"{number:g}".partition(".")[2])


# Sentences --------------------------------------------------------------------------------------


def _about(entry: dict, printed: list[Printed], rows: list[Row]) -> str:
    said = f"Printed: {entry['caption'].rstrip('. ')}"
    if printed:
        said = f"Printed ({printed[0].system}): {entry['caption'].rstrip('. ')}"
    machines = dict.fromkeys(_machine(cell.record.facts) for cell in _cells(rows))
    where = f" Machine: {'; '.join(machines)}." if machines else " Nothing was measured yet."
    return f"{said}. {MEASURED}{where}"


def _machine(facts: dict) -> str:
    on = "GPU" if facts["device"].startswith("cuda") else "CPU"
    return f"{facts['hardware']} ({on}), PyTorch {facts['versions']['torch']}"


def _units(entry: dict, places: dict[str, str]) -> list[str]:
    """What the paper says of its units, which decides where a printed number stands."""
    units = entry.get("units", {})
    return [
        f"{title.replace(',', ', ')}, printed as {metric}: {units[metric]}."
        for metric, title in places.items()
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
    return [f"Clips × numbers a clip, words, width: {'; '.join(said)}."] if said else []


def _cells(rows: list[Row]) -> list[Measured]:
    return [cell for row in rows for result in row.results.values() for cell in result.cells]
