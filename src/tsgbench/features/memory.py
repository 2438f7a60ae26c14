"""How many clips fit into memory at once: what a network needs for one, and what the machine has;
and large pages, in which a CPU's activations cost less.
"""

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tsgbench.errors import UserError

log = logging.getLogger(__name__)

Compute = Callable[[np.ndarray], object]  # of a batch of clips (n, T, H, W, 3) uint8

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # of PyTorch, which reads it once
SHARE = 0.5  # of what is free: libraries' own working space, decoded clips, other jobs
# A bound that nearly every machine reaches keeps `auto` from differing between them
MOST_CLIPS = {"cpu": 8, "cuda": 64}
CGROUPS = Path("/sys/fs/cgroup")
# limit, use and idle part of the file cache, by controllers in /proc/self/cgroup: versions 2 and 1
GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


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
    log.info("batches of %d: %.0f MB per clip, %.1f GB free", batch, each / 1e6, free / 1e9)
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
        super().__init__()  # type: ignore[no-untyped-call]  # of torch
        self.now = self.peak = 0
        self._seen: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        arguments: Sequence[Any] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
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
    """Bytes left under the memory limit of each control group at and above this process's."""
    left = []
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, group = line.split(":", 2)
        if controllers not in GROUP_FILES:
            continue
        inner = root / controllers / group.lstrip("/")
        for folder in (inner, *inner.parents):
            left += _left(folder, *GROUP_FILES[controllers])
            if folder == root / controllers:
                break
    return left


def _left(folder: Path, most: str, used: str, dropped: str) -> list[int]:
    """Bytes left under the limit in a group's folder, if there is one."""
    if not (folder / most).is_file() or (limit := (folder / most).read_text().strip()) == "max":
        return []
    # of the files in the cache, the kernel drops the idle ones when memory is wanted
    rows = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
    return [int(limit) - int((folder / used).read_text()) + int(rows.get(dropped, 0))]
