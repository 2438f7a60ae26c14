"""Questions to cells, answered one after another; what an answer took is kept for the next.

One thread does all the work: extraction fills a machine, and randomness is seeded per process.
"""

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.failures import TooManyFailed
from tsgbench.features.video import probe
from tsgbench.grounding import Answer, Cell, Videos, encoded_s, load
from tsgbench.serving.shelf import Video

CELLS, SENTENCES, CHARACTERS = 4, 8, 300  # of one question; of a sentence
WAITING = 4  # questions behind the one that is answered
POINTS = 240  # of a curve of scores
LOADED, ENCODED, ANSWERED = 6, 6, 16  # that are kept: cells, videos for a cell, questions

Kind = TypeVar("Kind")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offered:
    """A trained cell. key: what requests call it; label, about: what the page does."""

    key: str
    label: str
    about: str
    folder: Path


@dataclass
class Question:
    """What is asked, and how far its answer is."""

    number: int
    video: Video
    sentences: list[str]
    cells: list[Offered]
    state: str = "waiting"  # working, done, failed
    doing: str = ""
    extracting_s: float | None = None  # the video's length while its features are extracted
    answers: list[dict[str, Any]] = field(default_factory=list)


class Busy(UserError):
    """Too many questions wait."""


class Desk:
    """offered: the cells that may be asked. folder: for temporary files, deleted by its owner."""

    def __init__(self, offered: list[Offered], folder: Path, *, threads: int) -> None:
        self.offered = {cell.key: cell for cell in offered}
        self._folder, self._threads = folder, threads
        self._cells: _Kept[Cell] = _Kept(LOADED)
        self._videos: _Kept[Videos] = _Kept(ENCODED, Videos.close)
        self._questions: OrderedDict[int, Question] = OrderedDict()
        self._waiting: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self._lock = threading.Lock()
        # Of a thread that is no daemon, an extraction of hours would outlive Ctrl-C
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether a question is not answered yet."""
        return bool(self._open())

    def ask(self, video: Video, sentences: list[str], keys: list[str]) -> Question:
        """Take a question; `UserError` if it cannot be asked, `Busy` if too many wait."""
        sentences = list(dict.fromkeys(" ".join(one.split()) for one in sentences if one.strip()))
        _check(sentences, keys)
        if unknown := [key for key in keys if key not in self.offered]:
            raise UserError(f"Cell {unknown[0]}: not offered here; load the page again")
        cells = [self.offered[key] for key in dict.fromkeys(keys)]
        with self._lock:
            if len(self._open()) > WAITING:
                raise Busy(f"{WAITING} questions wait already; ask again when one is answered")
            number = max(self._questions, default=0) + 1
            asked = Question(number, video, sentences, cells)
            self._questions[number] = asked
            while len(self._questions) > ANSWERED:
                self._questions.popitem(last=False)
        self._waiting.put(asked)
        return asked

    def progress(self, number: int) -> dict[str, Any]:
        """How far a question is, for people, and its answers once they are there."""
        asked = self._questions.get(number)
        if asked is None:
            raise UserError("This question is forgotten; ask it again")
        said, share = asked.doing, None
        if asked.state == "waiting":
            before = sum(one.number < number for one in self._open())
            said = f"Waiting for {before} earlier question{'s' if before > 1 else ''}"
        elif length_s := asked.extracting_s:
            done_s = min(encoded_s(self._folder), length_s)
            share = done_s / length_s
            said += f": {done_s:.0f} of {length_s:.0f} s of the video"
        return {"state": asked.state, "said": said, "share": share, "answers": asked.answers}

    def _open(self) -> list[Question]:
        return [one for one in [*self._questions.values()] if one.state in ("waiting", "working")]

    def _work(self) -> None:
        while True:
            asked = self._waiting.get()
            asked.state = "working"
            try:
                asked.answers = [self._answer(asked, cell) for cell in asked.cells]
                asked.state = "done"
            except Exception:
                log.exception("question %d", asked.number)
                asked.doing = "The answer failed; the terminal that serves this page says why"
                asked.state = "failed"
            asked.extracting_s = None

    def _answer(self, asked: Question, offered: Offered) -> dict[str, Any]:
        """One cell's answers, or in a sentence why it has none."""
        told = {"cell": offered.key, "label": offered.label, "about": offered.about}
        try:
            asked.doing = f"Loading {offered.label}"
            cell = self._cells.get(offered.key, lambda: load(offered.folder))
            videos = self._encode(asked, cell, offered)
            asked.doing = f"Asking {offered.label}"
            traced = cell.trace(videos, asked.sentences, points=POINTS)
        except UserError as error:
            return told | {"error": asked.video.hide(str(error))}
        return told | {
            "duration_s": traced[0][0].duration_s,
            "answers": [_as_json(answer, curve) for answer, curve in traced],
        }

    def _encode(self, asked: Question, cell: Cell, offered: Offered) -> Videos:
        path = asked.video.path
        length_s, now = probe(path).duration_s, path.stat()
        # Cells on the same features share an encoding
        key = (path, now.st_mtime_ns, now.st_size, cell.parts.inputs["features"].digest)

        def encode() -> Videos:
            asked.doing = f"Extracting features for {offered.label}"
            asked.extracting_s = length_s
            try:
                return cell.encode([path], threads=self._threads, folder=self._folder)
            except TooManyFailed as error:
                raise UserError(error.failed[0]["reason"]) from None
            finally:
                asked.extracting_s = None

        return self._videos.get(key, encode)


class _Kept(Generic[Kind]):
    """The latest things made, by a key; `drop` is called with one that goes."""

    def __init__(self, number: int, drop: Callable[[Kind], object] | None = None) -> None:
        self._number, self._drop = number, drop
        self._things: OrderedDict[Hashable, Kind] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Kind]) -> Kind:
        if key not in self._things:
            self._things[key] = make()
            if len(self._things) > self._number:
                _, oldest = self._things.popitem(last=False)
                if self._drop:
                    self._drop(oldest)
        self._things.move_to_end(key)
        return self._things[key]


def _check(sentences: list[str], keys: list[str]) -> None:
    if not sentences:
        raise UserError("No sentence yet; write one, such as “a dog runs”")
    if len(sentences) > SENTENCES:
        raise UserError(f"{len(sentences)} sentences are more than {SENTENCES}; ask some later")
    if long := [one for one in sentences if len(one) > CHARACTERS]:
        raise UserError(f"“{long[0][:40]}…” is longer than {CHARACTERS} characters; shorten it")
    if not keys:
        raise UserError("No cell chosen; choose one or more")
    if len(set(keys)) > CELLS:
        raise UserError(f"{len(set(keys))} cells are more than {CELLS}; choose fewer")


def _as_json(answer: Answer, curve: np.ndarray) -> dict[str, Any]:
    return {
        "sentence": answer.sentence,
        "moments": [asdict(moment) for moment in answer.moments],
        "curve": [score if np.isfinite(score) else None for score in curve.tolist()],
        "unknown": answer.unknown,
        "untrained": answer.untrained,
    }
