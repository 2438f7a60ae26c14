"""From a public annotation format to clean queries: the registry of readers and the row policies.

A reader parses files and judges nothing: it returns every row as it stands, and one stated policy
then repairs, drops or refuses the bad ones, and counts each. A new format is one module in this
folder with one function registered under the module's name.
"""

import difflib
import hashlib
import html
import importlib
import inspect
import math
import pkgutil
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import tsgbench.datasets as package
from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.files import is_utf8, printable, read_utf8, to_number
from tsgbench.outside import module_of, source_of

QUERY_ID = re.compile(r"[A-Za-z0-9_.-]+")
# Durations and ends of moments that mean the same number differ by 1e-14 s in some files; those are
# cut like any other moment, but counted apart: nobody's labels changed.
ROUNDING_S = 1e-6
# What tools that write pages leave in sentences, where models would read the words "amp" and "39"
ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
# Modules of this folder that read no format
NO_READERS = {"readers", "queries", "moments", "json_format", "statistics"}


@dataclass(frozen=True)
class Row:
    """One annotated sentence as its file states it, not yet judged.

    where: file and line (or JSON place), for messages and the report. duration_s: None where the
    source knows no duration. annotators: every annotator's (start_s, end_s), if several. fault: why
    the row cannot be used, where its reader already knows.
    """

    where: str
    query_id: str
    video_id: str
    sentence: str
    start_s: float
    end_s: float
    duration_s: float | None
    annotators: list[tuple[float, float]] = field(default_factory=list)
    fault: str | None = None


@dataclass(frozen=True)
class Policy:
    """What happens to a row that the table of queries cannot hold as it stands.

    clip: a moment that reaches outside its video is cut to it (and dropped if nothing is left);
    otherwise such a row is dropped. refuse: the first bad row is a `UserError`.
    An exact repetition (same video, moment and sentence) is kept where `keep_duplicates`.
    """

    meaning: str
    clip: bool = True
    refuse: bool = False
    keep_duplicates: bool = False


POLICIES = {
    "clip": Policy(
        "Moments are cut to [0, duration]; rows with start >= end, with nothing left inside the"
        " video, without a duration or without a sentence, and exact repetitions are dropped."
    ),
    "clip_keep_duplicates": Policy(
        "As `clip`, but exact repetitions are kept and counted.", keep_duplicates=True
    ),
    "refuse": Policy("The first bad row is an error: for files that we make.", refuse=True),
}

Reader = Callable[..., dict[str, list[Row]]]
_READERS: dict[str, Reader] = {}
_GRIDS_S: dict[str, float | None] = {}


def register(name: str, *, grid_s: float | None = None) -> Callable[[Reader], Reader]:
    """Function decorator: make a reader known under `name`.

    grid_s: the durations are whole multiples of it, an upper bound of the videos' own; None: the
    annotated durations are the videos'.

    The function is called as `reader(files, **settings)` with files by role, and returns the rows
    of each split in file order; its settings are keyword-only arguments with defaults.
    """

    def add(reader: Reader) -> Reader:
        _READERS[name] = reader
        _GRIDS_S[name] = grid_s
        return reader

    return add


def read_annotations(
    reader: str, files: dict[str, Path], *, settings: dict
) -> tuple[dict[str, Queries], dict]:
    """Read the files of one data set; return its splits and the report of what was done to rows.

    files: path by role (`train`, `durations_test`, ...), as the reader names them. settings: the
    reader's own, and `policy`, a key of `POLICIES` (default `clip`). Report: `reader`, `settings`,
    `policy`, `policy_meaning`, `duration_grid_s` (see `register`), and for each of `splits`:
    `rows`, `kept`, `videos`, and `repaired` and `dropped`, both
    `{reason: {"count", "rows": [file:line, ...]}}`.
    Raises `UserError` for a missing file, a malformed line and an unknown reader or setting.
    """
    policy_name = settings.get("policy", "clip")
    if policy_name not in POLICIES:
        raise UserError(f"reader {reader!r}: unknown policy {policy_name!r}; use {list(POLICIES)}")
    splits = _parse_files(reader, files, settings)
    report = {
        "reader": reader,
        "settings": {name: value for name, value in settings.items() if name != "policy"},
        "policy": policy_name,
        "policy_meaning": POLICIES[policy_name].meaning,
        "duration_grid_s": _GRIDS_S[reader.rpartition(".")[2]],
        "splits": {},
    }
    tables = {}
    for split, rows in splits.items():
        tables[split], report["splits"][split] = apply_policy(rows, POLICIES[policy_name])
    return tables, report


