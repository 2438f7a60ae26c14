"""Which processor a job computes on: the one place where a device is chosen."""

import contextlib
import ctypes
import logging
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import torch

from tsgbench.errors import UserError
from tsgbench.training.slots import Gpu, Need, take, wait_for

log = logging.getLogger(__name__)

VARIABLE = "TSGBENCH_DEVICE"
# glibc's mallopt: parameters, and their values that never give freed memory back
MMAP_MAX, TRIM_THRESHOLD = -4, -1
NEVER_MAPPED, NEVER_TRIMMED = 0, 2**31 - 1
# Of a process on a GPU, outside of PyTorch's count: driver, kernels, libraries. An allowance
CONTEXT_MB = 800


def choose_device(need: Callable[[], Need] = Need, *, waits: bool = True) -> torch.device:
    """The GPU of this machine that has most room for the job, or the CPU where there is none.

    need: what it takes of a GPU; all of one by default. waits: for room, if all GPUs are taken;
    else one is shared all the same. `TSGBENCH_DEVICE` (cpu, cuda, cuda:1) overrides, and asks for
    no share.
    """
    if wanted := os.environ.get(VARIABLE):
        return _named(wanted)
    gpus = list_gpus()
    if not gpus:
        return torch.device("cpu")
    if waits:
        return torch.device(wait_for(gpus, need).device)
    found = take(gpus, need())
    if found is None:
        log.warning("other jobs use the GPU, too; TSGBENCH_DEVICE=cpu keeps out of their way")
    return torch.device((found or gpus[0]).device)


def _named(wanted: str) -> torch.device:
    """The device that `TSGBENCH_DEVICE` names; `UserError` if it is none, or is not here."""
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter of a PyTorch without CUDA
        said = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{VARIABLE}: {wanted!r}: no device of this machine ({said}); set cpu, or cuda where"
            " PyTorch sees a GPU, or leave it unset"
        ) from None
    return device


def list_gpus() -> list[Gpu]:
    """Those that PyTorch can use and this process is shown: the one place that asks."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [torch.cuda.get_device_properties(index) for index in range(count)]
    return [
        Gpu(str(facts.uuid), facts.total_memory >> 20, f"cuda:{index}")
        for index, facts in enumerate(found)
    ]


def peak_mb(device: torch.device) -> int | None:
    """What this process took of the GPU's memory at its peak; None of another device."""
    if device.type != "cuda":
        return None
    return (torch.cuda.max_memory_reserved(device) >> 20) + CONTEXT_MB


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
