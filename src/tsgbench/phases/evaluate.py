"""Score a cell's predictions under the headline convention and every other its data set names."""

import numpy as np

from tsgbench.datasets.table import Queries, join, read_queries
from tsgbench.evaluation.conventions import evaluate_convention, needs_clips
from tsgbench.evaluation.predictions import Predictions, read_ranked
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
    predictions = read_ranked(task.inputs["run"].file("predictions.parquet"), queries)
    place = np.repeat(splits, [len(found[split]) for split in splits])
    parts = {}
    for part, chosen in settings["score"].items():
        rows = np.flatnonzero(np.isin(place, chosen))
        parts[part] = _scored(predictions.take(rows), queries.take(rows), task)
    return {
        "protocol": settings["headline"],
        "headline": settings["headline"],
        "split": " + ".join(splits),
        "nms_iou": settings["conventions"][settings["headline"]].get("nms"),
        **_scored(predictions, queries, task),
        "parts": parts,
    }, []


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
