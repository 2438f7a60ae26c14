"""How many test queries fall into each range of IoU, by system (SeqPAN's Figure 7).

Counts are of each seed by itself, then averaged: the histogram of a mean IoU over seeds would have
fewer misses and fewer exact hits than any seed.
"""

from typing import TYPE_CHECKING

import numpy as np

from tsgbench.jobs.records import Record
from tsgbench.reporting import panels
from tsgbench.reporting.figures import register

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.6, 2.7
RANGES = 10
FILLED = 0.86  # of a range's width
LIMITS = np.linspace(0, 100, RANGES + 1)  # percent; an IoU of 1 is in the last range


@register("iou_histogram")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """spec: `systems`, one bar each in every range; options: optionally `labels`, `model/ablation`
    -> what the paper calls it. records: `metrics:{cell}`.
    """
    systems = [_labelled(spec, system) for system in spec["systems"]]
    figure, drawn = panels.make_panels(spec, WIDTH, HEIGHT)
    rows = []
    for dataset, [axes] in drawn.items():
        counted = [_count(spec, system, dataset, records) for system in systems]
        # Those that were not run take no room, but keep their colour
        run = [index for index, (cells, _) in enumerate(counted) if cells]
        has_cells = bool(run)
        for slot, index in enumerate(run):
            shift = (slot + 0.5) / len(run) - 0.5
            _draw_bars(axes, systems[index]["label"], counted[index][1], index, shift, len(run))
        for system, (cells, counts) in zip(systems, counted, strict=True):
            rows += _numbers(dataset, system, cells, counts)
        _draw_axis(axes, has_cells)
        panels.write_title(
            axes,
            spec,
            dataset,
            WIDTH,
            *_describe(systems, counted, has_cells),
            cells=[cell for cells, _ in counted for cell in cells],
        )
    panels.write_legend(figure, drawn)
    return figure, rows


def _labelled(spec: dict, system: dict) -> dict:
    name = f"{system['model']}/{system['ablation']}"
    return {**system, "label": spec["options"].get("labels", {}).get(name, system["label"])}


def _count(spec: dict, system: dict, dataset: str, records: dict) -> tuple[list, np.ndarray]:
    """A system's cells and (seeds, RANGES) queries."""
    cells = panels.read_system(spec, system, dataset, records)
    if not cells:
        return [], np.zeros((0, RANGES))
    ious, _ = panels.read_ious(cells)
    return cells, np.stack([np.histogram(one, LIMITS)[0] for one in ious])


def _draw_bars(
    axes: "Axes", label: str, counts: np.ndarray, index: int, shift: float, systems: int
) -> None:
    axes.bar(
        np.arange(RANGES) + 0.5 + FILLED * shift,
        counts.mean(axis=0),
        FILLED / systems,
        color=panels.COLOURS[index % len(panels.COLOURS)],
        hatch=panels.HATCHES[index % len(panels.HATCHES)],
        edgecolor="black",
        lw=0.5,
        label=label,
        yerr=counts.std(axis=0, ddof=1) if len(counts) > 1 else None,
        error_kw={"lw": 0.8, "capsize": 1.5},
    )


def _draw_axis(axes: "Axes", has_cells: bool) -> None:
    axes.set_xlim(0, RANGES)
    axes.set_xticks(range(RANGES + 1), [f"{limit / 100:g}" for limit in LIMITS], fontsize=7.5)
    axes.set_xlabel("IoU of the first moment")
    if has_cells:
        axes.set_ylabel("test queries")
    else:
        axes.set_yticks([])
        panels.mark_not_run(axes)


def _describe(systems: list[dict], found: list, has_cells: bool) -> list[str]:
    if not has_cells:
        return []
    cells, _ = max(found, key=lambda one: len(one[0]))
    wanted = max(len(system["seeds"]) for system in systems)
    lines = [panels.describe_cells(cells, wanted)]
    for system, (there, _) in zip(systems, found, strict=True):
        if not there:
            lines.append(f"{panels.NOT_RUN}: {system['label']}")
        elif len(there) != len(cells):
            seeds = panels.count_seeds(len(there), len(system["seeds"]))
            lines.append(f"{system['label']}: {seeds}")
    return lines


def _numbers(dataset: str, system: dict, cells: list, counts: np.ndarray) -> list[dict]:
    fixed = {
        "dataset": dataset,
        "split": panels.split_of(cells) if cells else "",
        "convention": cells[0].seen_under if cells else "",
        "system": f"{system['model']}/{system['ablation']}",
        "label": system["label"],
        "seeds": len(cells),
        "seeds_wanted": len(system["seeds"]),
    }
    if not cells:
        return [fixed]
    return [
        fixed
        | {
            "iou_from": f"{LIMITS[i] / 100:g}",
            "iou_to": f"{LIMITS[i + 1] / 100:g}",
            "queries": f"{counts[:, i].mean():.6g}",
            "std": f"{counts[:, i].std(ddof=1):.6g}" if len(counts) > 1 else "",
        }
        for i in range(RANGES)
    ]
