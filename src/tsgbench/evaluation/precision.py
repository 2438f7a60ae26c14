"""Average precision of ranked moments against several annotated ones, as QVHighlights has it.

Source: the rules that the benchmark documents for its evaluator (Lei et al. 2021, sec. 5, and
`standalone_eval/` of moment_detr). Every query is a ranking of its own and the metric is the mean
over queries. Down the ranking, a moment is right at IoU m if it reaches m with an annotated one
that no better-ranked moment took; it takes the one that it overlaps most. Precision at a recall is
the best precision at that recall or a higher one, and average precision is the area below it. mAP
is the mean over IoU 0.5, 0.55, ..., 0.95. By length: the same against the annotated moments within
a range of seconds alone, over the queries that have any.
"""

import numpy as np

from tsgbench.datasets import moments

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def average_precision(
    ranked: np.ndarray, annotated: np.ndarray, thresholds: np.ndarray = THRESHOLDS
) -> np.ndarray:
    """(Q, M) average precision in [0, 1] of each query at each IoU, NaN without annotated moments.

    ranked: (Q, K, 2) best first, NaN (last) where a query has fewer. annotated: (Q, W, 2), NaN
    where there are fewer.
    """
    overlaps = np.nan_to_num(moments.iou(ranked[:, :, None], annotated[:, None]))  # (Q, K, W)
    sizes = (~np.isnan(annotated[..., 0])).sum(axis=1)  # (Q,)
    is_right = _match(overlaps, thresholds)  # (Q, K, M)
    ranks = np.arange(1, is_right.shape[1] + 1)[:, None]
    precision = is_right.cumsum(axis=1) / ranks
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(invalid="ignore"):
        return (best * is_right).sum(axis=1) / np.where(sizes > 0, sizes, np.nan)[:, None]


def within(annotated: np.ndarray, low_s: float, high_s: float) -> np.ndarray:
    """The annotated moments (Q, W, 2) that are longer than `low_s`, but not than `high_s`."""
    lengths = annotated[..., 1] - annotated[..., 0]
    is_within = (lengths > low_s) & (lengths <= high_s)
    return np.where(is_within[..., None], annotated, np.nan)


def _match(overlaps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(Q, K, M) whether each ranked moment takes an annotated one. overlaps: (Q, K, W)."""
    queries, depth, windows = overlaps.shape
    is_free = np.ones((queries, windows, len(thresholds)), dtype=bool)
    is_right = np.zeros((queries, depth, len(thresholds)), dtype=bool)
    for rank in range(depth):  # what a moment may take depends on those before it
        overlap = overlaps[:, rank, :, None]  # (Q, W, 1)
        possible = np.where(is_free & (overlap >= thresholds), overlap, -1.0)  # (Q, W, M)
        # Of equal overlaps the last, as the evaluator's reversed sort has it
        taken = windows - 1 - possible[:, ::-1].argmax(axis=1)  # (Q, M)
        hit = np.take_along_axis(possible, taken[:, None], axis=1)[:, 0] >= 0
        is_right[:, rank] = hit
        was_free = np.take_along_axis(is_free, taken[:, None], axis=1)[:, 0]
        np.put_along_axis(is_free, taken[:, None], (was_free & ~hit)[:, None], axis=1)
    return is_right
