"""Any picture classifier of the package torchvision, for people who have its weights.

`network: {name: resnet50}` names it as `torchvision.models.get_model` does; the checkpoint is its
state dict, as torchvision releases it. `features` is what its last linear layer reads, `logits`
what that layer says. Pictures are normalised as torchvision's weights expect: RGB of 0 to 1, minus
ImageNet's mean, over its deviation. The package is not part of the environment: it must fit the
installed PyTorch.
"""

from collections.abc import Sequence

import torch
from torch import nn

from tsgbench.errors import UserError
from tsgbench.features.frames import FrameNetwork
from tsgbench.features.networks import initialise, register


@register("torchvision")
class Torchvision(FrameNetwork):
    """name: of the model. seed: of the initialisation that a checkpoint then replaces."""

    MEAN = tuple(255 * share for share in (0.485, 0.456, 0.406))
    DEVIATION = tuple(255 * share for share in (0.229, 0.224, 0.225))
    TAPS = ("features", "logits")

    def __init__(self, *, name: str, seed: int = 0) -> None:
        super().__init__()
        self.network = _find_model(name)
        linear = [layer for layer in self.network.modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise UserError(
                f"feature recipe: network: name: torchvision's {name!r} has no linear layer, before"
                " which features could be read; name a classifier"
            )
        self._seen: list[torch.Tensor] = []
        linear[-1].register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0]))
        initialise(self, seed)
        self.eval()

    @classmethod
    def rename(cls, name: str) -> str:
        """torchvision's `conv1.weight` is our `network.conv1.weight`."""
        return f"network.{name}"

    def see(
        self,
        pictures: torch.Tensor,
        taps: Sequence[str],  # noqa: ARG002 (both come at once)
    ) -> dict[str, torch.Tensor]:
        """As the base class says: (m, C) and (m, classes)."""
        self._seen.clear()
        logits = self.network(pictures)
        return {"features": self._seen.pop().flatten(1), "logits": logits}


def _find_model(name: str) -> nn.Module:
    try:
        from torchvision.models import get_model
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another PyTorch
        raise UserError(
            f"feature recipe: extractor torchvision: the package cannot be used ({error}); install"
            " the version that fits the PyTorch that is here"
        ) from None
    try:
        return get_model(name, weights=None)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"feature recipe: network: name: {name!r} is no model of torchvision ({error})"
        ) from None
