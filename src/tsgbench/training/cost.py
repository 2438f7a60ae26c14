"""What a trained cell costs: its size, the time of an answer, and the memory that answering takes.

All of it is measured on real queries of the cell's test split, through the very code that predicts
(`training.answer`). Sizes repeat from run to run; times and memory are of a machine at a moment.
"""

import contextlib
import ctypes
import gc
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.metrics import NMS_IOU, survivors
from tsgbench.jobs.records import Record
from tsgbench.models.base import Batch, Grounder
from tsgbench.training.assembly import Assembly
from tsgbench.training.data import GroundingData
from tsgbench.training.trainer import answer, seed_everything

QUERIES = 256  # so many of the test split are asked, evenly spread over it
WARM_UP = 3  # answers before the first that counts
REPEATS = 25  # answers that count
MIN_REPEATS, BUDGET_S = 5, 60.0  # after so many seconds no more than these
NMS_DEPTH = 5  # moments that survive suppression: what R@5 needs
CUDA_PEAK = "most that PyTorch held on the GPU, less what it held before the model was built"
CPU_PEAK = (
    "most resident memory of a process of its own, less what it held, warm, before the model was"
    " built"
)
NO_PEAK = "not measured: needs /proc (Linux)"
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Subject:
    """A trained cell, with some queries of its test split in memory as prediction has them.

    run: the record of its training.
    """

    cell: Assembly
    run: Record
    queries: Queries
    data: GroundingData

    @classmethod
    def open(
        cls, settings: dict[str, Any], inputs: dict[str, Record], device: torch.device
    ) -> "Subject":
        """Read words, queries and their features; `UserError` if none of the videos has any.

        settings: the cell's, as its training got them. inputs: the records `run`, `annotations`,
        `features` and `vocabulary`.
        """
        cell = Assembly(settings, inputs, device)
        queries = cell.queries("test")
        count = min(QUERIES, len(queries))
        queries = queries.take(np.linspace(0, len(queries) - 1, count).round().astype(int))
        return cls(cell, inputs["run"], queries, _read(queries, cell))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.cell.device

    @property
    def checkpoint(self) -> Path:
        """The file of the trained weights."""
        return self.run.file("checkpoint.pt")

    def model(self) -> Grounder:
        """The trained model on the device; `UserError` if the checkpoint does not fit it."""
        seed_everything(self.cell.settings["seed"])
        return self.cell.load_model(self.run)

    def batch(self, rows: np.ndarray) -> Batch:
        """The given queries, from memory."""
        return self.data.batch(torch.from_numpy(rows), with_moments=False)

    def batch_from_files(self, rows: np.ndarray) -> Batch:
        """The same, from the sentences and the feature file (perhaps in the system's cache)."""
        data = _read(self.queries.take(rows), self.cell)
        return data.batch(torch.arange(len(rows)), with_moments=False)


def _read(queries: Queries, cell: Assembly) -> GroundingData:
    # The query's own video and words, which cost what another one's in their place do: a single
    # query has no other to choose from
    inputs = {**cell.settings["inputs"], "query": "real"}
    if inputs.get("video") == "mismatched":
        inputs["video"] = "real"
    return cell.read(queries, inputs=inputs)


def count_sizes(model: Grounder, checkpoint: Path) -> dict[str, int]:
    """Numbers that were trained; all that the checkpoint holds, such as word vectors that were not;
    and its bytes."""
    return {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "numbers": sum(value.numel() for value in model.state_dict().values()),
        "checkpoint_bytes": checkpoint.stat().st_size,
    }


def measure_times(subject: Subject, model: Grounder, sizes: list[int]) -> dict[str, dict[str, Any]]:
    """Batch size -> seconds per query, each with `median`, `low` and `high` (quartiles), `repeats`.

    `answer`: from features in memory to the moments that survive suppression. `from_files`: the
    same with reading features, resampling and encoding words before it. A batch that is larger than
    the split holds queries twice.
    """
    by_size = {}
    for size in sizes:
        by_size[str(size)] = {
            "answer": _timed(subject, model, size, subject.batch),
            "from_files": _timed(subject, model, size, subject.batch_from_files),
        }
    return by_size


def _timed(
    subject: Subject, model: Grounder, size: int, make: Callable[[np.ndarray], Batch]
) -> dict[str, float]:
    seconds: list[float] = []
    begun = time.perf_counter()
    for number in range(WARM_UP + REPEATS):
        rows = np.arange(number * size, (number + 1) * size) % len(subject.queries)
        if subject.device.type == "cuda":
            torch.cuda.synchronize(subject.device)
        started = time.perf_counter()
        _answer(model, make(rows))  # ends on the CPU, so nothing is left in the queue
        seconds.append((time.perf_counter() - started) / size)
        is_enough = number + 1 >= WARM_UP + MIN_REPEATS
        if is_enough and time.perf_counter() - begun > BUDGET_S:
            break
    low, median, high = np.percentile(seconds[WARM_UP:], [25, 50, 75])
    return {
        "median": float(median),
        "low": float(low),
        "high": float(high),
        "repeats": len(seconds) - WARM_UP,
    }


@torch.inference_mode()
def _answer(model: Grounder, batch: Batch) -> np.ndarray:
    """(B, NMS_DEPTH, 2) seconds: as training predicts, then as the evaluation suppresses."""
    return survivors(answer(model, batch)[..., :2], NMS_IOU, NMS_DEPTH)


def measure_memory(
    settings: dict[str, Any], inputs: dict[str, Record], device: torch.device, sizes: list[int]
) -> dict[str, Any]:
    """`how` it was measured and `bytes` by batch size: model, batch and all in between.

    On a CPU by a process of its own, because memory that this one has used and freed is used again
    and would not show. `bytes` is None where there is no way to measure.
    """
    if device.type == "cuda":
        return {"how": CUDA_PEAK, "bytes": _peaks(settings, inputs, device, sizes)}
    if not RESET.exists():
        return {"how": NO_PEAK, "bytes": None}
    arguments = (settings, inputs, device, sizes, torch.get_num_threads())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return {"how": CPU_PEAK, "bytes": process.submit(_peaks, *arguments).result()}
        except BrokenProcessPool:
            raise UserError(
                f"{inputs['run'].path}: the process that measures memory was killed, as happens"
                " when memory runs out; free some, or choose smaller batches"
            ) from None


def _peaks(
    settings: dict[str, Any],
    inputs: dict[str, Record],
    device: torch.device,
    sizes: list[int],
    threads: int | None = None,
) -> dict[str, int]:
    """Batch size, ascending -> bytes. Larger batches come later, so that each peak is its own."""
    if threads is not None:
        torch.set_num_threads(threads)
    subject = Subject.open(settings, inputs, device)
    with subject.cell:
        # Libraries and thread pools set up at the first answer are no part of the model
        _answer(subject.model(), subject.batch(np.arange(1)))
        before = _held(device)
        model = subject.model()
        _held(device)  # forgets that, while loading, the weights were there twice
        by_size = {}
        for size in sorted(sizes):
            _answer(model, subject.batch(np.arange(size) % len(subject.queries)))
            by_size[str(size)] = _peak(device) - before
    return by_size


def _held(device: torch.device) -> int:
    """Bytes held now. Peaks are counted anew from here."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)  # what was freed but not given back would hide growth
    RESET.write_text("5")
    return _resident("VmRSS")


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _resident("VmHWM")


def _resident(name: str) -> int:
    return 1024 * int(
        re.search(  # type: ignore[index]  # Linux has the line
            rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE
        )[1]
    )
