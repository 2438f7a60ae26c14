"""Bringing a video's clips to a fixed number, in the ways the papers do it.

Each way is a pair of index arrays `(starts, stops)`: output clip i is the mean of the source clips
`starts[i]:stops[i]` (half-open). `starts[i] == stops[i] == 0` marks padding. Lengths may be one
number or an array of Q lengths; the arrays then have shape (M,) or (Q, M), so that a whole split
is planned in one call and features stored as packed rows are averaged in one more.

| rule            | used by            | longer videos        | shorter videos       |
|-----------------|--------------------|----------------------|----------------------|
| `linspace_mean` | IA-Net, FIAN       | mean of a window     | repeated, no padding |
| `round_mean`    | SeqPAN, FSAN       | mean of a window     | repeated, or kept    |
| `stride_pick`   | CMA                | one clip per stride  | kept and padded      |
| `even_pick`     | an ablation of CMA | one clip per stride  | repeated, no padding |
| `keep`          | FSAN on DiDeMo     | refused              | kept and padded      |

`keep` is for rows that `by_chunk` has put in their positions.
"""

import numpy as np

TICK = 1e-6  # seconds may be a hair too early, in shares of a chunk

Segments = tuple[np.ndarray, np.ndarray]


class NotChunks(ValueError):
    """Rows or durations that are not of whole chunks. video: position of the first such video."""

    def __init__(self, video: int, message: str):
        super().__init__(message)
        self.video = video


def linspace_mean(length: int | np.ndarray, target: int) -> Segments:
    """R1: windows between `target` evenly spaced source clips; the last one is the last clip.

    A window of fewer than two clips is its first clip, so that short videos repeat clips.
    """
    starts = linspace_index(length, target)
    nexts = np.concatenate([starts[..., 1:], starts[..., -1:] + 1], axis=-1)
    return starts, np.maximum(nexts, starts + 1)


def linspace_index(length: int | np.ndarray, target: int) -> np.ndarray:
    """Source clip at which each R1 window starts, (..., target)."""
    length = _lengths(length)[..., None]
    # The step is computed first and then multiplied, as numpy.linspace does: another order rounds
    # to the neighbouring clip now and then.
    steps = np.arange(target) * ((length - 1) / max(target - 1, 1))
    if target > 1:
        steps[..., -1] = length[..., 0] - 1
    return np.floor(steps).astype(np.int64)


def linspace_labels(
    length: np.ndarray, target: int, moments: np.ndarray, durations: np.ndarray
) -> np.ndarray:
    """The R1 windows that hold each moment: (Q, 2) inclusive indices.

    length: (Q,) source clips. moments: (Q, 2) and durations: (Q,) in seconds. The moment is first
    rounded down to source clips, then to the windows that start inside it.
    """
    length = _lengths(length)
    index = linspace_index(length, target)  # (Q, M)
    first = (length / durations * moments[:, 0]).astype(np.int64)
    last = np.minimum((length / durations * moments[:, 1]).astype(np.int64), length - 1)
    first = np.minimum(first, last)
    start = (index < first[:, None]).sum(axis=1)
    end = (index <= last[:, None]).sum(axis=1) - 1
    return np.stack([np.minimum(start, end), end], axis=1)


def round_mean(length: int | np.ndarray, target: int, *, when: str = "always") -> Segments:
    """R2: windows between rounded multiples of `length / target`; empty windows are one clip.

    when: `always`, or `longer` to leave a video of at most `target` clips as it is, padded.
    """
    if when not in ("always", "longer"):
        raise ValueError(f"when: {when!r} is neither 'always' nor 'longer'")
    length = _lengths(length)[..., None]
    edges = np.round(np.arange(target + 1) / target * length).astype(np.int64)
    edges = np.minimum(edges, length - 1)
    starts, stops = edges[..., :-1], np.maximum(edges[..., 1:], edges[..., :-1] + 1)
    if when == "always":
        return starts, stops
    return _keep_short(length, target, starts, stops)


def stride_pick(length: int | np.ndarray, target: int, *, offset: int | np.ndarray = 0) -> Segments:
    """R3: single clips, `length / target` apart from `offset`; shorter videos are padded.

    offset: source clips to skip, one number or one per video, 0 at test time; `stride_offset_limit`
    bounds what training may draw.
    """
    length = _lengths(length)[..., None]
    offset = np.asarray(offset, dtype=np.int64)[..., None]
    stride = np.maximum(length / target, 1.0)
    picks = offset + np.arange(target) * stride
    real = picks < length - 0.5
    starts = np.where(real, np.round(picks).astype(np.int64), 0)
    return starts, np.where(real, starts + 1, 0)


