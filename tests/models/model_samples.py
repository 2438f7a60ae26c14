"""Small models and batches for the tests of all models. Nothing here was measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml

from tsgbench.config import merge
from tsgbench.features.resample import linspace_labels
from tsgbench.models import Batch, Grounder, build
from tsgbench.text import WordTable

CONFIG = Path(__file__).parents[2] / "config" / "models"
CATALOGUE = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONFIG.glob("*.yaml"))}

CLIP_DIM, VOCABULARY = 12, 24
# Settings that make a model small enough to test; they change no code path.
SMALL = {
    "seqpan": {
        "width": 16,
        "heads": 2,
        "dropout": 0.0,
        "max_clips": 40,
        "max_words": 40,
        "char_dim": 6,
        "conv_layers": 2,
        # Glorot's start has label scores around 50, whose softmax half precision turns over.
        "start": "pytorch",
    },
    "cma": {
        "width": 16,
        "heads": 2,
        "ffn_width": 16,
        "phrase_width": 8,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "max_clips": 40,
        "max_words": 40,
    },
    "fian": {
        "width": 16,
        "heads": 2,
        "dropout": 0.0,
        "ffn_scale": 2,
        "max_clips": 20,
        "max_words": 12,
        "windows": [2, 4, 6, 9],
    },
    "ia_net": {
        "width": 16,
        "dropout": 0.0,
        "reduce": 8,
        "widths": [1, 3, 4, 5, 6],
        "alpha": 0.1,  # few steps must teach the offsets too
    },
    "fsan": {
        "width": 16,
        "heads": 2,
        "expansion": 2,
        "dropout": 0.0,
        "layers": 2,
        "max_clips": 40,
        "max_words": 40,
    },
}
# Models that compare clips with word vectors, which must then be as wide
CLIPS_OF_WORDS = {"match"}
# Models whose answer to a query is a draw, so that it depends on its place in the batch.
DRAWING = {"random", "prior", "cuts"}


def settings_of(model: str, ablation: str = "full", preset: str | None = None) -> dict:
    """The model settings of an ablation as config/models/*.yaml has them, made small."""
    entry = CATALOGUE[model]
    settings = dict(entry["settings"].get("model", {}))
    if preset is not None:
        settings = merge(settings, entry["presets"][preset].get("model", {}))
    settings = merge(settings, SMALL.get(model, {}))
    return merge(settings, entry["ablations"][ablation].get("model", {}))


def every_ablation() -> list[tuple[str, str]]:
    """(model, ablation) pairs with settings of their own: input ablations change no model."""
    return [
        (model, ablation)
        for model, entry in CATALOGUE.items()
        for ablation, difference in entry["ablations"].items()
        if ablation == "full" or "model" in difference
    ]


def words_of(model: str) -> WordTable:
    return word_table(CLIP_DIM) if model in CLIPS_OF_WORDS else word_table()


def word_table(dim: int = 8, seed: int = 0) -> WordTable:
    """Words of different lengths; two of them have no vector."""
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


def windows_of(gt: torch.Tensor, dur: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Windows of the moments, (B, 2), as if each video had been thrice as many clips as it has."""
    rows = zip(gt.numpy(), dur.numpy(), counts.tolist(), strict=True)
    found = [
        linspace_labels(np.array([3 * count]), count, moment[None], np.array([duration]))
        for moment, duration, count in rows
    ]
    return torch.from_numpy(np.concatenate(found))


def make_model(
    model: str, ablation: str = "full", *, seed: int = 0, preset: str | None = None, **settings
) -> Grounder:
    """A small fp64 model in evaluation mode; baselines are fitted on a few moments."""
    torch.manual_seed(seed)
    built = build(
        model,
        clip_dim=CLIP_DIM,
        words=words_of(model),
        settings=settings_of(model, ablation, preset) | settings,
        module=CATALOGUE[model].get("module"),
    )
    built.fit(training_queries(), training_tokens())
    return built.double().eval()


def training_queries():
    from tsgbench.datasets.queries import Queries

    durations = np.array([10.0, 20.0, 30.0])
    moments = np.array([[0.0, 5.0], [4.0, 16.0], [29.0, 30.0]])
    names = ["a", "b", "c"]
    return Queries(names, names, names, durations, moments)


def training_tokens() -> torch.Tensor:
    """Words of the training queries: 2 in all of them, 3 twice, 4 and the unknown word once."""
    return torch.tensor([[2, 3, 0], [2, 3, 3], [1, 4, 2]])


def pick(batch: Batch, rows: torch.Tensor) -> Batch:
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


def fixed_model(name: str) -> Grounder:
    """A small model whose every weight is a sine of its place: for golden values."""
    model = make_model(name)
    words = model.words
    vectors = words.vectors if hasattr(words, "is_unknown") else words.vectors.vectors
    is_unknown = words.is_unknown if hasattr(words, "is_unknown") else words.vectors.is_unknown
    with torch.no_grad():
        for place, (_, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64).view(parameter.shape)
            parameter.copy_(0.3 * torch.sin(0.7 * steps + place))
        vectors.copy_(torch.cos(torch.arange(vectors.numel()).double()).view(vectors.shape))
        vectors[is_unknown] = 0.0
    return model


def fixed_batch(clips: tuple[int, int] = (6, 4), first_end_s: float = 4.0) -> Batch:
    """Two queries on videos of these many clips, the same on every machine: for golden values."""
    most = max(clips)
    v_mask = torch.arange(most) < torch.tensor(clips)[:, None]
    steps = torch.arange(2 * most * CLIP_DIM, dtype=torch.float64).view(2, most, CLIP_DIM)
    return Batch(
        video=torch.sin(0.37 * steps) * v_mask[..., None],
        v_mask=v_mask,
        tokens=torch.tensor([[2, 7, 1, 0], [5, 9, 3, 11]]),
        q_mask=torch.arange(4) < torch.tensor([3, 4])[:, None],
        dur=torch.tensor([6.0, 8.0]).double(),
        video_idx=torch.arange(2),
        gt=torch.tensor([[1.0, first_end_s], [2.0, 8.0]]).double(),
    )
