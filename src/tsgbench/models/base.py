"""What every model shares: the batch it reads, the calls it answers, the registry it joins.

Letters for shapes: B batch, T clips, L words, D width, K candidates.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.outside import module_of, source_of
from tsgbench.settings import Conflicts, misfit_of_model, wrong_choice
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
    # (B, 2) long, first and last window of `resample.linspace_labels`; None also where videos are
    # resampled by another rule
    windows: Tensor | None = None

    def to(self, target: torch.device | torch.dtype | str) -> "Batch":
        """Move every tensor to a device, or convert the floating-point ones to a dtype."""
        moved = {}
        for item in fields(self):
            value = getattr(self, item.name)
            is_kept = value is None or (
                isinstance(target, torch.dtype) and not value.is_floating_point()
            )
            moved[item.name] = value if is_kept else value.to(target)
        return replace(self, **moved)

    def padded(self, clips: int, words: int) -> "Batch":
        """The same batch with padding up to so many clips and words, at least its own."""
        more_clips, more_words = clips - self.video.shape[1], words - self.tokens.shape[1]
        return replace(
            self,
            video=pad(self.video, (0, 0, 0, more_clips)),
            v_mask=pad(self.v_mask, (0, more_clips)),
            tokens=pad(self.tokens, (0, more_words)),
            q_mask=pad(self.q_mask, (0, more_words)),
        )


class Grounder(nn.Module):
    """Base of every model, baselines included. Subclasses answer four calls.

    The keyword arguments of a constructor are the model's settings: their annotations are read
    without running the module, to check settings before the first job (`config/signatures.py`).
    CONFLICTS: settings that do not fit together, each with what to do; literals, read so, too.
    """

    CONFLICTS: Conflicts = ()

    def fit(self, queries: Queries, tokens: Tensor) -> None:
        """Learn from the training annotations without gradients (baselines). Default: nothing.

        tokens: (Q, L) long, the queries' words as batches have them, 0 on padding.
        """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Raw outputs, and attention maps for the figures, by name. Never reads `batch.gt`."""
        raise NotImplementedError

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """The outputs of `forward`, with attention maps that cost too much to make at each pass."""
        return self(batch)

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses, already weighted: the trainer minimises their sum."""
        raise NotImplementedError

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, K, 3): start_s, end_s, score; best first, inside the video, start < end.

        K is at most k, or all the candidates that the model has. The order is the same for every k:
        equal scores stand in the order of the candidates (`targets.best_first`). Rows of NaN,
        always last, stand for absent candidates.
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
    name: str,
    *,
    clip_dim: int,
    words: WordTable,
    settings: dict[str, Any],
    module: str | None = None,
) -> Grounder:
    """Build the model `name`, defined in `models/{module or name}.py`, or in the module of a dotted
    name.

    settings: keyword arguments of its constructor; an unknown one, a choice that its annotation
    does not list, and what does not fit together are a `UserError`. Only the one module is
    imported, so that editing a model cannot affect another model's cells.
    """
    path = module_of("models", module or name)
    try:
        importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:  # the file is there, but something it imports is not
            raise
    model = _REGISTRY.get(name)
    if model is None:
        raise UserError(
            f"unknown model {name!r}: expected {source_of(path)} to register it; `tsgbench models`"
            " lists the known ones"
        )
    _check_settings(name, model, settings)
    return model(clip_dim, words, **settings)


def _check_settings(name: str, model: type[Grounder], settings: dict[str, Any]) -> None:
    known = model.__init__.__kwdefaults__ or {}
    for key in settings:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it has {sorted(known)}"
            raise UserError(f"model {name!r} has no setting {key!r}{hint}")
    wrong = wrong_choice(model.__init__, settings)
    if wrong := wrong or misfit_of_model(known | settings, model.CONFLICTS):
        raise UserError(f"model {name!r}: {wrong}")
