"""How many clips fit into memory at once: what a network needs for one, and what the machine has;
and large pages, in which a CPU's activations cost less.
"""

import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tsgbench.errors import UserError

log = logging.getLogger(__name__)

Compute = Callable[[np.ndarray], object]  # of a batch of clips (n, T, H, W, 3) uint8

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # of PyTorch, which reads it once
SHARE = 0.5  # of what is free: libraries' own working space, decoded clips, other jobs
# More clips at once bring nothing (benchmarks/README.md), and a bound that nearly every machine
# reaches keeps `auto` from differing between them
MOST_CLIPS = {"cpu": 8, "cuda": 64}
CGROUPS = Path("/sys/fs/cgroup")


def ask_for_large_pages() -> None:
    """Let PyTorch ask Linux for pages of 2 MB: activations are tens of megabytes a clip, allocated
    anew in every layer, and clearing them page by page took a tenth of the time. Must come before
    this process computes; a value that the environment already has stays."""
    os.environ.setdefault(LARGE_PAGES, "1")


def choose_batch(
    compute: Compute, clip: tuple[int, ...], device: torch.device, workers: int
) -> int:
    """Clips a batch: the largest power of two that fits into memory `workers` times, at most
    `MOST_CLIPS`.

    compute: what is done with a batch (n, *clip) uint8. clip: shape (T, H, W, 3) of one. workers:
    batches computed at once. `UserError` if not even one clip each fits.
    """
    free, each = free_bytes(device), clip_bytes(compute, clip)
    fitting = int(SHARE * free / (workers * each))
    if fitting < 1:
        raise UserError(
            f"batch_clips: {workers} clips at once need {workers * each / 1e9:.2f} GB, and of the"
            f" {free / 1e9:.2f} GB free only {SHARE:.0%} may be used; give the job more memory or"
            " fewer threads, or set batch_clips to 1 in the recipe"
        )
    batch = min(1 << (fitting.bit_length() - 1), MOST_CLIPS.get(device.type, MOST_CLIPS["cpu"]))
    log.info("batches of %d: %.0f MB a clip, %.1f GB free", batch, each / 1e6, free / 1e9)
    return batch


def clip_bytes(compute: Compute, clip: tuple[int, ...]) -> int:
    """Bytes of tensors alive at once that each clip of a batch adds, by computing one and two.

    Weights and what is made of them do not grow with the batch, and drop out.
    """
    peaks = []
    for n in (1, 2):
        batch = np.zeros((n, *clip), np.uint8)
        with _Living() as living:
            compute(batch)
        peaks.append(living.peak + batch.nbytes)
    return peaks[1] - peaks[0]


class _Living(TorchDispatchMode):
    """Counts the bytes of tensors made within it, and when they are freed. peak: the most alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves((result, options)):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still take: of the GPU, or of the machine and of the control
    group (a container's or a scheduler's limit) that it runs in."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min([_available(), *_left_in_groups()])


def _available(path: Path = Path("/proc/meminfo")) -> int:
    """What the kernel would give without swapping."""
    for line in path.read_text().splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return int(amount.split()[0]) * 1024
    raise UserError(f"{path}: has no line MemAvailable; set batch_clips in the recipe to a number")


def _left_in_groups(own: Path = Path("/proc/self/cgroup"), root: Path = CGROUPS) -> list[int]:
    """Bytes left under the limit of each control group (version 2) above this process."""
    left = []
    for line in own.read_text().splitlines() if own.exists() else ():
        number, _, group = line.split(":", 2)
        if number != "0":
            continue
        inner = root / group.lstrip("/")
        for folder in (inner, *inner.parents):
            limit = folder / "memory.max"
            if limit.is_file() and (most := limit.read_text().strip()) != "max":
                used = int((folder / "memory.current").read_text())
                left.append(int(most) - used + _reclaimable(folder / "memory.stat"))
            if folder == root:
                break
    return left


def _reclaimable(statistics: Path) -> int:
    """Bytes of files in the cache that the kernel drops when memory is wanted."""
    rows = dict(line.split() for line in statistics.read_text().splitlines())
    return int(rows.get("inactive_file", 0))
