"""Prediction files: ranked spans in seconds, one row per candidate that is kept.

Not every candidate is: the file keeps what the conventions of its data set can ask for, each under
its rank among all that the model has, of which `candidates` says how many. The metadata of its
schema holds two JSON lists: `kept`, the needs (needs.py) that it meets, null where it holds every
candidate; and `unanswered`, the queries of its split that it does not answer, for want of videos.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.columns import DAMAGED_TABLE, numbers, read_numbers, texts
from tsgbench.evaluation.keeping import Ranked
from tsgbench.evaluation.needs import Need
from tsgbench.files import atomic_path
from tsgbench.files.access import readable

UNANSWERED, KEPT = b"unanswered", b"kept"
# Of a file that does not say what it keeps
FIRST_ONLY = [{"ranks": 1}]


@dataclass(frozen=True)
class Predictions:
    """What a file holds of Q queries.

    spans: (Q, K, 2) seconds of the candidates that were kept, best first, NaN (last) where a query
    has fewer. clips: (Q,) source clips of each query's video before any resampling. counts: (Q,)
    candidates, kept or not. Either is None where the file does not say. kept: the needs
    that are met; None if every candidate is there. source: names the file in messages.
    """

    spans: np.ndarray
    clips: np.ndarray | None = None
    counts: np.ndarray | None = None
    kept: list[Need] | None = None
    source: str = "predictions"

    def take(self, rows: np.ndarray) -> "Predictions":
        """The given queries, in the given order."""
        taken: dict[str, Any] = {
            name: None if values is None else values[rows]
            for name, values in (("clips", self.clips), ("counts", self.counts))
        }
        return replace(self, spans=self.spans[rows], **taken)


def write_predictions(
    path: str | Path,
    queries: Queries,
    ranked: Ranked | np.ndarray,
    clips: np.ndarray | None = None,
    *,
    kept: list[Need] | None = None,
    unanswered: Sequence[str] = (),
) -> None:
    """Write predictions, one row per candidate: query_id, rank (from 1), start_s, end_s, score.

    ranked: those kept; an array is (Q, K, 3) start_s, end_s, score, NaN rows are absent. kept: the
    needs that they meet; None says that they are all candidates. Two more columns are the same for
    all rows of a query: candidates, how many it has, kept or not; and clips, (Q,) number of source
    clips of its video, without which conventions that quantise labels cannot be computed.
    unanswered: ids of the queries of the split that `queries` leaves out because their video is not
    available.
    """
    if isinstance(ranked, np.ndarray):
        ranked = Ranked.all_of(ranked)
    rows = ranked.rows
    columns = {
        "query_id": texts(np.asarray(queries.query_ids, dtype=object)[rows]),
        "rank": numbers((ranked.ranks + 1).astype(np.int32)),
        "start_s": numbers(ranked.moments[:, 0].astype(np.float64)),
        "end_s": numbers(ranked.moments[:, 1].astype(np.float64)),
        "score": numbers(ranked.moments[:, 2].astype(np.float64)),
        "candidates": numbers(ranked.counts[rows].astype(np.int32)),
    }
    if clips is not None:
        columns["clips"] = numbers(np.asarray(clips)[rows].astype(np.int32))
    table = pa.table(columns).replace_schema_metadata(
        {KEPT: json.dumps(kept), UNANSWERED: json.dumps(list(unanswered))}
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_unanswered(path: str | Path) -> set[str]:
    """Ids of the queries that the file says it does not answer."""
    return set(_read_metadata(path).get(UNANSWERED, []))


def _read_metadata(path: str | Path) -> dict[bytes, Any]:
    """The JSON values in the file's schema, without those of other programs."""
    with _readable(path):
        metadata = pq.read_schema(path).metadata or {}
        return {key: json.loads(metadata[key]) for key in (UNANSWERED, KEPT) if key in metadata}


def _readable(path: str | Path) -> AbstractContextManager[None]:
    return readable(path, DAMAGED_TABLE, "not a prediction file", "run the training again")


