"""The examples that a paper prints in its figures, and the same queries among our annotations."""

import re
from dataclasses import dataclass

import numpy as np

from tsgbench.datasets.queries import Queries

TRUTH = "gt_s"  # what published/*.yaml call the annotated moment
SAME_S = 0.02  # two moments this close are one, though a paper may have edited the sentence
SHARED_WORDS = 0.7  # of all words of both, that an edited sentence shares
ROUNDING_S = 0.25  # printed times are rounded, some to whole seconds


@dataclass(frozen=True)
class Example:
    """sentence and moment as printed, None where only the picture has it; spans: printed name of a
    system -> its printed seconds, two numbers, or more where the text does not say which belong
    together."""

    sentence: str
    moment_s: tuple[float, float] | None
    spans: dict[str, tuple[float, ...]]


def read_examples(figure: dict) -> list[Example]:
    """Of a figure's entry in published/*.yaml; `*_s` keys hold seconds, null where not printed."""
    examples = []
    for entry in (figure.get("numbers") or {}).get("examples", []):
        times = {name: tuple(x) for name, x in entry.items() if isinstance(x, list)}
        truth = times.pop(TRUTH, None)
        spans = {name.removesuffix("_s"): span for name, span in times.items()}
        examples.append(Example(entry["query"], truth, spans))
    return examples


def find_example(
    sentence: str, moment_s: tuple[float, float] | None, queries: Queries
) -> int | None:
    """Row of the query with these words at these seconds, to within rounding; None without one.

    Case, punctuation and blanks do not count, and `...` stands for any words. At the very seconds
    that are printed, most of the words are enough. A printed moment may reach beyond the video, as
    those of the public files do before they are cut. The nearest counts. Without seconds (None) the
    words must be those of one query alone.
    """
    parts = [re.escape(_plain(part)) for part in sentence.split("...")]
    pattern = re.compile(" ?.*".join(parts))
    if moment_s is None:
        rows = [row for row, one in enumerate(queries.sentences) if pattern.fullmatch(_plain(one))]
        return rows[0] if len(rows) == 1 else None
    cut = np.minimum(np.array(moment_s), queries.durations[:, None])  # (Q, 2)
    gaps = np.abs(queries.moments - cut).max(axis=1)
    for row in np.argsort(gaps, kind="stable")[: np.count_nonzero(gaps <= ROUNDING_S)]:
        annotated = _plain(queries.sentences[row])
        is_edited = gaps[row] <= SAME_S and _shared(_plain(sentence), annotated) >= SHARED_WORDS
        if is_edited or pattern.fullmatch(annotated):
            return int(row)
    return None


def _shared(a: str, b: str) -> float:
    return len({*a.split()} & {*b.split()}) / len({*a.split()} | {*b.split()})


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.lower().replace("'", "")))
