"""Intervals cover, tests keep their level, and both equal brute force where that is possible."""

import itertools

import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.evaluation import resampling
from tsgbench.evaluation.resampling import (
    bootstrap_intervals,
    detectable,
    holm,
    permutation_p_values,
    standard_errors,
)


def clustered(rng, videos=40, mean=50.0, metrics=1):
    """Values of queries that share much of their video's level: (M, Q), and (Q,) videos."""
    sizes = rng.integers(1, 9, videos)
    place = np.repeat(np.arange(videos), sizes)
    level = rng.normal(mean, 10, (metrics, videos))
    return level[:, place] + rng.normal(0, 5, (metrics, len(place))), place.astype(str)


def test_intervals_cover_the_mean_as_often_as_they_say_and_only_over_videos():
    covered = np.zeros(2)
    rounds = 400
    for seed in range(rounds):
        values, videos = clustered(np.random.default_rng(seed))
        lower, upper = bootstrap_intervals(values, videos, resamples=300, seed=seed)[0]
        covered[0] += lower <= 50 <= upper
        each = np.arange(len(videos))  # as if queries of a video had nothing in common
        lower, upper = bootstrap_intervals(values, each, resamples=300, seed=seed)[0]
        covered[1] += lower <= 50 <= upper
    over_videos, over_queries = covered / rounds
    assert 0.90 <= over_videos <= 0.98  # one standard error is 0.011
    assert over_queries < 0.80


def test_the_level_is_the_share_of_resamples_within():
    values, videos = clustered(np.random.default_rng(0))
    wide, narrow = (bootstrap_intervals(values, videos, level=level)[0] for level in (0.99, 0.5))
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_the_interval_is_that_of_every_possible_draw_of_few_videos():
    values = np.array([[0.0, 10.0, 20.0, 100.0, 40.0, 90.0, 70.0]])
    videos = np.array(["b", "a", "a", "c", "b", "d", "d"])
    rows = {name: values[0, videos == name] for name in np.unique(videos)}
    means = [
        np.concatenate([rows[name] for name in draw]).mean()
        for draw in itertools.product(rows, repeat=len(rows))
    ]
    expected = np.quantile(means, [0.1, 0.9])
    found = bootstrap_intervals(values, videos, level=0.8, resamples=40_000)[0]
    np.testing.assert_allclose(found, expected, atol=0.6)


def test_an_interval_equals_a_plain_loop_over_the_same_draws():
    values, videos = clustered(np.random.default_rng(1), videos=9, metrics=2)
    names = np.unique(videos)
    rng = np.random.default_rng(7)
    means = []
    for _ in range(50):
        drawn = names[rng.integers(0, 9, (1, 9))[0]]
        means.append(np.concatenate([values[:, videos == name] for name in drawn], 1).mean(1))
    expected = np.quantile(means, [0.025, 0.975], axis=0).T
    found = bootstrap_intervals(values, videos, resamples=50, seed=7)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def both(values, videos, **options):
    """What either function says, on one axis."""
    intervals = bootstrap_intervals(values, videos, resamples=500, **options)
    p_values = permutation_p_values(values - 50, videos, permutations=700, **options)
    return np.column_stack([intervals, p_values])


def test_the_order_of_queries_does_not_matter():
    rng = np.random.default_rng(2)
    values, videos = clustered(rng, metrics=3)
    order = rng.permutation(len(videos))
    again = both(values[:, order], videos[order])
    np.testing.assert_allclose(again, both(values, videos), rtol=1e-12)


def test_a_seed_decides_the_draws_and_a_further_metric_changes_no_other():
    values, videos = clustered(np.random.default_rng(3), metrics=3)
    found = both(values, videos)
    np.testing.assert_array_equal(both(values, videos), found)
    np.testing.assert_allclose(both(values[:1], videos), found[:1], rtol=1e-12)
    assert (both(values, videos, seed=1) != found).any()


def test_memory_is_bounded_in_chunks_that_change_nothing(monkeypatch):
    values, videos = clustered(np.random.default_rng(4), videos=70, metrics=2)
    found = both(values, videos)
    monkeypatch.setattr(resampling, "CHUNK", 71 * 13)
    np.testing.assert_allclose(both(values, videos), found, rtol=1e-12)


def test_a_system_that_differs_nowhere_has_p_1():
    for videos in (3, 200):
        names = np.repeat(np.arange(videos), 2).astype(str)
        assert permutation_p_values(np.zeros((2, 2 * videos)), names).tolist() == [1.0, 1.0]


