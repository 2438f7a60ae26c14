"""TensorFlow's "same" padding, for weights that were trained with it."""

from collections.abc import Sequence


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """TensorFlow's "same" padding as `F.pad` wants it: the last axis first, (before, after) each.

    The output has ceil(size / stride) places; an odd number of padded cells has the extra one
    behind. Unlike PyTorch's symmetric padding it depends on the size of the input.
    """
    padding = []
    for length, k, s in zip(reversed(size), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        padding += [total // 2, total - total // 2]
    return padding
