"""Files for `dvc metrics` and `dvc plots`."""

import csv
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from tsgbench.files import write_json, write_text
from tsgbench.jobs.cells import CellId
from tsgbench.reporting.cells import Cell, read_cells
from tsgbench.tracking.history import read_history


def write_metrics(cells: Mapping[str, str | Path], folder: str | Path) -> list[Path]:
    """`DATASET/MODEL/ABLATION.json` for each system: {metric: mean over seeds}, in percent.

    A file each, since `dvc metrics show` has a row for each file; what other systems left in the
    folder goes.
    """
    folder = Path(folder)
    if folder.exists():
        shutil.rmtree(folder)
    files = []
    for (dataset, system), seeds in _systems(cells).items():
        files.append(folder / dataset / f"{system}.json")
        write_json(files[-1], _means(seeds))
    return files


def write_systems(cells: Mapping[str, str | Path], path: str | Path) -> None:
    """CSV for a bar chart: one line a system and data set, one column a metric (means)."""
    rows = [
        {"system": system, "dataset": dataset, "seeds": len(seeds), **_means(seeds)}
        for (dataset, system), seeds in _systems(cells).items()
    ]
    _write_csv(path, ["system", "dataset", "seeds"], rows)


def write_learning_curves(cells: Mapping[str, str | Path], path: str | Path) -> None:
    """CSV for a line chart: one line a cell and epoch, with every column any history has."""
    rows = []
    for name, folder in sorted(cells.items(), key=lambda item: _order(item[0])):
        history = Path(folder) / "history.csv"
        if not history.exists():
            continue
        model, dataset, ablation, seed = CellId.parse(name)
        fixed = {"cell": name, "dataset": dataset, "system": f"{model}/{ablation}", "seed": seed}
        rows += [{**fixed, "epoch": epoch, **values} for epoch, values in read_history(history)]
    _write_csv(path, ["cell", "dataset", "system", "seed", "epoch"], rows)


def _systems(cells: Mapping[str, str | Path]) -> dict[tuple[str, str], list[Cell]]:
    """Evaluated cells by (data set, model/ablation), in a fixed order."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for name, cell in sorted(read_cells(cells).items(), key=lambda item: _order(item[0])):
        model, dataset, ablation, _ = CellId.parse(name)
        grouped.setdefault((dataset, f"{model}/{ablation}"), []).append(cell)
    return grouped


def _order(name: str) -> tuple:
    model, dataset, ablation, seed = CellId.parse(name)
    return dataset, model, ablation, seed


def _means(seeds: list[Cell]) -> dict[str, float]:
    means = {}
    for metric in seeds[0].metrics:
        scores = [cell.metrics.get(metric) for cell in seeds]
        values = [value for value in scores if value is not None]
        if len(values) == len(seeds):
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
