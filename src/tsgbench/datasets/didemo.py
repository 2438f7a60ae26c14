"""DiDeMo (Hendricks et al., "Localizing Moments in Video", ICCV 2017): annotators of each query.

`{train,val,test}_data.json` are lists of `{"annotation_id", "video", "description", "num_segments",
"times"}`. A video is cut into 5 s chunks, and each of `times` is one annotator's moment, from chunk
i to chunk j inclusive: [5 i, 5 (j + 1)] s. All of them are kept, since the official score looks at
each. The one moment that training needs is the most frequent of them; of equally frequent ones (8 %
of the queries) the one with the largest mean IoU with all of them, then the earliest, then the
shortest. The duration is 5 s x num_segments, up to 5 s more than the true one.

Where the training file cannot be had, the splits val_train and val_select stand in for train and
val: the videos of val, less those that are held out to select checkpoints.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.datasets.json_format import check_kind, need, read_strict
from tsgbench.datasets.moments import iou
from tsgbench.datasets.readers import Row, read_splits_or_stand_in, register
from tsgbench.errors import UserError

NAME = "didemo"
CHUNK_S = 5.0


@register(NAME, grid_s=CHUNK_S)
def read(
    files: dict[str, Path], *, held_out_share: float = 0.1, held_out_seed: int = 0
) -> dict[str, list[Row]]:
    """Rows of train, val and test, or without the training file of val_train, val_select and test.

    files: roles `val`, `test` and, if it can be had, `train`. held_out_share: part of the videos of
    val that select checkpoints where there is no training file.
    """
    held_out: dict[str, Any] = {"share": held_out_share, "seed": held_out_seed}
    return read_splits_or_stand_in(files, NAME, _read_rows, **held_out)


def choose_moment(annotators: list[tuple[float, float]]) -> tuple[float, float]:
    """The moment that stands for all annotators' (see above), in the units given."""
    votes = Counter(annotators)
    leaders = sorted(moment for moment, count in votes.items() if count == max(votes.values()))
    if len(leaders) == 1:
        return leaders[0]
    overlap = iou(np.array(leaders)[:, None], np.array(annotators)[None]).mean(axis=1)
    # rounded, so that the order of the sum decides no tie; argmax takes the first, i.e. earliest
    return leaders[int(np.argmax(np.round(overlap, 9)))]


def _read_rows(path: Path, label: str) -> list[Row]:
    rows = []
    for index, entry in enumerate(read_strict(path, list)):
        where = f"{path}, [{index}]"
        check_kind(entry, dict, where, "entry")
        annotators = [_read_chunks(pair, where) for pair in need(entry, "times", list, where)]
        if not annotators:
            raise UserError(f"{where}: times: holds no annotation; download the file again")
        start_s, end_s = choose_moment(annotators)
        rows.append(
            Row(
                where=f"{path.name}:[{index}]",
                query_id=f"{label}_{need(entry, 'annotation_id', int, where)}",
                video_id=need(entry, "video", str, where),
                sentence=need(entry, "description", str, where),
                start_s=start_s,
                end_s=end_s,
                duration_s=CHUNK_S * need(entry, "num_segments", int, where),
                annotators=annotators,
            )
        )
    return rows


def _read_chunks(pair: Any, where: str) -> tuple[float, float]:
    """Seconds of the chunks from i to j inclusive."""
    is_pair = isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)
    if not is_pair or not 0 <= pair[0] <= pair[1]:
        raise UserError(
            f"{where}: times: expected [first, last] chunk, got {str(pair)[:40]}; download the"
            " file again"
        )
    return CHUNK_S * pair[0], CHUNK_S * (pair[1] + 1)
