"""Attention between the modalities for one clip and one word (CMA's Figure 1): what the clip in the
middle of the moment takes of each word, and what a word takes of each clip.

The maps are those of the last layer that makes them, means over heads. Bars start at zero; the
highest value stands beside them.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tsgbench.inspection.store import Inspected
from tsgbench.jobs.records import Record
from tsgbench.reporting.figures import register
from tsgbench.reporting.heatmaps import clip_names, map_rows, word_size
from tsgbench.reporting.page import LEFT, RIGHT, WIDTH, Band, Page, headline
from tsgbench.reporting.qualitative import count_of, printed_rows
from tsgbench.reporting.timeline import add_absent, add_lanes, add_query, add_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUERIES = 1
OVER_WORDS, OVER_CLIPS = "clips_over_words", "words_over_clips"
HIGH = 0.5  # inches of the bars
WIDE = WIDTH - LEFT - RIGHT
LETTER = 0.52  # width of a letter, as a share of its height
# Okabe and Ito; the paper's clip is orange and its word green
CLIP: dict[str, Any] = {"facecolor": "#E69F00", "edgecolor": "black", "lw": 0.5}
WORD: dict[str, Any] = {"facecolor": "#009E73", "edgecolor": "black", "lw": 0.3, "hatch": "////"}


@register("cross_attention")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """options: `queries`, how many of each data set (a number, or one by data set); `word`, the
    start of the word whose attention is shown: queries that have one come first, and for others it
    is the word that the clip takes most of.

    records: `inspection:CELL` of one system, `run:CELL` of the others.
    """
    options, printed = spec.get("options") or {}, spec.get("printed") or {}
    wanted = options.get("word", "")
    page, scenes = Page(), []
    rows: list[dict] = []
    for dataset in spec["datasets"]:
        count = count_of(options.get("queries", QUERIES), spec, dataset)
        scene = add_scene(
            page, rows, spec, records, dataset, count, first=lambda query: _has(query, wanted)
        )
        if scene is None:
            continue
        scenes.append(scene)
        for query in scene.queries:
            add_query(page, query)
            if wanted and not _has(query, wanted):
                said = f"No word here is “{wanted}…”: the one that the clip takes most of is shown"
                page.add_text(said, size=7)
            fixed = {"source": "measured", "dataset": dataset, "query_id": query.query_id}
            rows += _add_maps(page, query, fixed, wanted, scene.main)
            add_lanes(page, scene, query, printed, labels=False)
    add_absent(page, spec, scenes)
    return page.make(has_title=bool(headline(spec))), rows + printed_rows(spec)


def _has(query: Inspected, start: str) -> bool:
    return bool(start) and any(word.lower().startswith(start) for word in query.words)


def _add_maps(page: Page, query: Inspected, fixed: dict, wanted: str, label: str) -> list[dict]:
    """The two lanes of bars; returns the rows of the CSV."""
    over_words, over_clips = (_last(query, kind) for kind in (OVER_WORDS, OVER_CLIPS))
    if over_words is None or over_clips is None:
        text = f"{label} makes no attention between its modalities as it is set here"
        page.add_text(text, size=8.5, gap=0.15, color="#606060")
        return []
    names = clip_names(query, len(over_words[1]))
    clip = int(query.moment.mean() / query.duration_s * len(names))
    taken = over_words[1][clip, : len(query.words)]
    chosen = [index for index, word in enumerate(query.words) if word.lower().startswith(wanted)]
    word = chosen[0] if wanted and chosen else int(taken.argmax())
    given = over_clips[1][word, : len(names)]
    size = word_size(len(query.words), WIDE)
    foot = max(map(len, query.words)) * size * LETTER / 72 + 0.1
    page.add(HIGH + 0.3, _clip_drawer(query, given, f"“{query.words[word]}”", clip))
    step_s = query.duration_s / len(names)
    shown = f"Clip at {clip * step_s:.1f}–{(clip + 1) * step_s:.1f} s"
    page.add(HIGH + foot, _word_drawer(query, taken, shown, size))
    return [
        *map_rows(fixed, over_words[0], taken[None], [names[clip]], query.words),
        *map_rows(fixed, over_clips[0], given[None], [query.words[word]], names),
    ]


def _last(query: Inspected, kind: str) -> tuple[str, np.ndarray] | None:
    """Name and map of the last layer that makes one of that kind."""
    layers = {
        int(match[1]): name
        for name in query.maps
        if (match := re.fullmatch(rf"attention(\d+)_{kind}", name))
    }
    return (layers[max(layers)], query.maps[layers[max(layers)]]) if layers else None


def _clip_drawer(
    query: Inspected, given: np.ndarray, word: str, clip: int
) -> Callable[[Band], None]:
    def draw_clips(band: Band) -> None:
        axes = band.axes(LEFT, 0, WIDE, HIGH)
        step_s = query.duration_s / len(given)
        starts = np.arange(len(given)) * step_s
        axes.bar(starts, given, step_s, align="edge", **WORD)
        axes.axvspan(clip * step_s, (clip + 1) * step_s, facecolor="#E69F00", alpha=0.5, zorder=0)
        axes.set_xlim(0, query.duration_s)
        _finish(band, axes, given, f"{word}\nover the clips")
        axes.tick_params(axis="x", labelsize=7, length=2.5)

    return draw_clips


def _word_drawer(
    query: Inspected, taken: np.ndarray, clip: str, size: float
) -> Callable[[Band], None]:
    def draw_words(band: Band) -> None:
        axes = band.axes(LEFT, 0, WIDE, HIGH)
        axes.bar(range(len(taken)), taken, 0.8, **CLIP)
        axes.set_xlim(-0.6, len(taken) - 0.4)
        axes.set_xticks(range(len(taken)), query.words, rotation=90, fontsize=size)
        _finish(band, axes, taken, f"{clip}\nover the words")
        axes.tick_params(axis="x", length=0)

    return draw_words


def _finish(band: Band, axes: "Axes", values: np.ndarray, label: str) -> None:
    axes.set_ylim(0, 1.2 * max(float(values.max()), 1e-9))  # room above, where the clip is marked
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    band.text(LEFT - 0.08, 0.1, label, size=7.5, ha="right", weight="bold")
    highest = f"highest {values.max():.2f},\nlowest {values.min():.2f}"
    band.text(LEFT + WIDE + 0.08, 0.1, highest, size=7)
