"""What every registered model promises, for every ablation that config/models/*.yaml names."""

from dataclasses import replace

import pytest
import torch
from model_samples import (
    CATALOGUE,
    DRAWING,
    every_ablation,
    make_batch,
    make_model,
    pad,
    pick,
    settings_of,
)

from tsgbench.datasets import moments
from tsgbench.errors import UserError
from tsgbench.models import properties
from tsgbench.models.properties import answer
from tsgbench.training.optim import build_optimizer

EVERY = every_ablation()
# Random or leaky on purpose: the models' own tests show that they are.
RANDOM_AT_TEST = {("seqpan", "gumbel_at_test")}
LEAKS = {("seqpan", "unmasked"), ("ia_net", "unmasked")}
WITHOUT_CLIPS = {"location", "phrases"}  # outputs per query, or per query and word
# What learning eight samples reaches where the default, an IoU of 0.7, is out of reach: this head
# knows only whether an anchor's IoU exceeds 0.5, and does not move its ends.
LEARNED_IOU = {("fian", "head_tgn"): 0.5}
STEADY = [pair for pair in EVERY if pair not in RANDOM_AT_TEST]
TRAINABLE = [pair for pair in EVERY if CATALOGUE[pair[0]]["settings"].get("train")]
# They never learn from moments, so that they cannot learn eight of them by heart:
# tests/models/test_fsan.py has them fit eight sentences to eight videos instead.
WEAK = {
    model
    for model, entry in CATALOGUE.items()
    if entry["settings"]["inputs"].get("supervision") == "weak"
}
# Parameters without a gradient here, for a reason: fsan's printed equations normalise away what is
# added to all clips alike; its pooled head pools nothing where the best segment is a single clip.
SILENT = {
    ("fsan", "literal"): {"layers.1.inner_clips.norm_ffn.bias"},
    ("fsan", "no_grounding"): {
        "segment_head.relevance.0.weight",
        "segment_head.relevance.2.weight",
    },
}
# The rest of the ablations learn by the same code.
LEARNERS = [
    pytest.param(*pair, marks=() if pair[1] in ("full", "match_fb") else pytest.mark.slow)
    for pair in TRAINABLE
    if pair[0] not in WEAK
]


def subject(model, ablation):
    return properties.Subject(
        lambda seed: make_model(model, ablation, seed=seed),
        draws=model in DRAWING,
        is_trained=(model, ablation) in TRAINABLE,
        is_weak=model in WEAK,
    )


def real_clips(name, value, batch):
    """An output per clip, on real clips only; one per query or over fixed candidates as it is.

    Attention maps, `attention*` or, where there are several, `attention*_clips_over_words`: those
    of real clips or words, without learned slots.
    """
    if name.startswith("candidate_"):
        return value
    if name in WITHOUT_CLIPS:
        return value[..., : batch.q_mask.shape[1]]
    if name.startswith("attention"):
        keys = batch.v_mask if name.endswith("over_clips") else batch.q_mask
        value = value[:, :, : keys.shape[1]]
    mask = batch.q_mask if "_words_over_" in name else batch.v_mask
    return value[:, : mask.shape[1]][mask]


@pytest.mark.parametrize("model", CATALOGUE)
def test_settings_are_the_constructor_keywords_with_their_defaults(model):
    built = make_model(model)
    keywords = dict(type(built).__init__.__kwdefaults__)
    if model == "whole_video":
        keywords.pop("seed")  # it draws nothing
    if model == "random":  # of data sets alone whose protocol ranks the spans of a grid
        assert (keywords.pop("grid"), keywords.pop("step_s")) == (None, None)
    keywords = {k: list(v) if isinstance(v, tuple) else v for k, v in keywords.items()}
    assert CATALOGUE[model]["settings"]["model"] == keywords


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_ablation_differs_from_full_and_from_the_others(model):
    entry = CATALOGUE[model]
    seen = {}
    for name, difference in entry["ablations"].items():
        settings = {
            section: entry["settings"].get(section, {}) | difference.get(section, {})
            for section in ("inputs", "model", "train")
        }
        key = repr(sorted((s, sorted(v.items(), key=str)) for s, v in settings.items()))
        assert key not in seen, f"{name} is {seen.get(key)} under another name"
        seen[key] = name
        assert difference["about"]


@pytest.mark.parametrize("model", CATALOGUE)
def test_a_data_set_sizes_the_model_as_its_inputs(model):
    entry = CATALOGUE[model]
    for name, difference in {"": {}, **entry.get("datasets", {})}.items():
        inputs = entry["settings"]["inputs"] | difference.get("inputs", {})
        settings = entry["settings"].get("model", {}) | difference.get("model", {})
        for key in ("max_clips", "max_words"):
            assert settings.get(key, inputs[key]) >= inputs[key], (name, key)


@pytest.mark.parametrize("model", CATALOGUE)
def test_unknown_setting_is_refused_with_the_nearest_name(model):
    with pytest.raises(UserError, match=f"{model}.*no setting 'widht'"):
        make_model(model, widht=3)


@pytest.mark.parametrize(("model", "ablation"), EVERY)
def test_decode_is_ranked_valid_and_inside_the_video(model, ablation):
    properties.answers_are_moments(subject(model, ablation))


