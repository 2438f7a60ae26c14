"""Files for `dvc metrics` and `dvc plots`, and a figure of the systems of a table."""

import csv
import io
from pathlib import Path
from statistics import fmean

from tsgbench.errors import UserError
from tsgbench.files import atomic_path, write_json, write_text
from tsgbench.plotting import PLAIN_TEXT
from tsgbench.reporting.cells import Cell, read_cells, split_name
from tsgbench.reporting.table import Table
from tsgbench.tracking.history import read_history

# Okabe and Ito's palette: told apart in print and by colour-blind readers
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def write_metrics(cells: dict[str, str | Path], path: str | Path) -> None:
    """`{dataset: {model/ablation: {metric: mean over seeds}}}` in percent, to two decimals."""
    content: dict[str, dict] = {}
    for (dataset, system), seeds in _systems(cells).items():
        content.setdefault(dataset, {})[system] = _means(seeds)
    write_json(path, content)


def write_systems(cells: dict[str, str | Path], path: str | Path) -> None:
    """CSV for a bar chart: one line a system and data set, one column a metric (means)."""
    rows = [
        {"system": system, "dataset": dataset, "seeds": len(seeds), **_means(seeds)}
        for (dataset, system), seeds in _systems(cells).items()
    ]
    _write_csv(path, ["system", "dataset", "seeds"], rows)


def write_learning_curves(cells: dict[str, str | Path], path: str | Path) -> None:
    """CSV for a line chart: one line a cell and epoch, with every column any history has."""
    rows = []
    for name, folder in sorted(cells.items(), key=lambda item: _order(item[0])):
        history = Path(folder) / "history.csv"
        if not history.exists():
            continue
        model, dataset, ablation, seed = split_name(name)
        fixed = {"cell": name, "dataset": dataset, "system": f"{model}/{ablation}", "seed": seed}
        rows += [{**fixed, "epoch": epoch, **values} for epoch, values in read_history(history)]
    _write_csv(path, ["cell", "dataset", "system", "seed", "epoch"], rows)


def _systems(cells: dict[str, str | Path]) -> dict[tuple[str, str], list[Cell]]:
    """Evaluated cells by (data set, model/ablation), in a fixed order."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for name, cell in sorted(read_cells(cells).items(), key=lambda item: _order(item[0])):
        model, dataset, ablation, _ = split_name(name)
        grouped.setdefault((dataset, f"{model}/{ablation}"), []).append(cell)
    return grouped


def _order(name: str) -> tuple:
    model, dataset, ablation, seed = split_name(name)
    return dataset, model, ablation, seed


def _means(seeds: list[Cell]) -> dict[str, float]:
    means = {}
    for metric in seeds[0].metrics:
        values = [cell.metrics.get(metric) for cell in seeds]
        if None not in values:
            means[metric] = round(fmean(values), 2)
    return means


def _write_csv(path: str | Path, first: list[str], rows: list[dict]) -> None:
    columns = dict.fromkeys(first)
    for row in rows:
        columns.update(dict.fromkeys(row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def plot_systems(table: Table, path: str | Path, metric: str = "R@1,IoU=0.5") -> None:
    """Dot plot: one line a system, its seeds as rings, its mean as a bar, printed as a cross.

    path: ends in `.pdf`, `.png` or `.svg`.
    """
    from matplotlib import rc_context  # late: not needed to write tables

    if metric not in table.metrics:
        raise UserError(f"{path}: table {table.id} has no metric {metric!r}; choose one it has")
    suffix = Path(path).suffix.removeprefix(".")
    # No creation date: equal figures are equal files
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
    with rc_context(PLAIN_TEXT), atomic_path(path) as temporary:
        figure = _draw_systems(table, metric)
        figure.savefig(temporary, format=suffix, dpi=200, metadata=metadata)


def _draw_systems(table: Table, metric: str):
    from matplotlib.figure import Figure

    height = 0.32 * sum(len(row.results) for row in table.rows) + 1.1
    figure = Figure(figsize=(6.5, height), layout="constrained")
    axes = figure.add_subplot()
    labels = []
    for place, dataset in enumerate(table.datasets):
        colour = PALETTE[place % len(PALETTE)]
        for row in (row for row in table.rows if dataset["name"] in row.results):
            y = len(labels)
            labels.append(
                row.label if len(table.datasets) == 1 else f"{row.label} ({dataset['title']})"
            )
            result = row.results[dataset["name"]]
            value = result.values[metric]
            if value.mean is None:
                axes.text(
                    0.5, y, "not run" if not result.cells else "n/a", va="center", color="gray"
                )
                continue
            axes.plot(value.seeds, [y] * len(value.seeds), "o", color=colour, mfc="none", ms=6)
            axes.plot([value.mean], [y], "|", color=colour, ms=14, mew=2)
            if value.printed is not None:
                axes.plot([value.printed], [y], "x", color="black", ms=6)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"{metric} (%)")
    figure.supxlabel("ring: a seed, bar: their mean, cross: printed in the paper", fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(("DEMO: " if table.is_demo else "") + table.title, loc="left", fontsize=10)
    return figure
