"""Maps of words and clips as grey cells, and beside them where the moment is and was found."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tsgbench.inspection.store import Inspected
from tsgbench.reporting.timeline import SYSTEMS, TRUTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK = 0.09  # inches of a bar that marks a span
WORD_SIZE, SMALLEST_SIZE = 7.0, 4.0  # points
LINE_GAP = 1.25  # lines a word needs, not to touch the next


def columns_of(query: Inspected, columns: int) -> list[str]:
    """Names of the positions that are attended to: the words, then what is no word of the query."""
    extra = columns - len(query.words)
    return query.words + [f"[pad {number}]" for number in range(1, extra + 1)]


def word_size(words: int, inches: float) -> float:
    """Points at which so many words stand beside each other on so many inches."""
    return max(SMALLEST_SIZE, min(WORD_SIZE, 72 * inches / words / LINE_GAP))


def show(axes: "Axes", values: np.ndarray, extent: tuple) -> tuple[float, float]:
    """values: rows from top to bottom; extent: left, right, bottom, top.

    Returns what white and black stand for: each map uses all greys.
    """
    white, black = min(0.0, float(values.min())), float(values.max())
    axes.imshow(
        values,
        extent=extent,
        aspect="auto",
        cmap="Greys",
        vmin=white,
        vmax=max(black, white + 1e-9),
        interpolation="nearest",
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    axes.tick_params(labelsize=7, length=2)
    return white, black


def mark_span(
    axes: "Axes", span: np.ndarray, query: Inspected, *, is_truth: bool, upright: bool
) -> None:
    """A strip of its own with one bar at the span: solid for the truth, hatched for the found."""
    look = TRUTH if is_truth else SYSTEMS[0]
    length = span[1] - span[0]
    if upright:
        axes.bar(0, length, bottom=span[0], width=1, lw=0.6, **look)
        axes.set_xlim(-0.5, 0.5)
        axes.set_ylim(query.duration_s, 0)
    else:
        axes.barh(0, length, left=span[0], height=1, lw=0.6, **look)
        axes.set_ylim(-0.5, 0.5)
        axes.set_xlim(0, query.duration_s)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def map_rows(
    fixed: dict, name: str, values: np.ndarray, rows: list[str], over: list[str]
) -> list[dict]:
    """Rows of the CSV: one a line of the map, its values in one field, blanks between."""
    return [
        fixed | {"map": name, "at": at, "over": " ".join(over)}
        | {"values": " ".join(f"{value:.4g}" for value in line)}
        for at, line in zip(rows, values, strict=True)
    ]  # fmt: skip


def clip_names(query: Inspected, count: int) -> list[str]:
    """The seconds that each position of the sequence stands for."""
    edges = np.linspace(0, query.duration_s, count + 1)
    return [f"{a:.2f}-{b:.2f}s" for a, b in pairwise(edges)]
