"""A figure of fixed width on which bands are stacked from the top, everything placed in inches.

Pictures, bars and long sentences stand above each other on one axis of time: automatic layouts
move such axes apart, or let sentences run into each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches, as wide as a page's text
LEFT, RIGHT = 1.45, 1.2  # of labels and of numbers beside an axis of time
MARGIN = 0.08
CHARACTER = 0.0086  # inches a character at a size of one point; of DejaVu Sans, on the wide side


def headline(spec: dict) -> str:
    """The line on top of a figure: that it is a demo's, and the study's notes; may be empty."""
    demo = ["DEMO data, no public data set."] if spec.get("is_demo") else []
    return " ".join([*demo, *spec.get("notes", [])])


def add_headline(figure: "Figure", spec: dict) -> None:
    """Put that line there, as large as the figure's width allows."""
    if line := headline(spec):
        size = min(9, 0.98 * figure.get_figwidth() / (CHARACTER * len(line)))
        figure.suptitle(line, fontsize=size, x=0.01, ha="left")


@dataclass
class Band:
    """A horizontal strip of a page; places are inches from its left end and its top."""

    figure: "Figure"
    top: float  # inches from the figure's bottom
    height: float

    def axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        """Axes whose upper left corner lies there."""
        page_width, page_height = self.figure.get_size_inches()
        bottom = self.top - top - height
        return self.figure.add_axes(
            (left / page_width, bottom / page_height, width / page_width, height / page_height)
        )

    def text(self, left: float, top: float, text: str, *, size: float, **style: Any) -> None:
        """Text that hangs from there."""
        page_width, page_height = self.figure.get_size_inches()
        x, y = left / page_width, (self.top - top) / page_height
        self.figure.text(x, y, text, fontsize=size, va="top", **{"ha": "left"} | style)


class Page:
    """Collects bands, then makes the figure that is as high as all of them."""

    def __init__(self) -> None:
        self._bands: list[tuple[float, Callable[[Band], None]]] = []

    def add(self, height: float, draw: Callable[[Band], None]) -> None:
        """A band of so many inches, drawn when the page is made."""
        self._bands.append((height, draw))

    def add_text(self, text: str, *, size: float, gap: float = 0.03, **style: Any) -> None:
        """Text over the whole width, wrapped."""
        lines = wrap(text, int((WIDTH - 2 * MARGIN) / (CHARACTER * size)))
        height = len(lines) * size * 1.25 / 72 + gap
        shown = "\n".join(lines)
        self.add(height, lambda band: band.text(MARGIN, 0, shown, size=size, **style))

    def make(self, *, has_title: bool) -> "Figure":
        """The figure. has_title: leave room for the line that `write_figure` puts on top."""
        from matplotlib.figure import Figure

        content = sum(height for height, _ in self._bands)
        # matplotlib hangs a title from 98 % of the figure's height
        top = 0.2 if has_title else 0.0
        total = (content + top + 2 * MARGIN) / (0.98 if has_title else 1.0)
        figure = Figure(figsize=(WIDTH, total))
        upper = MARGIN + content
        for height, draw in self._bands:
            draw(Band(figure, upper, height))
            upper -= height
        return figure
