"""What figures of cells share: one panel a data set, whose systems have cells or were not run.

A figure's `spec` and `records` are those of `reporting.figures`; a cell is
`model/dataset/ablation/seed0` (jobs/cells.py), a system `model/ablation` and one of
`spec["systems"]`.
"""

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from tsgbench.datasets.queries import read_splits
from tsgbench.errors import UserError
from tsgbench.evaluation.query_scores import QueryScores, read_query_scores
from tsgbench.jobs.cells import cell_names, cell_prefix
from tsgbench.jobs.records import Record
from tsgbench.reporting.cells import Cell, read_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")
PRINTED = "#000000"
PER_ROW = 2
TITLE_SIZE = 8
# Characters of that size on an inch
PER_INCH = 12.5
NOT_RUN = "not run"


def find_system(spec: dict, name: str) -> dict:
    """The system called `model/ablation`; `UserError` if the figure is not given it."""
    for system in spec["systems"]:
        if name == f"{system['model']}/{system['ablation']}":
            return system
    raise UserError(
        f"figure {spec['id']}: draw: names the system {name!r}, which is not among its systems; add"
        " it to `systems` of the figure in published/"
    )


def read_system(spec: dict, system: dict, dataset: str, records: dict[str, Record]) -> list[Cell]:
    """A system's evaluated cells on a data set, seen under the convention that the figure has there
    (`conventions` of its spec; else the headline's); none if it was not run there."""
    convention = spec.get("conventions", {}).get(dataset)
    seeds = []
    for name in cell_names(cell_prefix(system, dataset), system["seeds"]):
        record = records.get(f"metrics:{name}")
        seeds.append(read_cell(name, record.path.parent if record else None, convention))
    return [cell for cell in seeds if cell is not None]


def read_metric(cells: list[Cell], metric: str) -> np.ndarray:
    """(seeds,) percent under the cells' convention; `UserError` where it is not defined."""
    for cell in cells:
        if cell.metrics.get(metric) is None:
            raise UserError(
                f"{cell.folder / 'metrics.json'}: facts.metrics: has no {metric!r}, which a figure"
                f" draws; name one of {', '.join(cell.metrics)} in its `draw`"
            )
    return np.array([cell.metrics[metric] for cell in cells], dtype=float)


def read_ious(cells: list[Cell]) -> tuple[np.ndarray, QueryScores]:
    """(seeds, Q) IoU of the first moment in percent, by the cells' convention, and the queries (of
    the first seed). `UserError` where seeds were scored on different queries."""
    scores = [read_query_scores(cell.folder / "scores.parquet") for cell in cells]
    for one in scores[1:]:
        if not np.array_equal(one.query_ids, scores[0].query_ids):
            raise UserError(
                f"{one.path}: scores other queries than {scores[0].path}, so their seeds cannot be"
                " averaged; evaluate both cells again"
            )
    names = [cell.seen_under for cell in cells]
    ious = [one.values(name, "mIoU") for one, name in zip(scores, names, strict=True)]
    return np.stack(ious), scores[0]


def read_durations(scores: QueryScores, annotations: Record) -> np.ndarray:
    """(Q,) seconds of each query's video."""
    queries = read_splits(annotations, list(dict.fromkeys(scores.splits)))
    known = dict(zip(queries.query_ids, queries.durations, strict=True))
    try:
        return np.array([known[name] for name in scores.query_ids])
    except KeyError as error:
        raise UserError(
            f"{scores.path}: scores query {error}, which {annotations.path} does not have; evaluate"
            " the cell again"
        ) from None


def is_papers(spec: dict, dataset: str, has_cells: bool) -> bool:
    """Whether the paper's printed numbers belong into a data set's panel.

    They do not where a generated data set stands in for the paper's. `printed.datasets` names the
    paper's; without it, a stand-in is told by its cells.
    """
    named = (spec.get("printed") or {}).get("datasets")
    if named is not None:
        return dataset in named
    return not (spec.get("stands_in") and has_cells)