def stride_offset_limit(length: int | np.ndarray, target: int) -> np.ndarray:
    """Largest whole offset of R3 for each video, so that no pick falls off its end."""
    stride = np.maximum(_lengths(length) / target, 1.0)
    return np.floor(stride - 0.5).astype(np.int64)


def even_pick(length: int | np.ndarray, target: int) -> Segments:
    """Always `target` single clips: those in the middle of that many equal parts of the video.

    What CMA's sec. 4.3 says ("uniformly sample N = 128 clips"); a video of fewer clips repeats
    some, where LGI's `stride_pick` pads.
    """
    length = _lengths(length)[..., None]
    picks = (2 * np.arange(target) + 1) * length // (2 * target)
    return picks, picks + 1


def keep(length: int | np.ndarray, target: int) -> Segments:
    """Every clip as it is, padded to `target`; longer videos are a ValueError."""
    length = _lengths(length)[..., None]
    if (length > target).any():
        raise ValueError(f"a video has {length.max()} clips, more than {target}")
    position = np.arange(target)
    real = position < length
    return np.where(real, position, 0), np.where(real, position + 1, 0)


def by_chunk(
    rows: np.ndarray, ends: np.ndarray, times: np.ndarray, durations: np.ndarray, chunk_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Packed rows, each moved to the position of the chunk of `chunk_s` seconds that it stands for.

    rows: (N, D), ends: (V + 1,) and times: (N, 2) seconds, as `FeatureStore.read_all` gives them.
    durations: (V,) seconds, whole chunks. Returns rows and ends of videos with as many rows as they
    have chunks: zero where a chunk has no row (as in DiDeMo's release), without those of chunks
    beyond the end. `NotChunks`: a duration is not of whole chunks, or a chunk has two rows.
    """
    counts = np.round(durations / chunk_s).astype(np.int64)
    if (odd := np.flatnonzero((np.abs(counts * chunk_s - durations) > TICK) | (counts < 1))).size:
        raise NotChunks(int(odd[0]), f"lasts {durations[odd[0]]:g} s")
    placed_ends = np.concatenate([[0], np.cumsum(counts)])
    video = np.repeat(np.arange(len(counts)), np.diff(ends))
    chunk = np.floor(times[:, 0] / chunk_s + TICK).astype(np.int64)
    inside = chunk < counts[video]
    positions = placed_ends[video[inside]] + chunk[inside]
    if (twice := np.flatnonzero(np.bincount(positions) > 1)).size:
        where = np.searchsorted(placed_ends, twice[0], side="right") - 1
        raise NotChunks(int(where), "has several rows in one chunk")
    placed = np.zeros((placed_ends[-1], rows.shape[1]), rows.dtype)
    placed[positions] = rows[inside]
    return placed, placed_ends


def segment_mean(rows: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Mean of `rows[starts:stops]` for every segment; zeros where a segment is empty.

    rows: (N, D), of one video or of many packed one after the other (add each video's first row to
    its segments). starts, stops: (...,). Returns (..., D) float32.
    """
    flat_starts, flat_stops = starts.reshape(-1), stops.reshape(-1)
    sizes = flat_stops - flat_starts
    means = np.zeros((flat_starts.size, rows.shape[1]), dtype=np.float32)
    means[sizes == 1] = rows[flat_starts[sizes == 1]]
    (several,) = np.nonzero(sizes > 1)
    if several.size:
        # One reduceat over the rows of the segments laid end to end: they may overlap or leave
        # gaps, which reduceat on `rows` itself cannot express.
        size = sizes[several]
        firsts = np.cumsum(size) - size
        inside = np.arange(size.sum()) - np.repeat(firsts, size)
        picked = rows[np.repeat(flat_starts[several], size) + inside].astype(np.float32)
        means[several] = np.add.reduceat(picked, firsts, axis=0) / size[:, None]
    return means.reshape(*starts.shape, rows.shape[1])


def _lengths(length: int | np.ndarray) -> np.ndarray:
    length = np.asarray(length, dtype=np.int64)
    if (length < 1).any():
        raise ValueError("length: a video without clips cannot be resampled")
    return length


def _keep_short(length: np.ndarray, target: int, starts: np.ndarray, stops: np.ndarray) -> Segments:
    position = np.arange(target)
    kept = np.where(position < length, position, 0)
    is_short = length <= target
    return (
        np.where(is_short, kept, starts),
        np.where(is_short, np.where(position < length, kept + 1, 0), stops),
    )
