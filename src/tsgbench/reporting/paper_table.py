"""A numbered table of a paper: its printed rows beside the cells that reproduce them.

Every printed row stands in it: quoted, or with the reproduced numbers above the printed ones. In a
comparison of systems, those of the study that see no video follow. Nothing here knows a paper or a
data set: planning/papers.py says which cell is which row's.
"""

from dataclasses import replace
from pathlib import Path

from tsgbench.reporting.departures import find_departures
from tsgbench.reporting.document import Block, Group
from tsgbench.reporting.draft import Result, Row, Table, of_study
from tsgbench.reporting.published import Printed, head_line, read_rows
from tsgbench.reporting.rows import fill_values, rank_block, read_result


def build_paper_table(spec: dict, cells: dict[str, Path], published_folder: str | Path) -> Table:
    """Assemble the table of `spec["paper"]` called `spec["table"]`.

    spec: see planning/papers.py. cells: cell name -> folder; a missing or unfinished one is shown
    as not run.
    """
    entry, found = read_rows(Path(published_folder), spec["paper"], spec["table"])
    printed = [numbers for _, numbers in found]
    rows = [_build_row(spec, row, cells, printed) for row in spec["rows"]]
    for block in spec["datasets"]:
        results = [row.results[block["name"]] for row in rows if block["name"] in row.results]
        rank_block(Block.of(block), results, spec["metrics"])
        for metric in spec["metrics"]:
            _rank_printed(results, metric)
    return Table(
        **of_study(spec),
        metrics=list(spec["metrics"]),
        datasets=[Block.of(block) for block in spec["datasets"]],
        groups=[Group(**group) for group in spec["groups"]],
        rows=rows,
        notes=spec["notes"],
        heading=head_line(entry, printed),
        against=spec["against"],
    )


def _build_row(spec: dict, row: dict, cells: dict[str, Path], printed: list[Printed]) -> Row:
    results = {}
    for block in spec["datasets"]:
        name = block["name"]
        prefix = row["prefixes"].get(name)
        if prefix is None and name not in row["printed"]:
            continue
        result = Result([], [])
        if prefix is not None:
            convention = block["convention"]
            scoring = None if convention["is_headline"] else convention["name"]
            result = read_result(prefix, row["seeds"].get(name, []), cells, scoring)
        if name in row["printed"]:
            result.printed = printed[row["printed"][name]]
            result.departures = find_departures(
                result.cells, row["practice"].get(name, {}), block.get("convention", {}).get("name")
            )
        fill_values(result, spec["metrics"])
        results[name] = result
    model, _, ablation = row["cell"].partition("/")
    seeds = sorted({seed for chosen in row["seeds"].values() for seed in chosen})
    return Row(row["label"], model, ablation, seeds, row["group"], results, row["is_quoted"])


def _rank_printed(results: list[Result], metric: str) -> None:
    """Mark the best and the second printed number of a block, as papers do."""
    entered = [result for result in results if result.values[metric].published is not None]
    if len(entered) < 3:
        return
    places = sorted({result.values[metric].published for result in entered}, reverse=True)
    for result in entered:
        value = result.values[metric]
        if (place := places.index(value.published)) < 2:
            result.values[metric] = replace(value, published_rank=place + 1)
