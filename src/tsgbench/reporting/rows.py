"""From cells to a table: means and spread over seeds, printed values beside them, ranks, notes."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from tsgbench.errors import UserError
from tsgbench.planning.layout import split_ablation
from tsgbench.reporting.cells import Cell, read_cell
from tsgbench.reporting.departures import find_departures
from tsgbench.reporting.document import Block, Convention, Group, Value, Verdict
from tsgbench.reporting.draft import (
    Result,
    Row,
    Table,
    of_study,
    with_difference,
    with_printed,
)
from tsgbench.reporting.published import Printed, find_printed
from tsgbench.reporting.uncertainty import intervals

FULL = "full"


def build_table(spec: dict, cells: dict[str, Path], published_folder: str | Path) -> Table:
    """Assemble a table from its specification and the cells' records.

    spec: `id`, `study`, `title`, `is_demo`, `notes`, `metrics`; `convention`: {name, about, and
    is_headline}, how predictions were turned into numbers;
    `datasets`: the blocks [{name, title, published: its name in the papers' files or None, and
    optionally dataset (if it is not the name), part (of its test split), features, test_split,
    select_split, protocol, protocol_about, note}];
    `rows`: [{label, model, ablation (as cells are called), seeds, and optionally datasets, group,
    practice (see `departures`, by data set), published: {paper, table, method}}]; `groups`: [{id,
    title}]; `against`: label of the row that `comparison.compare_rows` is to test the others
    against.
    cells: cell name -> folder. A missing or unfinished cell is shown as not run; one that cannot
    be traced, or cannot be compared with the others of its data set, is a `UserError`.
    """
    rows = [_build_row(spec, row, cells, Path(published_folder)) for row in spec["rows"]]
    for dataset in spec["datasets"]:
        results = [row.results[dataset["name"]] for row in rows if dataset["name"] in row.results]
        rank_block(Block.of(dataset), results, spec["metrics"])
    convention = spec.get("convention")
    return Table(
        **of_study(spec),
        metrics=list(spec["metrics"]),
        datasets=[Block.of(dataset) for dataset in spec["datasets"]],
        groups=[Group(**group) for group in spec.get("groups", [])],
        rows=rows,
        notes=list(spec.get("notes", [])),
        convention=Convention(**convention) if convention else None,
        against=spec.get("against"),
    )


def rank_block(block: Block, results: list[Result], metrics: list[str]) -> None:
    """Refuse results of a block that cannot be compared, and mark the best and the second."""
    for result in results:
        result.block_protocol = block.protocol
    _check_comparable(block.name, [cell for result in results for cell in result.cells])
    for metric in metrics:
        _rank(results, metric)


def _build_row(spec: dict, row: dict, cells: dict[str, Path], published: Path) -> Row:
    results = {}
    convention = spec.get("convention", {})
    scoring = None if convention.get("is_headline", True) else convention["name"]
    for dataset in spec["datasets"]:
        name = dataset.get("dataset", dataset["name"])
        if name not in row.get("datasets", [name]):
            continue
        prefix = f"{row['model']}/{name}/{row['ablation']}"
        result = read_result(prefix, row["seeds"], cells, scoring, dataset.get("part"))
        result.printed = _find_printed(row, dataset, published)
        practice = row.get("practice", {}).get(name, {}) if result.printed else {}
        result.departures = find_departures(result.cells, practice, convention.get("name"))
        fill_values(result, spec["metrics"])
        results[dataset["name"]] = result
    return Row(
        row["label"], row["model"], row["ablation"], list(row["seeds"]), row.get("group"), results
    )


def read_result(
    prefix: str,
    seeds: list[int],
    cells: dict[str, Path],
    convention: str | None = None,
    part: str | None = None,
) -> Result:
    """The evaluated cells of one system on one data set, without values yet.

    prefix: `model/dataset/ablation`. cells: cell name -> folder; a missing one was not run.
    """
    wanted = [f"{prefix}/seed{seed}" for seed in seeds]
    found = [read_cell(cell, cells.get(cell), convention, part) for cell in wanted]
    result = Result(wanted, [cell for cell in found if cell is not None])
    _check_same_system(result.cells)
    return result


def fill_values(result: Result, metrics: list[str]) -> None:
    """Mean, spread, interval, printed value and verdict of every metric."""
    values = {metric: _value(result, metric) for metric in metrics}
    bounds = intervals(result.cells, metrics) if result.cells else {}
    for metric, value in values.items():
        value = replace(value, interval=bounds.get(metric))
        result.values[metric] = replace(value, verdict=_verdict(result, value))


def _verdict(result: Result, value: Value) -> Verdict | None:
    """What a printed number is to the reproduced one."""
    if value.published is None:
        return None
    if value.mean is None:
        return "not run"
    if not result.is_comparable:
        return "protocol differs"
    low, high = value.interval or (value.mean, value.mean)
    if low <= value.published <= high:
        return "within interval"
    return "above" if value.mean > value.published else "below"


def _find_printed(row: dict, dataset: dict, folder: Path) -> Printed | None:
    """Only a paper's own full model has printed values, and only on the paper's own data."""
    source = row.get("published")
    if not source:
        return None
    paper = source["paper"]
    if split_ablation(row["ablation"])[0] != FULL or _letters(paper) != _letters(row["model"]):
        raise UserError(
            f"table row {row['label']!r}: published: the numbers of {paper} belong to its full "
            f"model, not to {row['model']}/{row['ablation']}; leave `published` out"
        )
    name = dataset.get("published")
    if not name:
        return None
    name = dataset["name"] if name is True else name
    table = source.get("table")
    table = table.get(name) if isinstance(table, dict) else table
    return find_printed(folder, paper, name, table=table, method=source.get("method"))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _value(result: Result, metric: str) -> Value:
    found = [cell.metrics.get(metric) for cell in result.cells]
    seeds = [value for value in found if value is not None]
    if seeds and len(seeds) < len(found):
        lacking = result.cells[found.index(None)]
        raise UserError(
            f"{lacking.folder / 'metrics.json'}: facts.metrics: lacks {metric!r}, which other "
            "seeds of the same system have; evaluate the cell again"
        )
    value = Value(
        mean=fmean(seeds) if seeds else None,
        std=stdev(seeds) if len(seeds) > 1 else None,
        seeds=seeds,
    )
    if result.printed is None:
        return value
    return with_difference(with_printed(value, result.printed, metric))


def _rank(results: list[Result], metric: str) -> None:
    """Mark the best and the second of the fully run trained systems, if there is a contest.

    Systems that were scored on different queries are in none.
    """
    entered = [
        result
        for result in results
        if result.status == "complete"
        and not result.is_off_protocol
        and all(cell.is_trained for cell in result.cells)
        and result.values[metric].mean is not None
    ]
    if len(entered) < 2 or len({cell.asked for result in entered for cell in result.cells}) > 1:
        return
    # Rounded as printed: two equal numbers in the table must not be told apart by their marks
    means = [round(result.values[metric].mean, 2) for result in entered]
    places = sorted(set(means), reverse=True)
    for result, mean in zip(entered, means, strict=True):
        place = places.index(mean)
        if place == 0 or (place == 1 and len(entered) > 2):
            result.values[metric] = replace(result.values[metric], rank=place + 1)


def _check_same_system(cells: list[Cell]) -> None:
    """Seeds of one row may differ in their seed and nothing else."""
    for cell in cells[1:]:
        for name in ("settings", "code", "inputs"):
            if _without_seed(cell, name) != _without_seed(cells[0], name):
                raise UserError(
                    f"{cell.folder / 'run.json'}: {name}: differs from those of {cells[0].name}, "
                    "so their mean would mix two systems; run snakemake again"
                )


def _without_seed(cell: Cell, name: str) -> object:
    part = cell.run.get(name)
    if name == "settings":
        return {key: value for key, value in part.items() if key not in ("seed", "study")}
    if name == "inputs":
        return {role: entry.get("identity") for role, entry in (part or {}).items()}
    return part


def _check_comparable(dataset: str, cells: list[Cell]) -> None:
    """All systems of a data set that follow the same protocol are asked the same queries.

    Some may lack the videos of a few, which their rows then say.
    """
    first: dict[str, Cell] = {}
    for cell in cells:
        other = first.setdefault(cell.protocol, cell)
        for name in ("queries", "protocol", "split", "nms_iou"):
            here, there = (
                c.of_queries if name == "queries" else c.evaluation["facts"].get(name)
                for c in (cell, other)
            )
            if here != there:
                raise UserError(
                    f"{cell.folder / 'metrics.json'}: facts.{name}: {here!r}, but {there!r} for "
                    f"{other.name}, so systems on {dataset} cannot be compared; evaluate again"
                )
