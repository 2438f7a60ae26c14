"""What holds for every figure that is drawn, whichever part of the package draws it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Settings of matplotlib. It takes what stands between two `$` for mathematics, and ends where that
# is none. Sentences, words, names of videos, files and data sets may hold any number of them.
PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}
# A byte order mark within a text, as of files that were joined: invisible, and the one character at
# which matplotlib's PDF ends with an IndexError
MARK = "\ufeff"


def save(figure: "Figure", path: str | Path, kind: str, dpi: int, **metadata: None) -> None:
    """Write a figure in a format (`pdf`, `png`, `svg`). metadata: what not to state, such as its
    date, so that equal figures are equal files."""
    from matplotlib.text import Text  # slow to import

    for drawn in figure.findobj(Text):
        if MARK in drawn.get_text():
            drawn.set_text(drawn.get_text().replace(MARK, ""))
    figure.savefig(path, format=kind, dpi=dpi, metadata=metadata)
