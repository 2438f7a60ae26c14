"""Folders of videos that a phase makes itself: settings, encoding, resuming, many at once.

Rendered and joined data sets share it. A folder holds `making.json` (what it is being made from),
`videos/*.mp4` and, once all videos are there, `annotations.json`.
"""

import difflib
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import read_json, write_json

Job = TypeVar("Job")
Result = TypeVar("Result")

# x264 at a constant quantiser. Not its usual rate control (crf): the macroblock tree behind it
# gives other bytes from run to run, even with one thread.
ENCODER: dict[str, object] = {
    "preset": "veryfast",
    "threads": "1",
    "x264-params": "cpu-independent=1",
}


def fill_in(settings: dict, defaults: dict, whose: str) -> dict:
    """Settings with defaults filled in; `UserError` names a key that is unknown."""
    for key in settings:
        if key not in defaults:
            close = difflib.get_close_matches(key, defaults, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(defaults)}"
            raise UserError(f"{whose} settings: unknown key {key!r}; {hint}")
    return defaults | settings


def refuse_wrong(settings: dict, rules: dict[str, tuple[bool, str]], whose: str) -> None:
    """`UserError` for the first setting that is out of range.

    rules: key -> whether its value is right, and what to give in its place.
    """
    for key, (is_right, expected) in rules.items():
        if not is_right:
            raise UserError(f"{whose} settings: {key}: {settings[key]!r} is wrong; give {expected}")


def is_range(value: object) -> bool:
    """Whether it is [low, high] with 0 < low <= high."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(part, int | float) for part in value)
        and 0 < value[0] <= value[1]
    )


def tool_versions() -> dict[str, str]:
    """The libraries whose version decides the bytes of a video."""
    return {name: metadata.version(name) for name in ("av", "numpy")}


def prepare_folder(folder: Path, identity: str) -> set[str]:
    """Names of the videos that can be kept; everything of another identity is deleted.

    The marker is written before the first video and every video must appear whole
    (`files.atomic_path`), so a video beside a fitting marker is complete and right.
    """
    marker, videos = folder / "making.json", folder / "videos"
    # Who makes a finished folder again has found something in it damaged, and does not say what
    is_finished = (folder / "annotations.json").exists()
    if is_finished or not (marker.exists() and read_json(marker) == {"identity": identity}):
        (folder / "annotations.json").unlink(missing_ok=True)
        if videos.exists():
            shutil.rmtree(videos)
        videos.mkdir(parents=True)
        write_json(marker, {"identity": identity})
    for leftover in videos.glob(".*.tmp"):
        leftover.unlink()
    return {path.name for path in videos.glob("*.mp4")}


def in_parallel(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, doing: str
) -> list[Result]:
    """`work` on every job, in processes, with a progress bar; results in the order of the jobs.

    work: a function of a module, so that it can be sent to a process. doing: what the bar says.
    """
    if workers <= 1 or len(jobs) <= 1:
        return list(_progress(map(work, jobs), len(jobs), doing))
    # spawn: forking a process that may hold threads (PyTorch, a progress bar) can deadlock
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context)
    try:
        running = [pool.submit(work, job) for job in jobs]
        return list(_progress((future.result() for future in running), len(jobs), doing))
    except BrokenProcessPool:
        raise UserError(
            f"{doing}: a process died (its last words are above; if there are none, it ran out of"
            " memory); run again, with fewer workers: finished videos are kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _progress(items: Iterable[Result], total: int, doing: str) -> Iterable[Result]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, doing, total, console=console, disable=not sys.stderr.isatty())


def encode(path: Path, frames: np.ndarray, *, fps: int, quantiser: int) -> None:
    """Write an MP4 (H.264) of yuv420p frames (F, H * 3/2, W): the same frames, the same bytes.

    quantiser: x264's qp, the lower the finer.
    """
    import av

    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1] * 2 // 3, frames.shape[2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = ENCODER | {"qp": str(quantiser)}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode())
