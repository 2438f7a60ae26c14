"""I3D: Inception-v1 inflated to three dimensions, RGB stream.

Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017, figure 3. Parameters carry the
names of the widely used PyTorch port of the Kinetics release (`Conv3d_1a_7x7.conv3d.weight`,
`Mixed_3b.b1a.bn.running_mean`, `logits.conv3d.bias`, ...), and convolutions and poolings pad as
TensorFlow's "same" does, which is what those weights were trained with.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tsgbench.features.convolution import convolve, same_padding
from tsgbench.features.networks import ClipNetwork, initialise, register

CLASSES = 400  # of Kinetics-400
BATCH_NORM_EPSILON = 1e-3  # as in the release

# name, output channels, kernel, stride of the plain convolutions and of the poolings (channels
# None), and the channels of the Inception blocks: branches 0, 1a, 1b, 2a, 2b, 3b (figure 3)
LAYERS: tuple[tuple[Any, ...], ...] = (
    ("Conv3d_1a_7x7", 64, 7, 2),
    ("MaxPool3d_2a_3x3", None, (1, 3, 3), (1, 2, 2)),
    ("Conv3d_2b_1x1", 64, 1, 1),
    ("Conv3d_2c_3x3", 192, 3, 1),
    ("MaxPool3d_3a_3x3", None, (1, 3, 3), (1, 2, 2)),
    ("Mixed_3b", (64, 96, 128, 16, 32, 32)),
    ("Mixed_3c", (128, 128, 192, 32, 96, 64)),
    ("MaxPool3d_4a_3x3", None, 3, 2),
    ("Mixed_4b", (192, 96, 208, 16, 48, 64)),
    ("Mixed_4c", (160, 112, 224, 24, 64, 64)),
    ("Mixed_4d", (128, 128, 256, 24, 64, 64)),
    ("Mixed_4e", (112, 144, 288, 32, 64, 64)),
    ("Mixed_4f", (256, 160, 320, 32, 128, 128)),
    ("MaxPool3d_5a_2x2", None, 2, 2),
    ("Mixed_5b", (256, 160, 320, 32, 128, 128)),
    ("Mixed_5c", (384, 192, 384, 48, 128, 128)),
)


class Unit3D(nn.Module):
    """Convolution with "same" padding, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=BATCH_NORM_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, T, H, W) to (n, C', ceil(T / stride), ...)."""
        return F.relu_(convolve(x, self.conv3d, self.bn))


class SamePool(nn.Module):
    """Max pooling with "same" padding, whose cells never win: the maximum is over real places."""

    def __init__(self, kernel: int | tuple, stride: int | tuple) -> None:
        super().__init__()
        self.kernel = kernel if isinstance(kernel, tuple) else (kernel,) * 3
        self.stride = stride if isinstance(stride, tuple) else (stride,) * 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, T, H, W) to (n, C, T', H', W'), each ceil(length / stride)."""
        if not x.is_cuda and (self.kernel, self.stride) == ((3, 3, 3), (1, 1, 1)):
            return _neighbours_maximum(x)
        # An extra padded cell behind is what `ceil_mode` reaches for; no padded copy is made
        before = same_padding(x.shape[2:], self.kernel, self.stride)[::2][::-1]
        return F.max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


def _neighbours_maximum(x: torch.Tensor) -> torch.Tensor:
    """3x3x3 max pooling of stride 1, axis after axis: six comparisons of whole tensors instead of
    26 a place, several times faster on a CPU and equal to the bit."""
    for axis in (2, 3, 4):
        length = x.shape[axis] - 1
        y = x.clone()
        if length:
            ahead, behind = y.narrow(axis, 0, length), y.narrow(axis, 1, length)
            torch.maximum(ahead, x.narrow(axis, 1, length), out=ahead)
            torch.maximum(behind, x.narrow(axis, 0, length), out=behind)
        x = y
    return x


class Inception(nn.Module):
    """Four branches side by side: 1x1, 1x1 then 3x3, 1x1 then 3x3 (two of them), pool then 1x1."""

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit3D(inputs, channels[0])
        self.b1a = Unit3D(inputs, channels[1])
        self.b1b = Unit3D(channels[1], channels[2], kernel=3)
        self.b2a = Unit3D(inputs, channels[3])
        self.b2b = Unit3D(channels[3], channels[4], kernel=3)
        self.b3a = SamePool(3, 1)
        self.b3b = Unit3D(inputs, channels[5])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, T, H, W) to (n, C', T, H, W): the four branches' channels, one after another."""
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, dim=1)


@register("i3d")
class I3D(ClipNetwork):
    """I3D up to the class scores; the usual feature is the tap `avg_pool` (1024 at width 1).

    width: multiplies every number of channels. seed: of the initialisation (He; batch norm at its
    identity) that a checkpoint then replaces. classes: scores at the end, as many as the
    checkpoint has (157 of those fine-tuned on Charades).
    """

    TAPS = (*(layer[0] for layer in LAYERS), "avg_pool", "logits")

    def __init__(self, *, width: float = 1.0, classes: int = CLASSES, seed: int = 0) -> None:
        super().__init__()

        def scaled(number: int) -> int:
            return max(1, round(number * width))

        channels = 3
        for name, outputs, *shape in LAYERS:
            if outputs is None:
                self.add_module(name, SamePool(*shape))
            elif shape:
                self.add_module(name, Unit3D(channels, scaled(outputs), *shape))
                channels = scaled(outputs)
            else:
                parts = [scaled(number) for number in outputs]
                self.add_module(name, Inception(channels, parts))
                channels = parts[0] + parts[2] + parts[4] + parts[5]
        # a named part, because the port's parameters are called logits.conv3d.*
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(channels, classes, 1)})
        initialise(self, seed)
        self.eval()  # batch norm must use its stored statistics

    def forward(self, clips: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """clips: (n, T, H, W, 3) uint8 RGB. Returns the activations asked for, by tap:
        (n, C, T', H', W') from a layer, (n, C) from avg_pool, (n, classes) from logits."""
        self.check_taps(taps)
        last = max(self.TAPS.index(tap) for tap in taps)
        # (n, 3, T, H, W) in memory order channels-last; the release scales colours to [-1, 1]
        x = (clips.permute(0, 4, 1, 2, 3).float() * (2 / 255) - 1).to(self.dtype)
        tapped = {}
        for name, *_ in LAYERS[: last + 1]:
            tapped[name] = x = self.get_submodule(name)(x)
        if last >= len(LAYERS):
            # The release pools 2 x 7 x 7 places, which is all there are of 16 frames of 224 pixels.
            # Averaging scores over what time is left, as it does, equals scoring the average.
            tapped["avg_pool"] = x.mean((2, 3, 4))
            tapped["logits"] = self.logits["conv3d"](tapped["avg_pool"][..., None, None, None])
            tapped["logits"] = tapped["logits"].flatten(1)
        return {tap: tapped[tap] for tap in taps}
