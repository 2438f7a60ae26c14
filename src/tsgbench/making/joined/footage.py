"""Pictures of joined videos: decoded from the clips, scaled, cut, faded and encoded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.video import read_clips
from tsgbench.files import atomic_path
from tsgbench.making.folders import encode
from tsgbench.making.joined.plan import Joined

# Fine enough that the encoder adds little to what the clips' own has left
QUANTISER = 23
SMALL = (16, 16)  # pictures that are only counted


def count_frames(path: Path, fps: float) -> int | str:
    """Frames of a whole clip at `fps`, all of them decoded; or in words why it cannot be."""
    try:
        return sum(len(clips) for clips, _ in _read(path, SMALL, fps, None))
    except UserError as error:
        return str(error)


def join(video: Joined, paths: dict[str, Path], size: tuple[int, int], fps: int, out: Path) -> None:
    """Write the joined video as one MP4; it appears under `out` whole or not at all.

    paths: clip -> file. size: (height, width); another shape is scaled to fit and padded black.
    """
    frames = np.empty((video.frames, size[0] * 3 // 2, size[1]), np.uint8)
    before = None  # the last pictures of the segment before, where it fades
    for segment in video.segments:
        shown = read_frames(
            paths[segment.clip.clip], segment.first, segment.frames, size=size, fps=fps
        )
        if before is not None and video.fade:
            shown[: video.fade] = _blend(before, shown[: video.fade])
        before = shown[len(shown) - video.fade :]
        # what a later segment fades into is written again, blended
        frames[segment.at : segment.at + len(shown)] = to_yuv(shown)
    with atomic_path(out) as path:
        encode(path, frames, fps=fps, quantiser=QUANTISER)


def read_frames(
    path: Path, first: int, number: int, *, size: tuple[int, int], fps: float
) -> np.ndarray:
    """RGB (number, H, W, 3) uint8 of the frames from `first` on, at `fps`, fitted into `size`."""
    shown = np.zeros((number, *size, 3), np.uint8)
    count = 0
    for clips, _ in _read(path, size, fps, (first + number) / fps):
        skipped = max(0, first - count)
        count += len(clips)
        pictures = clips[skipped:, 0]
        top, left = (
            (whole - part) // 2 for whole, part in zip(size, pictures.shape[1:3], strict=True)
        )
        begin = count - len(pictures) - first
        shown[
            begin : begin + len(pictures),
            top : top + pictures.shape[1],
            left : left + pictures.shape[2],
        ] = pictures
    if count < first + number:
        raise UserError(f"{path}: has {count} frames, {first + number} were planned; join again")
    return shown


def _read(
    path: Path, size: tuple[int, int], fps: float, until_s: float | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return read_clips(
        path, size=size, keep_aspect=size != SMALL, clip_len=1, stride=1, fps=fps, until_s=until_s
    )


def _blend(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """From old to new pictures (n, H, W, 3), in even steps."""
    weight = (np.arange(1, len(new) + 1, dtype=np.float32) / (len(new) + 1))[:, None, None, None]
    return np.rint(old * (1 - weight) + new * weight).astype(np.uint8)


def to_yuv(pictures: np.ndarray) -> np.ndarray:
    """RGB (n, H, W, 3) to yuv420p (n, H * 3/2, W), as H.264 players expect it."""
    import av

    frames = (av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures)
    return np.stack([frame.reformat(format="yuv420p").to_ndarray() for frame in frames])
