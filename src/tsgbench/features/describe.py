"""What a feature file holds and how it was made: as text for a terminal, and as a figure."""

import json
from pathlib import Path

import numpy as np

from tsgbench.features.store import FeatureStore
from tsgbench.files import atomic_path

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
    """A figure of the same: time axes, one video's numbers over time, the PCA's variance if any."""
    from matplotlib.figure import Figure  # slow to import

    with FeatureStore(path) as store:
        picked = pick(store.video_ids, videos)
        read = [store.read(video) for video in picked]
        variance = store.arrays().get("variance")
        title = f"{Path(path).name}: {store.attrs['extractor']}, weights {store.attrs['weights']}"
    figure = Figure(figsize=(7, 6 if variance is None else 8.5), layout="constrained")
    axes = figure.subplots(2 if variance is None else 3, 1)
    figure.suptitle(title[:90], fontsize=9)
    for row, (_, times) in enumerate(read):
        heights = row + (np.arange(len(times)) % 4 - 1.5) * 0.15  # clips overlap
        axes[0].hlines(heights, times[:, 0], times[:, 1], color="#0072B2")
    axes[0].set(yticks=range(len(picked)), yticklabels=picked, xlabel="seconds", title="clips")
    clips, times = read[0]
    # each number against its own mean and deviation: else a few large ones hide what changes
    deviation = clips.std(0)
    clips = (clips - clips.mean(0)) / np.where(deviation > 0, deviation, 1)
    image = axes[1].imshow(
        clips[:, :SHOWN_NUMBERS].T,
        aspect="auto",
        extent=(times[0, 0], times[:, 1].max(), 0, min(SHOWN_NUMBERS, clips.shape[1])),
        origin="lower",
        interpolation="nearest",
        cmap="coolwarm",
        vmin=-3,
        vmax=3,
    )
    axes[1].set(
        xlabel="seconds", ylabel="number of a row", title=f"{picked[0]}, its numbers standardised"
    )
    figure.colorbar(image, ax=axes[1])
    if variance is not None:
        shares = np.cumsum(variance)
        axes[2].plot(np.arange(1, len(shares) + 1), shares, color="#D55E00")
        axes[2].set(
            xlabel="components",
            ylabel="share of the variance",
            ylim=(0, 1),
            title=f"PCA: {len(shares)} components keep {shares[-1]:.1%} (training clips)",
        )
        axes[2].grid(alpha=0.3)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=Path(out).suffix.lstrip(".") or "png", dpi=150)
