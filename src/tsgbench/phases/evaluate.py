"""Score a cell's predictions under the headline convention and every other its data set names.

Every query is scored once; the metrics of the test split and of its parts are means over rows of
those scores, which are written too.
Queries that the prediction file says it does not answer, because their video is not available, are
left out and counted: `queries` of `of_queries` were scored. Any other query without a prediction is
an error. What the annotators of the same queries get stands beside a system's numbers where a
convention says so (`agreement`).
"""

from pathlib import Path

import numpy as np

from tsgbench.datasets.queries import Queries, join, read_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.agreement import score_annotators
from tsgbench.evaluation.conventions import Scores, needs_clips, score_convention
from tsgbench.evaluation.metrics import to_percent
from tsgbench.evaluation.predictions import Predictions, read_ranked, read_unanswered
from tsgbench.evaluation.query_scores import write_query_scores
from tsgbench.files import digest
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """facts: metrics in percent: the headline's, every convention's, and both for each part.

    settings: `headline`, `conventions` (name -> options, the data set's differences applied),
    `splits` to read, and `score` (part -> split or splits that are also scored on their own).
    """
    settings = task.settings
    splits = settings["splits"]
    by_split = {
        split: read_queries(task.inputs["annotations"].file(f"{split}.jsonl")) for split in splits
    }
    queries = join(list(by_split.values()))
    split_of = np.repeat(splits, [len(by_split[split]) for split in splits])
    path = task.inputs["run"].file("predictions.parquet")
    is_answered = find_answered(path, queries)
    answered = queries.take(np.flatnonzero(is_answered))
    if not len(answered):
        raise UserError(f"{path}: answers no query of the test split; get more of its videos")
    scores, missing = _score_all(read_ranked(path, answered), answered, task)
    people = _score_people(answered, task)
    every = np.arange(len(answered))
    summary = _summarise(scores, missing, every, settings["headline"]) | _average(people, every)
    parts = {}
    for part, chosen in settings["score"].items():
        in_part = np.isin(split_of, chosen)
        rows = np.flatnonzero(in_part[is_answered])
        if not rows.size:
            raise UserError(f"{path}: answers no query of {part!r}; get more of its videos")
        of_part = _summarise(scores, missing, rows, settings["headline"]) | _average(people, rows)
        parts[part] = {**of_part, "of_queries": int(in_part.sum())}
    percent = {name: score.percent for name, score in scores.items()}
    write_query_scores(task.files["scores"], answered, split_of[is_answered], percent)
    return {
        "protocol": settings["headline"],
        "headline": settings["headline"],
        "split": " + ".join(splits),
        "nms_iou": settings["conventions"][settings["headline"]].get("nms"),
        **summary,
        "of_queries": len(queries),
        # Which ones were not scored: two systems may lack equally many, and different ones
        "unanswered": digest(sorted(set(queries.query_ids) - set(answered.query_ids))),
        "parts": parts,
    }, [task.files["scores"]]


def find_answered(path: Path, queries: Queries) -> np.ndarray:
    """(Q,) whether the prediction file answers each query; `UserError` if it names a stranger."""
    unanswered = read_unanswered(path)
    is_answered = np.array([name not in unanswered for name in queries.query_ids], dtype=bool)
    if len(unanswered) != np.count_nonzero(~is_answered):
        raise UserError(
            f"{path}: unanswered: names queries that are not in the split; run the training again"
        )
    return is_answered


def _score_all(
    predictions: Predictions, queries: Queries, task: Task
) -> tuple[dict[str, Scores], dict[str, str]]:
    """The scores of every query by convention; the conventions that cannot be computed, and why."""
    scores, missing = {}, {}
    for name, convention in task.settings["conventions"].items():
        if predictions.clips is None and needs_clips(convention):
            missing[name] = "the prediction file does not say how many clips each video has"
            continue
        scores[name] = score_convention(predictions, queries, convention, task.wildcards["dataset"])
    return scores, missing


def _score_people(queries: Queries, task: Task) -> dict[str, dict[str, np.ndarray]]:
    """Convention -> metric -> (Q,) of the annotators, for the conventions that ask for it."""
    found = {
        name: score_annotators(queries, convention, task.wildcards["dataset"])
        for name, convention in task.settings["conventions"].items()
    }
    return {name: values for name, values in found.items() if values is not None}


def _average(people: dict[str, dict[str, np.ndarray]], rows: np.ndarray) -> dict:
    """`annotators`: convention -> metric -> percent over the given queries; nothing without any."""
    percent = {
        name: {metric: to_percent(column[rows]) for metric, column in values.items()}
        for name, values in people.items()
    }
    return {"annotators": percent} if percent else {}


def _summarise(
    scores: dict[str, Scores], missing: dict[str, str], rows: np.ndarray, headline: str
) -> dict:
    """Metrics and counts of every convention over the given queries."""
    summaries = {name: score.summarise(rows) for name, score in scores.items()}
    metrics = {name: summary["metrics"] for name, summary in summaries.items()}
    return {
        "queries": len(rows),
        "metrics": metrics[headline],
        "conventions": metrics,
        "counts": {name: summary["counts"] for name, summary in summaries.items()},
        "not_computable": missing,
    }
