"""Folders of videos that a phase makes itself: encoding, resuming, many at once.

Rendered and joined data sets share it. A folder holds `making.json` (what it is being made from),
`videos/*.mp4` and, once all videos are there, `annotations.json`.
"""

import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import read_json, write_json

Job = TypeVar("Job")
Result = TypeVar("Result")

# x264 at a constant quantiser. Not its usual rate control (crf): the macroblock tree behind it
# gives other bytes from run to run, even with one thread.
ENCODER = {"preset": "veryfast", "threads": "1", "x264-params": "cpu-independent=1"}


def prepare_folder(folder: Path, identity: str) -> set[str]:
    """Names of the videos that can be kept; everything of another identity is deleted.

    The marker is written before the first video and every video must appear whole
    (`files.atomic_path`), so a video beside a fitting marker is complete and right.
    """
    marker, videos = folder / "making.json", folder / "videos"
    if not (marker.exists() and read_json(marker) == {"identity": identity}):
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


def _progress(items: Iterable[Result], total: int, doing: str) -> Iterator[Result]:
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
