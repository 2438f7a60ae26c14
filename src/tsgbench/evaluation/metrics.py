"""Recall and mean IoU of ranked spans against a query's annotated moment, or the best of several.

R@n, IoU=m: the share of queries, in percent, for which one of the first n predictions, after
non-maximum suppression, has an IoU of at least m with the annotated moment. dR@n, IoU=m: the same
with every hit discounted by how far its ends are off. mIoU: the mean IoU of the first prediction,
in percent. mAP: see `precision`. (models/common.md, sections 4 and 5; docs/evaluation.md.)

Each is a mean over queries. What is computed here are the values it is the mean of, one a query:
the share of a hit, a discounted hit or the IoU, all in [0, 1].
"""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tsgbench.datasets import moments
from tsgbench.errors import UserError
from tsgbench.evaluation.needs import METRIC, PRECISION, PRECISION_DEPTH, Nms, threshold_at
from tsgbench.evaluation.precision import THRESHOLDS, average_precision, within

# A candidate is dropped when its IoU with a better one exceeds this. R@1 and mIoU do not depend
# on it; 2D-TAN's value for ActivityNet, used here for every data set.
NMS_IOU = 0.5
COMPARISONS = {">=": np.greater_equal, ">": np.greater}

Overlap = Callable[[np.ndarray, np.ndarray], np.ndarray]


def evaluate(
    predictions: np.ndarray, annotated: np.ndarray, metrics: list[str], **how: Any
) -> dict[str, float]:
    """The metrics of ranked predictions: name -> percent. how: as of `score_queries`."""
    scores = score_queries(predictions, annotated, metrics, **how)
    return {name: to_percent(values) for name, values in scores.items()}


def to_percent(values: np.ndarray) -> float:
    """A metric from its values (Q,) in [0, 1]: the mean of those that are defined, in percent.

    NaN, as is the result, where none is.
    """
    defined = values[~np.isnan(values)]
    return 100.0 * float(defined.mean()) if defined.size else math.nan


def score_queries(
    predictions: np.ndarray,
    annotated: np.ndarray,
    metrics: list[str],
    *,
    nms: Nms = NMS_IOU,
    compare: str = ">=",
    iou: Overlap = moments.iou,
    extent: np.ndarray | None = None,
    lengths: dict[str, tuple[float, float]] | None = None,
) -> dict[str, np.ndarray]:
    """What each query contributes to each metric: name -> (Q,) in [0, 1].

    predictions: (Q, K, 2), best first, NaN where a query has fewer than K. annotated: (Q, 2), or
    (Q, W, 2) where a query has several, of which the best counts, NaN where it has fewer. Both in
    seconds, or both in whatever unit `iou` takes. metrics: names such as "R@1,IoU=0.5",
    "dR@1,IoU=0.5", "mIoU", and of moments in seconds "mAP", "mAP,IoU=0.5" and "mAP,short". nms:
    threshold of the suppression; `{"minus": d}` for the threshold m - d at each IoU m; None for no
    suppression. compare: whether an IoU of exactly m is a hit. extent: (Q,) length of each video in
    that unit, which only dR needs. lengths: the ranges of seconds that names such as "mAP,short"
    mean; NaN for queries that have no such moment.
    A query without any prediction counts as a miss. No value depends on another query.
    """
    parsed = _parse(metrics)
    several = annotated if annotated.ndim == 3 else annotated[:, None]
    if any(match["discounted"] for match in parsed.values()):
        if extent is None:
            raise UserError("metric dR: needs the durations of the videos; pass them as `extent`")
        if annotated.ndim == 3:
            raise UserError("metric dR: is of one moment per query; leave it out of `metrics`")
    scores = _precisions(predictions, several, metrics, nms, lengths or {})
    predictions = predictions[:, :1] if _depth(parsed) == 1 else predictions
    for threshold, names in _by_threshold(parsed, nms).items():
        depth = _depth({name: parsed[name] for name in names})
        kept = survivors(predictions, threshold, depth)
        # (Q, depth) with the annotated moment that each overlaps most
        overlaps = np.nan_to_num(iou(kept[:, :, None], several[:, None])).max(axis=-1)
        for name in names:
            n, m = int(parsed[name]["n"]), float(parsed[name]["m"])
            hits = COMPARISONS[compare](overlaps[:, :n], m)
            if parsed[name]["discounted"]:
                # `extent` is known, or this metric had been refused
                hits = hits * _closeness(kept[:, :n], annotated, extent)  # type: ignore[arg-type]
            scores[name] = hits.max(axis=1).astype(np.float64)
    if "mIoU" in metrics:
        scores["mIoU"] = np.nan_to_num(iou(predictions[:, :1], several)).max(axis=1)
    return {name: scores[name] for name in metrics}