def read_as_printed(reader: str, files: dict[str, Path], *, settings: dict) -> dict[str, Queries]:
    """Every row of every split as its file states it, judged by no policy.

    For statistics of the public files alone, which papers print of the unrepaired rows: moments may
    be inverted or outside their video, and an unknown duration is nan.
    Errors are those of `read_annotations`.
    """
    splits = _parse_files(reader, files, settings)
    return {split: _tabulate(rows) for split, rows in splits.items()}


def _parse_files(reader: str, files: dict[str, Path], settings: dict) -> dict[str, list[Row]]:
    """The reader's rows, after its name, settings and files are checked."""
    parse = _find_reader(reader)
    own = {name: value for name, value in settings.items() if name != "policy"}
    _check_names("setting", reader, own, list(inspect.getfullargspec(parse).kwonlyargs))
    for role, path in files.items():
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file ({role} of reader {reader!r}); download it")
    splits = parse({role: Path(path) for role, path in files.items()}, **own)
    _check_text(splits)
    _check_ids(splits)
    return splits


def apply_policy(rows: list[Row], policy: Policy) -> tuple[Queries, dict]:
    """Judge every row of one split: the queries kept, and the counts with the rows behind them."""
    kept, seen = [], set()
    repaired: dict[str, dict] = {}
    dropped: dict[str, dict] = {}
    for stated in rows:
        row = replace(stated, sentence=ENTITY.sub(_write_out, stated.sentence))
        fixed, repair, fault = _judge(row, policy)
        repairs = [repair] if repair else []
        if row.sentence != stated.sentence:
            repairs.append("HTML entity written out")
        key = (row.video_id, row.sentence, row.start_s, row.end_s)
        if fault is None and key in seen:
            if policy.keep_duplicates:
                repairs.append("repeated, kept")
            else:
                fault = "repeated"
        seen.add(key)
        if policy.refuse and (fault or repairs):
            raise UserError(
                f"{row.where}: {fault or repairs[0]} (moment {row.start_s}-{row.end_s} s, video"
                f" {row.video_id} of {row.duration_s} s); make the data set again"
            )
        if fault:
            _count(dropped, fault, row)
            continue
        for repair in repairs:
            _count(repaired, repair, row)
        kept.append(fixed)
    report = {
        "rows": len(rows),
        "kept": len(kept),
        "videos": len({row.video_id for row in kept}),
        "repaired": repaired,
        "dropped": dropped,
    }
    return _tabulate(kept), report


def hold_out(video_ids: list[str], share: float, seed: int) -> set[str]:
    """Choose `share` of the distinct videos, by rank of a hash of seed and id.

    The choice depends on the set of ids alone: not on their order, the platform or a random state.
    """
    if not 0 < share < 1:
        raise UserError(f"val_share or held_out_share: must lie between 0 and 1, got {share}")
    ranked = sorted(
        set(video_ids), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()
    )
    return set(ranked[: max(1, round(share * len(ranked)))])


def read_splits_or_stand_in(
    files: dict[str, Path],
    reader: str,
    read_rows: Callable[[Path, str], list[Row]],
    *,
    share: float,
    seed: int,
    group_of: Callable[[str], str] = str,
) -> dict[str, list[Row]]:
    """Rows of train, val and test, or without the training file of val_train, val_select and test.

    read_rows: of a file and the label of its split. share: part of val's groups of videos that
    select checkpoints where there is no training file. group_of: video id -> its group.
    """
    val = read_rows(need_file(files, "val", reader), "val")
    test = read_rows(need_file(files, "test", reader), "test")
    if "train" in files:
        return {"train": read_rows(files["train"], "train"), "val": val, "test": test}
    chosen = hold_out([group_of(row.video_id) for row in val], share, seed)
    return {
        "val_train": [row for row in val if group_of(row.video_id) not in chosen],
        "val_select": [row for row in val if group_of(row.video_id) in chosen],
        "test": test,
    }


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends and without blank ones after the last;
    `UserError` if it is not UTF-8."""
    # not splitlines(): it also breaks at characters that may stand inside a sentence
    lines = read_utf8(path).split("\n")
    while len(lines) > 1 and not lines[-1].strip():
        lines.pop()
    return lines


def parse_seconds(text: str, where: str, name: str) -> float:
    """A finite number of seconds; `UserError` naming the place and the field otherwise."""
    try:
        value = to_number(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {name}: expected seconds, got {text!r}; download the file again")
    return value


def need_file(files: dict[str, Path], role: str, reader: str) -> Path:
    """The file of a role; `UserError` if the data set's entry lacks it."""
    if role not in files:
        raise UserError(f"reader {reader!r}: needs the file {role!r}; config/datasets.yaml: files")
    return files[role]


