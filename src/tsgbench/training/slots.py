"""Shares of a machine's GPUs: as many jobs on each as it has room for, whoever started them.

Snakemake counts GPUs but hands out no numbers, and two runs know nothing of each other. So every
job that computes on a GPU holds a file in a folder of this machine, which says what share of that
GPU is its, and is locked for as long as its process lives: the kernel frees it however that ends.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tsgbench.files import digest
from tsgbench.files.access import named, try_lock

log = logging.getLogger(__name__)

USABLE = 0.9  # of a GPU's memory; the rest is the driver's, and what allocators leave unused
POLL_S = 1.0
ROUNDING = 1e-9
# Name of a GPU -> this process's share of it. Closing the file would free it
_held: dict[str, IO[str]] = {}


@dataclass(frozen=True)
class Gpu:
    """name: its own (UUID), since numbers depend on what a job is shown. memory_mb: all it has.
    device: as PyTorch calls it here."""

    name: str
    memory_mb: int
    device: str


@dataclass(frozen=True)
class Need:
    """What a job takes of a GPU. slots: so many like it may share one; None: as many as memory
    lets. memory_mb: at its peak, as its like were measured; None: never measured."""

    slots: int | None = 1
    memory_mb: int | None = None

    def share(self, gpu: Gpu) -> float:
        """Of that GPU, 0 to 1: an even one, or what its memory comes to if that is more. A job
        that was never measured has all of it, unless a number of slots was stated."""
        even = 1 / self.slots if self.slots else 0.0
        if self.memory_mb is None:
            return even or 1.0
        return min(1.0, max(even, self.memory_mb / (USABLE * gpu.memory_mb)))


def take(gpus: list[Gpu], need: Need) -> Gpu | None:
    """A share of the least loaded GPU that has room, for as long as this process lives; None if
    none has. A process that has one gets no other."""
    if ours := _ours(gpus):
        return ours
    folder = _folder()
    with _locked(folder / "choice.lock"):
        loads = {gpu: sum(_shares(folder, gpu)) for gpu in gpus}
        free = [gpu for gpu in gpus if loads[gpu] + need.share(gpu) <= 1 + ROUNDING]
        if not free:
            return None
        chosen = min(free, key=lambda gpu: loads[gpu])
        _hold(folder, chosen, need.share(chosen))
        return chosen


def wait_for(gpus: list[Gpu], need: Callable[[], Need]) -> Gpu:
    """The same, after as long a wait as it takes; one line is logged about it.

    need: asked at every look, since what ends meanwhile may be the first of its kind measured.
    One waiting job at a time looks for room, the others wait for their turn: so jobs that need
    little do not keep one that needs a whole GPU from ever getting it.
    """
    if ours := _ours(gpus):  # before the turn, which who waits for this very share may have
        return ours
    say = _Once(
        f"waiting for room on one of {len(gpus)} GPUs (TSGBENCH_DEVICE=cpu or cuda:0 does without)"
    )
    names = digest(sorted(gpu.name for gpu in gpus))
    with _locked(_folder() / f"turn-{names}.lock", busy=say):
        while (found := take(gpus, need())) is None:
            say()
            time.sleep(POLL_S)
    return found


def _ours(gpus: list[Gpu]) -> Gpu | None:
    """The one that this process has a share of."""
    return next((gpu for gpu in gpus if gpu.name in _held), None)


class _Once:
    """Logs a line when it is first called."""

    def __init__(self, line: str) -> None:
        self.line: str | None = line

    def __call__(self) -> None:
        if self.line:
            log.info(self.line)
        self.line = None


@contextmanager
def _locked(path: Path, busy: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock, however long another process has it; busy: called if one has."""
    with named(path):
        stream = open(path, "w")  # noqa: SIM115
    with stream:
        if not try_lock(stream, path):
            if busy:
                busy()
            try_lock(stream, path, wait=True)
        yield


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"tsgbench-gpu-{os.getuid()}"
    with named(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _shares(folder: Path, gpu: Gpu) -> Iterable[float]:
    """Those that living processes hold; files of dead ones go."""
    for path in folder.glob(f"{gpu.name}.*.slot"):
        with open(path) as stream:
            if try_lock(stream, path):
                path.unlink()
            else:
                yield float(stream.read())


def _hold(folder: Path, gpu: Gpu, share: float) -> None:
    stream = tempfile.NamedTemporaryFile(  # noqa: SIM115
        "w", dir=folder, prefix=f"{gpu.name}.", suffix=".slot", delete=False
    )
    stream.write(f"{share}\n")
    stream.flush()
    try_lock(stream, stream.name)
    _held[gpu.name] = stream