def _precisions(
    predictions: np.ndarray,
    several: np.ndarray,
    metrics: list[str],
    nms: Nms,
    lengths: dict[str, Any],
) -> dict[str, np.ndarray]:
    """The values of the metrics that are an average precision, see `precision`."""
    wanted = {name: match for name in metrics if (match := PRECISION.fullmatch(name))}
    if not wanted:
        return {}
    if isinstance(nms, dict):
        raise UserError("metric mAP: needs one suppression for all thresholds; give nms a number")
    kept = survivors(predictions, nms, PRECISION_DEPTH)
    scores = {}
    for name, match in wanted.items():
        if match["length"] and match["length"] not in lengths:
            raise UserError(f"metric {name!r}: no range of that name; `lengths` has {[*lengths]}")
        windows = within(several, *lengths[match["length"]]) if match["length"] else several
        thresholds = np.array([float(match["m"])]) if match["m"] else THRESHOLDS
        scores[name] = average_precision(kept, windows, thresholds).mean(axis=1)
    return scores


def survivors(predictions: np.ndarray, threshold: float | None, depth: int) -> np.ndarray:
    """(Q, depth, 2) the first predictions that survive suppression, NaN where there are fewer."""
    if depth == 1 or threshold is None:
        kept = np.full((len(predictions), depth, 2), np.nan)
        kept[:, : predictions.shape[1]] = predictions[:, :depth]
        return kept
    ranks = moments.nms_ranks(predictions, threshold, depth)
    kept = np.take_along_axis(predictions, np.maximum(ranks, 0)[..., None], axis=1)
    return np.where(ranks[..., None] >= 0, kept, np.nan)


def _closeness(kept: np.ndarray, annotated: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """(Q, n) the discount of each prediction: (1 - |s - s*| / D) (1 - |e - e*| / D)."""
    off = np.abs(kept - annotated[:, None]) / extent[:, None, None]
    return np.nan_to_num((1 - off).clip(min=0).prod(axis=-1))


def _parse(metrics: list[str]) -> dict[str, re.Match[str]]:
    parsed = {name: METRIC.fullmatch(name) for name in metrics if not _is_other(name)}
    unknown = [name for name, match in parsed.items() if match is None]
    if unknown:
        raise UserError(
            f"unknown metric {unknown[0]!r}; use names like 'R@1,IoU=0.5', 'dR@1,IoU=0.5', 'mAP' or"
            " 'mIoU'"
        )
    return parsed  # type: ignore[return-value]  # every one matches


def _is_other(name: str) -> bool:
    """Whether a metric is no recall."""
    return name == "mIoU" or PRECISION.fullmatch(name) is not None


def _depth(parsed: dict[str, re.Match[str]]) -> int:
    return max((int(match["n"]) for match in parsed.values()), default=1)


def _by_threshold(parsed: dict[str, re.Match[str]], nms: Nms) -> dict[float | None, list[str]]:
    """Metrics by the suppression they need, so that each suppression is run once."""
    groups: dict[float | None, list[str]] = {}
    for name, match in parsed.items():
        groups.setdefault(threshold_at(match["m"], nms), []).append(name)
    return groups
