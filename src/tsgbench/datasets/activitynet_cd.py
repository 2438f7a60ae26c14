"""ActivityNet-CD (Yuan et al., "A Closer Look at Temporal Sentence Grounding in Videos", 2021).

ActivityNet Captions split anew, so that a model which only learns where moments tend to lie fails:
the moments of test_ood (out of distribution) lie where those of train rarely do, the moments of
test_iid as those of train. `anet_{train,val,test_iid,test_ood}.json` keep the layout of ActivityNet
Captions; a video of val_1 and val_2 carries both annotators' rows. Four rows of test_ood do not
start before they end and are dropped: no prediction can overlap them.
"""

from pathlib import Path

from tsgbench.datasets.json_format import field_clock, read_files
from tsgbench.datasets.readers import Row, register

NAME = "activitynet_cd"
SPLITS = ("train", "val", "test_iid", "test_ood")


@register(NAME)
def read(files: dict[str, Path]) -> dict[str, list[Row]]:
    """Rows of the splits train, val, test_iid and test_ood. files: a role for each of them."""
    return read_files(files, SPLITS, NAME, field_clock("duration"))
