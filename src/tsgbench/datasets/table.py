"""One's own annotations: a CSV, or JSON lines, of (video, sentence, start, end[, split]).

People's files differ, and say so by no format: byte order marks, semicolons, other headers, times
as `1:02:03`. What can be told apart for certain is read; what cannot, a column with two candidates
or bytes that are no UTF-8, is refused with the setting that decides it. A row that is wrong alone
is kept out and counted, by the policy like any other (docs/add_a_dataset.md).
"""

import codecs
import csv
import difflib
import hashlib
import io
import json
import logging
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tsgbench.datasets.readers import Row, hold_out, register
from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS
from tsgbench.files import named_once, refuse_packed, to_number

log = logging.getLogger(__name__)

# What each column may be called: in small letters, whatever stands between the words
COLUMNS = {
    "video": ("video", "video_id", "videoid", "vid", "video_name", "file", "filename"),
    "sentence": ("sentence", "query", "text", "description", "caption", "query_text"),
    "start": ("start", "start_s", "start_time", "start_sec", "start_seconds", "begin", "onset"),
    "end": ("end", "end_s", "end_time", "end_sec", "end_seconds", "stop", "offset"),
    "split": ("split", "subset", "set", "partition"),
    "duration": ("duration", "duration_s", "video_duration", "length", "video_length"),
    "query_id": ("query_id", "qid", "annotation_id"),
}
NEEDED = ("video", "sentence", "start", "end")
SPLITS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}
DELIMITERS = ",;\t|"
NAMED = 12  # columns, where none fits
CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):([0-5]?\d(?:\.\d+)?)")
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Form:
    """How a file is written. columns: what is looked for -> the header's name for it, where it is
    none of `COLUMNS`. delimiter: None finds it in the header."""

    columns: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    encoding: str = "utf-8"


@dataclass
class Line:
    """One row as text by column (see `COLUMNS`). where: file and line. fault: why it is no row."""

    where: str
    cells: dict[str, str]
    fault: str | None = None

    @property
    def video_id(self) -> str:
        """The video's file without folders and ending; as it stands where it has none of these."""
        return video_id_of(self.cells.get("video", ""))


@register("table")
def read(
    files: dict[str, Path],
    *,
    columns: dict[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    val_share: float = 0.0,
    test_share: float = 0.0,
    split_seed: int = 0,
    splits: Sequence[str] = (),
) -> dict[str, list[Row]]:
    """Rows of each split that the files name.

    files: role `annotations`, or a file for each split by its name; and `durations`, of the videos
    that are there, as `phases.gather` writes it. columns, delimiter, encoding: see `Form`.
    val_share, test_share: parts of the videos, by a hash of `split_seed` and the video id; without
    both, the column `split` says. splits: those that must be there.
    """
    form = Form(columns or {}, delimiter, encoding)
    lines = {role: read_lines(files[role], form, role) for role in files if role != "durations"}
    videos = _read_videos(files["durations"]) if "durations" in files else None
    shares = {"val": val_share, "test": test_share}
    split_of = _splitter(lines, shares, split_seed, next(iter(files.values())))
    by_split: dict[str, list[Row]] = {}
    stated: dict[str, float] = {}
    ids: Counter[str] = Counter()
    for role, read_of_file in lines.items():
        for line in read_of_file:
            # Of a row that says no split: counted with the first one
            split = split_of(role, line) or next(iter(by_split), "train")
            row = _row(line, videos, stated)
            ids[row.query_id] += 1
            if ids[row.query_id] > 1 and not line.cells.get("query_id"):
                row = replace(row, query_id=f"{row.query_id}_{ids[row.query_id]}")
            by_split.setdefault(split, []).append(row)
    _check_splits(by_split, splits, next(iter(files.values())))
    return by_split


def annotated_videos(paths: Iterable[Path], form: Form) -> set[str]:
    """Ids of the videos that the rows of some files name."""
    return {line.video_id for path in paths for line in read_lines(path, form)} - {""}


def video_id_of(name: str) -> str:
    """A video's id: its file without folders and ending, in composed characters, as file systems
    differ in these."""
    path = PurePosixPath(unicodedata.normalize("NFC", name.strip()).replace("\\", "/"))
    return path.stem if path.suffix.lower() in VIDEO_ENDINGS else path.name


def read_lines(path: Path, form: Form, label: str = "") -> list[Line]:
    """The rows of a file, blank lines left out; `UserError` for what is no such file.

    label: what to call the file where a row of it is named.
    """
    text = _decode(path, form.encoding)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        return list(_from_json(path, text, form, label))
    return list(_from_csv(path, text, form, label))


def parse_time(text: str) -> float | None:
    """Seconds of `12.5`, `1:02.5` or `1:02:03`; None of anything else."""
    if clock := CLOCK.fullmatch(text.strip()):
        hours, minutes, seconds = clock.groups(default="0")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    try:
        value = to_number(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _decode(path: Path, encoding: str) -> str:
    content = path.read_bytes()
    refuse_packed(path, content)
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), encoding)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {encoding}; save the"
            " file as UTF-8, or name its own under `encoding` (Windows: cp1252)"
        ) from None
    except LookupError:
        raise UserError(
            f"{path}: encoding: {encoding!r} is unknown; give utf-8, cp1252 or another that Python"
            " knows"
        ) from None
    if "\0" in text:
        raise UserError(f"{path}: holds NUL characters; save it as UTF-8 text")
    return text


