"""What holds for every figure that is drawn, whichever part of the package draws it."""

from typing import Any

# Settings of matplotlib. It takes what stands between two `$` for mathematics, and ends where that
# is none. Sentences, words, names of videos, files and data sets may hold any number of them.
PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}
