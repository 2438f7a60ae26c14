"""Which queries of a test split are looked at: the best, the worst, and those named or printed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tsgbench.datasets.queries import Queries

# Shorter sentences tell little about words; they are taken only where there are no others.
MIN_WORDS = 4


@dataclass(frozen=True)
class Choice:
    """row: of the query. kind: why it was chosen, `example`, `named`, `best` or `worst`."""

    row: int
    kind: str


def choose_queries(
    ious: np.ndarray,
    words: np.ndarray,
    queries: Queries,
    *,
    best: int,
    worst: int,
    ids: list[str],
    examples: list[int],
) -> list[Choice]:
    """Printed examples, named queries, then the best and the worst; no query twice.

    ious: (Q,) of each query's first prediction. words: (Q,) of its sentence. ids: of queries.
    examples: rows. The best and the worst are of videos that nothing else shows while there are
    such; of equal IoU, the first of the split counts.
    """
    chosen = [Choice(row, "example") for row in dict.fromkeys(examples)]
    row_of = {name: row for row, name in enumerate(queries.query_ids)}
    taken: Any = {choice.row for choice in chosen}
    named = [row_of[name] for name in dict.fromkeys(ids) if row_of[name] not in taken]
    chosen += [Choice(row, "named") for row in named]
    is_short = words < MIN_WORDS
    order = np.arange(len(ious))
    for kind, count, key in (("best", best, -ious), ("worst", worst, ious)):
        for _ in range(min(count, len(ious) - len(chosen))):
            taken = [choice.row for choice in chosen]
            shown = {queries.video_ids[row] for row in taken}
            is_shown = np.array([video in shown for video in queries.video_ids])
            ranked = np.lexsort((order, key, is_shown, is_short, np.isin(order, taken)))
            chosen.append(Choice(int(ranked[0]), kind))
    return chosen
