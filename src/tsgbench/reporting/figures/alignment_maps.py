"""How well each word fits each clip (FSAN's Figures 1 and 3): words by the video's time, and the
spans.

Ground truth is the solid bar above the map and solid lines through it; the first prediction is the
hatched bar below and dashed lines.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tsgbench.inspection.store import Inspected
from tsgbench.jobs.records import Record
from tsgbench.reporting.figures import register
from tsgbench.reporting.heatmaps import MARK, clip_names, map_rows, mark_span, show
from tsgbench.reporting.page import LEFT, RIGHT, WIDTH, Band, Page, headline
from tsgbench.reporting.qualitative import (
    count_of,
    printed_rows,
)
from tsgbench.reporting.timeline import add_absent, add_query, add_scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUERIES = 2
MAP = "attention"  # (T, L)
ROW = 0.17  # inches a word
WIDE = WIDTH - LEFT - RIGHT


@register("alignment_maps")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """options: `queries`, how many of each data set (a number, or one by data set);
    `map`, the model's output of clips by words.

    records: `inspection:CELL` of one system, `run:CELL` of the others.
    """
    options = spec.get("options") or {}
    name = options.get("map", MAP)
    page, scenes = Page(), []
    rows: list[dict] = []
    for dataset in spec["datasets"]:
        count = count_of(options.get("queries", QUERIES), spec, dataset)
        scene = add_scene(page, rows, spec, records, dataset, count)
        if scene is None:
            continue
        scenes.append(scene)
        for query in scene.queries:
            add_query(page, query)
            weights = query.maps.get(name)
            if weights is None:
                text = f"{scene.main} makes no map {name!r} as it is set here"
                page.add_text(text, size=8.5, gap=0.15, color="#606060")
                continue
            aligned = weights[:, : len(query.words)].T  # (L, T)
            page.add(ROW * len(aligned) + 2 * MARK + 0.62, _drawer(query, aligned))
            fixed = {"source": "measured", "dataset": dataset, "query_id": query.query_id}
            rows += map_rows(fixed, name, aligned, query.words, clip_names(query, len(weights)))
    add_absent(page, spec, scenes)
    return page.make(has_title=bool(headline(spec))), rows + printed_rows(spec)


def _drawer(query: Inspected, aligned: np.ndarray) -> Callable[[Band], None]:
    def draw_map(band: Band) -> None:
        high = ROW * len(aligned)
        top = MARK + 0.06
        span = query.predictions[0]
        _mark(band, query, query.moment, 0.02, is_truth=True)
        axes = band.axes(LEFT, top, WIDE, high)
        extent = (0, query.duration_s, len(aligned) - 0.5, -0.5)
        white, black = show(axes, aligned, extent)
        axes.set_yticks(range(len(aligned)), query.words, fontsize=7.5)
        axes.set_xticks([])
        # White edges first: black alone is lost on dark cells
        axes.vlines([*query.moment, *span], -0.5, len(aligned) - 0.5, color="white", lw=2.4)
        axes.vlines(query.moment, -0.5, len(aligned) - 0.5, color="#009E73", lw=1.4)
        for place_s in span:
            axes.axvline(place_s, color="#D55E00", lw=1.2, ls=(0, (3, 2)))
        _mark(band, query, span, top + high + 0.04, is_truth=False)
        times = band.axes(LEFT, top + high + MARK + 0.07, WIDE, 0.01)
        times.set_xlim(0, query.duration_s)
        times.set_yticks([])
        times.spines["left"].set_visible(False)
        times.tick_params(labelsize=7, length=2.5)
        scale = f"time (s); cells from white, {white:.2f}, to black, {black:.2f}"
        times.set_xlabel(scale, fontsize=7, labelpad=1)

    return draw_map


def _mark(band: Band, query: Inspected, span: np.ndarray, top: float, *, is_truth: bool) -> None:
    mark_span(band.axes(LEFT, top, WIDE, MARK), span, query, is_truth=is_truth, upright=False)
    label = "Ground truth" if is_truth else "Prediction"
    band.text(LEFT - 0.08, top - 0.02, label, size=7.5, ha="right", weight="bold")
    times = f"{span[0]:.1f}–{span[1]:.1f} s"
    band.text(LEFT + WIDE + 0.08, top - 0.02, times, size=7.5)
