"""DiDeMo's protocol: rank a video's few chunk moments against several annotators.

Source: `utils/eval.py` of LisaAnne/LocalizingMoments, as models/common.md, section 6, states it.
A video is cut into chunks of equal length, a moment is a run of chunks, and a system ranks all of
them. Several people marked each query: the three with whom the ranking agrees best count.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tsgbench.errors import UserError


@dataclass(frozen=True)
class Chunks:
    """count: chunks of a video, also of a shorter one. chunk_s: seconds a chunk. best: annotators
    that count, those who agree best."""

    count: int = 6
    chunk_s: float = 5.0
    best: int = 3

    @property
    def candidates(self) -> np.ndarray:
        """(C, 2) first and last chunk of every moment: single chunks first, then longer ones."""
        single = [(chunk, chunk) for chunk in range(self.count)]
        return np.array(single + list(combinations(range(self.count), 2)))

    @property
    def place(self) -> np.ndarray:
        """(count, count) where the moment [first, last] stands among the candidates, else -1."""
        table = np.full((self.count, self.count), -1)
        table[tuple(self.candidates.T)] = np.arange(len(self.candidates))
        return table


def named_runs(spans: np.ndarray, chunks: Chunks) -> np.ndarray:
    """(Q, K) the candidate that each span stands for, -1 where absent.

    spans: (Q, K, 2) seconds, NaN where absent. A span stands for the nearest run of chunks: both
    ends rounded to the grid, or the chunk that holds its middle if nothing is left.
    """
    present = ~np.isnan(spans[..., 0])
    return np.where(present, _nearest(np.where(present[..., None], spans, 0.0), chunks), -1)


def first_named(spans: np.ndarray, chunks: Chunks) -> np.ndarray:
    """(Q, C) the first rank whose span stands for each candidate, K where none of the K does.

    spans: (Q, K, 2) as of `named_runs`.
    """
    queries, depth = spans.shape[:2]
    first = np.full((queries, len(chunks.candidates)), depth)
    named = named_runs(spans, chunks)
    rows, ranks = np.nonzero(named >= 0)
    np.minimum.at(first, (rows, named[rows, ranks]), ranks)
    return first


def rank_candidates(
    spans: np.ndarray, chunks: Chunks, counts: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rank of every candidate, from 1: (Q, C), and what had to be adapted: name -> (Q,) counts.

    spans: (Q, K, 2) seconds, best first, NaN where absent; which run each stands for, `named_runs`
    says. counts: (Q,) spans that the system has, of which those that repeat a run may be left out
    here; None if none was. Of repetitions the first counts. Candidates that a system does not name
    follow in their fixed order; neither rule sees a label.
    """
    depth, total = spans.shape[1], len(chunks.candidates)
    counts = (~np.isnan(spans[..., 0])).sum(axis=1) if counts is None else counts
    first = first_named(spans, chunks)
    is_named = first < depth
    keys = np.where(is_named, first, depth + np.arange(total))
    order = keys.argsort(axis=1, kind="stable")
    ranked = np.empty_like(order)
    np.put_along_axis(ranked, order, np.arange(1, total + 1)[None], axis=1)
    # Counted where a run is named first, so that repetitions may be left out
    used = np.take_along_axis(spans, np.minimum(first, depth - 1)[..., None], axis=1)
    grid = used / chunks.chunk_s
    is_off = is_named & (np.abs(grid - np.rint(grid)) > 1e-6).any(axis=-1)
    return ranked, {
        "queries_with_appended_candidates": (~is_named).any(axis=1).astype(np.int64),
        "queries_with_repeated_candidates": (counts > is_named.sum(axis=1)).astype(np.int64),
        "runs_named_off_the_grid": is_off.sum(axis=1),
    }


