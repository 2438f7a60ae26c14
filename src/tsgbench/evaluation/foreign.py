"""Prediction files of other programs, read into one form.

| format | what it is | recognised by |
|---|---|---|
| `moment_retrieval` | a query a record: `qid`, `query`, `vid`, `pred_relevant_windows` | the last |
| `lmms_eval` | samples with `resps` or `filtered_resps`, or `video>>>query>>>span`: text | either |
| `timelens` | `video>>>query>>>span`: `{"timestamps": …, "answers": …}` | the key |
| `csv` | an answer a row: `query_id`, or `video_id, sentence`; `start_s, end_s, score` | header |
| `predictions` | this project's own, see `predictions` | Parquet |

Records of JSON are lines, a list, or one object. Nothing is judged here but whether a file is of
its format: what a query is answered with, and what becomes of it, says `matching`.
"""

import csv
import io
import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np

from tsgbench.errors import UserError
from tsgbench.evaluation.stated import stated_moments
from tsgbench.files import RepeatedError, named_once, to_number
from tsgbench.files.access import named
from tsgbench.files.packed import open_packed

CSV, PREDICTIONS = "csv", "predictions"
PARQUET = b"PAR1"
# Characters of one line, or of a file that is one JSON value: more does not fit a small machine
LONGEST = 1 << 28
KEY = ">>>"  # parts of what lmms-eval and TimeLens call a query
VIDEO_FIELDS = ("video", "vid", "video_id", "video_path")
SENTENCE_FIELDS = ("caption", "query", "sentence", "description")


@dataclass(frozen=True)
class Foreign:
    """What a file says of N queries, with A answers.

    ids, videos, sentences: (N,) as the file has them, None where it does not say. entries: (A,)
    which of the N, ascending. spans: (A, 2) seconds, those of a query best first. scores: (A,) NaN
    where there is none. counts: what was met in reading, by its name in `matching.POLICIES`.
    """

    path: Path
    format: str
    ids: list[str | None]
    videos: list[str | None]
    sentences: list[str | None]
    entries: np.ndarray
    spans: np.ndarray
    scores: np.ndarray
    counts: dict[str, int]

    def name(self, entry: int) -> str:
        """A query as the file names it, for messages."""
        stated = (
            ("query", self.ids[entry]),
            ("video", self.videos[entry]),
            ("sentence", self.sentences[entry]),
        )
        named = [f"{kind} {value[:80]!r}" for kind, value in stated if value is not None]
        return ", ".join(named) or "one that names neither video nor query"


@dataclass
class _Collected:
    """Grows while a file is read: 32 bytes an answer."""

    ids: list[str | None] = field(default_factory=list)
    videos: list[str | None] = field(default_factory=list)
    sentences: list[str | None] = field(default_factory=list)
    entries: "array[int]" = field(default_factory=lambda: array("q"))
    numbers: "array[float]" = field(default_factory=lambda: array("d"))  # start, end, score
    counts: Counter[str] = field(default_factory=Counter)

    def open(self, query_id: str | None, video: str | None, sentence: str | None) -> int:
        """A query; returns its index."""
        self.ids.append(query_id)
        self.videos.append(video)
        self.sentences.append(sentence)
        return len(self.ids) - 1

    def answer(self, entry: int, start_s: float, end_s: float, score: float = math.nan) -> None:
        self.entries.append(entry)
        self.numbers.extend((start_s, end_s, score))

    def say(self, entry: int, text: str | None) -> None:
        """Answer in words."""
        moments = stated_moments(text or "")
        for moment in moments:
            self.answer(entry, *moment)
        self.counts["texts_without_times"] += not moments

    def done(self, path: Path, form: str) -> Foreign:
        entries = np.array(self.entries, dtype=np.int64)
        numbers = np.array(self.numbers, dtype=np.float64).reshape(-1, 3)
        is_finite = np.isfinite(numbers[:, :2]).all(axis=1)
        is_reversed = is_finite & (numbers[:, 1] < numbers[:, 0])
        self.counts["answers_not_finite"] += int((~is_finite).sum())
        self.counts["answers_reversed"] += int(is_reversed.sum())
        is_moment = is_finite & ~is_reversed
        entries, numbers = entries[is_moment], numbers[is_moment]
        # Stable, and NaN last: answers without scores stay as they stand, after those with
        order = np.lexsort((-numbers[:, 2], entries))
        entries = entries[order]
        is_swapped = (entries[1:] == entries[:-1]) & (np.diff(order) < 0)
        self.counts["queries_sorted_by_score"] += len(np.unique(entries[1:][is_swapped]))
        columns = (entries, numbers[order, :2], numbers[order, 2], dict(self.counts))
        return Foreign(path, form, self.ids, self.videos, self.sentences, *columns)


