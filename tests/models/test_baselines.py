"""Baselines: what they draw, and that they can be saved."""

import numpy as np
import pytest
import torch
from model_samples import make_batch, make_model, training_queries, word_table

from tsgbench.models import build


def draws(model, k=500, **settings):
    batch = make_batch(size=6)
    built = make_model(model, **settings)
    return built.decode(built(batch), batch, k), batch.dur


def test_whole_video_is_the_whole_video():
    found, dur = draws("whole_video", k=5)
    assert found.shape == (6, 1, 3)
    assert (found[:, 0, 0] == 0).all() and torch.equal(found[:, 0, 1], dur)


def test_random_ends_are_uniform_over_the_video():
    found, dur = draws("random", k=4000, seed=1)
    ends = (found[..., :2] / dur[:, None, None]).mean(dim=(0, 1))
    torch.testing.assert_close(ends, torch.tensor([1 / 3, 2 / 3]).double(), atol=0.01, rtol=0)


def test_prior_draws_training_moments_scaled_to_the_video():
    found, dur = draws("prior", seed=2)
    queries = training_queries()
    known = queries.moments / queries.durations[:, None]
    shares = (found[..., :2] / dur[:, None, None]).reshape(-1, 2).numpy()
    distance = np.abs(shares[:, None] - known[None]).max(-1)
    assert distance.min(1).max() < 1e-9
    assert np.bincount(distance.argmin(1), minlength=3).min() > 800  # of 3,000: each a third


@pytest.mark.parametrize("model", ["random", "prior"])
def test_seed_decides_and_defaults_to_the_global_one(model):
    torch.testing.assert_close(draws(model, seed=1)[0], draws(model, seed=1)[0])
    assert not torch.equal(draws(model, seed=1)[0], draws(model, seed=2)[0])
    batch, found = make_batch(), {}
    for seed in (0, 1):
        built = make_model(model, seed=seed)  # torch.manual_seed(seed), setting left at null
        found[seed] = built.decode({}, batch, 3)
    assert not torch.equal(found[0], found[1])


def test_prior_state_round_trips_whatever_its_length():
    fitted = make_model("prior")
    fresh = build("prior", clip_dim=1, words=word_table(), settings={}, module="baselines")
    with pytest.raises(RuntimeError, match="fit"):
        fresh.decode({}, make_batch(), 1)
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.moments, fitted.moments) and len(fresh.moments) == 3


def test_short_moments_survive_single_precision():
    batch = make_batch().to(torch.float32)
    built = make_model("prior")
    built.moments = torch.tensor([[0.5, 0.5 + 1e-12], [1 - 1e-12, 1.0]]).double()
    start, end, _ = built.decode({}, batch, 50).unbind(-1)
    assert (start < end).all() and (end <= batch.dur[:, None]).all()
