"""Convolutions of frozen networks: TensorFlow's "same" padding, batch norm folded into the weights.

For weights that were trained with that padding, in two or three dimensions (positions).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

# What oneDNN computes in on this processor: bfloat16 needs AVX-512 or AVX-NE-CONVERT
ONEDNN_TYPES: tuple[torch.dtype, ...] = (
    (torch.float32,) if torch.backends.mkldnn.is_available() else ()
)
if ONEDNN_TYPES and torch.ops.mkldnn._is_mkldnn_bf16_supported():
    ONEDNN_TYPES += (torch.bfloat16,)

CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}  # by number of dimensions


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """TensorFlow's "same" padding as `F.pad` wants it: the last axis first, (before, after) each.

    The output has ceil(size / stride) positions; an odd number of padded cells has the extra one
    behind. Unlike PyTorch's symmetric padding it depends on the size of the input.
    """
    padding = []
    for length, k, s in zip(reversed(size), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        padding += [total // 2, total - total // 2]
    return padding


def convolve(x: torch.Tensor, conv: _ConvNd, norm: _BatchNorm) -> torch.Tensor:
    """(n, C, *positions) to (n, C', *ceil(positions / stride)): convolution, then batch norm.

    The norm, frozen, is folded into the weights at every call: they are small beside a batch, and a
    pass over the activations is saved.
    """
    weight, bias = _folded(conv, norm, x.dtype)
    kernel, stride = conv.kernel_size, conv.stride
    if set(kernel) == set(stride) == {1} and conv.groups == 1:
        return _at_one_position(x, weight, bias)
    padding = same_padding(x.shape[2:], kernel, stride)
    before, after = padding[::2][::-1], padding[1::2][::-1]
    if before != after:
        x, before = F.pad(x, padding), 0  # type: ignore[assignment]  # one number for all
    # Otherwise the convolution itself can pad, which saves a copy
    return CONVOLUTIONS[len(kernel)](x, weight, bias, stride, before, groups=conv.groups)


def _folded(
    conv: _ConvNd, norm: nn.modules.batchnorm._BatchNorm, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of convolution and batch norm together, folded in full precision."""
    exact = torch.promote_types(norm.weight.dtype, torch.float32)
    scale = (
        norm.weight.to(exact)
        * (
            norm.running_var.to(exact) + norm.eps  # type: ignore[union-attr]  # it has statistics
        ).rsqrt()
    )
    bias = norm.bias.to(exact) - norm.running_mean.to(exact) * scale  # type: ignore[union-attr]
    weight = conv.weight.to(exact) * scale.view(-1, *(1,) * (conv.weight.ndim - 1))
    return weight.to(dtype), bias.to(dtype)


def _at_one_position(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A convolution whose kernel is one position. PyTorch's choice on a CPU is a slow path:
    oneDNN's kernel takes two fifths of its time in I3D, a matrix product two thirds."""
    if not x.is_cuda and x.dtype in ONEDNN_TYPES:
        one, none = (1,) * (x.ndim - 2), (0,) * (x.ndim - 2)
        return torch.mkldnn_convolution(x, weight, bias, none, one, one, 1)
    return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
