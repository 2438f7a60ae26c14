"""Videos of one's own: which file of a folder is which video."""

import os
from pathlib import Path

from tsgbench.datasets.table import video_id_of
from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS


def find_videos(folder: Path, wanted: set[str]) -> dict[str, Path]:
    """The file of each wanted video, anywhere below a folder, by the video's id.

    `UserError` if two files are of one wanted video: nothing says which is meant.
    """
    videos: dict[str, Path] = {}
    for within, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = Path(within, name)
            if path.suffix.lower() not in VIDEO_ENDINGS or name.startswith("."):
                continue
            video = video_id_of(name)
            if video not in wanted:
                continue
            if video in videos:
                raise UserError(f"{path}: {videos[video]} is of the same video; remove one of them")
            videos[video] = path
    return videos
