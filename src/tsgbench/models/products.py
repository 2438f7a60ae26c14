"""How a CPU multiplies matrices of single precision: as PyTorch does by itself, or by oneDNN.

oneDNN multiplies about twice as fast on some processors, but prepares every shape of matrix that it
meets: models of few numbers, whose time goes elsewhere, are slower with it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

PAYS_FROM = 1_000_000  # trained numbers of a model; those of the papers' sizes have more
TOLERANCE = 1e-5  # of a product's largest element
# oneDNN keeps what it prepared for so many shapes; lengths that differ from batch to batch fill its
# own 1,024 positions within a dozen steps, and each would be prepared anew
CAPACITY, PREPARED = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384"


@contextmanager
def fast_products(model: nn.Module) -> Iterator[None]:
    """Multiply by oneDNN within the block, where the model is large enough and the results exact.

    Which of the two it is depends on the model and the processor alone, so that a rerun on the same
    machine gives the same bits.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    is_small = sum(p.numel() for p in trained) < PAYS_FROM
    if is_small or trained[0].device.type != "cpu" or not is_exact():
        yield
        return
    with _precision("medium"):
        yield


@contextmanager
def plain_products() -> Iterator[None]:
    """Undo `fast_products` within the block; what a GPU was allowed stays."""
    if torch.get_float32_matmul_precision() != "medium":
        yield
        return
    with _precision("highest"):
        yield


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def is_exact() -> bool:
    """Whether oneDNN's products have single precision here, within `TOLERANCE`.

    PyTorch turns oneDNN on along with the leave to round to bfloat16 (`medium`). oneDNN makes use
    of it on processors with matrix units (AMX); there the plain products stay. Tried once a
    process, on a linear map, its two gradients and a batch of products.
    """
    os.environ.setdefault(CAPACITY, PREPARED)  # read at the first product
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(96, 160, generator=generator) for _ in range(2))
    left, right = (torch.randn(4, 96, 96, generator=generator) for _ in range(2))

    def products(x: torch.Tensor, weight: torch.Tensor, *batch: torch.Tensor) -> list[torch.Tensor]:
        linear = F.linear(x, weight)
        return [linear, linear.mT @ x, linear @ weight, batch[0] @ batch[1]]

    with torch.inference_mode(), _precision("medium"):
        quick = products(x, weight, left, right)
    exact = products(*(value.double() for value in (x, weight, left, right)))
    return all(
        (one - other).abs().max() <= TOLERANCE * other.abs().max()
        for one, other in zip(quick, exact, strict=True)
    )
