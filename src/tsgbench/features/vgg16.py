"""VGG16: thirteen 3x3 convolutions and two fully connected layers, for single pictures.

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR
2015, table 1, column D. Parameters carry torchvision's names (`features.0.weight`, ...,
`classifier.3.weight`) and pictures are normalised as torchvision's weights expect: RGB of 0 to 1,
minus ImageNet's mean, over its deviation. Taps carry the paper's names (`conv1_1`, ..., `fc7`),
each after its ReLU: so is the DiDeMo release's fc7, if it is Caffe's, whose ReLU works in place.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from tsgbench.features.frames import FrameNetwork
from tsgbench.features.networks import initialise, register

# output channels at width 1, by block; a block ends with 2x2 pooling
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
POOLED = 7  # side of what fc6 reads


def _layers() -> list[tuple[str, int, int, bool]]:
    """(tap, index in `features`, channels at width 1, whether pooling follows)."""
    layers, index = [], 0
    for block, channels in enumerate(BLOCKS, start=1):
        for layer, number in enumerate(channels, start=1):
            layers.append((f"conv{block}_{layer}", index, number, layer == len(channels)))
            index += 2  # a convolution and its ReLU
        index += 1  # the pooling
    return layers


LAYERS = _layers()


@register("vgg16")
class VGG16(FrameNetwork):
    """VGG16 up to fc7, applied to every frame of a clip.

    width: multiplies every number of channels. seed: of the initialisation that a checkpoint then
    replaces.
    """

    TAPS = (*(tap for tap, _, _, _ in LAYERS), "fc6", "fc7")
    UNUSED = ("classifier.6.weight", "classifier.6.bias")  # the ImageNet classes
    # torchvision's, which are of 0..1
    MEAN = tuple(255 * share for share in (0.485, 0.456, 0.406))
    DEVIATION = tuple(255 * share for share in (0.229, 0.224, 0.225))

    def __init__(self, *, width: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        convolutions, channels = {}, 3
        for _, index, full, _ in LAYERS:
            outputs = max(1, round(full * width))
            convolutions[str(index)] = nn.Conv2d(channels, outputs, 3, padding=1)
            channels = outputs
        hidden = max(1, round(4096 * width))
        # named by torchvision's places; ReLU, pooling and dropout have no parameters
        self.features = nn.ModuleDict(convolutions)
        self.classifier = nn.ModuleDict(
            {"0": nn.Linear(channels * POOLED**2, hidden), "3": nn.Linear(hidden, hidden)}
        )
        initialise(self, seed)

    def see(self, pictures: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """As the base class says: (m, C, H', W') from a convolution, (m, C) from fc6 and fc7."""
        last = max(self.TAPS.index(tap) for tap in taps)
        found, x = {}, pictures
        for tap, index, _, is_pooled in LAYERS[: last + 1]:
            x = F.relu_(self.features[str(index)](x))
            found[tap] = x
            if is_pooled:
                x = F.max_pool2d(x, 2)
        if last >= len(LAYERS):
            # as torchvision: pictures of another size than 224 are brought to 7 x 7 places
            x = F.adaptive_avg_pool2d(x, POOLED).flatten(1)
            found["fc6"] = x = F.relu(self.classifier["0"](x))
            found["fc7"] = F.relu(self.classifier["3"](x))
        return found
