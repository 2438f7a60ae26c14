"""Scoring of prediction files, never of live models, under named conventions.

`metrics`: R@n, dR@n and mIoU of ranked spans. `didemo`: the annotators' protocol. `conventions`:
what turns a prediction file into numbers, as data. `predictions`: the file itself. Scores are values
per query, of which the metrics are means; `query_scores` is their file.
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