@pytest.mark.parametrize(("model", "ablation"), [p for p in STEADY if p not in LEAKS])
def test_padding_and_neighbours_change_nothing(model, ablation):
    """Up to the greatest lengths a model is built for.

    FIAN has a weight for every place of a query, and so is specified as an exception: it need not
    hold beyond its fixed number of words. There FIAN refuses (test_fian.py), and up to there the
    padded places add nothing: it is held to the same.
    """
    properties.padding_changes_nothing(subject(model, ablation))
    batch = make_batch()
    outputs, _ = answer(make_model(model, ablation), batch)
    wide_outputs, _ = answer(make_model(model, ablation), pad(batch, clips=5, words=3))
    for name in outputs:
        # Squares of clips, and outputs per word, are longer in more than one dimension.
        narrow = tuple(slice(None, length) for length in outputs[name].shape)
        wide = real_clips(name, wide_outputs[name][narrow], batch)
        torch.testing.assert_close(
            wide, real_clips(name, outputs[name], batch), atol=1e-9, rtol=0, msg=name
        )
    if model not in DRAWING:
        properties.neighbours_change_nothing(subject(model, ablation))


@pytest.mark.parametrize(("model", "ablation"), sorted(LEAKS))
def test_a_model_that_reads_padding_is_found_out(model, ablation):
    problems = dict(properties.check_all(subject(model, ablation)))
    assert "more padding" in problems["padding changes no answer"]
    assert problems["answers are ranked moments inside the video, with scores from 0 to 1"] is None


@pytest.mark.parametrize(
    ("model", "ablation"), [p for p in STEADY if p[0] not in DRAWING and p not in LEAKS]
)
def test_batch_order_does_not_matter(model, ablation):
    properties.order_changes_nothing(subject(model, ablation))
    batch, order = make_batch(), torch.tensor([2, 0, 3, 1])
    built = make_model(model, ablation)
    outputs, _ = answer(built, batch)
    mixed_outputs, _ = answer(built, pick(batch, order))
    for name in outputs:
        torch.testing.assert_close(mixed_outputs[name], outputs[name][order], atol=1e-9, rtol=0)


@pytest.mark.parametrize(("model", "ablation"), EVERY)
def test_forward_and_decode_never_see_the_moments(model, ablation):
    properties.moments_are_not_seen(subject(model, ablation))
    if (model, ablation) in TRAINABLE and model not in WEAK:
        hidden, built = replace(make_batch(), gt=None, windows=None), make_model(model, ablation)
        with pytest.raises(ValueError, match="gt"):
            built.loss(built(hidden), hidden)


@pytest.mark.parametrize(("model", "ablation"), EVERY)
def test_built_twice_answers_the_same_and_state_round_trips(model, ablation):
    properties.state_round_trips(subject(model, ablation))


@pytest.mark.parametrize(("model", "ablation"), TRAINABLE)
def test_gradients_reach_every_parameter(model, ablation):
    built = make_model(model, ablation).train()
    # A candidate window is only in a video as long as itself
    widest = max(settings_of(model, ablation).get("windows", [0]))
    batch = make_batch(size=6, clips=max(9, widest))
    losses = built.loss(built(batch), batch)
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if name in SILENT.get((model, ablation), ()):
            continue
        assert parameter.grad.abs().max() > 1e-12, name


@pytest.mark.parametrize(("model", "ablation"), TRAINABLE)
def test_nothing_called_bias_is_decayed(model, ablation):
    built = make_model(model, ablation)
    decayed, _ = build_optimizer(built, name="adamw", lr=0.1, weight_decay=0.1).param_groups
    decayed = {id(parameter) for parameter in decayed["params"]}
    named = dict(built.named_parameters())
    assert not [n for n, p in named.items() if "bias" in n and id(p) in decayed]
    assert [n for n, p in named.items() if id(p) in decayed]


@pytest.mark.parametrize(("model", "ablation"), STEADY)
def test_bf16_agrees_with_fp32(model, ablation):
    batch = make_batch().to(torch.float32)
    exact = answer(make_model(model, ablation).float(), batch)[0]
    built = make_model(model, ablation).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, found = answer(built, batch)
        losses = built.loss(rough, batch)
    assert found.isfinite().any()
    # Summed by the trainer, so of one type, and of full precision
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    for name, value in exact.items():
        value, other = real_clips(name, value, batch), real_clips(name, rough[name], batch).float()
        real = value.isfinite()
        assert torch.equal(other.isfinite(), real), name
        value, other = value[real], other[real]
        error = (value - other).abs().max() / value.abs().max().clamp(min=1)
        assert error < 0.05, f"{name}: {error:.3f}"


@pytest.mark.parametrize(("model", "ablation"), LEARNERS)
def test_eight_samples_are_learned(model, ablation):
    batch = batch_of_whole_clips().to(torch.float32)
    built = make_model(model, ablation).float().train()
    optimizer = build_optimizer(built, name="adamw", lr=5e-3)
    torch.manual_seed(0)
    for _ in range(150):
        optimizer.zero_grad()
        sum(built.loss(built(batch), batch).values()).backward()
        torch.nn.utils.clip_grad_norm_(built.parameters(), 1.0)
        optimizer.step()
    _, found = answer(built.eval(), batch, 1)
    overlaps = moments.iou(found[:, 0, :2].numpy(), batch.gt.numpy())
    assert (overlaps >= LEARNED_IOU.get((model, ablation), 0.7)).all(), overlaps


def batch_of_whole_clips():
    """Eight queries whose moments are three clips or longer, from edge to edge of clips."""
    batch = make_batch(size=8, clips=12, seed=4)
    counts = batch.v_mask.sum(1)
    first = torch.arange(8) % (counts - 2).clamp(min=1)
    last = torch.minimum(first + 3 + torch.arange(8) % 4, counts)
    batch.gt = torch.stack([first, last], dim=1) * (batch.dur / counts)[:, None]
    batch.windows = torch.stack([first, last - 1], dim=1)
    return batch
