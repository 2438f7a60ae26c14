"""Which processor a job computes on: the one place where a device is chosen."""

import contextlib
import ctypes
import logging
import os
import platform
import re
import tempfile
from pathlib import Path
from typing import IO

import torch

from tsgbench.files.access import try_lock

log = logging.getLogger(__name__)

VARIABLE = "TSGBENCH_DEVICE"
# glibc's mallopt: parameters, and their values that never give freed memory back
MMAP_MAX, TRIM_THRESHOLD = -4, -1
NEVER_MAPPED, NEVER_TRIMMED = 0, 2**31 - 1
# Locks live as long as the process: closing the file would free the GPU
_held: list[IO[str]] = []


def choose_device() -> torch.device:
    """A GPU that no other job of this machine holds, else a shared one, else the CPU.

    Snakemake counts GPUs but hands out no numbers, so each job locks a file per GPU; the kernel
    frees the lock however the job ends. `TSGBENCH_DEVICE` (cpu, cuda, cuda:1) overrides.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted:
        return torch.device(wanted)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        return torch.device("cpu")
    for index in range(count):
        if lock_gpu(str(torch.cuda.get_device_properties(index).uuid)):
            return torch.device("cuda", index)
    log.warning(
        "all %d GPUs are in use by other jobs; sharing one (limit them: --resources gpu=%d)",
        count,
        count,
    )
    return torch.device("cuda", os.getpid() % count)


def lock_gpu(name: str, folder: Path | None = None) -> bool:
    """Take the lock of a GPU for as long as this process lives; False if another process has it."""
    folder = folder or Path(tempfile.gettempdir())
    stream = open(folder / f"tsgbench-gpu-{name}-{os.getuid()}.lock", "w")  # noqa: SIM115
    if not try_lock(stream, stream.name):
        stream.close()
        return False
    _held.append(stream)
    return True


def keep_freed_memory() -> None:
    """Have the C library keep what this process frees, to use it again.

    A training step frees all its activations and allocates them anew in the next; given back in
    between, every page would be taken from the kernel and cleared again. Does nothing where the C
    library is another than glibc.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_MAX, NEVER_MAPPED)
        mallopt(TRIM_THRESHOLD, NEVER_TRIMMED)


def describe_hardware(device: torch.device) -> str:
    """The processor's name; of a CPU also how many of its threads this process computes with."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.get_num_threads()} of {os.cpu_count()} CPU threads"


def _cpu_name() -> str:
    """As the kernel has it (Linux), else the architecture alone."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text() if listing.exists() else ""
    match = re.search(r"^model name\s*: *(.*\S)", text, re.MULTILINE)
    return match[1] if match else platform.machine()