def test_few_videos_are_enumerated(monkeypatch):
    rng = np.random.default_rng(5)
    differences = rng.normal(3, 5, (3, 20))
    videos = rng.integers(0, 6, 20).astype(str)
    names = np.unique(videos)
    expected = []
    for row in differences:
        sums = np.array([row[videos == name].sum() for name in names])
        every = [abs(np.dot(signs, sums)) for signs in itertools.product((1, -1), repeat=6)]
        expected.append(np.mean(np.array(every) >= abs(row.sum()) - 1e-9))
    exact = permutation_p_values(differences, videos, permutations=64)
    monkeypatch.setattr(resampling, "CHUNK", 6 * 7)
    assert (permutation_p_values(differences, videos, permutations=64) == exact).all()
    np.testing.assert_allclose(exact, expected)
    drawn = permutation_p_values(differences, videos, permutations=63)  # not enough for all
    np.testing.assert_allclose(drawn, expected, atol=0.25)
    assert ((drawn * 64) == np.rint(drawn * 64)).all() and (drawn > 0).all()


def test_random_exchanges_approach_the_enumerated_p():
    rng = np.random.default_rng(6)
    differences = rng.normal(1, 3, (4, 12))
    videos = np.arange(12).astype(str)
    exact = permutation_p_values(differences, videos, permutations=2**12)
    drawn = permutation_p_values(differences, videos, permutations=2**12 - 1)
    assert exact.min() > 0.001 and (exact != drawn).any()
    np.testing.assert_allclose(drawn, exact, atol=0.03)


def test_ties_by_rounding_count_as_ties():
    # Every exchange of equal thirds has one of few sums, which floating point tells apart
    differences = np.array([[0.1, 0.2, 0.3, -0.3, 1 / 3, 1 / 3, 1 / 3, -1.0]])
    videos = np.arange(8).astype(str)
    whole = np.array([[3, 6, 9, -9, 10, 10, 10, -30]]) / 30
    integers = np.rint(whole * 30)
    assert permutation_p_values(differences, videos) == permutation_p_values(integers, videos)


def test_a_true_null_is_rejected_as_often_as_the_level_says():
    p_values = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        values, videos = clustered(rng, videos=25, mean=0.0)
        p_values.append(permutation_p_values(values, videos, permutations=200, seed=seed)[0])
    for level in (0.05, 0.2):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=0.045)


def test_a_clear_difference_has_the_smallest_p():
    values, videos = clustered(np.random.default_rng(8), videos=60)
    assert permutation_p_values(values, videos, permutations=999)[0] == 1 / 1000


def test_a_difference_on_one_video_alone_proves_nothing():
    differences = np.zeros((1, 500))
    differences[0, :400] = 100.0  # however many queries that video has
    videos = np.array(["a"] * 400 + [f"v{row}" for row in range(100)])
    assert permutation_p_values(differences, videos)[0] == 1.0


def test_holm_s_own_steps():
    found = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9, 0.6]), [1.0, 1.0, 1.0])
    assert holm([0.2]) == [0.2] and holm([]).shape == (0,)
    with pytest.raises(UserError, match="between 0 and 1"):
        holm([0.2, np.nan])


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(UserError, match="needs at least two"):
        bootstrap_intervals(np.ones((1, 3)), ["a", "a", "a"])
    for values, videos in ((np.ones((2, 3)), ["a", "b"]), (np.ones(2), ["a", "b"])):
        with pytest.raises(UserError, match="one column a query"):
            permutation_p_values(values, videos)
    with pytest.raises(UserError, match="at least one query"):
        bootstrap_intervals(np.ones((1, 0)), [])
    with pytest.raises(UserError, match="not all are numbers"):
        permutation_p_values(np.array([[1.0, np.nan]]), ["a", "b"])


def test_four_of_five_differences_of_the_detectable_size_are_found():
    """Of simulated pairs of systems that truly differ by it, with queries that go by videos."""
    rng = np.random.default_rng(8)
    videos = np.repeat(np.arange(60), 3).astype(str)
    noise = rng.normal(0, 4, (400, 60)).repeat(3, axis=1) + rng.normal(0, 6, (400, 180))
    size = detectable(float(np.mean(standard_errors(noise, videos, resamples=300))), 0.05)
    p_values = permutation_p_values(noise + size, videos, permutations=500)
    assert 0.72 < (p_values < 0.05).mean() < 0.88
