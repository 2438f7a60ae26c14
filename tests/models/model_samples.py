"""Small models and batches for the tests of all models. Nothing here was measured."""

from pathlib import Path

import torch
import yaml

from tsgbench.config import merge
from tsgbench.models import Batch, Grounder
from tsgbench.models.samples import (
    CLIP_DIM,
    VOCABULARY,
    build_small,
    cut,
    make_batch,
    pad,
    pick,
    training_queries,
    training_tokens,
    windows_of,
    word_table,
)
from tsgbench.text import WordTable

__all__ = [  # with those of the package, which serve `tsgbench check-model`, too
    "CATALOGUE",
    "CLIP_DIM",
    "DRAWING",
    "VOCABULARY",
    "cut",
    "every_ablation",
    "fixed_batch",
    "fixed_model",
    "make_batch",
    "make_model",
    "pad",
    "pick",
    "settings_of",
    "training_queries",
    "training_tokens",
    "windows_of",
    "word_table",
    "words_of",
]

CONFIG = Path(__file__).parents[2] / "config" / "models"
CATALOGUE = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONFIG.glob("*.yaml"))}

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


def make_model(
    model: str, ablation: str = "full", *, seed: int = 0, preset: str | None = None, **settings
) -> Grounder:
    """A small fp64 model in evaluation mode; baselines are fitted on a few moments."""
    return build_small(
        model,
        settings_of(model, ablation, preset) | settings,
        words_of(model),
        seed=seed,
        module=CATALOGUE[model].get("module"),
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