def score_candidates(
    ranked: np.ndarray, annotators: list[np.ndarray], chunks: Chunks
) -> dict[str, np.ndarray]:
    """What each query contributes to Rank@1, Rank@5 and mIoU: name -> (Q,) in [0, 1].

    ranked: (Q, C) rank of every candidate from 1. annotators: per query the (A, 2) moments that
    people marked, in seconds on the grid. With r the mean of the 3 smallest ranks of a query's
    labels, Rank@n is the share of r <= n; mIoU is the mean over queries of the mean of the 3
    largest IoUs, on inclusive chunk indices, of the first candidate. The metrics are the means
    (`metrics.to_percent`).
    """
    labels = _labels(annotators, chunks)  # (Q, A) candidates, -1 where there are fewer
    present = labels >= 0
    ranks = np.take_along_axis(ranked, np.maximum(labels, 0), axis=1)
    best = _mean_of_best(np.where(present, ranks, np.inf), chunks.best)
    pairs = _pairwise_iou(chunks.candidates)
    overlaps = pairs[ranked.argmin(axis=1)[:, None], np.maximum(labels, 0)]
    agreed = -_mean_of_best(np.where(present, -overlaps, np.inf), chunks.best)
    return {
        "Rank@1": (best <= 1).astype(np.float64),
        "Rank@5": (best <= 5).astype(np.float64),
        "mIoU": agreed,
    }


def _nearest(spans: np.ndarray, chunks: Chunks) -> np.ndarray:
    """(...,) candidate nearest to each span in seconds."""
    first = np.rint(spans[..., 0] / chunks.chunk_s)
    last = np.rint(spans[..., 1] / chunks.chunk_s) - 1
    middle = np.floor(spans.mean(axis=-1) / chunks.chunk_s)
    is_empty = last < first
    first, last = np.where(is_empty, middle, first), np.where(is_empty, middle, last)
    first = np.clip(first, 0, chunks.count - 1).astype(np.int64)
    last = np.clip(last, first, chunks.count - 1).astype(np.int64)
    return chunks.place[first, last]


def _labels(annotators: list[np.ndarray], chunks: Chunks) -> np.ndarray:
    """(Q, A) candidate that each person marked, -1 padded; `UserError` if one is off the grid."""
    sizes = np.array([len(marked) for marked in annotators], dtype=np.int64)
    if not sizes.size or not sizes.all():
        raise UserError(
            "annotators: this convention needs several people's moments for every query; use it on "
            "data sets whose queries have them"
        )
    marked = np.concatenate(annotators) / chunks.chunk_s  # (sum of A, 2)
    if np.abs(marked - np.rint(marked)).max() > 1e-6:
        raise UserError(
            f"annotators: a moment is not made of whole chunks of {chunks.chunk_s:g} s; check the "
            "annotations or the convention's chunk_s"
        )
    first, end = np.rint(marked).astype(np.int64).T
    if (first < 0).any() or (end > chunks.count).any() or (end <= first).any():
        raise UserError(
            f"annotators: a moment is not within {chunks.count} chunks; check the annotations or "
            "the convention's chunks"
        )
    labels = np.full((len(sizes), sizes.max()), -1)
    labels[np.arange(sizes.max()) < sizes[:, None]] = chunks.place[first, end - 1]
    return labels


def _mean_of_best(costs: np.ndarray, best: int) -> np.ndarray:
    """(Q,) mean of the `best` smallest costs (Q, A), or of all there are; inf is absent."""
    smallest = np.sort(costs, axis=1)[:, :best]
    is_real = np.isfinite(smallest)
    return np.where(is_real, smallest, 0.0).sum(axis=1) / is_real.sum(axis=1)


def _pairwise_iou(candidates: np.ndarray) -> np.ndarray:
    """(C, C) IoU of runs of chunks, by inclusive indices."""
    first, last = candidates.T
    overlap = np.minimum(last[:, None], last) - np.maximum(first[:, None], first) + 1
    hull = np.maximum(last[:, None], last) - np.minimum(first[:, None], first) + 1
    return overlap.clip(min=0) / hull
