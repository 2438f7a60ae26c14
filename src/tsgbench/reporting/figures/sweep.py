"""A metric against a swept setting: SeqPAN's number of blocks and temperature (Figures 5 and 6).

Each point is a system. Those that were not run are open marks on the axis, so that a gap is never
taken for a line; the printed best value stands in panels of the paper's own data sets alone.
"""

from typing import TYPE_CHECKING

import numpy as np

from tsgbench.jobs.records import Record
from tsgbench.reporting import panels
from tsgbench.reporting.figures import register

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.9, 2.7


@register("sweep")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """spec.options: `metrics` (two names), `x_label`, `points` [{x, system}], and optionally
    `baseline` {label, system} and `best` (which of `printed.numbers` is the best x).

    records: `metrics:{cell}`.
    """
    options = spec["options"]
    figure, drawn = panels.make_panels(spec, WIDTH, HEIGHT)
    rows = []
    for dataset, [axes] in drawn.items():
        points = [_read(spec, dataset, point, records, options) for point in options["points"]]
        baseline = None
        if "baseline" in options:
            baseline = _read(spec, dataset, options["baseline"], records, options)
        read = [*points, *([baseline] if baseline else [])]
        cells = [cell for point in read for cell in point["cells"]]
        has_cells = bool(cells)
        if has_cells:
            if baseline:
                _draw_baseline(axes, baseline, options)
            _draw_points(axes, points, options)
        else:
            axes.set_yticks([])
            panels.mark_not_run(axes)
        _draw_axis(axes, points, options)
        if panels.shows_printed(spec, dataset, cells):
            _draw_best(axes, spec)
        if has_cells:
            has_spread = any(len(point["cells"]) > 1 for point in points)
            axes.set_ylabel("score (%), ± std over seeds" if has_spread else "score (%)")
        lines = _describe(spec, read, has_cells)
        panels.write_title(axes, spec, dataset, WIDTH, *lines, cells=cells)
        rows += [row for point in read for row in _numbers(dataset, point, options)]
    panels.write_legend(figure, drawn)
    return figure, rows


def _read(spec: dict, dataset: str, point: dict, records: dict, options: dict) -> dict:
    """A point with its cells and, for each metric, (seeds,) percent."""
    system = panels.find_system(spec, point["system"])
    cells = panels.read_system(spec, system, dataset, records)
    values = {metric: panels.read_metric(cells, metric) for metric in options["metrics"]}
    return {**point, "cells": cells, "wanted": len(system["seeds"]), "values": values}


def _draw_points(axes: "Axes", points: list[dict], options: dict) -> None:
    at = np.array([point["x"] for point in points], dtype=float)
    for index, metric in enumerate(options["metrics"]):
        seeds = [point["values"][metric] for point in points]
        mean = np.array([scores.mean() if scores.size else np.nan for scores in seeds])
        spread = np.array([scores.std(ddof=1) if scores.size > 1 else np.nan for scores in seeds])
        colour = panels.COLOURS[index]
        axes.plot(
            at,
            mean,
            color=colour,
            ls=panels.DASHES[index],
            lw=1.2,
            marker=panels.MARKERS[index],
            ms=5,
            label=metric.replace(",", ", "),
            zorder=3,
        )
        if np.isfinite(spread).any():
            axes.errorbar(at, mean, spread, fmt="none", ecolor=colour, capsize=2.5, lw=1, zorder=3)


def _draw_baseline(axes: "Axes", baseline: dict, options: dict) -> None:
    for index, metric in enumerate(options["metrics"]):
        if baseline["cells"]:
            axes.axhline(
                baseline["values"][metric].mean(),
                color=panels.COLOURS[index],
                ls=(0, (1, 2)),
                lw=1.4,
                label=f"{baseline['label']}, {metric.replace(',', ', ')}",
                zorder=2,
            )


def _draw_axis(axes: "Axes", points: list[dict], options: dict) -> None:
    """Ticks where points are; open marks where they were not run."""
    at = [point["x"] for point in points]
    margin = 0.06 * (max(at) - min(at) or 1)
    axes.set_xlim(min(at) - margin, max(at) + margin)
    axes.set_xticks(at, [f"{x:g}" for x in at], fontsize=7.5)
    axes.set_xlabel(options["x_label"])
    if absent := [point["x"] for point in points if not point["cells"]]:
        axes.plot(
            absent,
            np.zeros(len(absent)),
            transform=axes.get_xaxis_transform(),
            ls="none",
            marker="o",
            ms=5,
            mfc="white",
            mec="black",
            clip_on=False,
            label=panels.NOT_RUN,
            zorder=4,
        )


def _draw_best(axes: "Axes", spec: dict) -> None:
    printed = spec.get("printed") or {}
    best = printed.get("numbers", {}).get(spec["options"].get("best"))
    if best is not None:
        label = f"printed best: {best:g} ({printed['paper']}, {printed['figure']})"
        axes.axvline(best, color=panels.PRINTED, lw=0.9, ls=(0, (6, 3)), label=label, zorder=1)


def _describe(spec: dict, read: list[dict], has_cells: bool) -> list[str]:
    if not has_cells:
        return []
    by_seeds: dict[str, list[dict]] = {}
    for point in read:
        if point["cells"]:
            said = panels.count_seeds(len(point["cells"]), point["wanted"])
            by_seeds.setdefault(said, []).append(point)
    # What holds for most points stands alone, the others with their places
    usual = max(by_seeds.values(), key=len)
    lines = [panels.describe_cells(usual[0]["cells"], usual[0]["wanted"])]
    lines += [
        f"{said} at {', '.join(map(_name, points))}"
        for said, points in by_seeds.items()
        if points is not usual
    ]
    if spec["options"].get("baseline") and not read[-1]["cells"]:
        lines.append(f"{read[-1]['label']}: {panels.NOT_RUN}")
    return lines


def _name(point: dict) -> str:
    return f"{point['x']:g}" if "x" in point else point["label"]


def _numbers(dataset: str, point: dict, options: dict) -> list[dict]:
    rows = []
    for metric in options["metrics"]:
        values = point["values"][metric]
        rows.append(
            {
                "dataset": dataset,
                "split": panels.split_of(point["cells"]) if point["cells"] else "",
                "convention": point["cells"][0].seen_under if point["cells"] else "",
                "system": point["system"],
                "x": _name(point),
                "metric": metric,
                "seeds": len(values),
                "seeds_wanted": point["wanted"],
                "mean": f"{values.mean():.6g}" if values.size else "",
                "std": f"{values.std(ddof=1):.6g}" if values.size > 1 else "",
                "values": " ".join(f"{value:.6g}" for value in values),
            }
        )
    return rows
