"""Charades-STA (Gao et al., TALL, ICCV 2017): sentences on Charades videos, one moment each.

A line of `charades_sta_{train,test}.txt` is `video start end##sentence`; durations are the column
`length` of Charades' own `Charades_v1_{train,test}.csv`. About 15 % of the moments end after the
video does: the policy `clip` cuts them, on the test split too. With the cut labels the whole video
as prediction scores R@1 35.0/0.4/0.0 at IoU 0.3/0.5/0.7 and mIoU 27.1, the known anchor; with the
labels as printed it would be 34.3/0.4/0.0 and 27.0. Four training lines have start after end and
are dropped: 12,404 of 12,408 remain; all 3,720 test lines do.

The data set has no validation split. We hold out 10 % of the training videos, with all their
sentences, so that no test query ever chooses a checkpoint.
"""

import csv
import re
from pathlib import Path

from tsgbench.datasets.readers import (
    Row,
    hold_out,
    need_file,
    parse_seconds,
    read_lines,
    register,
)
from tsgbench.errors import UserError

NAME = "charades_sta"
VIDEO_ID = re.compile(r"[A-Za-z0-9]+")


@register(NAME)
def read(
    files: dict[str, Path], *, val_share: float = 0.1, val_seed: int = 0
) -> dict[str, list[Row]]:
    """Rows of the splits train, val and test.

    files: roles `train`, `test`, `durations_train`, `durations_test`. val_share: part of the
    training videos held out, ranked by a hash of `val_seed` and the video id.
    """
    durations: dict[str, float] = {}
    for role in ("durations_train", "durations_test"):
        durations |= read_durations(need_file(files, role, NAME))
    train = _read_lines(need_file(files, "train", NAME), durations)
    test = _read_lines(need_file(files, "test", NAME), durations)
    held_out = hold_out([row.video_id for row in train], val_share, val_seed)
    return {
        "train": [row for row in train if row.video_id not in held_out],
        "val": [row for row in train if row.video_id in held_out],
        "test": test,
    }


def read_durations(path: Path) -> dict[str, float]:
    """Seconds of each video, from the columns `id` and `length` of a Charades csv file."""
    table = csv.DictReader(read_lines(path))
    for column in ("id", "length"):
        if column not in (table.fieldnames or []):
            raise UserError(f"{path}, line 1: column {column!r} is missing; download it again")
    durations: dict[str, float] = {}
    for line in table:
        where = f"{path}, line {table.line_num}"
        if not line["id"]:
            raise UserError(f"{where}: id: is empty; download the file again")
        duration_s = parse_seconds(line["length"], where, "length")
        if durations.setdefault(line["id"], duration_s) != duration_s:
            raise UserError(
                f"{where}: length: {duration_s:g} s of a video that lasts {durations[line['id']]:g}"
                " s in an earlier line; download the file again"
            )
    return durations


def _read_lines(path: Path, durations: dict[str, float]) -> list[Row]:
    rows = []
    for index, line in enumerate(read_lines(path)):
        where = f"{path}, line {index + 1}"
        head, separator, sentence = line.partition("##")
        if not separator:
            raise UserError(f"{where}: sentence: no '##' before it; download the file again")
        fields = head.split()
        if len(fields) != 3 or not VIDEO_ID.fullmatch(fields[0]):
            raise UserError(
                f"{where}: expected 'video start end##sentence', got {line[:60]!r}; download the"
                " file again"
            )
        video_id, start, end = fields
        rows.append(
            Row(
                where=f"{path.name}:{index + 1}",
                query_id=f"{video_id}_{index:05d}",
                video_id=video_id,
                sentence=sentence,
                start_s=parse_seconds(start, where, "start"),
                end_s=parse_seconds(end, where, "end"),
                duration_s=durations.get(video_id),
            )
        )
    return rows
