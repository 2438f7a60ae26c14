"""Where annotated moments lie: how long they are, and where they start and end (CMA's Figure 4).

Above, per data set, the share of sentences by length of their moment as a part of the video, with
the mean and the printed one; below, the same sentences by start and end. Dark cells far from
uniform are what a system can answer from without looking at the video.
"""

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from tsgbench.errors import UserError
from tsgbench.jobs.records import Record
from tsgbench.reporting.figures import register

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

BAR, MEAN, PRINTED = "#56B4E9", "#000000", "#D55E00"  # Okabe and Ito
PER_ROW = 3
# As many characters of this size stand above a panel without reaching the next one
TITLE_SIZE, TITLE_WIDTH = 8, 32


@register("moment_distribution")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """spec: `datasets` (name -> title) and `printed` (numbers.average_ratio, reproduce) or None.

    records: role `statistics:DATASET` -> its statistics. A data set without one is an empty panel
    marked "not run".
    """
    from matplotlib.figure import Figure

    records = {role.removeprefix("statistics:"): record for role, record in records.items()}
    names = list(spec["datasets"])
    columns = min(PER_ROW, len(names))
    bands = -(-len(names) // columns)
    figure = Figure(figsize=(0.9 + 2.7 * columns, 4.9 * bands + 0.35), layout="constrained")
    grid = figure.add_gridspec(2 * bands, columns, height_ratios=[1, 1.25] * bands)
    printed = spec.get("printed") or {}
    rows, image = [], None
    densest = max((_density(_moments(records[n], n, printed)).max() for n in records), default=1.0)
    for index, name in enumerate(names):
        band, column = divmod(index, columns)
        upper = figure.add_subplot(grid[2 * band, column])
        lower = figure.add_subplot(grid[2 * band + 1, column])
        is_first = column == 0
        if name not in records:
            _mark_not_run(upper, lower, spec["datasets"][name], name, printed)
            continue
        moments = _moments(records[name], name, printed)
        _draw_lengths(upper, spec["datasets"][name], name, moments, printed, is_first)
        image = _draw_places(lower, moments, densest, is_first)
        rows += _numbers(name, moments)
    if image is not None:
        bar = figure.colorbar(image, ax=figure.axes[1::2], shrink=0.9, aspect=28, pad=0.02)
        bar.set_label("share of sentences (%)")
    return figure, rows


def _moments(record: Record, name: str, printed: dict) -> dict:
    """Histograms of the part of the data set that the paper counted; of all of it otherwise."""
    part = "+".join(printed.get("reproduce", {}).get(name, [])) or record.facts["all"]
    if part not in record.facts["moments"]:
        raise UserError(
            f"{record.path}: describes no union {part!r}; it has"
            f" {', '.join(record.facts['moments'])}"
        )
    return record.facts["moments"][part] | {"part": part}


def _density(moments: dict) -> np.ndarray:
    """(bins, bins) percent of the sentences, start first."""
    return 100 * np.array(moments["start_end"]) / moments["queries"]


def _draw_lengths(
    axes: "Axes", title: str, name: str, moments: dict, printed: dict, is_first: bool
) -> None:
    shares = 100 * np.array(moments["length"]) / moments["queries"]
    limits = np.linspace(0, 1, len(shares) + 1)
    axes.bar(
        limits[:-1], shares, np.diff(limits), align="edge", color=BAR, edgecolor="black", lw=0.5
    )
    axes.axvline(moments["ratio"], color=MEAN, lw=1.6, label=f"mean {moments['ratio']:.3f}")
    said = _printed_ratio(name, printed)
    if said and name in printed.get("reproduce", {}):  # else ours may be of other splits
        label = f"printed {said:g} ({printed['paper']})"
        axes.axvline(said, color=PRINTED, lw=1.6, ls=(0, (2, 2)), label=label)
    axes.set_xlim(0, 1)
    counted = f"{moments['queries']:,} sentences"
    title = _wrapped(title, counted, moments["part"].replace("+", " + "))
    axes.set_title(title, fontsize=TITLE_SIZE)
    axes.set_xlabel("length of the moment / video")
    if is_first:
        axes.set_ylabel("share of sentences (%)")
    axes.legend(frameon=False, fontsize=8, loc="upper right", handlelength=1.6)


def _draw_places(axes: "Axes", moments: dict, densest: float, is_first: bool) -> "AxesImage":
    from matplotlib.colors import PowerNorm

    image = axes.imshow(
        _density(moments).T,
        origin="lower",
        extent=(0, 1, 0, 1),
        cmap="Greys",
        norm=PowerNorm(0.5, 0, densest),  # or all but a few cells would look empty
        interpolation="nearest",
    )
    axes.plot([0, 1], [0, 1], color="black", lw=0.6)
    axes.set_xlabel("start / video")
    if is_first:
        axes.set_ylabel("end / video")
    return image


def _mark_not_run(upper: "Axes", lower: "Axes", title: str, name: str, printed: dict) -> None:
    upper.set_title(_wrapped(title, "not run: not in this study"), fontsize=TITLE_SIZE)
    for axes in (upper, lower):
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_yticks([])
    if said := _printed_ratio(name, printed):
        label = f"printed {said:g} ({printed['paper']})"
        upper.axvline(said, color=PRINTED, lw=1.6, ls=(0, (2, 2)), label=label)
        upper.legend(frameon=False, fontsize=8, loc="upper right", handlelength=1.6)
    upper.set_xlabel("length of the moment / video")
    lower.text(0.5, 0.5, "not run", ha="center", va="center", color="gray")
    lower.set_aspect("equal")
    lower.set_xlabel("start / video")


def _wrapped(*lines: str) -> str:
    return "\n".join(part for line in lines for part in wrap(line, TITLE_WIDTH))


def _printed_ratio(name: str, printed: dict) -> float | None:
    return printed.get("numbers", {}).get("average_ratio", {}).get(name)


def _numbers(name: str, moments: dict) -> list[dict]:
    """Long form: one line a bin of each histogram, and the mean."""
    bins = len(moments["length"])
    fixed = {"dataset": name, "part": moments["part"], "queries": moments["queries"]}
    rows = [fixed | {"quantity": "mean_length", "value": f"{moments['ratio']:.6g}"}]
    for quantity in ("length", "start", "end"):
        rows += [
            fixed | {"quantity": quantity, "from": i / bins, "to": (i + 1) / bins, "value": count}
            for i, count in enumerate(moments[quantity])
        ]
    for i, line in enumerate(moments["start_end"]):
        rows += [
            fixed
            | {
                "quantity": "start_end",
                "from": i / bins,
                "to": (i + 1) / bins,
                "end_from": j / bins,
                "end_to": (j + 1) / bins,
                "value": count,
            }
            for j, count in enumerate(line)
            if count
        ]
    return rows