def _judge(row: Row, policy: Policy) -> tuple[Row, str | None, str | None]:
    """The row, repaired if need be; the repair made; the fault for which it goes (else None)."""
    if row.fault:
        return row, None, row.fault
    if not _is_visible(row.sentence):
        return row, None, "empty sentence"
    if row.duration_s is None or row.duration_s <= 0:
        return row, None, "missing duration"
    if row.start_s >= row.end_s:
        return row, None, "start not before end"
    if row.start_s >= row.duration_s or row.end_s <= 0:
        return row, None, "moment outside the video"
    moments = [(row.start_s, row.end_s), *row.annotators]
    if all(start_s >= 0 and end_s <= row.duration_s for start_s, end_s in moments):
        return row, None, None
    if not policy.clip:
        return row, None, "moment reaches outside the video"
    (start_s, end_s), *annotators = [
        (max(start_s, 0.0), min(end_s, row.duration_s)) for start_s, end_s in moments
    ]
    if any(start_s >= end_s for start_s, end_s in annotators):
        return row, None, "an annotator's moment is outside the video"
    inside = replace(row, start_s=start_s, end_s=end_s, annotators=annotators)
    excess_s = max(max(-start, end - row.duration_s) for start, end in moments)
    if excess_s < ROUNDING_S:
        return inside, "moment cut to the video by a rounding error", None
    return inside, "moment cut to the video", None


def _write_out(entity: re.Match) -> str:
    return html.unescape(entity[0])


def _is_visible(sentence: str) -> bool:
    """Whether anything of a sentence can be read: neither blanks nor marks without a width."""
    return any(unicodedata.category(one)[0] not in "ZC" for one in sentence)


def _count(reasons: dict[str, dict], reason: str, row: Row) -> None:
    entry = reasons.setdefault(reason, {"count": 0, "rows": []})
    entry["count"] += 1
    entry["rows"].append(row.where)


def _tabulate(rows: list[Row]) -> Queries:
    return Queries(
        [row.query_id for row in rows],
        [row.video_id for row in rows],
        [row.sentence.strip() for row in rows],
        np.array([row.duration_s for row in rows], dtype=np.float64),
        np.array([(row.start_s, row.end_s) for row in rows], dtype=np.float64).reshape(-1, 2),
        [np.array(row.annotators, dtype=np.float64) for row in rows]
        if any(row.annotators for row in rows)
        else [],
    )


def _check_ids(splits: dict[str, list[Row]]) -> None:
    seen: dict[str, str] = {}
    for rows in splits.values():
        for row in rows:
            if not QUERY_ID.fullmatch(row.query_id):
                raise UserError(
                    f"{row.where}: query id {row.query_id!r} has odd characters; use letters from a"
                    " to z, digits, '_', '.' and '-' alone"
                )
            if row.query_id in seen:
                raise UserError(
                    f"{row.where}: query id {row.query_id!r} is also that of {seen[row.query_id]};"
                    " give each row its own"
                )
            seen[row.query_id] = row.where


def _check_text(splits: dict[str, list[Row]]) -> None:
    """JSON can escape half of a character, which no file can then be written with."""
    for rows in splits.values():
        for row in rows:
            for name in ("video_id", "sentence"):
                if not is_utf8(getattr(row, name)):
                    raise UserError(
                        f"{printable(row.where)}: {name}: {getattr(row, name)!a} holds half of a"
                        " character (a lone surrogate); mend it there, or get the file again"
                    )


def _find_reader(name: str) -> Reader:
    """The reader of this name, from the module of this name: no other reader is imported.

    A dotted name is that of a module from outside, whose last part the reader is called.
    """
    if "." not in name:
        modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        _check_names("reader", "tsgbench.datasets", [name], sorted(modules - NO_READERS))
    path = module_of("datasets", name)
    importlib.import_module(path)
    if path.rpartition(".")[2] not in _READERS:
        raise UserError(f"{source_of(path)}: registers no reader {path.rpartition('.')[2]!r}")
    return _READERS[path.rpartition(".")[2]]


def _check_names(kind: str, owner: str, given: list | dict, known: list[str]) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it knows {sorted(known)}"
            raise UserError(f"{owner}: unknown {kind} {name!r}; {hint}")
