"""Temporal IoU, non-maximum suppression and the grid between seconds and clips.

A moment is a half-open interval `(start, end)` in seconds. On an axis of n positions it is a pair
`(first, last)` of inclusive indices, which stands for the seconds `[first, last + 1)` times
duration / n. Everything here is vectorised over leading axes and works on NumPy arrays.
"""

import numpy as np

# An interval of length zero must not divide by zero (models/common.md, section 5).
EPSILON = 1e-9
SINGLE = 2.0**-22  # twice the spacing of single precision
# Ranks that suppression looks at first: most queries find the few moments they keep among them.
NMS_WINDOW = 16


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Temporal intersection over union of moments in seconds.

    a, b: (..., 2) start and end, broadcast against each other. Returns (...,) in [0, 1].
    An inverted interval (end before start) has IoU 0 with everything.
    """
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    # The hull, not the sum of lengths less the overlap: equal wherever the intervals meet, but
    # without the rounding that lifts or lowers an IoU of exactly m, where `>=` and `>` differ.
    union = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    valid = (a[..., 1] >= a[..., 0]) & (b[..., 1] >= b[..., 0])
    return np.where(valid, np.clip(overlap, 0.0, None) / np.maximum(union, EPSILON), 0.0)


def index_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of inclusive index pairs, `(min(last) - max(first) + 1) / (max(last) - min(first) + 1)`.

    a, b: (..., 2), broadcast against each other, NaN where absent. Returns (...,) in [0, 1].
    The form of CMIN, IA-Net and DiDeMo (models/common.md, section 4).
    """
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]) + 1
    hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0]) + 1
    return np.clip(overlap, 0, None) / np.maximum(hull, 1)


def end_in_double(moments: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """Moments whose ends differ from the duration by single precision alone, put right.

    moments: (Q, K, 2) seconds, NaN where absent; durations: (Q,). Models hold durations in single
    precision. Without this the whole video would miss, or not miss, an IoU of exactly m by chance:
    on val_2 of ActivityNet Captions 18 queries at m = 0.5.
    """
    limit = durations[:, None]
    is_end = np.abs(moments[..., 1] - limit) <= SINGLE * limit
    return np.stack([moments[..., 0], np.where(is_end, limit, moments[..., 1])], axis=-1)


def to_index(
    moments: np.ndarray, durations: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Moments rounded to inclusive indices on an axis of `positions`, as IA-Net's code rounds.

    moments: (Q, K, 2) seconds, NaN where absent. durations, positions: (Q,). Returns (Q, K, 2)
    float (so that NaN can stay) within `[0, positions - 1]`, and (Q, K) bool which moments were
    narrower than a position, so that rounding left nothing: they get the position of their start.
    """
    scale = (positions / durations)[:, None]
    limit = (positions - 1)[:, None]
    first = np.clip(np.rint(moments[..., 0] * scale), 0, limit)
    last = np.clip(np.rint(moments[..., 1] * scale - 1), 0, limit)
    return np.stack([first, np.maximum(first, last)], axis=-1), last < first


def from_index(index: np.ndarray, durations: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(Q, 2) seconds of inclusive indices (Q, 2) on axes of `positions` (Q,)."""
    return (index + np.array([0, 1])) * (durations / positions)[:, None]


def nearest_index(moments: np.ndarray, durations: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The span of an axis with the highest IoU with each moment, first one on ties: (Q, 2).

    SeqPAN's labels (models/seqpan.md, section 3.1). Only the edges next to a moment's ends can be
    best: moving an edge further out enlarges the union, further in shrinks the overlap.
    """
    edges = moments * (positions / durations)[:, None]  # (Q, 2) in positions
    low, high = np.floor(edges).astype(np.int64), np.ceil(edges).astype(np.int64)
    starts = np.stack([low[:, 0], low[:, 0], high[:, 0], high[:, 0]], axis=1)  # (Q, 4)
    ends = np.stack([low[:, 1], high[:, 1], low[:, 1], high[:, 1]], axis=1)
    limit = positions[:, None]
    starts, ends = np.clip(starts, 0, limit - 1), np.clip(ends, 1, limit)
    options = np.stack([starts, ends], axis=-1)
    overlaps = np.where(ends > starts, iou(options.astype(float), edges[:, None]), -1.0)
    best = options[np.arange(len(options)), overlaps.argmax(axis=1)]
    return best - np.array([0, 1])


def nms_ranks(moments: np.ndarray, threshold: float, keep: int) -> np.ndarray:
    """Greedy non-maximum suppression of ranked candidates, for many queries at once.

    moments: (Q, K, 2) seconds, best first; rows of NaN are absent. A candidate is dropped when its
    IoU with a kept one exceeds `threshold`. Returns (Q, keep) candidate indices, -1 where fewer
    survive. What survives among the first candidates does not depend on later ones, so those are
    looked at only for queries that are not done: the loop is over widening windows of ranks.
    """
    kept = np.full((len(moments), keep), -1, dtype=np.int64)
    open_rows = np.arange(len(moments))
    window = max(NMS_WINDOW, keep)
    while open_rows.size:
        part = (
            moments[:, :window] if window == max(NMS_WINDOW, keep) else moments[open_rows, :window]
        )
        kept[open_rows] = _suppress(part, threshold, keep)
        if window >= moments.shape[1]:
            break
        open_rows = open_rows[kept[open_rows, -1] < 0]
        window *= 2
    return kept


def _suppress(moments: np.ndarray, threshold: float, keep: int) -> np.ndarray:
    """(Q, keep) survivors among (Q, W, 2). The loop runs over the few kept ranks."""
    starts, ends = np.ascontiguousarray(moments[..., 0]), np.ascontiguousarray(moments[..., 1])
    alive = ~np.isnan(starts)
    ends = np.maximum(starts, ends)  # an inverted moment overlaps nothing, as one of length zero
    kept = np.full((len(moments), keep), -1, dtype=np.int64)
    rows = np.arange(len(moments))
    for rank in range(keep):
        best = alive.argmax(axis=1)
        survives = alive[rows, best]
        kept[survives, rank] = best[survives]
        if rank + 1 == keep or not survives.any():
            break
        start, end = starts[rows, best][:, None], ends[rows, best][:, None]
        overlap = np.minimum(ends, end)
        overlap -= np.maximum(starts, start)
        union = np.maximum(ends, end)
        union -= np.minimum(starts, start)
        with np.errstate(invalid="ignore"):
            np.maximum(overlap, 0.0, out=overlap)
            overlap /= np.maximum(union, EPSILON, out=union)
            alive &= ~(overlap > threshold)
        alive[rows, best] = False
    return kept
