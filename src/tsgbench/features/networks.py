"""What the extractors share: seeded initialisation and loading of public checkpoints."""

import hashlib
import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from tsgbench.errors import UserError
from tsgbench.files import sha256_file


class ClipNetwork(nn.Module):
    """Base of the extractors: uint8 clips in, named activations ("taps") out.

    TAPS: every name that can be asked for, in the order of the layers; layers beyond the last one
    asked for are not run. UNUSED: keys of public checkpoints that we have no layer for.
    MEMORY_FORMAT: the order of weights and activations in memory that is fastest.
    """

    TAPS: tuple[str, ...] = ()
    UNUSED: tuple[str, ...] = ()
    MEMORY_FORMAT: torch.memory_format = torch.channels_last_3d

    @classmethod
    def for_clips(
        cls,
        settings: dict,
        clip_len: int,  # noqa: ARG003 (for networks that depend on it, as C3D)
        size: int | None,  # noqa: ARG003
    ) -> "ClipNetwork":
        """Build for clips of `clip_len` square pictures of `size` pixels (None: not square, or not
        known beforehand), with a recipe's `network` section as arguments."""
        return cls(**settings)

    @classmethod
    def rename(cls, name: str) -> str:
        """Our name of a parameter that a public checkpoint calls `name`."""
        return name

    def train(self, mode: bool = True) -> "ClipNetwork":  # noqa: ARG002 (as nn.Module has it)
        """Stays in evaluation mode: this is a frozen extractor."""
        return super().train(False)

    def set_precision(self, dtype: torch.dtype) -> None:
        """Compute in `dtype`. Statistics of batch norms stay as they are: rounding them would move
        whole channels."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
                layer.to(dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Of the convolutions' weights, and so of the activations."""
        return next(self.parameters()).dtype  # the first is the first convolution's

    def forward(self, clips: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
        """clips: (n, T, H, W, 3) uint8 RGB. Returns (n, C, T', H', W') or (n, C) by tap."""
        raise NotImplementedError

    def check_taps(self, taps: Sequence[str]) -> None:
        """`UserError` for a name that is no tap."""
        for tap in taps:
            if tap not in self.TAPS:
                name = type(self).__name__
                raise UserError(f"taps: {name} has no {tap!r}; it has {', '.join(self.TAPS)}")


# Where training scripts keep the parameters among other things, and what they put before each name
WRAPPERS = ("state_dict", "model_state_dict")
PREFIXES = ("module.", "backbone.")

_REGISTRY: dict[str, type[ClipNetwork]] = {}


def register(name: str) -> Callable[[type[ClipNetwork]], type[ClipNetwork]]:
    """Class decorator: make an extractor known under `name`, the name of its module."""

    def add(network: type[ClipNetwork]) -> type[ClipNetwork]:
        _REGISTRY[name] = network
        return network

    return add


def find_network(name: str) -> type[ClipNetwork]:
    """The extractor `name`. Only its own module is imported, so that editing one extractor cannot
    affect the features of another."""
    module = f"tsgbench.features.{name}"
    if name.isidentifier() and find_spec(module):
        importlib.import_module(module)
    if name not in _REGISTRY:
        raise UserError(
            f"feature recipe: extractor: {name!r} is unknown: src/tsgbench/features/{name}.py does "
            "not register it"
        )
    return _REGISTRY[name]


def initialise(network: nn.Module, seed: int) -> None:
    """He initialisation from a seed: normal weights of variance 2 / fan_in, zero biases.

    Every layer draws from its own generator, keyed by its name, so that its weights do not depend
    on the other layers.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            key = hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]
            generator = torch.Generator().manual_seed(int.from_bytes(key) >> 1)
            fan_in = layer.weight[0].numel()
            with torch.no_grad():
                layer.weight.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()


def load_checkpoint(network: ClipNetwork, path: str | Path) -> str:
    """Load a public checkpoint into `network`; returns its SHA-256.

    The file's names are brought to ours by the network's `rename`. Unknown, missing and misshapen
    parameters are one `UserError`. Only tensors are unpickled (`weights_only`), never code: a file
    that needs more than that is refused.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; download it first")
    state = _read_tensors(path)
    renamed: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        own = network.rename(_bare(name))
        if own in network.UNUSED:
            continue
        if own in renamed:
            raise UserError(
                f"{path}: {own}: stands in it twice, the second time as {name!r}; give a checkpoint"
                " of one network"
            )
        renamed[own] = value
    _compare(network, renamed, path)
    network.load_state_dict(renamed, strict=False)
    return sha256_file(path)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The table of parameters in a checkpoint, with or without training state around it."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets
        raise UserError(
            f"{path}: not a PyTorch checkpoint of plain tensors ({type(error).__name__}), and"
            " nothing else is read, for it could run code; download it again, or save its state"
            " dict alone with torch.save"
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise UserError(f"{path}: not a table of parameters; give a state dict")
    return state


def _bare(name: str) -> str:
    """A parameter's name without what training on several GPUs or within a larger model adds."""
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


def _compare(network: ClipNetwork, state: dict[str, torch.Tensor], path: Path) -> None:
    own = network.state_dict()
    # counters of training batches: not every port saved them, and nothing reads them
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    problems = {
        "missing": sorted(needed - set(state)),
        "unknown": sorted(set(state) - set(own)),
        "misshapen": [
            f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
            for name in sorted(set(state) & set(own))
            if state[name].shape != own[name].shape
        ],
    }
    sentences = [
        f"{kind}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for kind, names in problems.items()
        if names
    ]
    if sentences:
        name = type(network).__name__
        raise UserError(f"{path}: parameters do not fit {name} ({'; '.join(sentences)})")
