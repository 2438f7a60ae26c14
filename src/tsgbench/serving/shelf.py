"""The videos that the page offers: of a folder or of the data sets, and uploads, each under a key.

A request names a key and never a path, so that nothing else of the machine can be asked for.
"""

import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO

from tsgbench.datasets.queries import read_splits
from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS, find_file
from tsgbench.features.video import probe, read_clips, shown
from tsgbench.files import digest, printable
from tsgbench.grounding.parts import Parts, data_videos

UPLOADS = 5  # that are kept; of more, the oldest goes
NAME = 100  # characters


@dataclass(frozen=True)
class Sentence:
    """One that a data set has of a video, and where it was annotated."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Video:
    """name: as the page shows it, under `group`."""

    key: str
    name: str
    group: str
    path: Path
    sentences: tuple[Sentence, ...] = ()

    def hide(self, message: str) -> str:
        """A message about the file with the video's name for its path."""
        return message.replace(shown(self.path), self.name)


class Shelf:
    """known: videos of data sets. folder: whose videos are offered, too. uploads: a folder for
    them, private and deleted by whoever made it; no file there is larger than `max_bytes`."""

    def __init__(
        self, known: list[Video], folder: Path | None, uploads: Path, *, max_bytes: int
    ) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._place, self._lock = uploads, threading.Lock()
        self._found = {video.key: video for video in known}
        self._uploaded: OrderedDict[str, Video] = OrderedDict()

    def videos(self) -> list[Video]:
        """All that there are, uploads first."""
        if self.folder:
            there = (_offered(path, self.folder) for path in sorted(self.folder.iterdir()))
            self._found = {video.key: video for video in there if video}
        with self._lock:
            return [*reversed(self._uploaded.values()), *self._found.values()]

    def find(self, key: str) -> Video:
        """The video of a key that `videos` gave; `UserError` if it is not there any more."""
        with self._lock:
            uploaded = self._uploaded.get(key)
        video = uploaded or self._found.get(key)
        if video and self.folder and not uploaded:  # it may have become a link since it was listed
            video = _offered(video.path, self.folder)
        if not video or not video.path.is_file():
            raise UserError(
                "This video is not here any more; choose another, or load the page again"
            )
        return video

    def add(self, name: str, stream: IO[bytes]) -> Video:
        """Keep an upload; `UserError` unless it is a video that decodes here."""
        name = printable(PureWindowsPath(name).name)[-NAME:]  # which parts by / as well
        suffix = Path(name).suffix.lower()
        if suffix not in VIDEO_ENDINGS:
            endings = ", ".join(VIDEO_ENDINGS)
            raise UserError(f"{name or 'The file'}: not named as a video is ({endings})")
        key = secrets.token_hex(8)
        video = Video(key, name, "Uploaded", self._place / f"{key}{suffix}")
        try:
            with open(video.path, "xb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
            _check(video)
        except BaseException:
            video.path.unlink(missing_ok=True)
            raise
        with self._lock:
            self._uploaded[key] = video
            if len(self._uploaded) > UPLOADS:
                self._uploaded.popitem(last=False)[1].path.unlink(missing_ok=True)
        return video


def _check(video: Video) -> None:
    """`UserError` unless the file holds a film whose first frame decodes."""
    try:
        probe(video.path)
        with closing(read_clips(video.path, size=16, clip_len=1, stride=1, chunk_clips=1)) as clips:  # type: ignore[type-var]
            next(clips)
    except UserError as error:
        raise UserError(video.hide(str(error))) from None


def _offered(path: Path, folder: Path) -> Video | None:
    """A video of the folder; None for what is no video by its name, or lies elsewhere."""
    if path.suffix.lower() not in VIDEO_ENDINGS or not path.is_file():
        return None
    if not path.resolve().is_relative_to(folder.resolve()):
        return None
    return Video(digest(shown(path)), printable(shown(path.name)), shown(folder), path)


def read_data(cells: list[Parts], titles: Mapping[str, str]) -> tuple[list[Video], list[str]]:
    """The test videos of the cells' data sets, each with its sentences; and why others are lacking.

    titles: of data sets, by name.
    """
    found: dict[str, Video] = {}
    lacking: dict[str, str] = {}
    read: set[tuple[str, ...]] = set()
    for parts in cells:
        settings = parts.run.content["settings"]
        source = (settings["dataset"], *settings["splits"]["test"])
        if source in read:
            continue
        read.add(source)
        try:
            files = data_videos(parts)
        except UserError as error:
            lacking[settings["dataset"]] = str(error)
            continue
        group = f"{titles.get(settings['dataset'], settings['dataset'])}, test videos"
        for video in _of_split(parts, list(source[1:]), files, group):
            found.setdefault(video.key, video)
    return list(found.values()), list(lacking.values())


def _of_split(parts: Parts, splits: list[str], files: dict[str, Path], group: str) -> list[Video]:
    queries = read_splits(parts.inputs["annotations"], splits)
    sentences: dict[str, list[Sentence]] = {}
    for name, text, (start_s, end_s) in zip(
        queries.video_ids, queries.sentences, queries.moments.tolist(), strict=True
    ):
        sentences.setdefault(name, []).append(Sentence(text, start_s, end_s))
    paths = {name: find_file(name, files) for name in sorted(sentences)}
    return [
        Video(digest(shown(path)), name, group, path, tuple(sentences[name]))
        for name, path in paths.items()
        if path
    ]
