"""The one table of queries that every annotation format is read into.

A split is stored as JSON lines, one query a line:
`{"query_id", "video_id", "duration_s", "start_s", "end_s", "sentence"}`, plus `"annotators"`
(a list of `[start_s, end_s]`) where several people marked the moment.
"""

import json
from collections.abc import Container
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import read_utf8, write_text
from tsgbench.jobs.records import Record

FIELDS = ("query_id", "video_id", "duration_s", "start_s", "end_s", "sentence")


@dataclass
class Queries:
    """One split, as parallel columns of length Q.

    moments: (Q, 2) seconds, `0 <= start < end <= duration`. durations: (Q,) seconds.
    annotators: per query an (A, 2) array of every annotator's moment, or empty for data sets with
    one annotation a query.
    """

    query_ids: list[str]
    video_ids: list[str]
    sentences: list[str]
    durations: np.ndarray
    moments: np.ndarray
    annotators: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.query_ids)

    def take(self, rows: np.ndarray) -> "Queries":
        """The given rows, in the given order."""
        return Queries(
            [self.query_ids[row] for row in rows],
            [self.video_ids[row] for row in rows],
            [self.sentences[row] for row in rows],
            self.durations[rows],
            self.moments[rows],
            [self.annotators[row] for row in rows] if self.annotators else [],
        )


def join(tables: list[Queries], *, is_scored: bool = True) -> Queries:
    """Several splits as one, in the given order.

    Where only some have several annotators, nothing can score them together: `UserError`, unless
    they are not `is_scored` but counted or listed, by the one moment that each query has.
    """
    if not tables:
        raise UserError("splits: none was named; give at least one")
    if len({bool(table.annotators) for table in tables if len(table)}) > 1:
        if is_scored:
            raise UserError(
                "splits: some have several annotators per query and some one; score them apart"
            )
        tables = [replace(table, annotators=[]) for table in tables]
    return Queries(
        [name for table in tables for name in table.query_ids],
        [name for table in tables for name in table.video_ids],
        [sentence for table in tables for sentence in table.sentences],
        np.concatenate([table.durations for table in tables]),
        np.concatenate([table.moments for table in tables]),
        [moments for table in tables for moments in table.annotators],
    )


def read_splits(annotations: Record, splits: list[str], *, is_scored: bool = True) -> Queries:
    """The named splits of an annotations record, joined; `is_scored` as `join` has it."""
    tables = [read_queries(annotations.file(f"{split}.jsonl")) for split in splits]
    return join(tables, is_scored=is_scored)


def video_durations(annotations: Record) -> dict[str, float]:
    """Seconds of every annotated video, of all splits of an annotations record."""
    durations: dict[str, float] = {}
    for path in annotations.files(".jsonl").values():
        queries = read_queries(path)
        durations.update(zip(queries.video_ids, queries.durations.tolist(), strict=True))
    return durations


def part_by_video(queries: Queries, known: Container[str]) -> tuple[Queries, Queries]:
    """The queries whose video is among `known`, and the others; both in their order."""
    is_known = np.array([video in known for video in queries.video_ids], dtype=bool)
    return queries.take(np.flatnonzero(is_known)), queries.take(np.flatnonzero(~is_known))


def write_queries(path: str | Path, queries: Queries) -> None:
    """Write one split as JSON lines, atomically."""
    lines = []
    for row in range(len(queries)):
        start_s, end_s = queries.moments[row]
        line = {
            "query_id": queries.query_ids[row],
            "video_id": queries.video_ids[row],
            "duration_s": float(queries.durations[row]),
            "start_s": float(start_s),
            "end_s": float(end_s),
            "sentence": queries.sentences[row],
        }
        if queries.annotators:
            line["annotators"] = queries.annotators[row].tolist()
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def read_queries(path: str | Path) -> Queries:
    """Read one split; `UserError` names the line and the field that is wrong."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such split; name it to snakemake, which makes it")
    rows = [
        _parse(path, number, line)
        for number, line in enumerate(read_utf8(path).split("\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise UserError(f"{path}: holds no query; check the source annotations")
    return Queries(
        [row["query_id"] for row in rows],
        [row["video_id"] for row in rows],
        [row["sentence"] for row in rows],
        np.array([row["duration_s"] for row in rows], dtype=np.float64),
        np.array([[row["start_s"], row["end_s"]] for row in rows], dtype=np.float64),
        [np.array(row["annotators"], dtype=np.float64) for row in rows]
        if "annotators" in rows[0]
        else [],
    )


def _parse(path: Path, number: int, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number}: not valid JSON ({error})") from None
    for name in FIELDS:
        if name not in row:
            raise UserError(f"{path}, line {number}: field {name!r} is missing")
    if not 0 <= row["start_s"] < row["end_s"] <= row["duration_s"]:
        raise UserError(
            f"{path}, line {number}: moment {row['start_s']}-{row['end_s']} s is not inside "
            f"the video of {row['duration_s']} s; move it away and run snakemake again"
        )
    return row
