"""A few frames of a video, evenly over its length, as small pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.features.video import read_clips

FRAMES = 8
HEIGHT = 64  # pixels of the shorter side


def read_thumbnails(path: str | Path, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The frame in the middle of each eighth of `duration_s`, and that middle.

    Returns (F, H, W, 3) uint8 and (F, 2) seconds of the eighths, F less than 8 where the file is
    shorter than the annotation says. `UserError` if it cannot be decoded.
    """
    step_s = duration_s / FRAMES
    ticks = 0
    pictures: Any = []
    # A clock of twice as many ticks: every second one is the middle of an eighth
    clips = read_clips(
        path, size=HEIGHT, keep_aspect=True, clip_len=1, stride=1, fps=2 / step_s,
        until_s=duration_s,
    )  # fmt: skip
    for clip, _ in clips:
        pictures += list(clip[(1 - ticks % 2) :: 2, 0])
        ticks += len(clip)
    pictures = np.stack(pictures[:FRAMES]) if pictures else np.zeros((0, 1, 1, 3), np.uint8)
    starts = np.arange(len(pictures)) * step_s
    return pictures, np.stack([starts, starts + step_s], axis=1)