def recognise(path: str | Path) -> str:
    """The format of a file, by its content; `UserError` if it is none of them."""
    with _bytes(Path(path)) as stream:
        if stream.read(len(PARQUET)) == PARQUET:
            return PREDICTIONS
    with _text(Path(path)) as stream:
        beginning = stream.read(4096)
    if beginning.lstrip()[:1] in ("{", "["):
        with _text(Path(path)) as stream:
            for _, record in _records(Path(path), stream):
                if kind := _kind(record):
                    return kind
                break
    elif {"start_s", "end_s"} <= set(_columns(beginning.partition("\n")[0].split(","))):
        return CSV
    raise UserError(
        f"{path}: of no format that is known by its content ({', '.join(FORMATS)}); name one with"
        " --format, or write a CSV file with the columns video_id, sentence, start_s and end_s"
    )


def read_foreign(path: str | Path, form: str) -> Foreign:
    """Read a file of a format of `FORMATS`, but for our own predictions.

    `UserError` names the line, or the entry, that is not of the format. Memory grows with the
    number of answers, not with what else the file says.
    """
    path, collected = Path(path), _Collected()
    with _text(path) as stream:
        if form == CSV:
            _read_csv(path, stream, collected)
        else:
            for where, record in _records(path, stream):
                READERS[form](record, where, collected)
    if not collected.ids:
        raise UserError(f"{path}: holds no query; check that it was written to its end")
    return collected.done(path, form)


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    """The content, unpacked if it is packed."""
    with named(path), open_packed(path, "copy or make it again") as stream:
        yield stream


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    with _bytes(path) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None