def split_of(cells: list[Cell]) -> str:
    """The test split that some cells of one panel were scored on, such as `val_1 + val_2`.

    `UserError` where they were scored on several: their numbers do not compare.
    """
    by_split = {cell.evaluation["facts"]["split"]: cell for cell in cells}
    if len(by_split) > 1:
        (split, cell), (other, another) = list(by_split.items())[:2]
        raise UserError(
            f"{another.folder / 'metrics.json'}: facts.split: is {other}, but a panel also shows"
            f" {cell.name}, of {split}; name cells of one protocol in the figure's `draw`"
        )
    return next(iter(by_split))


def shows_printed(spec: dict, dataset: str, cells: list[Cell]) -> bool:
    """Whether printed numbers are drawn in a data set's panel: of the paper's own data, and beside
    numbers of ours on the very splits that the paper tested (`printed.splits`)."""
    if not is_papers(spec, dataset, bool(cells)):
        return False
    return not cells or set(split_of(cells).split(" + ")) == set(_printed_splits(spec, dataset))


def _printed_splits(spec: dict, dataset: str) -> list[str]:
    return (spec.get("printed") or {}).get("splits", {}).get(dataset, [])


def make_panels(
    spec: dict, width: float, height: float, parts: tuple[float, ...] = (1.0,)
) -> tuple["Figure", dict[str, list["Axes"]]]:
    """A figure and, for each data set, its axes from top to bottom (`parts`: relative heights).

    width, height: inches of a panel without the legend, which stands below all of them.
    """
    from matplotlib.figure import Figure

    names = list(spec["datasets"])
    columns = min(PER_ROW, len(names))
    bands = -(-len(names) // columns)
    figure = Figure(figsize=(width * columns, height * bands + 0.7), layout="constrained")
    grid = figure.add_gridspec(bands, columns)
    panels = {}
    for index, name in enumerate(names):
        inner = grid[divmod(index, columns)].subgridspec(len(parts), 1, height_ratios=parts)
        axes = [figure.add_subplot(inner[0])]
        axes += [figure.add_subplot(inner[i], sharex=axes[0]) for i in range(1, len(parts))]
        panels[name] = axes
    return figure, panels


def write_title(
    axes: "Axes", spec: dict, dataset: str, width: float, *lines: str, cells: list[Cell]
) -> None:
    """The data set's title and lines below it, wrapped to a panel `width` inches wide.

    lines: none for a panel without cells. cells: those that the panel shows.
    """
    limit = int((width - 0.7) * PER_INCH)
    if cells and not is_papers(spec, dataset, True):
        lines = ("stands in for the paper's data", *lines)
    elif cells and not shows_printed(spec, dataset, cells):
        tested = " + ".join(_printed_splits(spec, dataset)) or "other splits"
        lines = (*lines, f"nothing printed beside it: the paper tests {tested}")
    text = [part for line in (spec["datasets"][dataset], *lines) for part in wrap(line, limit)]
    axes.set_title("\n".join(text), fontsize=TITLE_SIZE)


def mark_not_run(axes: "Axes") -> None:
    """Say in the middle of a panel that nothing of it was run."""
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color="0.35")


def write_legend(figure: "Figure", panels: dict[str, list["Axes"]]) -> None:
    """One legend below all panels: every label once, in the order in which panels have them."""
    entries: dict[str, Any] = {}
    for axes in (each for panel in panels.values() for each in panel):
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if not entries:
        return
    width = 0.65 + max(map(len, entries)) / PER_INCH  # of a column, with its mark
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=min(len(entries), max(1, int(figure.get_figwidth() / width))),
        frameon=False,
        fontsize=TITLE_SIZE,
    )


def describe_cells(cells: list[Cell], wanted: int) -> str:
    """Such as `17,031 queries of val_2, 2 of 3 seeds`, and the convention if not the headline's."""
    scored, asked = cells[0].scored["queries"], cells[0].of_queries
    queries = f"{scored:,} queries" if scored == asked else f"{scored:,} of {asked:,} queries"
    scored_by = f", scored by {cells[0].convention}" if cells[0].convention else ""
    return f"{queries} of {split_of(cells)}, {count_seeds(len(cells), wanted)}{scored_by}"


def count_seeds(found: int, wanted: int) -> str:
    """Such as `1 seed` and `2 of 3 seeds`."""
    many = f"{found}" if found == wanted else f"{found} of {wanted}"
    return f"{many} seed{'s' * (wanted > 1)}"
