"""A table of systems: a study's own, or a numbered table of a paper beside its cells.

Of a printed table every row stands in it: quoted, or with the reproduced numbers above the printed
ones. Nothing here knows a paper or a data set: specifications/grammar.py says what is shown.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from tsgbench.reporting.departures import find_departures
from tsgbench.reporting.document import Block, Group
from tsgbench.reporting.draft import Result, Row, Table, of_study
from tsgbench.reporting.published import Printed, head_line, read_rows
from tsgbench.reporting.rows import fill_values, rank_block, read_result

GROUPS = [
    Group("quoted", "quoted from the paper, not run here"),
    Group("own", "the paper's own, reproduced"),
    Group("beside", "beside it, in this study"),
]


def build_table(spec: dict, cells: dict[str, Path], published_folder: str | Path) -> Table:
    """Assemble a table from its specification and the cells' records.

    spec: see specifications/grammar.py. cells: cell name -> folder. A missing or unfinished cell is
    shown as not run; one that cannot be traced, or cannot be compared with the others of its data
    set, is a `UserError`.
    """
    read = cache(lambda paper, table: read_rows(Path(published_folder), paper, table))

    def printed(paper: str, table: str, row: int) -> Printed:
        return read(paper, table)[1][row][1]

    blocks = [Block.of(block) for block in spec["datasets"]]
    rows = [_row(blocks, row, spec["metrics"], cells, printed) for row in spec["rows"]]
    is_printed = "paper" in spec
    for block in blocks:
        results = [row.results[block.name] for row in rows if block.name in row.results]
        rank_block(block, results, spec["metrics"])
        for metric in spec["metrics"] if is_printed else []:
            _rank_printed(results, metric)
    heading = ""
    if is_printed:
        entry, numbered = read(spec["paper"], spec["table"])
        heading = head_line(entry, [numbers for _, numbers in numbered])
    return Table(
        **of_study(spec),
        metrics=list(spec["metrics"]),
        datasets=blocks,
        groups=GROUPS if any(row.group for row in rows) else [],
        rows=rows,
        notes=list(spec["notes"]),
        heading=heading,
        against=spec["against"],
    )


def _row(
    blocks: list[Block],
    row: dict,
    metrics: list[str],
    cells: dict[str, Path],
    printed: Callable[[str, str, int], Printed],
) -> Row:
    results = {}
    for block in blocks:
        name = block.name
        if name not in row["prefixes"] and name not in row["printed"]:
            continue
        result = Result([], [])
        if name in row["prefixes"]:
            seeds = row["seeds"][name]
            result = read_result(row["prefixes"][name], seeds, cells, block.scoring, block.part)
        if name in row["printed"]:
            result.printed = printed(*row["printed"][name])
            practice = row["practice"].get(name, {})
            convention = block.convention.name if block.convention else None
            result.departures = find_departures(result.cells, practice, convention)
        fill_values(result, metrics)
        results[name] = result
    model, _, ablation = row["cell"].partition("/")
    seeds = sorted({seed for chosen in row["seeds"].values() for seed in chosen})
    return Row(row["label"], model, ablation, seeds, row["group"], results, row["is_quoted"])


def _rank_printed(results: list[Result], metric: str) -> None:
    """Mark the best and the second printed number of a block, as papers do."""
    printed = [
        (result, number)
        for result in results
        if (number := result.values[metric].published) is not None
    ]
    if len(printed) < 3:
        return
    ranking = sorted({number for _, number in printed}, reverse=True)
    for result, number in printed:
        if (rank := ranking.index(number)) < 2:
            value = result.values[metric]
            result.values[metric] = replace(value, published_rank=rank + 1)
