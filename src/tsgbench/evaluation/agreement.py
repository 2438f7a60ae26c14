"""What people get by a convention: each annotator of a query scored as if they were a system.

By `labels: several` an annotator's moment is scored against those of the others, so nobody meets
their own; by `labels: annotated` against the query's one moment, which must then be none of theirs.
This is no prediction of anybody: it says how far people agree. It stands beside systems' numbers
because it comes from the same functions, options and queries; and it is computed here, where both
annotators and options are at hand, because no model ever sees an annotator, and because a file of
predictions cannot say which label each of them must not be held against.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.conventions import for_dataset, score_convention
from tsgbench.evaluation.needs import METRIC

DECIMALS = 6  # of a percent: less than any annotation says, more than a rounding error


def score_annotators(
    queries: Queries, convention: dict[str, Any], dataset: str
) -> dict[str, np.ndarray] | None:
    """Metric -> (Q,) in [0, 1], mean over the annotators of each query; NaN where there are none to
    compare. None if the convention does not ask for it (`score_annotators`).

    One moment each, so of recalls only those of the first rank, and mIoU.
    """
    options = for_dataset(convention, dataset)
    if not options.get("score_annotators") or not queries.annotators:
        return None
    metrics = [name for name in options["metrics"] if _is_of_one_moment(name)]
    options = {**options, "metrics": metrics}
    queries = _in_percent(queries)
    sizes = np.array([len(marked) for marked in queries.annotators])
    is_against_others = options["labels"] == "several"
    totals = {name: np.zeros(len(queries)) for name in metrics}
    for number in range(sizes.max()):
        rows = np.flatnonzero((sizes > number) & (sizes > int(is_against_others)))
        if not rows.size:
            continue
        asked = queries.take(rows)
        own = np.stack([marked[number] for marked in asked.annotators])[:, None]
        if is_against_others:
            others = [np.delete(marked, number, axis=0) for marked in asked.annotators]
            asked = replace(asked, annotators=others)
        scores = score_convention(own, asked, options, dataset)
        for name in metrics:
            totals[name][rows] += scores.values[name]
    counts = np.where(sizes > int(is_against_others), sizes, np.nan)
    return {name: total / counts for name, total in totals.items()}


def _in_percent(queries: Queries) -> Queries:
    """With times in percent of the video, whose IoUs are the same.

    People mark whole percents, and for one in 45 the best IoU with another is exactly one half: in
    seconds, rounding would decide on which side that falls.
    """
    scale = 100 / queries.durations
    return replace(
        queries,
        durations=np.full(len(queries), 100.0),
        moments=np.round(queries.moments * scale[:, None], DECIMALS),
        annotators=[
            np.round(marked * factor, DECIMALS)
            for marked, factor in zip(queries.annotators, scale, strict=True)
        ],
    )


def _is_of_one_moment(metric: str) -> bool:
    match = METRIC.fullmatch(metric)
    return metric == "mIoU" or (match is not None and match["n"] == "1")
