"""Which candidates a prediction file keeps: those that its conventions can ask for, and no others.

Greedy suppression goes down a ranked list and keeps a candidate unless one that it has kept
overlaps it too much. **Of a subset that holds the first n survivors of the whole list, in their
order, the first n survivors are the same.** By induction over the survivors v1, v2, ...: let those
of list and subset be equal up to vj. A candidate between vj and v(j+1) does not survive in the
list, so one of v1..vj overlaps it too much; that one is in the subset, so the candidate, if it is
there, does not survive there either. v(j+1) is in the subset and none of v1..vj overlaps it too
much, so it is the next survivor. If the list has fewer than n survivors, no candidate after the
last one survives in either, for the same reason. Conversely a subset without one of them has other
survivors. So keeping the first n survivors of each suppression is what makes the numbers those of
all candidates, and no shorter file does. Candidates that another need added change nothing.

The ends, indices and IoUs are those of the evaluation, computed by the same functions from the same
doubles: a candidate that lies on a threshold falls to the same side here and there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tsgbench.datasets import moments
from tsgbench.errors import UserError
from tsgbench.evaluation.didemo import Chunks, first_named
from tsgbench.evaluation.needs import Need


@dataclass(frozen=True)
class Ranked:
    """Candidates of Q queries, those of a query by their rank among all that it has.

    rows: (N,) the query of each, ascending. ranks: (N,) from 0, ascending within a query, with gaps
    where candidates were not kept. moments: (N, 3) start_s, end_s, score. counts: (Q,) how many
    candidates each query has, kept or not.
    """

    rows: np.ndarray
    ranks: np.ndarray
    moments: np.ndarray
    counts: np.ndarray

    @classmethod
    def all_of(cls, ranked: np.ndarray) -> "Ranked":
        """Every candidate of (Q, K, 3), best first; rows of NaN, always last, are absent."""
        present = ~np.isnan(ranked[..., 0])
        rows, ranks = np.nonzero(present)
        return cls(rows, ranks, ranked[rows, ranks], present.sum(axis=1))

    @classmethod
    def joined(cls, parts: list["Ranked"]) -> "Ranked":
        """Of queries that follow one another."""
        before = np.cumsum([0, *(len(part.counts) for part in parts)])
        return cls(
            np.concatenate([part.rows + n for part, n in zip(parts, before[:-1], strict=True)]),
            *(  # type: ignore[call-arg]  # two, which are not counted
                np.concatenate([getattr(p, name) for p in parts]) for name in ("ranks", "moments")
            ),
            np.concatenate([part.counts for part in parts]),
        )


def keep(
    ranked: np.ndarray, durations: np.ndarray, clips: np.ndarray | None, needs: list[Need]
) -> Ranked:
    """The candidates that meet the needs.

    ranked: (Q, K, 3) double: all candidates, best first, rows of NaN last. durations: (Q,) seconds.
    clips: (Q,) source clips of each video, which needs on an axis of indices take.
    """
    spans, depth = ranked[..., :2], ranked.shape[1]
    is_kept = np.zeros(spans.shape[:2], dtype=bool)
    axes: dict[tuple[Any, ...], np.ndarray] = {}
    for need in needs:
        if "ranks" in need:
            is_kept[:, : need["ranks"]] = True
            continue
        if "chunks" in need:
            # Each need has its numbers as such
            ranks = first_named(spans, Chunks(need["chunks"], need["chunk_s"]))  # type: ignore[arg-type]
        else:
            axis = tuple(need.get(key) for key in ("iou", "positions", "labels"))
            if axis not in axes:
                axes[axis] = on_axis(spans, durations, clips, need)[0]
            ranks = moments.nms_ranks(axes[axis], need["above"], need["depth"])  # type: ignore[arg-type]
        rows, answers = np.nonzero((ranks >= 0) & (ranks < depth))
        is_kept[rows, ranks[rows, answers]] = True
    present = ~np.isnan(spans[..., 0])
    rows, ranks = np.nonzero(is_kept & present)
    return Ranked(rows, ranks, ranked[rows, ranks], present.sum(axis=1))


def on_axis(
    spans: np.ndarray, durations: np.ndarray, clips: np.ndarray | None, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Spans (Q, K, 2) in the unit in which a convention compares them: seconds, or indices.

    options: a convention's, or a need. Returns them and, of indices, which ones rounding left
    narrower than a position, (Q, K) bool.
    """
    spans = moments.end_in_double(spans, durations)
    if options["iou"] == "seconds":
        return spans, None
    return moments.to_index(spans, durations, positions_of(clips, options))


def positions_of(clips: np.ndarray | None, options: dict[str, Any]) -> np.ndarray:
    """(Q,) length of the axis of indices; `UserError` if it, or the number of clips, is unknown."""
    if clips is None:
        raise UserError(
            "predictions: column clips is missing, which this convention needs to quantise labels; "
            "run the training again"
        )
    if options.get("positions") is None:
        raise UserError(
            "config/conventions.yaml: positions: is missing for this data set; state the length of "
            "the resampled axis"
        )
    longest = np.full(len(clips), options["positions"])
    return np.minimum(clips, longest) if options["labels"] == "nearest_span" else longest
