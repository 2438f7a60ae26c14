"""From cells to a table: means and spread over seeds, printed values beside them, ranks, notes."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from tsgbench.errors import UserError
from tsgbench.jobs.cells import cell_names
from tsgbench.reporting.cells import Cell, read_cell
from tsgbench.reporting.document import Block, Value, Verdict
from tsgbench.reporting.draft import Result, with_difference, with_printed
from tsgbench.reporting.uncertainty import intervals


def rank_block(block: Block, results: list[Result], metrics: list[str]) -> None:
    """Refuse results of a block that cannot be compared, and mark the best and the second."""
    for result in results:
        result.block_protocol = block.protocol
    _check_comparable(block.name, [cell for result in results for cell in result.cells])
    for metric in metrics:
        _rank(results, metric)


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
    wanted = cell_names(prefix, seeds)
    read = [read_cell(cell, cells.get(cell), convention, part) for cell in wanted]
    result = Result(wanted, [cell for cell in read if cell is not None])
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


def _value(result: Result, metric: str) -> Value:
    scores = [cell.metrics.get(metric) for cell in result.cells]
    seeds = [value for value in scores if value is not None]
    if seeds and len(seeds) < len(scores):
        lacking = result.cells[scores.index(None)]
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
    means = [
        round(mean, 2) for result in entered if (mean := result.values[metric].mean) is not None
    ]
    ranking = sorted(set(means), reverse=True)
    for result, mean in zip(entered, means, strict=True):
        rank = ranking.index(mean)
        if rank == 0 or (rank == 1 and len(entered) > 2):
            result.values[metric] = replace(result.values[metric], rank=rank + 1)


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
        return {key: value for key, value in (part or {}).items() if key not in ("seed", "study")}
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
