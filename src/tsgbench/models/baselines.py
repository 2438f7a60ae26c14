"""Baselines without trainable parameters: they look at neither video nor sentence.

What they score is what a data set gives away, and so what a model must beat.
"""

import torch
from torch import Tensor

from tsgbench.datasets.table import Queries
from tsgbench.models.base import Batch, Grounder, register
from tsgbench.text import WordTable


class Baseline(Grounder):
    """Decodes moments given as shares of the video's duration.

    seed: of the draws; None takes PyTorch's global seed, that is, the cell's. Draws follow one
    another from batch to batch: the same model built again gives the same moments for the same
    batches in the same order.
    """

    def __init__(self, clip_dim: int, words: WordTable, *, seed: int | None = None):
        super().__init__()
        # On the CPU, so that every device draws the same moments.
        seed = torch.initial_seed() if seed is None else seed
        self.generator = torch.Generator().manual_seed(seed)

    def shares(self, queries: int, k: int) -> Tensor:
        """(queries, at most k, 2) start and end in [0, 1], double, best first."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {}

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """No loss: there is nothing to train."""
        return {}

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int) -> Tensor:
        """(B, at most k, 3). The scores only keep the order: 1, then evenly down."""
        dur = batch.dur[:, None, None]
        shares = self.shares(len(dur), k).to(dur.device)
        moments = (shares * dur).to(dur.dtype).clamp(min=0).minimum(dur)
        # Rounding to single precision may make a short moment empty.
        before = torch.nextafter(moments[..., 1], torch.zeros_like(moments[..., 1]))
        start = torch.minimum(moments[..., 0], before)
        score = 1 - torch.arange(shares.shape[1], device=dur.device) / shares.shape[1]
        return torch.stack([start, moments[..., 1], score.to(dur.dtype).expand_as(start)], dim=-1)


@register("random")
class Random(Baseline):
    """Both ends drawn uniformly from the video."""

    def shares(self, queries: int, k: int) -> Tensor:
        # 1 - [0, 1) is (0, 1]: no moment ends at zero.
        drawn = 1 - torch.rand(queries, k, 2, generator=self.generator, dtype=torch.float64)
        return drawn.sort(dim=-1).values


@register("whole_video")
class WholeVideo(Baseline):
    """From the first second to the last; one candidate a query."""

    def shares(self, queries: int, k: int) -> Tensor:
        return torch.tensor([0.0, 1.0], dtype=torch.float64).expand(queries, min(k, 1), 2)


@register("prior")
class Prior(Baseline):
    """Moments of the training split, drawn at random and scaled to the video's duration."""

    def __init__(self, clip_dim: int, words: WordTable, *, seed: int | None = None):
        super().__init__(clip_dim, words, seed=seed)
        self.register_buffer("moments", torch.empty(0, 2, dtype=torch.float64))

    def fit(self, queries: Queries) -> None:
        """Remember every training moment as shares of its video's duration."""
        shares = queries.moments / queries.durations[:, None]
        self.moments = torch.as_tensor(shares, dtype=torch.float64, device=self.moments.device)

    def shares(self, queries: int, k: int) -> Tensor:
        if not len(self.moments):
            raise RuntimeError("prior: no training moments; call fit or load a state first")
        drawn = torch.randint(len(self.moments), (queries, k), generator=self.generator)
        return self.moments[drawn.to(self.moments.device)]

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        # As many moments as were saved, not as the buffer of a fresh model holds.
        saved = state_dict.get(prefix + "moments")
        if saved is not None:
            self.moments = self.moments.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
