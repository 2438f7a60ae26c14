"""What an extractor eats: clips decoded ahead in threads, regrouped into batches of one size."""

import itertools
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.video import read_clips

log = logging.getLogger(__name__)

CHUNKS_AHEAD = 4  # decoded chunks that wait for the network, per video
CHUNK_CLIPS = 16  # clips a chunk at most: a large batch is put together of several


@dataclass
class Chunk:
    """Some clips of one video, in order; its last chunk, which may be empty, closes it."""

    video: str
    clips: Any  # an array as of `read_clips`; None: it stands in the batch, from `row` on
    times: np.ndarray
    is_last: bool = False
    is_broken: bool = False
    row: int = 0  # in the batch


def batches(chunks: Iterable[Chunk], size: int) -> Iterator[tuple[np.ndarray | None, list[Chunk]]]:
    """Regroup chunks of any length into batches of exactly `size` clips, zeros behind the last.

    A fixed size keeps a clip's numbers the same to the bit whichever clips share its batch, so a
    resumed run gives the same file. Yields the batch and the pieces of videos in it, in order
    (None: no clips are left, only videos to close).
    """
    batch, pieces, filled = None, [], 0
    for chunk in chunks:
        taken, length = 0, len(chunk.times)
        while length - taken > 0:
            if batch is None:
                batch = np.zeros((size, *chunk.clips.shape[1:]), dtype=np.uint8)
            part = slice(taken, min(taken + size - filled, length))
            n = part.stop - part.start
            batch[filled : filled + n] = chunk.clips[part]
            pieces.append(Chunk(chunk.video, None, chunk.times[part], row=filled))
            filled, taken = filled + n, part.stop
            if filled == size:
                yield batch, pieces
                batch, pieces, filled = None, [], 0
        if chunk.is_last:
            pieces.append(Chunk(chunk.video, None, chunk.times[:0], True, chunk.is_broken))
    if pieces:
        yield batch, pieces


def decode_ahead(
    videos: dict[str, Path], recipe: dict, decoders: int, failed: list[dict]
) -> Generator[Chunk, None, None]:
    """Chunks of all videos, in order, decoded in threads while the caller computes.

    A few videos are open at a time, each with a few chunks waiting, so memory depends neither on
    the number of videos nor on their length. A video that cannot be decoded is added to `failed`.
    """
    stop = threading.Event()
    names = iter(videos)
    ahead: deque[tuple[str, queue.Queue]] = deque()

    with ThreadPoolExecutor(decoders, "decode") as pool, _progress(len(videos)) as advance:

        def start_next() -> None:
            for name in itertools.islice(names, 1):
                box: queue.Queue = queue.Queue(maxsize=CHUNKS_AHEAD)
                pool.submit(_decode, videos[name], recipe, box, stop)
                ahead.append((name, box))

        try:
            for _ in range(decoders + 2):
                start_next()
            while ahead:
                name, box = ahead.popleft()
                yield from _drain(name, box, failed)
                advance()
                start_next()
        finally:
            stop.set()  # the caller gave up: let the decoders end


def _drain(name: str, box: queue.Queue, failed: list[dict]) -> Iterator[Chunk]:
    no_times = np.empty((0, 2))
    while (item := box.get()) is not None:
        if isinstance(item, UserError):
            failed.append({"video": name, "reason": str(item)})
            log.warning("%s: left out: %s", name, item)
            yield Chunk(name, None, no_times, is_last=True, is_broken=True)
            return
        if isinstance(item, BaseException):
            raise item
        yield Chunk(name, *item)
    yield Chunk(name, None, no_times, is_last=True)


def _decode(path: Path, recipe: dict, box: queue.Queue, stop: threading.Event) -> None:
    """Fill `box` with (clips, times), then None; or with the error that ended it."""

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return box.put(item, timeout=0.1)
            except queue.Full:
                continue

    frames = recipe["frames"]
    try:
        chunks = read_clips(
            path,
            size=frames["short_side"] if "short_side" in frames else _pair(frames["resize"]),
            keep_aspect="short_side" in frames,
            crop=frames.get("crop"),
            clip_len=recipe["clip_len"],
            stride=recipe["stride"],
            fps=recipe["fps"],
            until_s=recipe["until_s"],
            chunk_clips=min(recipe["batch_clips"], CHUNK_CLIPS),
        )
        for chunk in chunks:
            put(chunk)
            if stop.is_set():
                return
        put(None)
    except Exception as error:  # handed over: raised or recorded by the thread that reads the box
        put(error)


def _pair(size: int | list[int]) -> int | tuple[int, int]:
    return size if isinstance(size, int) else (size[0], size[1])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr where that is a terminal; yields the function that advances it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("extracting", total=total)
        yield lambda: bar.advance(task)
