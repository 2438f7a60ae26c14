"""What extractors eat: clips decoded ahead in threads, regrouped into batches of one size.

Several extractors, each with a view of its own (`View`), eat of the same videos, of which each is
decoded once.
"""

import itertools
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.video import View, read_views

log = logging.getLogger(__name__)

CHUNKS_AHEAD = 4  # decoded chunks that wait for the network, per video
CHUNK_CLIPS = 16  # clips a chunk at most: a large batch is put together of several


@dataclass
class Chunk:
    """Some clips of one video in one view, in order; its last chunk, which may be empty, closes it.

    failure: why the video has no features; then this is its last chunk.
    """

    video: str
    clips: Any  # an array as of `read_clips`; None: it stands in the batch, from `row` on
    times: np.ndarray
    is_last: bool = False
    failure: str | None = None
    row: int = 0  # in the batch
    view: int = 0


@dataclass
class Batch:
    """Clips of one view, zeros behind the last, and the pieces of videos in it, in order. clips:
    None: there are none left, only videos to close."""

    view: int
    clips: np.ndarray | None = None
    pieces: list[Chunk] = field(default_factory=list)
    filled: int = 0


def view_of(recipe: dict) -> View:
    """What a recipe makes of a video's frames."""
    frames = recipe["frames"]
    return View(
        size=frames["short_side"] if "short_side" in frames else _pair(frames["resize"]),
        keep_aspect="short_side" in frames,
        crop=frames.get("crop"),
        clip_len=recipe["clip_len"],
        stride=recipe["stride"],
        fps=recipe["fps"],
        until_s=recipe["until_s"],
        chunk_clips=min(recipe["batch_clips"], CHUNK_CLIPS),
    )


def _pair(size: int | list[int]) -> int | tuple[int, int]:
    return size if isinstance(size, int) else (size[0], size[1])


def batches(chunks: Iterable[Chunk], sizes: Sequence[int]) -> Iterator[Batch]:
    """Regroup chunks of any length into batches of exactly `sizes[view]` clips of one view.

    A fixed size keeps a clip's numbers the same to the bit whichever clips share its batch, so a
    resumed run gives the same file, and so do views alone and together.
    """
    started = [Batch(view) for view in range(len(sizes))]
    for chunk in chunks:
        view, taken, length = chunk.view, 0, len(chunk.times)
        size, batch = sizes[view], started[view]
        while length - taken > 0:
            if batch.clips is None:
                batch.clips = np.zeros((size, *chunk.clips.shape[1:]), dtype=np.uint8)
            part = slice(taken, min(taken + size - batch.filled, length))
            n = part.stop - part.start
            batch.clips[batch.filled : batch.filled + n] = chunk.clips[part]
            batch.pieces.append(Chunk(chunk.video, None, chunk.times[part], row=batch.filled))
            batch.filled, taken = batch.filled + n, part.stop
            if batch.filled == size:
                yield batch
                batch = started[view] = Batch(view)
        if chunk.is_last:
            batch.pieces.append(
                Chunk(chunk.video, None, chunk.times[:0], is_last=True, failure=chunk.failure)
            )
    yield from (batch for batch in started if batch.pieces)


def decode_ahead(
    videos: dict[str, Path], wanted: Sequence[Iterable[str]], views: Sequence[View], decoders: int
) -> Generator[Chunk, None, None]:
    """Chunks of all videos, video by video, decoded in threads while the caller computes.

    wanted: of each view, names of the videos that it reads. A few videos are open at a time, each
    with a few chunks waiting, so memory depends neither on the number of videos nor on their
    length.
    """
    stop = threading.Event()
    sought = [set(names) for names in wanted]
    readers = {
        name: numbers
        for name in videos
        if (numbers := [view for view, names in enumerate(sought) if name in names])
    }
    names = iter(readers)
    ahead: deque[tuple[str, queue.Queue]] = deque()

    with ThreadPoolExecutor(decoders, "decode") as pool, _progress(len(readers)) as advance:

        def start_next() -> None:
            for name in itertools.islice(names, 1):
                mine = {number: views[number] for number in readers[name]}
                box: queue.Queue = queue.Queue(maxsize=CHUNKS_AHEAD * len(mine))
                pool.submit(_decode, videos[name], mine, box, stop)
                ahead.append((name, box))

        try:
            for _ in range(decoders + 2):
                start_next()
            while ahead:
                name, box = ahead.popleft()
                yield from _drain(name, box, len(readers[name]))
                advance()
                start_next()
        finally:
            stop.set()  # the caller gave up: let the decoders end


def _drain(name: str, box: queue.Queue, reading: int) -> Iterator[Chunk]:
    """What is decoded of a video, until all views that are `reading` it have ended."""
    no_times = np.empty((0, 2))
    while reading:
        numbers, item = box.get()
        if isinstance(item, tuple):
            clips, times = item
            yield from (Chunk(name, clips, times, view=number) for number in numbers)
            continue
        failure = None
        if isinstance(item, UserError):
            failure = str(item)
            log.warning("%s: left out: %s", name, item)
        elif isinstance(item, BaseException):
            raise item
        for number in numbers:
            yield Chunk(name, None, no_times, is_last=True, failure=failure, view=number)
        reading -= len(numbers)


def _decode(path: Path, views: dict[int, View], box: queue.Queue, stop: threading.Event) -> None:
    """Fill `box` with numbers of views and their (clips, times), then None, or the error that ended
    them."""

    def put(numbers: list[int], item: object) -> None:
        while not stop.is_set():
            try:
                return box.put((numbers, item), timeout=0.1)
            except queue.Full:
                continue

    reading = list(views)
    try:
        for index, item in read_views(path, list(views.values())):
            number = list(views)[index]
            if not isinstance(item, tuple):
                reading.remove(number)
            put([number], item)
            if stop.is_set():
                return
    except Exception as error:  # handed over: raised or recorded by the thread that reads the box
        put(reading, error)


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
