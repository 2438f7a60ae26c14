"""Scores of a file of other programs, a block of queries at a time, under named conventions."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.conventions import Scores, needs_clips, score_convention
from tsgbench.evaluation.predictions import Predictions

NO_CLIPS = "the file does not say how many clips each video has, from which labels are quantised"


def score_blocks(
    blocks: Iterable[tuple[np.ndarray, Predictions]],
    queries: Queries,
    conventions: dict[str, dict[str, Any]],
    dataset: str,
) -> tuple[dict[str, Scores], dict[str, str]]:
    """The scores of all blocks' queries, in their order, by convention; and the conventions that
    cannot be computed, with the reason.

    blocks: rows of `queries` and the predictions of these. A query without any moment is a miss by
    every metric, under a convention that ranks all candidates, too: no rank of its own was given.
    """
    parts: dict[str, list[Scores]] = defaultdict(list)
    missing = {}
    for rows, predictions in blocks:
        asked = queries.take(rows)
        is_empty = np.isnan(predictions.spans[..., 0]).all(axis=1)
        for name, convention in conventions.items():
            if predictions.clips is None and needs_clips(convention):
                missing[name] = NO_CLIPS
                continue
            of_blockal = score_convention(predictions, asked, convention, dataset)
            for values in of_blockal.values.values():
                values[is_empty & ~np.isnan(values)] = 0.0
            parts[name].append(of_blockal)
    return {name: _join(of_blockal) for name, of_blockal in parts.items()}, missing


def _join(parts: list[Scores]) -> Scores:
    """Of queries that follow one another."""
    values, counts = (
        {
            key: np.concatenate([getattr(part, kind)[key] for part in parts])
            for key in getattr(parts[0], kind)
        }
        for kind in ("values", "counts")
    )
    return Scores(values, counts)
