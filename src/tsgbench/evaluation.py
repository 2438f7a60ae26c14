"""The one evaluator: prediction files in seconds against unquantised annotations.

R@n, IoU=m: the share of queries, in percent, for which one of the first n predictions, after
non-maximum suppression, has an IoU of at least m with the annotated moment. mIoU: the mean IoU of
the first prediction, in percent. (models/common.md, sections 4 and 5: `>=`, intervals in seconds.)
"""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tsgbench import moments
from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.files import atomic_path

# A candidate is dropped when its IoU with a better one exceeds this. R@1 and mIoU do not depend
# on it; 2D-TAN's value for ActivityNet, used here for every data set.
NMS_IOU = 0.5
METRIC = re.compile(r"R@(?P<n>\d+),IoU=(?P<m>0\.\d+)")


def evaluate(
    predictions: np.ndarray, annotated: np.ndarray, metrics: list[str]
) -> dict[str, float]:
    """Score ranked predictions.

    predictions: (Q, K, 2) seconds, best first, NaN where a query has fewer than K.
    annotated: (Q, 2) seconds. metrics: names such as "R@1,IoU=0.5" and "mIoU".
    Returns name -> percent. A query without any prediction counts as a miss.
    """
    parsed = {name: METRIC.fullmatch(name) for name in metrics if name != "mIoU"}
    unknown = [name for name, match in parsed.items() if match is None]
    if unknown:
        raise UserError(f"unknown metric {unknown[0]!r}; use names like 'R@1,IoU=0.5' or 'mIoU'")
    depth = max([int(match["n"]) for match in parsed.values()], default=1)
    overlaps = ranked_ious(predictions, annotated, depth)
    scores = {
        name: 100.0
        * float((overlaps[:, : int(match["n"])].max(axis=1) >= float(match["m"])).mean())
        for name, match in parsed.items()
    }
    if "mIoU" in metrics:
        scores["mIoU"] = 100.0 * float(overlaps[:, 0].mean())
    return {name: scores[name] for name in metrics}


def ranked_ious(predictions: np.ndarray, annotated: np.ndarray, depth: int) -> np.ndarray:
    """(Q, depth) IoU of the predictions that survive suppression, 0 where there is none."""
    if depth == 1:
        kept = predictions[:, :1]
    else:
        ranks = moments.nms_ranks(predictions, NMS_IOU, depth)
        kept = np.take_along_axis(predictions, np.maximum(ranks, 0)[..., None], axis=1)
        kept = np.where(ranks[..., None] >= 0, kept, np.nan)
    overlaps = moments.iou(kept, annotated[:, None, :])
    return np.nan_to_num(overlaps, nan=0.0)


def write_predictions(path: str | Path, queries: Queries, ranked: np.ndarray) -> None:
    """Write predictions, one row a candidate: query_id, rank (from 1), start_s, end_s, score.

    ranked: (Q, K, 3) start_s, end_s, score; NaN rows are absent candidates and are not written.
    """
    present = ~np.isnan(ranked[..., 0])
    rows, ranks = np.nonzero(present)
    found = ranked[rows, ranks]
    table = pa.table(
        {
            "query_id": pa.array(np.asarray(queries.query_ids, dtype=object)[rows], pa.string()),
            "rank": pa.array(ranks + 1, pa.int32()),
            "start_s": pa.array(found[:, 0], pa.float64()),
            "end_s": pa.array(found[:, 1], pa.float64()),
            "score": pa.array(found[:, 2], pa.float64()),
        }
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_predictions(path: str | Path, queries: Queries) -> np.ndarray:
    """(Q, K, 2) predictions of a file, in the order of `queries`, NaN where absent.

    A query without a prediction, or a prediction of an unknown query, is an error: a score over
    part of a split is not a score of the split.
    """
    try:
        table = pq.read_table(path)
        ids = table["query_id"].to_pylist()
        ranks = table["rank"].to_numpy() - 1
        spans = np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(
            f"{path}: not a prediction file ({error}); run the training again"
        ) from None
    place = {query_id: row for row, query_id in enumerate(queries.query_ids)}
    unknown = next((query_id for query_id in ids if query_id not in place), None)
    if unknown is not None:
        raise UserError(f"{path}: query {unknown!r} is not in the split that is evaluated")
    rows = np.array([place[query_id] for query_id in ids], dtype=np.int64)
    missing = np.setdiff1d(np.arange(len(queries)), rows)
    if missing.size:
        raise UserError(
            f"{path}: {missing.size} of {len(queries)} queries have no prediction, the first is "
            f"{queries.query_ids[missing[0]]!r}; run the training again"
        )
    ranked = np.full((len(queries), int(ranks.max()) + 1, 2), np.nan)
    ranked[rows, ranks] = spans
    return ranked
