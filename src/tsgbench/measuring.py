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

import numpy as np
import torch

from tsgbench.datasets.table import Queries, part_by_video, read_splits
from tsgbench.errors import UserError
from tsgbench.evaluation.metrics import NMS_IOU, survivors
from tsgbench.features.store import FeatureStore
from tsgbench.loading import GroundingData
from tsgbench.models.base import Batch, Grounder, build
from tsgbench.records import Record
from tsgbench.text import WordTable, load_word_table
from tsgbench.training import TrainSettings, answer, seed_everything

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

    settings: the cell's, as its training got them. inputs: the records `run`, `annotations`,
    `features` and `vocabulary`.
    """

    settings: dict
    inputs: dict[str, Record]
    device: torch.device
    queries: Queries
    store: FeatureStore
    words: WordTable
    data: GroundingData

    @classmethod
    def open(cls, settings: dict, inputs: dict[str, Record], device: torch.device) -> "Subject":
        """Read words, queries and their features; `UserError` if none of the videos has any."""
        words = load_word_table(inputs["vocabulary"].file(f"{settings['inputs']['tokenizer']}.npz"))
        (features,) = inputs["features"].files(".h5").values()
        store = FeatureStore(features)
        splits = settings["splits"]["test"]
        queries, _ = part_by_video(read_splits(inputs["annotations"], splits), store)
        if not len(queries):
            raise UserError(
                f"{features}: has no video of {' + '.join(splits)}, so no answer can be timed; see"
                " the list of failed videos beside the clips, and get more of them"
            )
        count = min(QUERIES, len(queries))
        queries = queries.take(np.linspace(0, len(queries) - 1, count).round().astype(int))
        data = _read(queries, store, words, settings, device)
        return cls(settings, inputs, device, queries, store, words, data)

    @property
    def checkpoint(self) -> Path:
        return self.inputs["run"].file("checkpoint.pt")

    def model(self) -> Grounder:
        """The trained model on the device; `UserError` if the checkpoint does not fit it."""
        seed_everything(self.settings["seed"])
        model = build(
            self.settings["model"],
            clip_dim=self.data.clip_dim,
            words=self.words,
            settings=self.settings["model_settings"],
            module=self.settings["module"],
        )
        try:
            weights = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            model.load_state_dict(weights)
        except Exception as error:
            raise UserError(
                f"{self.checkpoint}: not the weights of this cell ({error}); train it again"
            ) from error
        return model.to(self.device).eval()

    def batch(self, rows: np.ndarray) -> Batch:
        """The given queries, from memory."""
        return self.data.batch(torch.from_numpy(rows), with_moments=False)

    def batch_from_files(self, rows: np.ndarray) -> Batch:
        """The same, from the sentences and the feature file (perhaps in the system's cache)."""
        asked = self.queries.take(rows)
        data = _read(asked, self.store, self.words, self.settings, self.device)
        return data.batch(torch.arange(len(rows)), with_moments=False)


def _read(
    queries: Queries, store: FeatureStore, words: WordTable, settings: dict, device: torch.device
) -> GroundingData:
    # The query's own video and words, which cost what another one's in their place do: a single
    # query has no other to choose from
    inputs = {**settings["inputs"], "query": "real"}
    if inputs.get("video") == "mismatched":
        inputs["video"] = "real"
    return GroundingData(
        queries, store, words, inputs, with_moments=False, seed=settings["seed"], device=device
    )


def count_sizes(model: Grounder, checkpoint: Path) -> dict[str, int]:
    """Numbers that were trained; all that the checkpoint holds, such as word vectors that were not;
    and its bytes."""
    return {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "numbers": sum(value.numel() for value in model.state_dict().values()),
        "checkpoint_bytes": checkpoint.stat().st_size,
    }


def measure_times(subject: Subject, model: Grounder, sizes: list[int]) -> dict[str, dict]:
    """Batch size -> seconds a query, each with `median`, `low` and `high` (quartiles), `repeats`.

    `answer`: from features in memory to the moments that survive suppression. `from_files`: the
    same with reading features, resampling and encoding words before it. A batch that is larger than
    the split holds queries twice.
    """
    found = {}
    for size in sizes:
        found[str(size)] = {
            "answer": _timed(subject, model, size, subject.batch),
            "from_files": _timed(subject, model, size, subject.batch_from_files),
        }
    return found


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
        _answer(subject, model, make(rows))  # ends on the CPU, so nothing is left in the queue
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
def _answer(subject: Subject, model: Grounder, batch: Batch) -> np.ndarray:
    """(B, NMS_DEPTH, 2) seconds: as training predicts, then as the evaluation suppresses."""
    how = TrainSettings(**subject.settings["train"])
    ranked = answer(model, batch, how.candidates, how, subject.device)
    return survivors(ranked[..., :2], NMS_IOU, NMS_DEPTH)


def measure_memory(
    settings: dict, inputs: dict[str, Record], device: torch.device, sizes: list[int]
) -> dict:
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
    settings: dict,
    inputs: dict[str, Record],
    device: torch.device,
    sizes: list[int],
    threads: int | None = None,
) -> dict[str, int]:
    """Batch size, ascending -> bytes. Larger batches come later, so that each peak is its own."""
    if threads is not None:
        torch.set_num_threads(threads)
    subject = Subject.open(settings, inputs, device)
    with subject.store:
        # Libraries and thread pools set up at the first answer are no part of the model
        _answer(subject, subject.model(), subject.batch(np.arange(1)))
        before = _held(device)
        model = subject.model()
        _held(device)  # forgets that, while loading, the weights were there twice
        found = {}
        for size in sorted(sizes):
            _answer(subject, model, subject.batch(np.arange(size) % len(subject.queries)))
            found[str(size)] = _peak(device) - before
    return found


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
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)[1])
