"""`tsgbench check-model`: what every model promises, tried on invented batches."""

from collections.abc import Iterator

from tsgbench.config import Catalogue, merge
from tsgbench.config.wording import hint_at
from tsgbench.errors import UserError
from tsgbench.jobs.cells import FULL, is_trained
from tsgbench.outside import load_named, module_of, source_of

BLIND = "blind"
MOST_CLIPS, MOST_WORDS = 32, 16  # of a batch: enough to try, and quick


def check_model(name: str, ablations: list[str]) -> Iterator[tuple[str, str, str | None]]:
    """Ablation, promise, and what is wrong with it, if anything; one after the other.

    ablations: none: those that have model settings of their own, the blind one, and the model as it
    is.
    """
    models = Catalogue.load().models
    if name not in models:
        raise UserError(f"unknown model {name!r}; {hint_at(name, models)}")
    entry = models[name]
    for wanted in ablations:
        if wanted not in entry["ablations"]:
            known = hint_at(wanted, entry["ablations"])
            raise UserError(f"{name} has no ablation {wanted!r}; {known}")
    for ablation, difference in entry["ablations"].items():
        is_own = ablation in (FULL, BLIND) or "model" in difference
        if ablation in ablations or (is_own and not ablations):
            for promise, problem in _check(name, entry, difference, is_blind=ablation == BLIND):
                yield ablation, promise, problem


def _check(
    name: str, entry: dict, difference: dict, *, is_blind: bool
) -> Iterator[tuple[str, str | None]]:
    load_named(entry.get("module", ""))
    # Late: they import torch
    from tsgbench.models import Grounder, samples
    from tsgbench.models.properties import Subject, check_all

    settings = merge(entry["settings"], difference)
    inputs = settings["inputs"]
    words = samples.word_table(samples.CLIP_DIM)  # as wide as clips: some models compare the two

    def make(seed: int) -> Grounder:
        return samples.build_small(
            name, settings.get("model", {}), words, seed=seed, module=entry.get("module")
        )

    yield from check_all(
        Subject(
            make,
            clips=min(inputs["max_clips"], MOST_CLIPS),
            words=min(inputs["max_words"], MOST_WORDS),
            draws=hasattr(make(0), "generator"),
            is_trained=is_trained(settings),
            is_weak=inputs.get("supervision") == "weak",
            # Zeros are the data path's affair, which gives no other video
            is_blind=is_blind and inputs.get("video", "real") != "zero",
            source=source_of(module_of("models", entry.get("module", name))),
        )
    )
