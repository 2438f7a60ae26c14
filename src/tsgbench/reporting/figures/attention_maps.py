"""Attention of every stacked block (IA-Net's Figures 1 and 5): clips over words, clips over clips,
and the spans of a few queries below.

Clips run from top to bottom. What a clip may attend to beside the words (learned slots, or padding)
stands after them, as `[pad n]`. Bars left of a map: ground truth solid, first prediction hatched.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tsgbench.inspection.store import Inspected
from tsgbench.jobs.records import Record
from tsgbench.reporting.figures import register
from tsgbench.reporting.heatmaps import (
    MARK,
    clip_names,
    columns_of,
    map_rows,
    mark_span,
    show,
    word_size,
)
from tsgbench.reporting.page import MARGIN, WIDTH, Band, Page, headline
from tsgbench.reporting.qualitative import count_of, describe_rank, printed_rows
from tsgbench.reporting.timeline import add_absent, add_lanes, add_query, add_scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPPED, LISTED = 1, 4  # queries with maps, queries with spans
KINDS = {"clips_over_words": "Between modalities", "clips_over_clips": "Within the video"}
BLOCK = re.compile(r"attention(\d+)_(\w+)")
SIDE = 0.68  # inches left of the maps: times, and bars of the spans
GAP = 0.12
HIGH, SQUARE = 1.5, 1.75
LETTER_HIGH = 0.6  # inches that a word of average length stands high, as a share of its size


@register("attention_maps")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """options: `maps` and `queries`, how many queries of each data set get maps, and timelines (a
    number, or one by data set).

    records: `inspection:CELL` of one system, `run:CELL` of the others.
    """
    options, printed = spec.get("options") or {}, spec.get("printed") or {}
    page, scenes = Page(), []
    rows: list[dict] = []
    for dataset in spec["datasets"]:
        mapped, listed = (
            count_of(options.get(name, number), spec, dataset)
            for name, number in (("maps", MAPPED), ("queries", LISTED))
        )
        scene = add_scene(page, rows, spec, records, dataset, max(mapped, listed))
        if scene is None:
            continue
        scenes.append(scene)
        for query in scene.queries[:mapped]:
            add_query(page, query, left=SIDE, width=WIDTH - SIDE - 2 * MARGIN)
            fixed = {"source": "measured", "dataset": dataset, "query_id": query.query_id}
            rows += _add_maps(page, query, fixed, scene.main)
        for query in scene.queries[:listed]:
            said = f"“{query.sentence}” ({describe_rank(query)}; {query.split})"
            page.add_text(said, size=7.5)
            add_lanes(page, scene, query, printed, labels=False)
    add_absent(page, spec, scenes)
    return page.make(has_title=bool(headline(spec))), rows + printed_rows(spec)


def _add_maps(page: Page, query: Inspected, fixed: dict, label: str) -> list[dict]:
    """One row of maps a kind; returns the rows of the CSV."""
    rows = []
    for kind, title in KINDS.items():
        blocks = {
            int(match[1]): values
            for name, values in query.maps.items()
            if (match := BLOCK.fullmatch(name)) and match[2] == kind
        }
        if not blocks:
            text = f"{title}: {label} makes no such map as it is set here"
            page.add_text(text, size=8.5, gap=0.15, color="#606060")
            continue
        over_words = kind == "clips_over_words"
        count = next(iter(blocks.values())).shape[1]
        words = columns_of(query, count) if over_words else []
        wide = (WIDTH - SIDE - GAP * (len(blocks) - 1) - 2 * MARGIN) / len(blocks)
        size = word_size(len(words), wide) if words else 7.0
        longest = max((len(word) for word in words), default=0)
        foot = longest * size * LETTER_HIGH / 72 + 0.12 if words else 0.34
        high = HIGH if over_words else min(SQUARE, wide)
        page.add(0.2 + high + foot, _drawer(query, blocks, title, words, wide, high, size))
        for block, values in sorted(blocks.items()):
            times = clip_names(query, len(values))
            rows += map_rows(fixed, f"attention{block}_{kind}", values, times, words or times)
    return rows


def _drawer(
    query: Inspected, blocks: dict, title: str, words: list, wide: float, high: float, size: float
) -> Callable[[Band], None]:
    def draw_maps(band: Band) -> None:
        top = 0.17
        for index, span in enumerate((query.moment, query.predictions[0])):
            left = SIDE - 2 * (MARK + 0.03) + index * (MARK + 0.03)
            strip = band.axes(left, top, MARK, high)
            mark_span(strip, span, query, is_truth=index == 0, upright=True)
        for index, (block, values) in enumerate(sorted(blocks.items())):
            axes = band.axes(SIDE + index * (wide + GAP), top, wide, high)
            right = len(words) - 0.5 if words else query.duration_s
            extent = (-0.5 if words else 0, right, query.duration_s, 0)
            _, black = show(axes, values, extent)
            said = f"{title}, block {block} (black: {black:.2f})"
            axes.set_title(said, fontsize=7, pad=3)
            if words:
                axes.set_xticks(range(len(words)), words, rotation=90, fontsize=size)
            else:
                axes.set_xlabel("time attended to (s)", fontsize=7, labelpad=1)
            axes.set_yticks([])
        _draw_times(band, query, top, high)

    return draw_maps


def _draw_times(band: Band, query: Inspected, top: float, high: float) -> None:
    """The axis of seconds, left of the bars that mark the spans."""
    axes = band.axes(SIDE - 2 * (MARK + 0.03) - 0.04, top, 0.01, high)
    axes.set_ylim(query.duration_s, 0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(labelsize=7, length=2)
    axes.set_ylabel("time (s)", fontsize=7, labelpad=1)
    ticks = [tick for tick in axes.get_yticks() if 0 <= tick <= query.duration_s]
    axes.set_yticks(np.array(ticks))
