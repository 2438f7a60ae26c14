"""Grounding quality against the length of the video (FSAN's Figure 4).

A point is a video, at the mean IoU of its queries and seeds; the line is the mean of the videos in
an interval of lengths, with their number below. The paper counts videos too: 130 of 2 to 12 s is
how many val_2 of ActivityNet Captions has, with 413 queries. Intervals are the paper's on its own
data sets, and hold equally many videos elsewhere.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tsgbench.errors import UserError
from tsgbench.evaluation.query_scores import QueryScores
from tsgbench.jobs.records import Record
from tsgbench.reporting import panels
from tsgbench.reporting.figures import register

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.8, 3.9
INTERVALS = 8
POINT, LINE, SAID, BAR = "#0072B2", "#D55E00", "#000000", "#999999"


@dataclass(frozen=True)
class Videos:
    """The scored videos, V. lengths: (V,) seconds; ious: (V,) percent, means over their queries;
    queries: (V,) how many each has."""

    lengths: np.ndarray
    ious: np.ndarray
    queries: np.ndarray


@register("iou_by_length")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """spec: one of `systems`; options: optionally `edges_s`, the borders of the intervals in
    seconds on the paper's data sets, the last of which may be null for no limit, and `intervals`,
    how many there are elsewhere. printed.numbers: entries with `range_s`, `mIoU` and `cases`.

    records: `metrics:{cell}` and `annotations:{dataset}`.
    """
    if len(spec["systems"]) != 1:
        raise UserError(
            f"figure {spec['id']}: draw.systems: has {len(spec['systems'])} systems, and points of"
            " one can be told apart; name one"
        )
    [system] = spec["systems"]
    figure, drawn = panels.make_panels(spec, WIDTH, HEIGHT, (1.0, 0.24))
    rows = []
    for dataset, (upper, lower) in drawn.items():
        cells = panels.read_system(spec, system, dataset, records)
        lines = []
        if cells:
            ious, scores = panels.read_ious(cells)
            durations = panels.read_durations(scores, records[f"annotations:{dataset}"])
            videos = _group(scores, durations, ious.mean(axis=0))
            intervals = _intervals(spec, videos, panels.is_papers(spec, dataset, True))
            _draw_videos(upper, videos)
            _draw_means(upper, lower, intervals)
            lines = _describe(system, cells, videos, intervals)
            rows += _numbers(dataset, system, cells, intervals)
        else:
            panels.mark_not_run(upper)
            lower.set_yticks([])
        _draw_axes(upper, lower, bool(cells))
        if panels.shows_printed(spec, dataset, cells):
            _draw_printed(upper, spec)
        panels.write_title(upper, spec, dataset, WIDTH, *lines, cells=cells)
    panels.write_legend(figure, drawn)
    return figure, rows


def _group(scores: QueryScores, durations: np.ndarray, ious: np.ndarray) -> Videos:
    """durations, ious: (Q,) of each scored query."""
    _, first, video, queries = np.unique(
        scores.video_ids.astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    return Videos(durations[first], np.bincount(video, weights=ious) / queries, queries)


def _intervals(spec: dict, videos: Videos, is_papers: bool) -> list[dict]:
    """Half-open intervals with `from_s`, `to_s` (None: no limit), `videos`, `queries`, `mIoU` (of
    the videos) and `query_mIoU` (of all their queries), `length_s` and `last_s`."""
    lengths, edges = videos.lengths, spec["options"].get("edges_s") if is_papers else None
    if edges is None:
        shares = np.linspace(0, 1, spec["options"].get("intervals", INTERVALS) + 1)
        # Equal lengths at a border would make an interval empty
        edges = [*np.unique(np.quantile(lengths, shares))[:-1].tolist(), None]
    limits = np.array([np.inf if edge is None else edge for edge in edges], dtype=float)
    if len(limits) < 2 or (np.diff(limits) <= 0).any():
        raise UserError(
            f"figure {spec['id']}: draw.edges_s: {edges} does not rise; give the borders of the"
            " intervals in seconds, in their order"
        )
    band_of = np.searchsorted(limits, lengths, side="right") - 1
    means = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = np.flatnonzero(band_of == number)
        weights = videos.queries[inside]
        means.append(
            {
                "from_s": low,
                "to_s": high,
                "videos": inside.size,
                "queries": int(weights.sum()),
                "mIoU": float(videos.ious[inside].mean()) if inside.size else None,
                "query_mIoU": (
                    float(np.average(videos.ious[inside], weights=weights)) if inside.size else None
                ),
                "length_s": float(lengths[inside].mean()) if inside.size else None,
                "last_s": float(lengths[inside].max()) if inside.size else low,
            }
        )
    return means


def _draw_videos(axes: "Axes", videos: Videos) -> None:
    alpha = float(np.clip(250 / len(videos.lengths), 0.1, 0.5))
    # As an image, or a PDF would hold every point
    axes.scatter(videos.lengths, videos.ious, s=5, color=POINT, alpha=alpha, lw=0, rasterized=True)
    axes.scatter([], [], s=14, color=POINT, label="a video (mean of its queries)")


def _draw_means(upper: "Axes", lower: "Axes", intervals: list[dict]) -> None:
    filled = [interval for interval in intervals if interval["videos"]]
    upper.plot(
        [interval["length_s"] for interval in filled],
        [interval["mIoU"] for interval in filled],
        color=LINE,
        lw=1.6,
        marker="o",
        ms=4.5,
        mec="white",
        mew=0.6,
        label="mean of the videos in an interval (mIoU)",
        zorder=3,
    )
    ends = [i["last_s"] if i["to_s"] is None else i["to_s"] for i in intervals]
    starts = [interval["from_s"] for interval in intervals]
    videos = [interval["videos"] for interval in intervals]
    widths = np.subtract(ends, starts)
    lower.bar(starts, videos, widths, align="edge", color=BAR, edgecolor="white", lw=0.8)
    lower.set_ylim(0, 1.15 * max(videos))


def _draw_axes(upper: "Axes", lower: "Axes", has_cells: bool) -> None:
    upper.set_ylim(-3, 103)  # points at both ends are whole
    upper.tick_params(labelbottom=False)
    if has_cells:
        upper.set_ylabel("IoU of the first moment (%)")
        lower.set_ylabel("videos")
    lower.set_xlabel("length of the video (s)")
    if not has_cells:
        lower.set_xlim(left=0)


def _draw_printed(axes: "Axes", spec: dict) -> None:
    """The printed intervals, each over its lengths; one without a limit reaches to the right."""
    printed = spec.get("printed") or {}
    said = [
        number
        for number in printed.get("numbers", {}).values()
        if isinstance(number, dict) and "range_s" in number
    ]
    if not said:
        return
    right = axes.get_xlim()[1] if axes.lines or axes.collections else 0.0
    right = max(right, 1.08 * max(edge for number in said for edge in number["range_s"] if edge))
    for number in said:
        low, high = number["range_s"]
        between = f"{low:g} to {high:g} s" if high else f"from {low:g} s"
        axes.hlines(
            number["mIoU"],
            low,
            high or right,
            color=SAID,
            lw=2.2,
            ls=(0, (2, 1)),
            label=f"printed ({printed['paper']}), {between}: mIoU {number['mIoU']:.2f}"
            f" of {number['cases']:,} videos",
            zorder=4,
        )
    axes.set_xlim(right=right)


def _describe(system: dict, cells: list, videos: Videos, intervals: list[dict]) -> list[str]:
    label = f"{system['label']}: " if system.get("label") else ""
    lines = [label + panels.describe_cells(cells, len(system["seeds"]))]
    inside = sum(interval["videos"] for interval in intervals)
    lines.append(f"{len(videos.lengths):,} videos")
    if outside := len(videos.lengths) - inside:
        lines[-1] += f", {outside:,} in no interval"
    return lines


def _numbers(dataset: str, system: dict, cells: list, intervals: list[dict]) -> list[dict]:
    fixed = {
        "dataset": dataset,
        "split": panels.split_of(cells),
        "convention": cells[0].seen_under,
        "system": f"{system['model']}/{system['ablation']}",
        "seeds": len(cells),
    }
    return [
        fixed
        | {
            "from_s": f"{interval['from_s']:.6g}",
            "to_s": "" if interval["to_s"] is None else f"{interval['to_s']:.6g}",
            "videos": interval["videos"],
            "queries": interval["queries"],
            "mIoU": _rounded(interval["mIoU"]),
            "query_mIoU": _rounded(interval["query_mIoU"]),
            "mean_length_s": _rounded(interval["length_s"]),
        }
        for interval in intervals
    ]


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
