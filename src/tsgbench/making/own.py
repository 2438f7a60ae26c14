"""Videos of one's own: which file of a folder is which video."""

import os
from pathlib import Path

from tsgbench.datasets.table import video_id_of
from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS
from tsgbench.files import files_below


def find_videos(folder: Path, wanted: set[str]) -> dict[str, Path]:
    """The file of each wanted video, anywhere below a folder, by the video's id.

    Links are followed, and what they reach twice is there once. `UserError` if two files are of one
    wanted video: nothing says which is meant.
    """
    videos: dict[str, Path] = {}
    for path in files_below(folder):
        if path.suffix.lower() not in VIDEO_ENDINGS or path.name.startswith("."):
            continue
        video = video_id_of(path.name)
        if video not in wanted or not os.path.isfile(path):  # a link to nothing
            continue
        if os.path.realpath(videos.setdefault(video, path)) != os.path.realpath(path):
            raise UserError(
                f"{path}: {videos[video]} is of the same video {video!r}; move one of the two"
                " elsewhere"
            )
    return videos
