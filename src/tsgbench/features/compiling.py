"""`compile: true` of a recipe: the network through torch.compile, if this machine can."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from tsgbench.features.networks import ClipNetwork

log = logging.getLogger(__name__)

# clips (n, T, H, W, 3) uint8 and names of taps to activations by tap
Network = Callable[[torch.Tensor, Sequence[str]], dict[str, torch.Tensor]]


def compiled(
    network: "ClipNetwork", batch: tuple[int, ...], taps: Sequence[str], device: torch.device
) -> Network:
    """The network compiled for batches of this shape (n, T, H, W, 3); the network itself, with one
    warning, where that fails (no C++ compiler, no Triton)."""
    fast = torch.compile(network, dynamic=False)

    def try_it() -> None:
        with torch.inference_mode():
            fast(torch.zeros(batch, dtype=torch.uint8, device=device), taps)

    try:
        # compiled code holds for one number of threads: compile where `extract` computes, on one
        with ThreadPoolExecutor(1, "compile", torch.set_num_threads, (1,)) as pool:
            pool.submit(try_it).result()
    except Exception as error:  # compilers fail in ways of their own
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        log.warning("compile: not possible here, going on without it (%s)", first[:200])
        torch.compiler.reset()
        return network
    return fast
