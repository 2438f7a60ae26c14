"""A baseline without training for videos that are described in words: sentence against captions.

Clips must be sums of word vectors (`features/captions.py`). The query is summed in the same way,
its words weighted by how rare they are in the training sentences, and each clip scored by the
cosine with it. A moment is worth the sum of what its clips score above the video's mean.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.models.base import Batch, register
from tsgbench.models.baselines import Baseline
from tsgbench.settings import Count, NotNegative, Positive
from tsgbench.text import PAD, WordTable


@register("match")
class Match(Baseline):
    """Every run of clips, by the sum of (score - mean) / deviation - `above` over its clips.

    above: deviations that a clip must score above its video's mean to be worth anything. smooth:
    clips on either side that a clip's score is averaged with. rare: a word that makes up a share p
    of the training words weighs rare / (rare + p).
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        above: NotNegative = 0.5,
        smooth: Count = 2,
        rare: Positive = 1e-3,
        seed: Count | None = None,
    ):
        super().__init__(clip_dim, words, seed=seed)
        width = words.vectors.shape[1]
        if clip_dim != width:
            raise UserError(
                f"match: clips of {clip_dim} numbers and word vectors of {width}; give it features"
                " made of captions with the data set's own vectors (layout captions)"
            )
        self.above, self.smooth, self.rare = above, smooth, rare
        self.vectors: Tensor
        self.register_buffer("vectors", torch.from_numpy(words.vectors), persistent=False)
        self.weights: Tensor
        self.register_buffer("weights", torch.zeros(len(words.words)))  # 0 until they are known

    def fit(self, queries: Queries, tokens: Tensor) -> None:
        """Count the training words. tokens: (Q, L)."""
        counts = torch.bincount(tokens[tokens != PAD], minlength=len(self.weights)).float()
        self.weights.copy_(self.rare / (self.rare + counts / counts.sum()))

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) runs of clips as shares of the duration, most worth first."""
        if not self.weights.any():
            raise RuntimeError("match: call fit or load a state first")
        clips = batch.v_mask.sum(dim=1)  # (B,)
        steps = torch.arange(batch.video.shape[1] + 1, device=clips.device)
        first, last = torch.triu_indices(len(steps), len(steps), 1, device=clips.device)
        total = F.pad(self.worth(batch).double().cumsum(dim=1), (1, 0))  # (B, T + 1)
        value = total[:, last] - total[:, first]  # (B, T (T + 1) / 2)
        value = value.masked_fill(last > clips[:, None], -torch.inf)
        value, order = value.sort(dim=1, descending=True, stable=True)
        runs = torch.stack([first[order], last[order]], dim=-1)[:, :k].double()
        runs = runs.masked_fill(value[:, :k, None].isinf(), torch.nan)
        return runs / clips[:, None, None]

    def worth(self, batch: Batch) -> Tensor:
        """(B, T) deviations above the video's mean, less `above`; 0 on padding."""
        mask = batch.v_mask.float()
        weights = self.weights[batch.tokens] * batch.q_mask  # (B, L)
        query = (weights[..., None] * self.vectors[batch.tokens]).sum(dim=1)  # (B, D)
        score = F.cosine_similarity(batch.video, query[:, None], dim=-1) * mask
        score = self._averaged(score) / self._averaged(mask).clamp(min=1e-9) * mask
        count = mask.sum(dim=1, keepdim=True)
        mean = score.sum(dim=1, keepdim=True) / count
        spread = ((score - mean).square() * mask).sum(dim=1, keepdim=True).div(count).sqrt()
        return ((score - mean) / spread.clamp(min=1e-9) - self.above) * mask

    def _averaged(self, values: Tensor) -> Tensor:
        """(B, T) sums over the neighbours, but for a constant."""
        reach = self.smooth
        return F.avg_pool1d(values[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
