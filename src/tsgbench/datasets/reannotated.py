"""Test queries that Otani et al. had annotated again ("Uncovering Hidden Challenges in Query-Based
Video Moment Retrieval", BMVC 2020): five people's moments for each.

A line of their csv files is `HITId,video_id,description,start,end`: one person's moment, in whole
percent of the video. The header does not say so, the authors' code multiplies them by
duration / 100, and the labels decide: read as percent they overlap the original moments of the same
sentences with a mean IoU of 44.7 % (Charades-STA) and 38.2 % (ActivityNet Captions), as seconds of
9.9 % and 22.7 %, and as seconds they would often lie after the video's end.

train and the selection split are the original data set's. Of its test split those queries remain
that were annotated again, by video and sentence; they keep their ids, and their original moment
beside all annotators'. Whatever fits none or several of the original queries is a row of its own
that goes with this reason, as does a query of which an annotator's moment is reversed or empty; the
public files have no such row.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tsgbench.datasets import activitynet_captions, charades_sta
from tsgbench.datasets.readers import Row, parse_seconds, read_lines, register
from tsgbench.errors import UserError

NAME = "reannotated"
PREFIX = "reannotated_"  # of the files' roles
COLUMNS = ("HITId", "video_id", "description", "start", "end")
# Original -> its reader, and the split whose queries were annotated again
ORIGINALS = {
    "charades_sta": (charades_sta.read, "test"),
    "activitynet_captions": (activitynet_captions.read, "val_2"),
}


@dataclass
class Answers:
    """What was said of one query. where: its first line. percent: each annotator's ends."""

    where: str
    percent: list[tuple[float, float]] = field(default_factory=list)


@register(NAME)
def read(
    files: dict[str, Path], *, original: Literal["charades_sta", "activitynet_captions"]
) -> dict[str, list[Row]]:
    """The original's splits, with `test` in the place of that which was annotated again.

    files: the original reader's roles, and `reannotated_…` for each csv file. original: the data
    set, whose reader's own settings are its defaults.
    """
    if original not in ORIGINALS:
        raise UserError(f"reader {NAME!r}: original: {original!r} is none of {list(ORIGINALS)}")
    read_original, split = ORIGINALS[original]
    own = [role for role in sorted(files) if role.startswith(PREFIX)]
    if not own:
        raise UserError(
            f"reader {NAME!r}: needs files of roles {PREFIX}…; config/datasets.yaml: files"
        )
    splits = read_original({role: path for role, path in files.items() if role not in own})
    test = splits.pop(split)
    return splits | {"test": _join(test, _read_answers([files[role] for role in own]))}


def _read_answers(paths: Sequence[Path]) -> dict[tuple[str, str], Answers]:
    """By (video, sentence), the sentence without spaces around it, in the files' order."""
    answers: dict[tuple[str, str], Answers] = {}
    for path in paths:
        table = csv.DictReader(read_lines(path))
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise UserError(
                f"{path}, line 1: expected the columns {', '.join(COLUMNS)}; download it again"
            )
        for line in table:
            where = f"{path}, line {table.line_num}"
            if None in line or None in line.values():
                raise UserError(f"{where}: other number of cells than columns; download it again")
            query = line["video_id"].removesuffix(".mp4"), line["description"].strip()
            ends = [parse_seconds(line[name], where, name) for name in ("start", "end")]
            known = answers.setdefault(query, Answers(f"{path.name}:{table.line_num}"))
            known.percent.append((ends[0], ends[1]))
    return answers


def _join(original: list[Row], answers: dict[tuple[str, str], Answers]) -> list[Row]:
    """The original's rows that have answers, in its order; then what fits none or several."""
    keys = [_key(row) for row in original]
    count = Counter(keys)
    rows = [
        _annotated(row, answers[key])
        for row, key in zip(original, keys, strict=True)
        if key in answers and count[key] == 1
    ]
    for number, (key, said) in enumerate(answers.items()):
        if count[key] != 1:
            fits = "several" if count[key] else "none"
            rows.append(_stray(f"stray_{number:05d}", key, said, fits))
    return rows


def _key(row: Row) -> tuple[str, str]:
    # The files leave out what ActivityNet Captions puts before YouTube's ids
    return row.video_id.removeprefix("v_"), row.sentence.strip()


def _annotated(row: Row, said: Answers) -> Row:
    """The row with every annotator's moment in seconds."""
    if any(start >= end for start, end in said.percent):
        fault = "an annotator's moment does not start before its end"
        return replace(row, where=said.where, fault=fault)
    duration_s = row.duration_s or 0.0  # without one the row goes, whatever its moments
    moments = [(start / 100 * duration_s, end / 100 * duration_s) for start, end in said.percent]
    return replace(row, annotators=moments)


def _stray(query_id: str, key: tuple[str, str], said: Answers, fits: str) -> Row:
    nan = float("nan")
    fault = f"fits {fits} of the original's test queries"
    return Row(said.where, query_id, *key, nan, nan, None, fault=fault)
