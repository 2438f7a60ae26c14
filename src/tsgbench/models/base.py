"""What every model shares: the batch it reads, the calls it answers, the registry it joins.

Letters for shapes: B batch, T clips, L words, D width, K candidates.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.text import WordTable


@dataclass
class Batch:
    """One padded batch. Padding is zero; a mask is True on real positions."""

    video: Tensor  # (B, T, Dv) clip features, already resampled to at most max_clips
    v_mask: Tensor  # (B, T) bool
    tokens: Tensor  # (B, L) long, rows of the word table; 0 is padding
    q_mask: Tensor  # (B, L) bool, at least one real word a query
    dur: Tensor  # (B,) seconds
    video_idx: Tensor  # (B,) long, equal for queries of the same video
    gt: Tensor | None = None  # (B, 2) seconds; None at inference and for weak supervision

    def to(self, *args, **kwargs) -> "Batch":
        """Move every tensor; a dtype converts only the floating-point ones."""
        moved = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None:
                value = (
                    value.to(*args, **kwargs)
                    if value.is_floating_point()
                    else value.to(
                        *[a for a in args if not isinstance(a, torch.dtype)],
                        **{k: v for k, v in kwargs.items() if k != "dtype"},
                    )
                )
            moved[item.name] = value
        return replace(self, **moved)


class Grounder(nn.Module):
    """Base of every model, baselines included. Subclasses answer four calls."""

    def fit(self, queries: Queries) -> None:
        """Learn from the training annotations without gradients (baselines). Default: nothing."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Raw outputs, and attention maps for the figures, by name. Never reads `batch.gt`."""
        raise NotImplementedError

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses, already weighted: the trainer minimises their sum."""
        raise NotImplementedError

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int) -> Tensor:
        """(B, at most k, 3): start_s, end_s, score; best first, inside the video, start < end.

        Rows of NaN, always last, stand for absent candidates.
        """
        raise NotImplementedError


_REGISTRY: dict[str, type[Grounder]] = {}


def register(name: str) -> Callable[[type[Grounder]], type[Grounder]]:
    """Class decorator: make a model known under `name`."""

    def add(model: type[Grounder]) -> type[Grounder]:
        _REGISTRY[name] = model
        return model

    return add


def build(
    name: str, *, clip_dim: int, words: WordTable, settings: dict, module: str | None = None
) -> Grounder:
    """Build the model `name`, defined in `models/{module or name}.py`.

    settings: keyword arguments of its constructor; an unknown one is a `UserError`. Only the one
    module is imported, so that editing a model cannot affect another model's cells.
    """
    try:
        importlib.import_module(f"tsgbench.models.{module or name}")
        model = _REGISTRY[name]
    except (ModuleNotFoundError, KeyError):
        raise UserError(
            f"unknown model {name!r}: expected src/tsgbench/models/{module or name}.py to register"
            " it; `tsgbench models` lists the known ones"
        ) from None
    known = model.__init__.__kwdefaults__ or {}
    for key in settings:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it has {sorted(known)}"
            raise UserError(f"model {name!r} has no setting {key!r}{hint}")
    return model(clip_dim, words, **settings)