def _from_csv(path: Path, text: str, form: Form, label: str) -> Iterator[Line]:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = form.delimiter or max(DELIMITERS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    wanted: dict[str, str] = {}
    began = 1
    try:
        for row in rows:
            number, began = began, rows.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = [cell.strip() for cell in row]
                wanted = _find_columns(header, form.columns, f"{path}, line {number}")
                continue
            named = dict(zip(header, row, strict=False))
            cells = {role: named.get(name, "").strip() for role, name in wanted.items()}
            # Only where the comma does not part cells can it be in a number
            for role in ("start", "end", "duration"):
                if role in cells and delimiter != ",":
                    cells[role] = cells[role].replace(",", ".")
            fault = None if len(row) == len(header) else "other number of cells than the header"
            yield Line(f"{label}:{number}", cells, fault)
    except csv.Error as error:
        raise UserError(
            f"{path}, line {began}: not valid CSV ({error}); put the sentence in double quotes, and"
            " write a quote within it twice"
        ) from None
    if header is None:
        raise UserError(f"{path}: is empty; it needs a header and one row per sentence")


def _from_json(path: Path, text: str, form: Form, label: str) -> Iterator[Line]:
    records = list(_objects(path, text))
    header = list(dict.fromkeys(name for _, record in records for name in record))
    if not records:
        raise UserError(f"{path}: is empty; it needs one JSON object per sentence")
    wanted = _find_columns(header, form.columns, f"{path}")
    for number, record in records:
        values = {role: record.get(name) for role, name in wanted.items()}
        is_text = all(isinstance(value, str | int | float | None) for value in values.values())
        cells = {
            role: "" if value is None else str(value).strip() for role, value in values.items()
        }
        yield Line(f"{label}:{number}", cells, None if is_text else "a list where a text goes")


def _objects(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line, or number in the list, and the object there."""
    is_list = text.lstrip().startswith("[")
    parts = [text] if is_list else text.split("\n")
    for number, part in enumerate(parts, start=1):
        if not part.strip():
            continue
        try:
            content = json.loads(part, object_pairs_hook=named_once)
        except (ValueError, RecursionError) as error:  # the former of endless numbers, too
            line = error.lineno - 1 if isinstance(error, json.JSONDecodeError) else 0
            raise UserError(
                f"{path}, line {number + line}: not valid JSON ({error}); write one object a line"
            ) from None
        for index, record in enumerate(content, start=1) if is_list else [(number, content)]:
            if not isinstance(record, dict):
                raise UserError(f"{path}, {index}: is no JSON object; write one object a line")
            yield index, record


def _find_columns(header: list[str], named: Mapping[str, str], where: str) -> dict[str, str]:
    """What is looked for -> the header's name for it, of all that is there."""
    if twice := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise UserError(f"{where}: column {twice[0]!r} stands twice; rename one of them")
    columns: dict[str, str] = {}
    for role, names in COLUMNS.items():
        if role in named:
            if named[role] not in header:
                raise UserError(
                    f"{where}: columns.{role}: no column {named[role]!r};"
                    f" {_hint(named[role], header)}"
                )
            columns[role] = named[role]
            continue
        fitting = [name for name in header if _plain(name) in names and name not in named.values()]
        if len(fitting) > 1:
            raise UserError(
                f"{where}: columns {' and '.join(map(repr, fitting))} may both be the {role}; say"
                f" which under `columns`, such as {{{role}: {fitting[0]}}}"
            )
        if fitting:
            columns[role] = fitting[0]
        elif role in NEEDED:
            raise UserError(
                f"{where}: no column is called {role}; {_hint(role, header)} (say so under"
                f" `columns`, such as {{{role}: NAME}})"
            )
    return columns


def _hint(name: str, header: list[str]) -> str:
    near = difflib.get_close_matches(name, header, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    more = f" and {len(header) - NAMED} more" if len(header) > NAMED else ""
    return f"it has {', '.join(map(repr, header[:NAMED]))}{more}"


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


def _read_videos(path: Path) -> dict[str, tuple[float | None, str]]:
    """Video -> its seconds, and what is wrong with it."""
    with open(path, newline="", encoding="utf-8") as stream:
        return {
            row["video"]: (float(row["duration_s"]) if row["duration_s"] else None, row["problem"])
            for row in csv.DictReader(stream)
        }


def _row(
    line: Line, videos: dict[str, tuple[float | None, str]] | None, stated: dict[str, float]
) -> Row:
    """One line as a row. stated: seconds of each video as an earlier line said, added to."""
    cells, video_id, fault = line.cells, line.video_id, line.fault
    start_s, end_s = parse_time(cells["start"]), parse_time(cells["end"])
    duration_s = None
    if not video_id:
        fault = fault or "no video named"
    elif videos is not None:
        duration_s, problem = videos.get(video_id, (None, "no such video"))
        fault = fault or problem or None
    if cells.get("duration"):
        duration_s = parse_time(cells["duration"])
        fault = fault or ("duration not understood" if duration_s is None else None)
    if duration_s is not None and stated.setdefault(video_id, duration_s) != duration_s:
        fault = fault or "another duration than an earlier row of the video"
    if start_s is None or end_s is None:
        fault = fault or "time not understood"
    return Row(
        where=line.where,
        query_id=cells.get("query_id") or _query_id(line, video_id),
        video_id=video_id,
        sentence=cells["sentence"],
        start_s=math.nan if start_s is None else start_s,
        end_s=math.nan if end_s is None else end_s,
        duration_s=duration_s,
        fault=fault,
    )


def _query_id(line: Line, video_id: str) -> str:
    """By what the row says, so that it stays when others are added, removed or sorted."""
    said = [video_id, *(line.cells[role] for role in ("sentence", "start", "end"))]
    named = re.sub("[^A-Za-z0-9_.-]+", "_", video_id)
    return f"{named}_{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:8]}"


def _splitter(
    lines: dict[str, list[Line]], shares: dict[str, float], seed: int, path: Path
) -> Callable[[str, Line], str]:
    """Function of a file's role and a line: the line's split. path: a file, for messages."""
    if "annotations" not in lines:
        return lambda role, line: role  # noqa: ARG005 (called with both)
    videos = [line.video_id for line in lines["annotations"]]
    if any(shares.values()):
        test = hold_out(videos, shares["test"], seed) if shares["test"] else set()
        rest = [video for video in videos if video not in test]
        of_rest = shares["val"] / (1 - shares["test"])
        val = hold_out(rest, of_rest, seed) if of_rest else set()
        return lambda role, line: (  # noqa: ARG005
            "test" if line.video_id in test else "val" if line.video_id in val else "train"
        )
    if not any(line.cells.get("split") for line in lines["annotations"]):
        raise UserError(
            f"{path}: nothing says which split a row is of; add a column `split`, give one file per"
            " split, or `shares` of the videos"
        )
    return lambda role, line: _split_of(line)  # noqa: ARG005


def _split_of(line: Line) -> str:
    if line.fault:  # its cells may have moved
        return ""
    name = _plain(line.cells["split"])
    if not name:
        line.fault = "no split named"
    return SPLITS.get(name, name)


def _check_splits(found: dict[str, list[Row]], needed: Sequence[str], path: Path) -> None:
    for split in needed:
        if not found.get(split):
            known = ", ".join(sorted(found)) or "none"
            raise UserError(
                f"{path}: no row of split {split!r} (there are: {known}); name those that train,"
                " select and are tested under `splits`, with `select: last` where none selects"
            )
    videos = {split: {row.video_id for row in rows} for split, rows in found.items()}
    for split in sorted(videos.keys() - {"train"}):
        if shared := videos.get("train", set()) & videos[split]:
            log.warning(
                "%s: %d videos are both in train and in %s, such as %s: a model has seen them",
                path,
                len(shared),
                split,
                min(shared),
            )
