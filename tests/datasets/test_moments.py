"""Temporal IoU against a brute force, suppression against the plain greedy loop."""

import numpy as np
import pytest

from tsgbench.datasets.moments import (
    from_index,
    index_iou,
    iou,
    nearest_index,
    nms_ranks,
    to_index,
)


def random_moments(dice: np.random.Generator, *shape: int) -> np.ndarray:
    """Moments on a grid of 0.25 s in [0, 20), some of length zero."""
    return np.sort(dice.integers(0, 80, (*shape, 2)), axis=-1) / 4


def count_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU by counting cells of 1/4 s: exact for moments on that grid."""
    first = set(range(round(4 * a[0]), round(4 * a[1])))
    second = set(range(round(4 * b[0]), round(4 * b[1])))
    return len(first & second) / max(len(first | second), 1)


def test_iou_equals_a_count_of_cells():
    dice = np.random.default_rng(0)
    a, b = random_moments(dice, 500), random_moments(dice, 500)
    expected = [count_iou(*pair) for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(iou(a, b), expected, atol=1e-12)
    assert 0.2 < np.mean(np.array(expected) > 0) < 0.95


def test_iou_is_symmetric_bounded_and_indifferent_to_shift_and_unit():
    dice = np.random.default_rng(1)
    a, b = (np.sort(dice.uniform(0, 30, (2000, 2)), axis=1) for _ in range(2))
    value = iou(a, b)
    np.testing.assert_array_equal(value, iou(b, a))
    assert (value >= 0).all() and (value <= 1).all()
    np.testing.assert_allclose(iou(a + 7, b + 7), value, atol=1e-9)
    np.testing.assert_allclose(iou(a * 60, b * 60), value, atol=1e-9)


def test_iou_of_a_moment_with_itself_is_one():
    a = random_moments(np.random.default_rng(2), 100)
    a = a[a[:, 1] > a[:, 0]]
    np.testing.assert_allclose(iou(a, a), 1.0, atol=1e-12)


def test_touching_and_distant_moments_share_nothing():
    a = np.array([0.0, 5.0])
    assert iou(a, np.array([5.0, 9.0])) == 0 and iou(a, np.array([50.0, 90.0])) == 0


def test_a_length_of_zero_is_safe():
    point = np.array([3.0, 3.0])
    with np.errstate(all="raise"):
        for other in ([3.0, 3.0], [0.0, 9.0], [3.0, 4.0], [8.0, 8.0]):
            assert iou(point, np.array(other)) == 0


@pytest.mark.parametrize("other", [[0.0, 10.0], [4.0, 6.0], [6.0, 4.0], [5.0, 5.0], [-9.0, 90.0]])
def test_an_inverted_moment_matches_nothing(other):
    assert iou(np.array([6.0, 4.0]), np.array(other)) == 0
    assert iou(np.array(other), np.array([6.0, 4.0])) == 0


def test_an_absent_moment_matches_nothing():
    absent = np.array([np.nan, np.nan])
    assert iou(absent, np.array([0.0, 9.0])) == 0 and iou(np.array([0.0, 9.0]), absent) == 0


def test_iou_broadcasts():
    dice = np.random.default_rng(3)
    a, b = random_moments(dice, 4, 7), random_moments(dice, 4)
    value = iou(a, b[:, None])
    assert value.shape == (4, 7)
    assert value[2, 5] == iou(a[2, 5], b[2])


def suppress_one_by_one(moments: np.ndarray, threshold: float, keep: int) -> list[int]:
    kept: list[int] = []
    for index, moment in enumerate(moments):
        if np.isnan(moment[0]) or len(kept) == keep:
            continue
        if all(count_iou(moment, moments[other]) <= threshold for other in kept):
            kept.append(index)
    return kept + [-1] * (keep - len(kept))


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.45, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("keep", [1, 5, 40])
def test_suppression_equals_the_greedy_loop(threshold, keep):
    dice = np.random.default_rng(int(100 * threshold) + keep)
    moments = random_moments(dice, 25, 30)
    absent = dice.integers(5, 31, 25)
    for query, first in enumerate(absent):
        moments[query, first:] = np.nan
    expected = [suppress_one_by_one(query, threshold, keep) for query in moments]
    np.testing.assert_array_equal(nms_ranks(moments, threshold, keep), expected)


def test_absent_candidates_are_never_kept_wherever_they_stand():
    dice = np.random.default_rng(5)
    moments = random_moments(dice, 50, 20)
    absent = dice.random((50, 20)) < 0.5
    moments[absent] = np.nan
    kept = nms_ranks(moments, 0.5, 20)
    for query in range(50):
        assert not absent[query][kept[query][kept[query] >= 0]].any()
        assert kept[query].tolist() == suppress_one_by_one(moments[query], 0.5, 20)


def test_nothing_to_keep():
    assert (nms_ranks(np.full((3, 4, 2), np.nan), 0.5, 5) == -1).all()
    assert nms_ranks(np.zeros((0, 4, 2)), 0.5, 5).shape == (0, 5)


def test_the_best_candidate_always_stays_and_kept_ones_differ():
    moments = random_moments(np.random.default_rng(6), 40, 30)
    kept = nms_ranks(moments, 0.4, 10)
    assert (kept[:, 0] == 0).all()
    for query, ranks in enumerate(kept):
        ranks = ranks[ranks >= 0]
        assert (np.diff(ranks) > 0).all()
        pairs = iou(moments[query, ranks][:, None], moments[query, ranks][None])
        assert (pairs[~np.eye(len(ranks), dtype=bool)] <= 0.4).all()


def test_index_iou_equals_a_count_of_positions():
    dice = np.random.default_rng(7)
    a, b = (np.sort(dice.integers(0, 12, (300, 2)), axis=1) for _ in range(2))
    expected = []
    for (first, last), (other, end) in zip(a, b, strict=True):
        mine, yours = set(range(first, last + 1)), set(range(other, end + 1))
        shared = len(mine & yours)
        hull = max(last, end) - min(first, other) + 1
        expected.append(shared / hull)
    np.testing.assert_allclose(index_iou(a, b), expected, atol=1e-12)
    assert (index_iou(a, a) == 1).all() and 0 < np.mean(np.array(expected) > 0) < 1
    assert np.isnan(index_iou(np.full(2, np.nan), np.array([0, 3])))


def test_indices_survive_the_way_to_seconds_and_back():
    dice = np.random.default_rng(8)
    positions, durations = dice.integers(1, 257, 500), dice.uniform(3, 300, 500)
    last = dice.integers(0, positions)
    index = np.stack([dice.integers(0, last + 1), last], axis=1)
    spans = from_index(index, durations, positions)
    assert (spans[:, 0] >= 0).all() and (spans[:, 1] <= durations * (1 + 1e-12)).all()
    back, widened = to_index(spans[:, None], durations, positions)
    np.testing.assert_array_equal(back[:, 0], index)
    assert widened.shape == (500, 1) and not widened.any()


def test_moments_narrower_than_a_position_keep_one_and_are_counted():
    spans = np.array([[[3.6, 3.7], [0.0, 10.0], [np.nan, np.nan], [-1.0, 99.0]]])
    found, widened = to_index(spans, np.array([10.0]), np.array([10]))
    np.testing.assert_array_equal(found[0], [[4, 4], [0, 9], [np.nan, np.nan], [0, 9]])
    assert widened.tolist() == [[True, False, False, False]]


def test_the_nearest_span_of_an_axis_is_the_best_of_all():
    dice = np.random.default_rng(9)
    positions, durations = dice.integers(1, 15, 300), dice.uniform(3, 60, 300)
    moments = np.sort(dice.uniform(0, 1, (300, 2)), axis=1) * durations[:, None]
    moments[:20, 1] = moments[:20, 0] + 1e-3 * durations[:20]  # within one position, mostly
    moments[20:30] = np.stack([np.zeros(10), durations[20:30]], axis=1)
    moments = np.minimum(moments, durations[:, None])
    found = nearest_index(moments, durations, positions)
    assert (found[:, 0] <= found[:, 1]).all() and (found >= 0).all()
    assert (found[:, 1] < positions).all()
    own = iou(from_index(found, durations, positions), moments)
    for row, n in enumerate(positions):
        spans = [(i, j) for i in range(n) for j in range(i, n)]
        spans = from_index(
            np.array(spans), np.full(len(spans), durations[row]), np.full(len(spans), n)
        )
        assert own[row] == pytest.approx(iou(spans, moments[row]).max(), abs=1e-9)


def test_suppression_finds_survivors_far_down_the_ranks():
    """Many near-copies of the best moment come first: the window of ranks must widen."""
    near = np.array([0.0, 10.0]) + np.linspace(0, 0.5, 70)[:, None]
    far = np.array([[20.0, 25.0], [30.0, 35.0], [40.0, 45.0]])
    moments = np.stack([np.concatenate([near, far]), np.concatenate([far, near])])
    assert nms_ranks(moments, 0.5, 4).tolist() == [[0, 70, 71, 72], [0, 1, 2, 3]]
