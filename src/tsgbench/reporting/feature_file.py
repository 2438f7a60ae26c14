"""What a feature file holds and how it was made: as text for a terminal, and as a figure."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsgbench.features.store import FeatureStore
from tsgbench.files import atomic_path
from tsgbench.reporting.endings import kind_of
from tsgbench.reporting.plotting import PLAIN_TEXT, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

COLUMNS = 56  # of a time axis in text
# how many clips cover a column: none, one, two, more
COVER = np.array(list(" -=#"))
SHOWN_NUMBERS = 128  # of a clip, in the figure


def describe(path: str | Path, videos: int = 6) -> dict:
    """Facts of a feature file as JSON-like values.

    videos: how many, evenly picked, are read for their times and the spread of their numbers; a
    file of thousands is not read whole. `UserError` if it is no feature file.
    """
    with FeatureStore(path) as store:
        picked = pick(store.video_ids, videos)
        shown, parts = [], []
        for video in picked:
            clips, times = store.read(video)
            parts.append(clips)
            shown.append(
                {
                    "video": video,
                    "clips": len(clips),
                    "from_s": float(times[0, 0]),
                    "to_s": float(times[:, 1].max()),
                    "clip_s": float(np.median(np.diff(times, axis=1))),
                    "step_s": float(np.median(np.diff(times[:, 0]))) if len(times) > 1 else None,
                    "cover": cover(times, times[:, 1].max()),
                }
            )
        numbers = np.concatenate(parts)
        arrays = store.arrays()
        return {
            "path": str(path),
            "bytes": Path(path).stat().st_size,
            "videos": len(store.video_ids),
            "dim": store.dim,
            "attributes": store.attrs,
            "arrays": {name: list(array.shape) for name, array in arrays.items()},
            "explained_variance": float(np.sum(arrays["variance"]))
            if "variance" in arrays
            else None,
            "shown": shown,
            "numbers": {
                "mean": float(numbers.mean()),
                "deviation": float(numbers.std()),
                "smallest": float(numbers.min()),
                "largest": float(numbers.max()),
                "zero_share": float((numbers == 0).mean()),
            },
        }


def pick(names: list[str], number: int) -> list[str]:
    """`number` of the names, evenly spread over the list; all if there are fewer."""
    rows = np.unique(np.linspace(0, len(names) - 1, min(number, len(names))).round().astype(int))
    return [names[row] for row in rows]


def cover(times: np.ndarray, end_s: float, columns: int = COLUMNS) -> str:
    """A time axis as text: how many clips cover the middle of each of `columns` equal parts."""
    middles = (np.arange(columns) + 0.5) * end_s / columns
    started = np.searchsorted(np.sort(times[:, 0]), middles, side="right")
    ended = np.searchsorted(np.sort(times[:, 1]), middles, side="right")
    return "".join(COVER[np.clip(started - ended, 0, len(COVER) - 1)])


def as_text(facts: dict) -> str:
    """Facts of `describe`, for a person."""
    attributes = facts["attributes"]
    recipe = attributes["recipe"]
    lines = [
        f"{facts['path']}: {facts['videos']} videos, {facts['dim']} numbers a row,"
        f" {facts['bytes'] / 1e6:.1f} MB",
        f"  extractor        {attributes['extractor']}",
        f"  weights          {attributes['weights']}",
        *(f"  {key:16} {json.dumps(value)}" for key, value in recipe.items() if key != "extractor"),
        f"  identity         {attributes['identity']}",
        "  versions         " + ", ".join(f"{k} {v}" for k, v in attributes["versions"].items()),
    ]
    if facts["arrays"]:
        kept = ", ".join(f"{name} {tuple(shape)}" for name, shape in facts["arrays"].items())
        lines.append(f"  arrays           {kept}")
    if facts["explained_variance"] is not None:
        lines.append(f"  variance         {facts['explained_variance']:.1%} of it kept by the PCA")
    numbers = facts["numbers"]
    lines += [
        f"\n  numbers of {len(facts['shown'])} videos: mean {numbers['mean']:.4g}, deviation"
        f" {numbers['deviation']:.4g}, from {numbers['smallest']:.4g} to {numbers['largest']:.4g},"
        f" {numbers['zero_share']:.1%} zero",
        "\n  time axes: clips over each part of the video, none ' ', one '-', two '=', more '#'",
    ]
    width = max(len(row["video"]) for row in facts["shown"])
    for row in facts["shown"]:
        step = "" if row["step_s"] is None else f" every {row['step_s']:.3g} s"
        lines.append(
            f"  {row['video']:{width}} {row['from_s']:g}|{row['cover']}|{row['to_s']:.2f} s,"
            f" {row['clips']} of {row['clip_s']:.3g} s{step}"
        )
    return "\n".join(lines)


def plot(path: str | Path, out: str | Path, videos: int = 6) -> None:
    """A figure of the same: time axes, one video's numbers over time, the PCA's variance if any.
    Equal files give equal bytes."""
    from matplotlib import rc_context  # slow to import

    kind = kind_of(out)
    undated = {"CreationDate": None} if kind == "pdf" else {"Date": None} if kind == "svg" else {}
    with rc_context(PLAIN_TEXT), atomic_path(out) as temporary:
        figure = _draw(path, videos)
        save(figure, temporary, kind, 150, **undated)


def _draw(path: str | Path, videos: int) -> "Figure":
    from matplotlib.figure import Figure

    with FeatureStore(path) as store:
        picked = pick(store.video_ids, videos)
        read = [store.read(video) for video in picked]
        variance = store.arrays().get("variance")
        title = f"{Path(path).name}: {store.attrs['extractor']}, weights {store.attrs['weights']}"
        number = len(store.video_ids)
    figure = Figure(figsize=(7, 6 if variance is None else 8.5), layout="constrained")
    axes = figure.subplots(2 if variance is None else 3, 1)
    figure.suptitle(title if len(title) <= 90 else title[:87] + "...", fontsize=10)
    end_s = max(times[:, 1].max() for _, times in read)
    _draw_axes(axes[0], [_short(name) for name in picked], [times for _, times in read], number)
    bar = figure.colorbar(_draw_numbers(axes[1], _short(picked[0]), *read[0]), ax=axes[1])
    bar.set_label("deviations from its mean")
    for axis in axes[:2]:
        axis.set(xlim=(0, end_s), xlabel="seconds")
    if variance is not None:
        _draw_variance(axes[2], variance)
    return figure


def _short(name: str, letters: int = 22) -> str:
    return name if len(name) <= letters else name[: letters - 3] + "..."


def _draw_axes(axis: "Axes", names: list[str], read: list[np.ndarray], number: int) -> None:
    """When each clip of each video is on screen. read: times (n, 2) of each."""
    for row, times in enumerate(read):
        heights = row + (np.arange(len(times)) % 4 - 1.5) * 0.15  # clips overlap
        axis.hlines(heights, times[:, 0], times[:, 1], color="#0072B2")
    axis.set(yticks=range(len(names)), yticklabels=names)
    axis.set_ylim(len(names) - 0.4, -0.6)  # the first on top, as in the text
    axis.set_title(f"clips of {len(names)} of {number} videos", fontsize=10)


def _draw_numbers(axis: "Axes", name: str, clips: np.ndarray, times: np.ndarray) -> "QuadMesh":
    """A video's numbers from each clip's start to the next one's; returns the image."""
    # each number against its own mean and deviation: else a few large ones hide what changes
    deviation = clips.std(0)
    clips = ((clips - clips.mean(0)) / np.where(deviation > 0, deviation, 1))[:, :SHOWN_NUMBERS]
    image = axis.pcolormesh(
        np.append(times[:, 0], times[:, 1].max()),
        np.arange(clips.shape[1] + 1),
        clips.T,
        cmap="cividis",
        vmin=-3,
        vmax=3,
        rasterized=True,
    )
    is_all = clips.shape[1] == len(deviation)
    shown = "all" if is_all else f"the first {clips.shape[1]} of"
    shown = f"{shown} {len(deviation)}"
    axis.set(ylabel="number of a row")
    axis.set_title(f"{name}: {shown} numbers, each against its own spread", fontsize=10)
    return image


def _draw_variance(axis: "Axes", variance: np.ndarray) -> None:
    """What the PCA's first components keep together. variance: share of each, (K,)."""
    kept = np.cumsum(variance)
    components = np.arange(1, len(kept) + 1)
    axis.step(np.append(0, components), np.append(0, kept), where="post", color="#D55E00")
    axis.set(
        xlim=(0, len(kept)), ylim=(0, 1), xlabel="components", ylabel="share of the variance kept"
    )
    axis.set_title(
        f"PCA: {len(kept)} components keep {kept[-1]:.1%} (of training clips)", fontsize=10
    )
    axis.grid(alpha=0.3)
