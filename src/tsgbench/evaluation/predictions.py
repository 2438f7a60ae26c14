"""Prediction files: ranked spans in seconds, one row a candidate.

The file itself names the queries of its split that it does not answer, for want of their videos:
`unanswered`, a JSON list in the metadata of its schema.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.files import atomic_path

UNANSWERED = b"unanswered"


@dataclass(frozen=True)
class Predictions:
    """spans: (Q, K, 2) seconds, best first, NaN where absent. clips: (Q,) source clips of each
    query's video before any resampling, None where the file does not say."""

    spans: np.ndarray
    clips: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Predictions":
        """The given queries, in the given order."""
        return Predictions(self.spans[rows], None if self.clips is None else self.clips[rows])


def write_predictions(
    path: str | Path,
    queries: Queries,
    ranked: np.ndarray,
    clips: np.ndarray | None = None,
    *,
    unanswered: Sequence[str] = (),
) -> None:
    """Write predictions, one row a candidate: query_id, rank (from 1), start_s, end_s, score.

    ranked: (Q, K, 3) start_s, end_s, score; NaN rows are absent candidates and are not written.
    clips: (Q,) number of source clips of each query's video, written as a further column; without
    it conventions that quantise labels cannot be computed. unanswered: ids of the queries of the
    split that `queries` leaves out because their video is not available.
    """
    present = ~np.isnan(ranked[..., 0])
    rows, ranks = np.nonzero(present)
    found = ranked[rows, ranks]
    columns = {
        "query_id": pa.array(np.asarray(queries.query_ids, dtype=object)[rows], pa.string()),
        "rank": pa.array(ranks + 1, pa.int32()),
        "start_s": pa.array(found[:, 0], pa.float64()),
        "end_s": pa.array(found[:, 1], pa.float64()),
        "score": pa.array(found[:, 2], pa.float64()),
    }
    if clips is not None:
        columns["clips"] = pa.array(np.asarray(clips)[rows], pa.int32())
    table = pa.table(columns)
    if len(unanswered):
        table = table.replace_schema_metadata({UNANSWERED: json.dumps(list(unanswered))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_unanswered(path: str | Path) -> set[str]:
    """Ids of the queries that the file says it does not answer."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: not a prediction file ({error}); run the training again"
        ) from None
    return set(json.loads(metadata.get(UNANSWERED, b"[]")))


def read_predictions(path: str | Path, queries: Queries) -> np.ndarray:
    """The spans of a file alone, see `read_ranked`."""
    return read_ranked(path, queries).spans


def read_ranked(path: str | Path, queries: Queries) -> Predictions:
    """The predictions of a file, in the order of `queries`.

    A query without a prediction, a prediction of an unknown query, or two of one rank are errors:
    a score over part of a split is not a score of the split.
    """
    try:
        table = pq.read_table(path)
        ids = table["query_id"].combine_chunks().dictionary_encode()
        ranks = table["rank"].to_numpy() - 1
        spans = np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1)
        clips = table["clips"].to_numpy() if "clips" in table.column_names else None
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(
            f"{path}: not a prediction file ({error}); run the training again"
        ) from None
    rows = _rows_of(path, ids, queries)
    ranked = np.full((len(queries), int(ranks.max(initial=0)) + 1, 2), np.nan)
    ranked[rows, ranks] = spans
    if np.count_nonzero(~np.isnan(ranked[..., 0])) != len(rows):
        raise UserError(f"{path}: rank: not distinct within a query; run the training again")
    if clips is None:
        return Predictions(ranked)
    per_query = np.zeros(len(queries), dtype=np.int64)
    per_query[rows] = clips
    if (per_query < 1).any() or (per_query[rows] != clips).any():
        raise UserError(f"{path}: clips: not one positive number per query; run the training again")
    return Predictions(ranked, per_query)


def read_first(path: str | Path, query_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """The first prediction, (2,) seconds, of those of the named queries that the file answers."""
    wanted = pc.field("query_id").isin(pa.array(query_ids, pa.string()))
    try:
        table = pq.read_table(path, filters=wanted & (pc.field("rank") == 1))
        spans = np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1)
        return dict(zip(table["query_id"].to_pylist(), spans, strict=True))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(
            f"{path}: not a prediction file ({error}); run the training again"
        ) from None


def _rows_of(path: str | Path, ids: pa.DictionaryArray, queries: Queries) -> np.ndarray:
    """The row of `queries` that each row of the file belongs to; `UserError` unless all are met."""
    place = {query_id: row for row, query_id in enumerate(queries.query_ids)}
    if len(place) != len(queries):
        raise UserError(f"{path}: the split has two queries of one id; run the annotations again")
    names = ids.dictionary.to_pylist()
    unknown = next((name for name in names if name not in place), None)
    if unknown is not None:
        raise UserError(f"{path}: query {unknown!r} is not in the split that is evaluated")
    known = np.array([place[name] for name in names], dtype=np.int64)
    missing = np.setdiff1d(np.arange(len(queries)), known)
    if missing.size:
        raise UserError(
            f"{path}: {missing.size} of {len(queries)} queries have no prediction, the first is "
            f"{queries.query_ids[missing[0]]!r}; run the training again"
        )
    return known[ids.indices.to_numpy()]
