"""Charades-CD (Yuan et al., "A Closer Look at Temporal Sentence Grounding in Videos", 2021).

Charades-STA split anew by where moments lie; see `activitynet_cd`, which has the same splits.
`charades_{train,val,test_iid,test_ood}.json` are `{video: {"timestamps" (seconds), "sentences",
"video_duration", ...}}`; frame numbers and word numbers beside them are not read. The durations are
those of videos decoded at 16 frames a second, 0.16 s longer on average than the `length` of
Charades' own tables; moments are cut to them. The files hold no inverted row.
"""

from pathlib import Path

from tsgbench.datasets.json_format import field_clock, read_files
from tsgbench.datasets.readers import Row, register

NAME = "charades_cd"
SPLITS = ("train", "val", "test_iid", "test_ood")


@register(NAME)
def read(files: dict[str, Path]) -> dict[str, list[Row]]:
    """Rows of the splits train, val, test_iid and test_ood. files: a role for each of them."""
    return read_files(files, SPLITS, NAME, field_clock("video_duration"))
