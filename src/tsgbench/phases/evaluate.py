"""Score a cell's predictions under the headline convention and every other its data set names.

Queries that the prediction file says it does not answer, because their video is not available, are
left out and counted: `queries` of `of_queries` were scored. Any other query without a prediction is
an error.
"""

from pathlib import Path

import numpy as np

from tsgbench.datasets.table import Queries, join, read_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import evaluate_convention, needs_clips
from tsgbench.evaluation.predictions import Predictions, read_ranked, read_unanswered
from tsgbench.files import digest
from tsgbench.phases import Task


def run(task: Task):
    """facts: metrics in percent: the headline's, every convention's, and both for each part.

    settings: `headline`, `conventions` (name -> options, the data set's differences applied),
    `splits` to read, and `score` (part -> split or splits that are also scored on their own).
    """
    settings = task.settings
    splits = settings["splits"]
    found = {
        split: read_queries(task.inputs["annotations"].file(f"{split}.jsonl")) for split in splits
    }
    queries = join(list(found.values()))
    place = np.repeat(splits, [len(found[split]) for split in splits])
    path = task.inputs["run"].file("predictions.parquet")
    is_answered = find_answered(path, queries)
    answered = queries.take(np.flatnonzero(is_answered))
    predictions = read_ranked(path, answered)
    parts = {}
    for part, chosen in settings["score"].items():
        in_part = np.isin(place, chosen)
        rows = np.flatnonzero(in_part[is_answered])
        if not rows.size:
            raise UserError(f"{path}: answers no query of {part!r}; get more of its videos")
        part_scores = _scored(predictions.take(rows), answered.take(rows), task)
        parts[part] = {**part_scores, "of_queries": int(in_part.sum())}
    return {
        "protocol": settings["headline"],
        "headline": settings["headline"],
        "split": " + ".join(splits),
        "nms_iou": settings["conventions"][settings["headline"]].get("nms"),
        **_scored(predictions, answered, task),
        "of_queries": len(queries),
        # Which ones were not scored: two systems may lack equally many, and different ones
        "unanswered": digest(sorted(set(queries.query_ids) - set(answered.query_ids))),
        "parts": parts,
    }, []


def find_answered(path: Path, queries: Queries) -> np.ndarray:
    """(Q,) whether the prediction file answers each query; `UserError` if it names a stranger."""
    unanswered = read_unanswered(path)
    is_answered = np.array([name not in unanswered for name in queries.query_ids], dtype=bool)
    if len(unanswered) != np.count_nonzero(~is_answered):
        raise UserError(
            f"{path}: unanswered: names queries that are not in the split; run the training again"
        )
    return is_answered


def _scored(predictions: Predictions, queries: Queries, task: Task) -> dict:
    """Metrics and counts of every convention; those that cannot be computed, and why."""
    scores, counts, missing = {}, {}, {}
    for name, convention in task.settings["conventions"].items():
        if predictions.clips is None and needs_clips(convention):
            missing[name] = "the prediction file does not say how many clips each video has"
            continue
        result = evaluate_convention(predictions, queries, convention, task.wildcards["dataset"])
        scores[name], counts[name] = result["metrics"], result["counts"]
    return {
        "queries": len(queries),
        "metrics": scores[task.settings["headline"]],
        "conventions": scores,
        "counts": counts,
        "not_computable": missing,
    }
