"""Scoring of prediction files, never of live models, under named conventions.

`metrics`: R@n, dR@n and mIoU of ranked spans. `didemo`: the annotators' protocol. `conventions`:
what turns a prediction file into numbers, as data. `predictions`: the file itself. All of them
compute values per query, whose means are the metrics: `query_scores` is the file of these values,
and `resampling` says how sure their means are.
"""

from tsgbench.evaluation.conventions import evaluate_convention, for_dataset
from tsgbench.evaluation.metrics import NMS_IOU, evaluate
from tsgbench.evaluation.predictions import (
    Predictions,
    read_predictions,
    read_ranked,
    write_predictions,
)

__all__ = [
    "NMS_IOU",
    "Predictions",
    "evaluate",
    "evaluate_convention",
    "for_dataset",
    "read_predictions",
    "read_ranked",
    "write_predictions",
]
