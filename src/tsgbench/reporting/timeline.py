"""Lanes on an axis of seconds: frames of the video, spans of systems, regions of a sequence.

Bars differ in hatch as well as in colour, so that they can be told apart without colours.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from tsgbench.inspection.store import Inspected
from tsgbench.jobs.records import Record
from tsgbench.reporting.page import CHARACTER, LEFT, RIGHT, WIDTH, Band, Page
from tsgbench.reporting.qualitative import (
    NOT_RUN,
    Scene,
    absent_examples,
    describe_rank,
    missing_note,
    printed_system,
    read_scene,
    span_rows,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LANE, STRIP, AXIS = 0.21, 0.55, 0.42  # heights in inches
TIMES = WIDTH - LEFT - RIGHT  # inches of the axis of seconds
LABEL_SIZE = 7.5
TRUTH: dict[str, Any] = {"facecolor": "#404040", "edgecolor": "black"}
# Okabe and Ito
SYSTEMS: tuple[dict[str, Any], ...] = (
    {"facecolor": "#56B4E9", "edgecolor": "black", "hatch": "////"},
    {"facecolor": "#E69F00", "edgecolor": "black", "hatch": "...."},
    {"facecolor": "#009E73", "edgecolor": "black", "hatch": "xxxx"},
    {"facecolor": "#CC79A7", "edgecolor": "black", "hatch": "----"},
)
PRINTED: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "linestyle": (0, (2, 1.5))}
REGIONS: dict[int, tuple[str, str, dict[str, Any]]] = {  # by number: letter, name, look
    0: ("O", "outside", {"facecolor": "white"}),
    1: ("B", "begin", {"facecolor": "#F0E442", "hatch": "////"}),
    2: ("I", "inside", {"facecolor": "#B0B0B0"}),
    3: ("E", "end", {"facecolor": "#E69F00", "hatch": "\\\\\\\\"}),
}
LETTER = 0.11  # inches that a region's letter needs


def add_scene(
    page: Page,
    rows: list[dict],
    spec: dict,
    records: dict[str, Record],
    dataset: str,
    count: int,
    first: Callable[[Inspected], bool] | None = None,
) -> Scene | None:
    """A data set's title, or that it was not run; its spans go to the rows of the CSV.

    first: which of the queries come before the others. None where nothing is to be drawn: not run,
    or no query of it is asked for.
    """
    if not count:
        return None
    scene = read_scene(spec, records, dataset, count, first)
    page.add_text(scene.title, size=10, gap=0.06, weight="bold")
    if not scene.queries:
        page.add_text(missing_note(spec, dataset), size=8.5, gap=0.15, color="#606060")
        rows.append({"source": "measured", "dataset": dataset, "note": NOT_RUN})
        return None
    rows += span_rows(scene)
    return scene


def add_query(page: Page, query: Inspected, *, left: float = LEFT, width: float = TIMES) -> None:
    """The sentence, how it was chosen, and where there are frames, a strip of them so wide."""
    page.add_text(f"“{query.sentence}”", size=8.5)
    said = f"{describe_rank(query)}; video {query.video_id} of {query.split}"
    page.add_text(said, size=7, color="#404040")
    if len(query.thumbnails):
        page.add(
            strip_height(query, width) + 0.04, lambda band: draw_strip(band, query, left, width)
        )


def add_absent(page: Page, spec: dict, scenes: list[Scene]) -> None:
    """Which printed examples are not shown: no query is theirs, or its video has no features."""
    for example in absent_examples(spec, scenes):
        said = (
            f"printed by the paper, not among the queries that were looked at: “{example.sentence}”"
        )
        page.add_text(said, size=7, color="#606060")


def strip_height(query: Inspected, width: float) -> float:
    """Inches: frames are as wide as their part of the video, but no higher than the strip."""
    pixels_high, pixels_wide = query.thumbnails.shape[1:3]
    room = (query.thumbnails_s[0, 1] - query.thumbnails_s[0, 0]) / query.duration_s * width
    return min(STRIP, 0.97 * room * pixels_high / pixels_wide)


def draw_strip(band: Band, query: Inspected, left: float, width: float) -> None:
    """Frames at their times, as large as fits, their shape kept."""
    high = strip_height(query, width)
    axes = band.axes(left, 0, width, high)
    pixels_high, pixels_wide = query.thumbnails.shape[1:3]
    reach_s = high * pixels_wide / pixels_high / width * query.duration_s / 2
    for picture, middle_s in zip(query.thumbnails, query.thumbnails_s.mean(axis=1), strict=True):
        extent = (middle_s - reach_s, middle_s + reach_s, 0, 1)
        axes.imshow(picture, extent=extent, aspect="auto")
    axes.set_xlim(0, query.duration_s)
    axes.set_ylim(0, 1)
    axes.axis("off")


def add_lanes(page: Page, scene: Scene, query: Inspected, printed: dict, *, labels: bool) -> None:
    """Ground truth, every system and what the paper printed; with `labels` regions between."""
    lanes: list[tuple[str, object, dict]] = [("Ground truth", query.moment, TRUTH)]
    has_regions = labels and len(query.regions_true) > 0
    if has_regions:
        lanes.append(("Regions, truth (GSL)", query.regions_true, {}))
    order = list(scene.spans)
    if has_regions:  # those stand above the system that found them
        order = [label for label in order if label != scene.main] + [scene.main]
    for label in order:
        answers = scene.spans[label]
        lane = list(scene.spans).index(label)
        span = NOT_RUN if answers is None else answers.get(query.query_id, "not answered")
        if label == scene.main and has_regions:
            lanes.append(("Regions, found (PSL)", query.regions_found, {}))
        lanes.append((label, span, SYSTEMS[lane % len(SYSTEMS)]))
    if example := scene.printed.get(query.query_id):
        for name, ends in example.spans.items():
            if len(ends) == 2:
                lanes.append((f"{printed_system(name, printed)}, printed", ends, PRINTED))
    page.add(lanes_height(lanes), lambda band: draw_lanes(band, query, lanes))


def lanes_height(lanes: Sequence[tuple]) -> float:
    """Inches of lanes with their axis."""
    return LANE * len(lanes) + AXIS


def draw_lanes(band: Band, query: Inspected, lanes: Sequence[tuple]) -> None:
    """Lanes under each other: label, span or what stands in its place, and its look."""
    axes = band.axes(LEFT, 0, TIMES, LANE * len(lanes))
    for lane, (label, content, look) in enumerate(lanes):
        axes.text(
            -0.08 / TIMES,
            lane,
            _fitted(label),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=LABEL_SIZE if len(_fitted(label).split("\n")) == 1 else 6,
            linespacing=0.95,
        )
        if isinstance(content, str):
            axes.text(query.duration_s / 2, lane, content, ha="center", va="center",
                      fontsize=LABEL_SIZE, color="#606060")  # fmt: skip
        elif len(content) == 2 and look:
            draw_span(axes, lane, content, look)
            axes.text(
                1 + 0.08 / TIMES,
                lane,
                f"{content[0]:.1f}–{content[1]:.1f} s",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=LABEL_SIZE,
            )
        else:
            draw_regions(axes, lane, content, query.duration_s)
    axes.set_xlim(0, query.duration_s)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=7, length=2.5)
    axes.set_xlabel("time (s)", fontsize=7, labelpad=1)


def draw_span(axes: "Axes", lane: float, span: Sequence[float], look: dict) -> None:
    """One bar; a span shorter than a line is drawn as one."""
    axes.barh(
        lane, span[1] - span[0], left=span[0], height=0.62, lw=0.8, clip_on=False, **look
    )  # fmt: skip


def draw_regions(axes: "Axes", lane: float, regions: np.ndarray, duration_s: float) -> None:
    """Runs of equal regions; the letter stands in those that have room for it."""
    step_s = duration_s / len(regions)
    edges = np.flatnonzero(np.diff(regions, prepend=-1, append=-1))
    for start, stop in pairwise(edges):
        letter, _, look = REGIONS[int(regions[start])]
        length_s = (stop - start) * step_s
        axes.barh(
            lane,
            length_s,
            left=start * step_s,
            height=0.74,
            lw=0.5,
            edgecolor="black",
            clip_on=False,
            **look,
        )
        if length_s / duration_s * TIMES >= LETTER:
            box = (
                {"facecolor": "white", "edgecolor": "none", "pad": 0.4} if "hatch" in look else None
            )
            axes.text(
                (start + stop) / 2 * step_s, lane, letter,
                ha="center", va="center_baseline", fontsize=6.5, bbox=box,
            )  # fmt: skip


def add_region_key(page: Page) -> None:
    """What the letters of the regions mean."""

    def draw(band: Band) -> None:
        axes = band.axes(LEFT, 0.03, TIMES, 0.16)
        for region, (letter, name, look) in REGIONS.items():
            axes.barh(0, 0.4, left=1.6 * region, height=1, lw=0.5, edgecolor="black", **look)
            axes.text(1.6 * region + 0.5, 0, f"{letter}: {name}", va="center", fontsize=7)
        axes.set_xlim(-0.02, 6.4)
        axes.set_ylim(-0.6, 0.6)
        axes.axis("off")

    page.add(0.24, draw)


def _fitted(label: str) -> str:
    """A label in one line, or two."""
    if len(label) * CHARACTER * LABEL_SIZE <= LEFT - 0.12:
        return label
    return "\n".join(wrap(label, int((LEFT - 0.12) / CHARACTER / 6))[:2])