def _records(path: Path, stream: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of a file, each with its place for messages: lines, a list, or one object,
    or the `logs` of one, as lmms-eval once wrote them."""
    number, line = 1, _line(path, 1, stream)
    while line and not line.strip():
        number, line = number + 1, _line(path, number + 1, stream)
    first = _parse_or_none(line)
    if isinstance(first, dict) and not isinstance(first.get("logs"), list):
        while line:
            if line.strip():
                where = f"{path}, line {number}"
                yield where, _need_object(_parse(line, where), where)
            number, line = number + 1, _line(path, number + 1, stream)
        return
    rest = stream.read(LONGEST - len(line) + 1)
    if len(line) + len(rest) > LONGEST:
        raise UserError(f"{path}: too large to be one JSON value; write it as JSON lines")
    content = _parse(line + rest, str(path))
    if isinstance(content, dict) and isinstance(content.get("logs"), list):
        content = content["logs"]
    for index, record in enumerate(content if isinstance(content, list) else [content]):
        where = f"{path}, [{index}]" if isinstance(content, list) else str(path)
        yield where, _need_object(record, where)


def _line(path: Path, number: int, stream: TextIO) -> str:
    line = stream.readline(LONGEST)
    if len(line) == LONGEST:
        raise UserError(f"{path}, line {number}: too long; write one query a line")
    return line


def _lines(path: Path, stream: TextIO) -> Iterator[str]:
    number = 1
    while line := _line(path, number, stream):
        yield line
        number += 1


def _parse_or_none(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parse(text: str, where: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=named_once)
    except RepeatedError as error:
        raise UserError(f"{where}: {error}; leave one out") from None
    except json.JSONDecodeError as error:
        at = where if error.lineno == 1 else f"{where}, line {error.lineno}"
        raise UserError(
            f"{at}, column {error.colno}: not valid JSON ({error.msg}); write it again, whole"
        ) from None
    except RecursionError:
        raise UserError(f"{where}: nested without end; write it again") from None
    except ValueError:  # a whole number that Python does not read
        raise UserError(f"{where}: a number of thousands of digits; write seconds") from None


def _need_object(record: object, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected an object, got {_short(record)}; see docs/scoring.md")
    return record


def _kind(record: dict[str, Any]) -> str | None:
    """The format of a record."""
    if "pred_relevant_windows" in record:
        return "moment_retrieval"
    if "resps" in record or "filtered_resps" in record:
        return "lmms_eval"
    if record and all(KEY in name for name in record):
        is_object = isinstance(next(iter(record.values())), dict)
        return "timelens" if is_object else "lmms_eval"
    return None


def _read_windows(record: dict[str, Any], where: str, collected: _Collected) -> None:
    windows = record.get("pred_relevant_windows")
    if not isinstance(windows, list):
        raise UserError(
            f"{where}: pred_relevant_windows: expected a list, got {_short(windows)}; write an"
            " empty one for a query without an answer"
        )
    stated = [_text_of(record, name, where) for name in ("qid", "vid", "query")]
    entry = collected.open(*stated)
    for window in windows:
        collected.answer(entry, *_numbers(window, where, "pred_relevant_windows", (2, 3)))


def _read_sample(record: dict[str, Any], where: str, collected: _Collected) -> None:
    """A sample of lmms-eval's log, or the file that a task submits."""
    if "resps" not in record and "filtered_resps" not in record:
        _read_keyed(record, where, collected)
        return
    stated = record.get("doc")
    doc = stated if isinstance(stated, dict) else {}
    video, sentence = (
        next((doc[name] for name in names if isinstance(doc.get(name), str)), None)
        for names in (VIDEO_FIELDS, SENTENCE_FIELDS)
    )
    if video is None or sentence is None:  # later versions leave `doc` out of the log
        keys = chain.from_iterable(v for v in record.values() if isinstance(v, dict))
        key = next((key for key in keys if KEY in key), None)
        video, sentence = _split(key) if key else (None, None)
    entry = collected.open(None, video, sentence)
    # One response may be there as `[["…"]]`, as `["…"]` or as a text
    said = list(_texts(record.get("filtered_resps"))) or list(_texts(record.get("resps")))
    collected.counts["responses_not_read"] += max(0, len(said) - 1)
    collected.say(entry, said[0] if said else None)


def _read_keyed(record: dict[str, Any], where: str, collected: _Collected) -> None:
    """`{"video>>>query>>>span": answer}`, one of them or many."""
    for key, value in record.items():
        if KEY not in key:
            raise UserError(f"{where}: {key[:80]!r}: expected video{KEY}query{KEY}span as name")
        video, sentence = _split(key)
        entry = collected.open(None, video, sentence)
        times = value.get("timestamps") if isinstance(value, dict) else None
        if times:
            if not isinstance(times, list):
                raise UserError(f"{where}: timestamps: expected a list, got {_short(times)}")
            for moment in times:
                collected.answer(entry, *_numbers(moment, where, "timestamps", (2,)))
            continue
        said = value.get("answers") if isinstance(value, dict) else value
        if not isinstance(said, str | None):
            raise UserError(f"{where}: {key[:80]!r}: expected a text as answer, got {_short(said)}")
        collected.say(entry, said)


def _read_csv(path: Path, stream: TextIO, collected: _Collected) -> None:
    """A row an answer; rows of one query need not stand together. Two empty times: no answer."""
    rows = csv.reader(_lines(path, stream))
    known: dict[tuple[str | None, ...], int] = {}
    try:
        columns = _columns(next(rows, []))
        _check_columns(path, columns)
        for row in rows:
            if not row:
                continue
            where = f"{path}, line {rows.line_num}"
            if len(row) != len(columns):
                raise UserError(
                    f"{where}: {len(row)} fields for {len(columns)} columns; put texts that hold a"
                    " comma in quotation marks"
                )
            cells = dict(zip(columns, row, strict=True))
            query = tuple(cells.get(name) or None for name in ("query_id", "video_id", "sentence"))
            entry = known.get(query)
            if entry is None:
                entry = known[query] = collected.open(*query)
            if cells["start_s"].strip() or cells["end_s"].strip():
                names = ("start_s", "end_s", "score")
                collected.answer(entry, *(_cell(cells, name, where) for name in names))
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: not CSV ({error})") from None


def _columns(names: list[str]) -> list[str]:
    return [name.strip().strip('"').lower() for name in names]


def _check_columns(path: Path, columns: list[str]) -> None:
    is_named = "query_id" in columns or {"video_id", "sentence"} <= set(columns)
    if not is_named or not {"start_s", "end_s"} <= set(columns):
        raise UserError(
            f"{path}, line 1: has the columns {', '.join(columns) or 'none'}; needed are start_s"
            " and end_s, and query_id, or video_id and sentence"
        )
    if len(set(columns)) != len(columns):
        raise UserError(f"{path}, line 1: two columns of one name; leave one out")


def _cell(cells: dict[str, str], name: str, where: str) -> float:
    """A number of a row; NaN for an empty cell."""
    text = cells.get(name, "").strip()
    try:
        return to_number(text) if text else math.nan
    except ValueError:
        raise UserError(f"{where}: {name}: expected a number, got {text[:40]!r}") from None


def _numbers(value: object, where: str, name: str, lengths: tuple[int, ...]) -> list[float]:
    """A JSON list of numbers; NaN for null."""
    if not isinstance(value, list) or len(value) not in lengths:
        shape = "[start, end, score]" if 3 in lengths else "[start, end]"
        raise UserError(f"{where}: {name}: expected {shape}, got {_short(value)}")
    return [_number(one, where, name) for one in value]


def _number(value: object, where: str, name: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: {name}: expected a number, got {_short(value)}")
    try:
        return float(value)
    except OverflowError:  # a whole number without end
        return math.inf


def _text_of(record: dict[str, Any], name: str, where: str) -> str | None:
    """A text, or a whole number as one; None where there is none."""
    value = record.get(name)
    if isinstance(value, float) and value.is_integer():  # as tables of numbers are exported
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise UserError(f"{where}: {name}: expected a text or a number, got {_short(value)}")
    return None if value is None else str(value)


def _split(key: str) -> tuple[str, str]:
    """Video and sentence of `video>>>sentence>>>span`."""
    video, _, rest = key.partition(KEY)
    return video, rest.rpartition(KEY)[0] or rest


def _texts(value: object) -> Iterator[str]:
    """The texts of lists in lists, in their order."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            left += reversed(one)


def _short(value: object) -> str:
    return json.dumps(value)[:40]


Reader = Callable[[dict[str, Any], str, _Collected], None]
READERS: dict[str, Reader] = {
    "moment_retrieval": _read_windows,
    "lmms_eval": _read_sample,
    "timelens": _read_keyed,
}
FORMATS = (*READERS, CSV, PREDICTIONS)
