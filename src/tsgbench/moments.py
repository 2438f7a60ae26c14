"""Temporal IoU, non-maximum suppression and the grid between seconds and clips.

A moment is a half-open interval `(start, end)` in seconds. Everything here is vectorised over
leading axes and works on NumPy arrays.
"""

import numpy as np

# An interval of length zero must not divide by zero (models/common.md, section 5).
EPSILON = 1e-9


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Temporal intersection over union of moments in seconds.

    a, b: (..., 2) start and end, broadcast against each other. Returns (...,) in [0, 1].
    An inverted interval (end before start) has IoU 0 with everything.
    """
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    # Union of lengths, not the hull: equal wherever the intervals meet, and the hull's version
    # differs only where the IoU is 0 anyway.
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - overlap
    valid = (a[..., 1] >= a[..., 0]) & (b[..., 1] >= b[..., 0])
    return np.where(valid, np.clip(overlap, 0.0, None) / np.maximum(union, EPSILON), 0.0)


def nms_ranks(moments: np.ndarray, threshold: float, keep: int) -> np.ndarray:
    """Greedy non-maximum suppression of ranked candidates, for many queries at once.

    moments: (Q, K, 2) seconds, best first; rows of NaN are absent. A candidate is dropped when its
    IoU with a kept one exceeds `threshold`. Returns (Q, keep) candidate indices, -1 where fewer
    survive. The loop runs over the few kept places, never over queries or candidates.
    """
    queries = len(moments)
    alive = ~np.isnan(moments[..., 0])
    kept = np.full((queries, keep), -1, dtype=np.int64)
    rows = np.arange(queries)
    for place in range(keep):
        best = alive.argmax(axis=1)
        found = alive[rows, best]
        kept[found, place] = best[found]
        chosen = moments[rows, best][:, None, :]
        with np.errstate(invalid="ignore"):
            alive &= ~(iou(moments, chosen) > threshold)
        alive[rows, best] = False
        if not alive.any():
            break
    return kept
