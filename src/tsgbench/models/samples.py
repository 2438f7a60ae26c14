"""Small batches and words to try a model on. Nothing here was measured.

They serve `tsgbench check-model` and the tests of the models alike.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsgbench.datasets.queries import Queries
from tsgbench.features.resample import linspace_labels
from tsgbench.models.base import Batch, Grounder, build
from tsgbench.text import WordTable

CLIP_DIM, VOCABULARY = 12, 24


def word_table(dim: int = 8, seed: int = 0) -> WordTable:
    """Words of different lengths; three of them have no vector."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghij-'")
    words = ["<pad>", "<unk>"]
    words += ["".join(rng.choice(letters, 1 + row % 7)) for row in range(VOCABULARY - 2)]
    has_vector = np.ones(VOCABULARY, dtype=bool)
    has_vector[[0, 1, 5]] = False
    vectors = rng.normal(size=(VOCABULARY, dim)) * has_vector[:, None]
    return WordTable(words, vectors.astype(np.float32), has_vector)


def make_batch(size: int = 4, clips: int = 9, words: int = 6, seed: int = 0) -> Batch:
    """Videos and queries of different lengths, the first of each the longest. fp64."""
    rng = torch.Generator().manual_seed(seed)
    v_counts = torch.randint(3, clips + 1, (size,), generator=rng)
    q_counts = torch.randint(1, words + 1, (size,), generator=rng)
    v_counts[0], q_counts[0] = clips, words
    v_mask = torch.arange(clips) < v_counts[:, None]
    q_mask = torch.arange(words) < q_counts[:, None]
    video = torch.randn(size, clips, CLIP_DIM, generator=rng, dtype=torch.float64)
    tokens = torch.randint(1, VOCABULARY, (size, words), generator=rng)
    tokens[0, 0] = 1  # the unknown word is always there
    dur = v_counts * 0.7 + torch.rand(size, generator=rng)
    ends = torch.rand(size, 2, generator=rng).sort(dim=1).values
    gt = torch.stack([ends[:, 0] * 0.8, ends[:, 1] * 0.8 + 0.2], dim=1) * dur[:, None]
    return Batch(
        video=video * v_mask[..., None],
        v_mask=v_mask,
        tokens=tokens * q_mask,
        q_mask=q_mask,
        dur=dur.double(),
        video_idx=torch.arange(size),
        gt=gt.double(),
        windows=windows_of(gt.double(), dur.double(), v_counts),
    )


def windows_of(gt: Tensor, dur: Tensor, counts: Tensor) -> Tensor:
    """Windows of the moments, (B, 2), as if each video had been thrice as many clips as it has."""
    rows = zip(gt.numpy(), dur.numpy(), counts.tolist(), strict=True)
    labels = [
        linspace_labels(np.array([3 * count]), count, moment[None], np.array([duration]))
        for moment, duration, count in rows
    ]
    return torch.from_numpy(np.concatenate(labels))


def training_queries() -> Queries:
    """Three queries on three videos, for what a model fits before it is trained."""
    durations = np.array([10.0, 20.0, 30.0])
    moments = np.array([[0.0, 5.0], [4.0, 16.0], [29.0, 30.0]])
    names = ["a", "b", "c"]
    return Queries(names, names, names, durations, moments)


def training_tokens() -> Tensor:
    """Words of the training queries: 2 in all of them, 3 twice, 4 and the unknown word once."""
    return torch.tensor([[2, 3, 0], [2, 3, 3], [1, 4, 2]])


def build_small(
    name: str,
    settings: dict[str, Any],
    words: WordTable,
    *,
    seed: int = 0,
    module: str | None = None,
) -> Grounder:
    """A model for these batches, as `build` makes it: fitted on the training queries, in fp64 and
    evaluation mode."""
    torch.manual_seed(seed)
    built = build(name, clip_dim=CLIP_DIM, words=words, settings=settings, module=module)
    built.fit(training_queries(), training_tokens())
    return built.double().eval()


def pick(batch: Batch, rows: Tensor) -> Batch:
    """The given rows of a batch, padded as before."""
    values = {name: value[rows] for name, value in vars(batch).items() if value is not None}
    return Batch(**values)


def pad(batch: Batch, clips: int, words: int) -> Batch:
    """The batch with so many more padded clips and words."""
    return batch.padded(batch.v_mask.shape[1] + clips, batch.q_mask.shape[1] + words)


def cut(batch: Batch) -> Batch:
    """The batch without the padding that none of its rows needs."""
    clips, words = int(batch.v_mask.sum(1).max()), int(batch.q_mask.sum(1).max())
    return replace(
        batch,
        video=batch.video[:, :clips],
        v_mask=batch.v_mask[:, :clips],
        tokens=batch.tokens[:, :words],
        q_mask=batch.q_mask[:, :words],
    )
