"""QVHighlights (Lei et al., "Detecting Moments and Highlights in Videos via Natural Language
Queries", NeurIPS 2021): queries about vlogs and news, each with one or several windows.

`highlight_{train_release,val_release,test_with_gt}.jsonl` hold one query a line, `{"qid", "query",
"duration", "vid", "relevant_windows", ...}`. Every one of `relevant_windows` is a right answer, and
all of them are kept: the benchmark's score looks at each. The one moment that training needs is the
longest of them; of equally long ones the earliest. Clips' saliency scores are not read.

Without the training file the splits val_train and val_select stand in for train and val: the videos
of val, less those that are held out to select checkpoints. A video is a part of 150 s of a longer
one; parts of one upload stay together.
"""

from pathlib import Path
from typing import Any

from tsgbench.datasets.json_format import need, optional_number, read_moment, read_strict_lines
from tsgbench.datasets.readers import Row, read_splits_or_stand_in, register
from tsgbench.errors import UserError

NAME = "qvhighlights"


@register(NAME)
def read(
    files: dict[str, Path], *, held_out_share: float = 0.1, held_out_seed: int = 0
) -> dict[str, list[Row]]:
    """Rows of train, val and test, or without the training file of val_train, val_select and test.

    files: roles `val`, `test` and, if wanted, `train`. held_out_share: part of the uploads of val
    that select checkpoints where there is no training file.
    """
    held_out: dict[str, Any] = {"share": held_out_share, "seed": held_out_seed}
    return read_splits_or_stand_in(files, NAME, _read_rows, **held_out, group_of=upload_of)


def upload_of(video_id: str) -> str:
    """The YouTube video that `NUsG9BgSes0_210.0_360.0` is a part of."""
    return video_id.rsplit("_", 2)[0]


def choose_moment(windows: list[tuple[float, float]]) -> tuple[float, float]:
    """The longest window, the earliest of equally long ones."""
    return min(windows, key=lambda window: (window[0] - window[1], window[0]))


def _read_rows(path: Path, label: str) -> list[Row]:
    rows = []
    for line, entry in read_strict_lines(path):
        where = f"{path}, line {line}"
        windows = [
            read_moment(window, where, "relevant_windows")
            for window in need(entry, "relevant_windows", list, where)
        ]
        if not windows:
            raise UserError(f"{where}: relevant_windows: holds no window; download the file again")
        start_s, end_s = choose_moment(windows)
        rows.append(
            Row(
                where=f"{path.name}:{line}",
                query_id=f"{label}_{need(entry, 'qid', int, where)}",
                video_id=need(entry, "vid", str, where),
                sentence=need(entry, "query", str, where),
                start_s=start_s,
                end_s=end_s,
                duration_s=optional_number(entry, "duration", where),
                annotators=windows,
            )
        )
    return rows