def read_predictions(path: str | Path, queries: Queries) -> np.ndarray:
    """The spans of a file alone, see `read_ranked`."""
    return read_ranked(path, queries).spans


def read_ranked(path: str | Path, queries: Queries) -> Predictions:
    """The predictions of a file, in the order of `queries`.

    A query without a prediction, a prediction of an unknown query, or two of one rank are errors:
    a score over part of a split is not a score of the split.
    """
    kept = _read_metadata(path).get(KEPT, FIRST_ONLY)
    with _readable(path):
        table = pq.ParquetFile(path).read()
        ids = table["query_id"].combine_chunks().dictionary_encode()
        ranks = read_numbers(table["rank"])
        spans = np.stack([read_numbers(table[name]) for name in ("start_s", "end_s")], axis=1)
        per_query = {
            name: read_numbers(table[name]) if name in table.column_names else None
            for name in ("clips", "candidates")
        }
    rows = _rows_of(path, ids, queries)
    order = np.lexsort((ranks, rows))
    rows, ranks = rows[order], ranks[order]
    if ((rows[1:] == rows[:-1]) & (ranks[1:] == ranks[:-1])).any():
        raise UserError(f"{path}: rank: not distinct within a query; run the training again")
    counts = np.bincount(rows, minlength=len(queries))
    first = np.cumsum(counts) - counts
    if (ranks[first] != 1).any():
        raise UserError(f"{path}: rank: a query lacks its first; run the training again")
    # Ranks have gaps where candidates were not kept
    ranked = np.full((len(queries), int(counts.max(initial=0)), 2), np.nan)
    ranked[rows, np.arange(len(rows)) - first[rows]] = spans[order]
    clips, candidates = (
        None if values is None else _one_per_query(path, name, values[order], rows, len(queries))
        for name, values in per_query.items()
    )
    return Predictions(ranked, clips, candidates, kept, str(path))


def _one_per_query(
    path: str | Path, name: str, values: np.ndarray, rows: np.ndarray, queries: int
) -> np.ndarray:
    """(Q,) the number that a column repeats in all rows of a query."""
    per_query = np.zeros(queries, dtype=np.int64)
    per_query[rows] = values
    if (per_query < 1).any() or (per_query[rows] != values).any():
        raise UserError(
            f"{path}: {name}: not one positive number per query; run the training again"
        )
    return per_query


def read_first(path: str | Path, query_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """The first prediction, (2,) seconds, of those of the named queries that the file answers."""
    wanted = pc.field("query_id").isin(pa.array(query_ids, pa.string()))
    columns = ["query_id", "rank", "start_s", "end_s"]
    with _readable(path):
        # Not `pq.read_table`, which may wait for ever on a damaged file
        table = pq.ParquetFile(path).read(columns).filter(wanted & (pc.field("rank") == 1))
        spans = np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1)
        return dict(zip(table["query_id"].to_pylist(), spans, strict=True))


def _rows_of(path: str | Path, ids: pa.DictionaryArray, queries: Queries) -> np.ndarray:
    """The row of `queries` that each row of the file belongs to; `UserError` unless all are met."""
    row_of = {query_id: row for row, query_id in enumerate(queries.query_ids)}
    if len(row_of) != len(queries):
        raise UserError(f"{path}: the split has two queries of one id; run the annotations again")
    names = ids.dictionary.to_pylist()
    unknown = next((name for name in names if name not in row_of), None)
    if unknown is not None:
        raise UserError(f"{path}: query {unknown!r} is not in the split that is evaluated")
    known = np.array([row_of[name] for name in names], dtype=np.int64)
    missing = np.setdiff1d(np.arange(len(queries)), known)
    if missing.size:
        raise UserError(
            f"{path}: {missing.size} of {len(queries)} queries have no prediction, the first is "
            f"{queries.query_ids[missing[0]]!r}; run the training again"
        )
    return known[np.from_dlpack(ids.indices)]
