"""C3D: eight 3x3x3 convolutions and two fully connected layers.

Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, figure 3;
layout and mean of the Sports-1M release. Parameters carry the names of the PyTorch ports (`conv1`,
`conv2`, `conv3a`, ..., `fc7`), and checkpoints with the names of two further families are read,
too; taps carry those of the paper (`conv1a`, `conv2a`, `conv3a`, ...). Every tap is taken after its
ReLU, as the release's in-place ReLU leaves them.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from tsgbench.errors import UserError
from tsgbench.features.networks import ClipNetwork, initialise, register

# The release reads pictures as B, G, R and subtracts a mean clip; PyTorch ports its mean colour.
MEAN = (90.0, 98.0, 102.0)
ORDERS = ("bgr", "rgb")

# parameter name, tap, output channels at width 1, pooling before the layer (time, space)
LAYERS = (
    ("conv1", "conv1a", 64, None),
    ("conv2", "conv2a", 128, (1, 2)),
    ("conv3a", "conv3a", 256, (2, 2)),
    ("conv3b", "conv3b", 256, None),
    ("conv4a", "conv4a", 512, (2, 2)),
    ("conv4b", "conv4b", 512, None),
    ("conv5a", "conv5a", 512, (2, 2)),
    ("conv5b", "conv5b", 512, None),
)
# Places of the convolutions and fully connected layers where a port keeps them in two lists
PLACES = (0, 3, 6, 8, 11, 13, 16, 18)
LISTED = {f"features.{n}": layer[0] for n, layer in zip(PLACES, LAYERS, strict=True)}
BY_TAP = {tap: name for name, tap, _, _ in LAYERS}
LISTED |= {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}


@register("c3d")
class C3D(ClipNetwork):
    """C3D up to fc7.

    width: multiplies every number of channels. size, clip_len: the input's side and frames, on
    which only fc6 depends. order, mean: of the colours that the weights were trained with, the mean
    in that order; the defaults are the Sports-1M release's. seed: of the initialisation that a
    checkpoint then replaces.
    """

    TAPS = (*(tap for _, tap, _, _ in LAYERS), "fc6", "fc7")
    # class scores: the Sports-1M classes, and OpenMMLab's head
    UNUSED = ("fc8.weight", "fc8.bias", "cls_head.fc_cls.weight", "cls_head.fc_cls.bias")

    def __init__(
        self,
        *,
        width: float = 1.0,
        size: int = 112,
        clip_len: int = 16,
        order: str = "bgr",
        mean: Sequence[float] = MEAN,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if order not in ORDERS or len(mean) != 3:
            raise UserError(
                f"feature recipe: network: order {order!r} and mean {mean!r}: give an order of"
                f" {' or '.join(ORDERS)} and three numbers in that order"
            )
        self.order, self.mean = order, tuple(mean)
        channels = 3
        for name, _, full, _ in LAYERS:
            self.add_module(name, nn.Conv3d(channels, max(1, round(full * width)), 3, padding=1))
            channels = max(1, round(full * width))
        hidden = max(1, round(4096 * width))
        # three poolings halve the time, four the space; pool5 halves both and pads the space
        time, space = clip_len // 16, (size // 16 + 2) // 2
        if time < 1 or size < 16:
            raise UserError(
                f"C3D needs clips of 16 frames and 16 pixels or more, not {clip_len} and {size}"
            )
        self.fc6 = nn.Linear(channels * time * space * space, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        initialise(self, seed)

    @classmethod
    def for_clips(cls, settings: dict, clip_len: int, size: int | None) -> "C3D":
        """As the base class says; fc6 must know the pictures' size beforehand."""
        if size is None:
            raise UserError("feature recipe: frames: C3D needs square pictures; add crop: pixels")
        return cls(**settings, clip_len=clip_len, size=size)

    @classmethod
    def rename(cls, name: str) -> str:
        """Three families of checkpoints: `conv1.weight` (Sports-1M ports), `features.0.weight`
        (ports in two lists), `conv1a.conv.weight` (OpenMMLab, below `backbone.` or not)."""
        layer, _, kind = name.rpartition(".")
        layer = LISTED.get(layer, layer)
        layer = re.sub(r"^(conv\d[ab])\.conv$", lambda found: BY_TAP.get(found[1], layer), layer)
        return f"{layer}.{kind}"

    def forward(self, clips: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """clips: (n, T, H, W, 3) uint8 RGB. Returns the activations asked for, by tap:
        (n, C, T', H', W') from a convolution, (n, C) from fc6 and fc7."""
        self.check_taps(taps)
        last = max(self.TAPS.index(tap) for tap in taps)
        # (n, 3, T, H, W) in memory order channels-last, which is the order the frames come in
        x = clips.permute(0, 4, 1, 2, 3).float()
        mean = torch.tensor(self.mean, device=x.device).view(1, 3, 1, 1, 1)
        x = ((x.flip(1) if self.order == "bgr" else x) - mean).to(self.dtype)
        tapped = {}
        for name, tap, _, pooling in LAYERS[: last + 1]:
            if pooling:
                time, space = pooling
                x = F.max_pool3d(x, (time, space, space))
            x = F.relu_(self.get_submodule(name)(x))
            tapped[tap] = x
        if last >= len(LAYERS):
            x = F.max_pool3d(x, 2, padding=(0, 1, 1)).flatten(1)
            tapped["fc6"] = x = F.relu(self.fc6(x))
            tapped["fc7"] = F.relu(self.fc7(x))
        return {tap: tapped[tap] for tap in taps}
