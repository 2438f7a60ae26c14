"""ActivityNet Captions (Krishna et al., ICCV 2017): a paragraph of sentences on each video.

`{train,val_1,val_2}.json` are `{video: {"duration", "timestamps", "sentences"}}` in seconds. Two
people annotated the validation videos independently: val_2 covers 4,885 of val_1's 4,917 videos, so
the two share videos and no row. There is no public test split; papers test on val_1, on val_2 or on
both, which is why the splits keep their own names here. Four training rows do not start before they
end and are dropped: 37,417 of 37,421 remain, the count that IA-Net and FIAN print.
"""

from pathlib import Path

from tsgbench.datasets.json_format import field_clock, read_files
from tsgbench.datasets.readers import Row, register

NAME = "activitynet_captions"


@register(NAME)
def read(files: dict[str, Path]) -> dict[str, list[Row]]:
    """Rows of the splits train, val_1 and val_2, which are the roles of files too."""
    return read_files(files, ("train", "val_1", "val_2"), NAME, field_clock("duration"))
