"""Baselines: what they draw, and that they can be saved."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_samples import make_batch, make_model, pick, training_queries, word_table

from tsgbench.datasets.queries import Queries
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


def test_random_spans_of_a_grid_are_all_those_that_fit_and_each_as_likely():
    """As a protocol has it that ranks 21 runs of chunks: FSAN prints a Random of that kind."""
    batch = make_batch(size=6)
    dur = torch.tensor([30.0, 30.0, 30.0, 30.0, 30.0, 25.0])
    built = make_model("random", grid=6, step_s=5.0, seed=3)
    first = torch.zeros(7, 7)
    for _ in range(600):
        found = built.decode({}, replace(batch, dur=dur), None)
        runs = (found[..., :2] / 5).round()
        assert len({tuple(run) for run in runs[0].tolist()}) == 21
        starts, ends = runs[:5, 0].long().unbind(-1)
        first.index_put_((starts, ends), torch.ones(5), accumulate=True)
    short = runs[5][~runs[5, :, 0].isnan()]
    assert len(short) == 15 and short.max() == 5  # of five chunks
    assert first.sum() == 3000
    of_runs = first[first > 0]  # 143 of each are to be expected
    assert len(of_runs) == 21 and of_runs.min() > 95 and of_runs.max() < 195


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


def fitted(name, queries, tokens, **settings):
    built = build(name, clip_dim=1, words=word_table(), settings=settings, module="baselines")
    built.fit(queries, tokens)
    return built


def asked(tokens, durations):
    """A batch of which only words and durations are read."""
    tokens = torch.as_tensor(tokens)
    batch = make_batch(size=len(tokens))
    batch.tokens, batch.q_mask = tokens, tokens > 0
    batch.dur = torch.as_tensor(durations, dtype=torch.float64)
    return batch


def table(shares, durations, annotators=()):
    names = [str(row) for row in range(len(shares))]
    moments = np.asarray(shares) * np.asarray(durations)[:, None]
    return Queries(names, names, names, np.asarray(durations), moments, list(annotators))


def test_the_most_frequent_span_comes_first_and_short_early_ones_on_ties():
    shares = [[0.1, 0.4]] * 3 + [[0.62, 0.79]] * 2 + [[0, 1]]
    queries = table(shares, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    built = fitted("prior_frequency", queries, None, grid=10)
    found = built.decode({}, asked([[2], [3]], [100.0, 10.0]), 100)
    assert found.shape == (2, 55, 3) and not found.isnan().any()
    expected = torch.tensor([[10, 40], [60, 80], [0, 100], [0, 10], [10, 20]]).double()
    torch.testing.assert_close(found[0, :5, :2], expected)
    torch.testing.assert_close(found[1, :5, :2], expected / 10)


def test_spans_in_seconds_that_do_not_fit_the_video_are_absent():
    marked = [np.array([[5.0, 10.0], [25.0, 30.0]]), np.array([[25.0, 30.0], [0.0, 10.0]])]
    queries = table([[0.2, 0.4], [0, 1 / 3]], [25.0, 30.0], marked)
    built = fitted("prior_frequency", queries, None, grid=6, step_s=5.0)
    found = built.decode({}, asked([[2]] * 3, [30.0, 25.0, 3.0]), 21)
    assert found[0, 0].tolist() == [25.0, 30.0, 1.0] and not found[0].isnan().any()
    # Runs of five chunks; then nothing
    assert not found[1, :15].isnan().any() and found[1, 15:].isnan().all()
    assert found[1, 0, :2].tolist() == [5.0, 10.0]
    assert found[2, 0, :2].tolist() == [0.0, 3.0] and found[2, 1:].isnan().all()


def deciding(count, rng):
    """Words 2 and 3 stand anywhere; one of words 10 to 13 decides the moment, each its own."""
    word = rng.integers(10, 14, count)
    tokens = np.stack([rng.integers(2, 4, count), word, rng.integers(2, 4, count)], axis=1)
    tokens = rng.permuted(tokens, axis=1)
    spans = np.array([[0.0, 0.2], [0.2, 0.5], [0.5, 0.6], [0.6, 1.0]])
    return table(spans[word - 10], rng.uniform(10, 40, count)), torch.from_numpy(tokens)


def share_right(model, queries, tokens):
    found = model.decode({}, asked(tokens, queries.durations), 1)[:, 0, :2].numpy()
    return 100 * np.mean(np.abs(found - queries.moments).max(axis=1) < 1e-6)


@pytest.mark.parametrize("judge", ["iou", "share"])
def test_a_word_that_decides_the_moment_is_found(judge):
    rng = np.random.default_rng(0)
    train, test = deciding(400, rng), deciding(200, rng)
    assert share_right(fitted("prior_action", *train, judge=judge), *test) == 100
    assert share_right(fitted("prior_frequency", *train), *test) < 50
    assert share_right(fitted("prior", *train, seed=0), *test) < 50


def test_rare_and_unknown_words_fall_back_on_the_prior_of_all():
    rng = np.random.default_rng(1)
    queries, tokens = deciding(400, rng)
    tokens[0], tokens[1] = torch.tensor([20, 20, 20]), torch.tensor([1, 1, 1])
    built = fitted("prior_action", queries, tokens)
    found = built.decode({}, asked([[20, 0], [1, 20], [21, 0]], [10.0] * 3), 5)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    alone = fitted("prior_action", queries, torch.ones_like(tokens))
    torch.testing.assert_close(found[:1], alone.decode({}, asked([[10]], [10.0]), 5))


def test_expectations_equal_a_plain_loop():
    """With several annotators, every mark of a query counts for each of its words, once."""
    rng = np.random.default_rng(2)
    marked = [np.sort(rng.permuted(np.arange(7))[: 2 * 2].reshape(2, 2)) * 5.0 for _ in range(30)]
    queries = table(np.tile([0.0, 0.5], (30, 1)), np.full(30, 30.0), marked)
    tokens = rng.integers(2, 8, (30, 5)) * (rng.random((30, 5)) < 0.8)
    tokens[:, 0] = 9
    built = fitted(
        "prior_action",
        queries,
        torch.from_numpy(tokens),
        grid=6,
        step_s=5.0,
        judge="share",
        min_count=1,
        smoothing=3.0,
    )
    everything = [tuple(span) for spans in marked for span in spans]
    for word in range(2, 10):
        own = [tuple(s) for row, spans in enumerate(marked) if word in tokens[row] for s in spans]
        if not own:
            assert built.expected[word] == -1
            continue
        mixed = [
            (own.count(span) + 3 * everything.count(span) / 60) / (len(own) + 3)
            for span in set(everything)
        ]
        assert float(built.expected[word]) == pytest.approx(max(mixed))


@pytest.mark.parametrize("model", ["prior_frequency", "prior_action"])
def test_grid_priors_must_be_fitted_or_loaded(model):
    fresh = build(model, clip_dim=1, words=word_table(), settings={}, module="baselines")
    batch = make_batch().to(torch.float64)
    with pytest.raises(RuntimeError, match="fit"):
        fresh.decode({}, batch, 1)
    other = make_model(model)
    fresh.load_state_dict(other.state_dict())
    torch.testing.assert_close(fresh.double().decode({}, batch, 9), other.decode({}, batch, 9))
    rows = torch.tensor([2, 0])
    torch.testing.assert_close(
        other.decode({}, pick(batch, rows), 4), other.decode({}, batch, 4)[rows]
    )


def shots_batch(lengths, fps=3, tail=0):
    """A video of shots of so many frames, each of one brightness with a little movement."""
    rng = np.random.default_rng(0)
    levels = 0.2 + 0.6 * (np.arange(len(lengths)) % 2)
    frames = np.repeat(levels, lengths)[:, None] + rng.uniform(-0.05, 0.05, (sum(lengths), 12))
    batch = make_batch(size=1, clips=sum(lengths) + tail)
    batch.video = torch.zeros(1, sum(lengths) + tail, 12, dtype=torch.float64)
    batch.video[0, : sum(lengths)] = torch.from_numpy(frames)
    batch.v_mask = torch.arange(sum(lengths) + tail)[None] < sum(lengths)
    batch.dur = torch.tensor([sum(lengths) / fps], dtype=torch.float64)
    return batch


def cuts(moments, duration, **settings):
    """The baseline, fitted on training moments of videos that are all of one duration."""
    moments = np.array(moments, dtype=np.float64)
    names = [str(row) for row in range(len(moments))]
    queries = Queries(names, names, names, np.full(len(moments), float(duration)), moments)
    return fitted("cuts", queries, torch.zeros(len(moments), 1, dtype=torch.long), **settings)


@pytest.mark.parametrize("tail", [0, 7])
def test_cuts_finds_every_shot_to_the_frame(tail):
    lengths = [20, 33, 15, 28]
    batch = shots_batch(lengths, tail=tail)  # 32 s
    built = cuts([[0, 8], [5, 13], [10, 18], [20, 25]], 32)
    scored = built.decode({}, batch, None)[0]
    found = scored[scored[:, 0].argsort()]
    edges = np.cumsum([0, *lengths]) / 3
    np.testing.assert_allclose(found[:, :2].numpy(), np.stack([edges[:-1], edges[1:]], axis=1))
    assert scored[:, 2].tolist() == sorted(found[:, 2].tolist(), reverse=True)


def test_cuts_keeps_shots_as_long_as_the_shortest_training_moment():
    """The flash of three frames is a stronger change than the cut, and no moment is so short."""
    batch = shots_batch([30, 30])
    batch.video[0, 12:15] = 5.0
    built = cuts([[0, 10], [10, 20], [4, 14]], 20)
    found = built.decode({}, batch, None)[0]
    assert sorted(found[:, 0].tolist()) == pytest.approx([0, 10])


def test_cuts_by_chance_spreads_over_the_shots_and_by_prior_does_not():
    batch = shots_batch([24, 24, 24, 24])  # 8 s each
    moments = [[8, 16]] * 3 + [[0, 8], [16, 24], [24, 32]]
    first = [cuts(moments, 32, seed=s).decode({}, batch, 1)[0, 0, 0].item() for s in range(60)]
    assert {round(start) for start in first} == {0, 8, 16, 24}
    by_prior = cuts(moments, 32, choose="prior").decode({}, batch, 2)[0]
    assert by_prior[0, :2].tolist() == pytest.approx([8, 16])
    assert by_prior[1, 0].item() == pytest.approx(0)  # equal counts: the earlier one


def test_cuts_of_a_video_without_room_for_two_is_the_whole_of_it():
    batch = shots_batch([9, 9])
    found = cuts([[0, 8], [5, 13]], 32).decode({}, batch, 5)
    assert found[0, :, :2].tolist() == [[0.0, 6.0]]


def test_cuts_needs_its_training_moments():
    fresh = build("cuts", clip_dim=12, words=word_table(), settings={}, module="baselines")
    with pytest.raises(RuntimeError, match="fit"):
        fresh.decode({}, make_batch(), 1)
    fresh.load_state_dict(cuts([[0, 8], [5, 13]], 32).state_dict())
    assert fresh.decode({}, shots_batch([24, 24]), 1).shape == (1, 1, 3)
