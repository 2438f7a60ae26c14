"""The examples that a paper prints in its figures, and the same queries among our annotations."""

import re
from dataclasses import dataclass

import numpy as np

from tsgbench.datasets.table import Queries

TRUTH = ("gt_s", "ground_truth_s")  # what published/*.yaml call the annotated moment
ROUNDING_S = 0.1  # printed times are rounded, and some are counted in frames


@dataclass(frozen=True)
class Example:
    """sentence and moment as printed; spans: printed name of a system -> its printed seconds,
    two numbers, or more where the text does not say which belong together."""

    sentence: str
    moment_s: tuple[float, float] | None
    spans: dict[str, tuple[float, ...]]


def read_examples(figure: dict) -> list[Example]:
    """Of a figure's entry in published/*.yaml; `*_s` keys hold seconds, null where not printed."""
    found = []
    for entry in (figure.get("numbers") or {}).get("examples", []):
        times = {name: tuple(x) for name, x in entry.items() if isinstance(x, list)}
        truth = next((times.pop(name) for name in TRUTH if name in times), None)
        spans = {name.removesuffix("_s"): span for name, span in times.items()}
        found.append(Example(entry["query"], truth, spans))
    return found


def find_example(sentence: str, moment_s: tuple[float, float], queries: Queries) -> int | None:
    """Row of the query with these words at these seconds, to within rounding; None without one.

    Case, punctuation and blanks do not count, and `...` stands for any words.
    """
    parts = [re.escape(_plain(part)) for part in sentence.split("...")]
    pattern = re.compile(" ?.*".join(parts))
    near = np.abs(queries.moments - np.array(moment_s)).max(axis=1) <= ROUNDING_S
    for row in np.flatnonzero(near):
        if pattern.fullmatch(_plain(queries.sentences[row])):
            return int(row)
    return None


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.lower().replace("'", "")))
