"""The resampling rules, against the loops that define them."""

from itertools import pairwise

import numpy as np
import pytest

from tsgbench.features.resample import (
    NotChunks,
    by_chunk,
    even_pick,
    keep,
    linspace_index,
    linspace_labels,
    linspace_mean,
    round_mean,
    segment_mean,
    stride_offset_limit,
    stride_pick,
)

CASES = [(1, 1), (1, 4), (3, 4), (4, 4), (5, 4), (7, 4), (31, 8), (64, 64), (129, 64), (500, 200)]


def rows_of(length, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(length, dim)).astype(np.float32)


@pytest.mark.parametrize(("length", "target"), CASES)
def test_linspace_mean_is_its_definition(length, target):
    x = rows_of(length)
    index = np.floor(np.linspace(0, length - 1, target)).astype(int)
    expected = []
    for i in range(target - 1):
        window = x[index[i] : index[i + 1]]
        expected.append(window.mean(0) if len(window) >= 2 else x[index[i]])
    expected.append(x[index[-1]])
    np.testing.assert_array_equal(linspace_index(length, target), index)
    np.testing.assert_allclose(segment_mean(x, *linspace_mean(length, target)), expected, atol=1e-6)


@pytest.mark.parametrize(("length", "target"), CASES)
def test_round_mean_is_its_definition(length, target):
    x = rows_of(length)
    index = np.minimum(np.round(np.arange(target + 1) / target * length), length - 1).astype(int)
    expected = [x[a:b].mean(0) if b > a else x[a] for a, b in pairwise(index)]
    np.testing.assert_allclose(segment_mean(x, *round_mean(length, target)), expected, atol=1e-6)
    found = segment_mean(x, *round_mean(length, target, when="longer"))
    if length <= target:
        np.testing.assert_array_equal(found[:length], x)
        assert (found[length:] == 0).all()
    else:
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("length", "target"), CASES)
def test_stride_pick_is_its_definition(length, target):
    x = rows_of(length)
    stride = length / target if length > target else 1.0
    limit = stride_offset_limit(length, target)
    assert 0 <= limit <= max(stride - 0.5, 0) < limit + 1
    for offset in range(int(limit) + 1):
        picks = np.round(np.arange(offset, length - 0.5, stride)).astype(int)[:target]
        starts, stops = stride_pick(length, target, offset=offset)
        real = stops > starts
        np.testing.assert_array_equal(starts[real], picks)
        assert real[: len(picks)].all() and not real[len(picks) :].any()
        np.testing.assert_array_equal(segment_mean(x, starts, stops)[real], x[picks])


@pytest.mark.parametrize(("length", "target"), [*CASES, (89, 128), (1000, 128)])
def test_even_pick_gives_all_places_the_clip_in_their_middle(length, target):
    starts, stops = even_pick(length, target)
    assert starts.shape == (target,) and (stops - starts == 1).all()
    for place, clip in enumerate(starts):
        middle = (place + 0.5) / target  # as a share of the video
        assert clip / length - 1e-9 <= middle < (clip + 1) / length + 1e-9
    if length <= target:
        assert set(starts) == set(range(length)), "every clip is seen"


def test_where_even_pick_repeats_stride_pick_pads():
    """89 clips are what 30 s at 24 frames a second give, 16 frames every 8."""
    starts, stops = stride_pick(89, 128)
    assert (stops > starts).sum() == 89
    starts, stops = even_pick(89, 128)
    assert (stops > starts).sum() == 128


def test_keep_pads_and_refuses_what_is_longer():
    x = rows_of(5)
    found = segment_mean(x, *keep(5, 8))
    np.testing.assert_array_equal(found[:5], x)
    assert (found[5:] == 0).all()
    with pytest.raises(ValueError, match="9 clips, more than 8"):
        keep(np.array([3, 9]), 8)


def chunk_times(chunks):
    return np.stack([np.array(chunks) * 5.0, np.array(chunks) * 5.0 + 4.2], axis=1)


def test_by_chunk_leaves_each_row_at_its_seconds_however_many_there_are():
    # as long as its rows; a chunk more, a chunk less than rows; one without rows in the middle
    chunks = [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [0, 1, 3]]
    durations = np.array([25.0, 30.0, 25.0, 20.0])
    x = rows_of(sum(map(len, chunks)))
    ends = np.cumsum([0, *map(len, chunks)])
    times = np.concatenate([chunk_times(one) for one in chunks])
    placed, placed_ends = by_chunk(x, ends, times, durations, 5)
    assert np.diff(placed_ends).tolist() == [5, 6, 5, 4]
    for video, known in enumerate(chunks):
        for chunk in range(int(durations[video] / 5)):
            row = placed[placed_ends[video] + chunk]
            if chunk in known:
                np.testing.assert_array_equal(row, x[ends[video] + known.index(chunk)])
            else:
                assert (row == 0).all()


def test_by_chunk_takes_a_clock_that_is_a_hair_early():
    times = chunk_times([0, 1, 2]) - [1e-9, 0]
    placed, _ = by_chunk(rows_of(3), np.array([0, 3]), times, np.array([15.0]), 5)
    np.testing.assert_array_equal(placed, rows_of(3))


def test_by_chunk_refuses_what_is_not_of_chunks():
    ends, durations = np.array([0, 2, 4]), np.array([10.0, 10.0])
    with pytest.raises(NotChunks, match="several rows in one chunk") as caught:
        by_chunk(rows_of(4), ends, chunk_times([0, 1, 0, 0]), durations, 5)
    assert caught.value.video == 1
    with pytest.raises(NotChunks, match=r"lasts 12\.5 s") as caught:
        by_chunk(rows_of(4), ends, chunk_times([0, 1, 0, 1]), np.array([10.0, 12.5]), 5)
    assert caught.value.video == 1


@pytest.mark.parametrize("rule", [linspace_mean, round_mean, stride_pick, even_pick])
def test_many_videos_at_once_are_each_alone(rule):
    lengths = np.array([length for length, _ in CASES])
    starts, stops = rule(lengths, 8)
    assert starts.shape == (len(CASES), 8)
    assert (starts >= 0).all() and (starts <= stops).all() and (stops <= lengths[:, None]).all()
    first = np.cumsum(lengths) - lengths
    packed = rows_of(lengths.sum())
    real = stops > starts
    moved = np.where(real, first[:, None], 0)
    together = segment_mean(packed, starts + moved, stops + moved)
    for row, length in enumerate(lengths):
        alone_at, alone_to = rule(int(length), 8)
        np.testing.assert_array_equal(starts[row], alone_at)
        np.testing.assert_array_equal(stops[row], alone_to)
        alone = segment_mean(packed[first[row] : first[row] + length], alone_at, alone_to)
        np.testing.assert_allclose(together[row], alone, atol=1e-6)


@pytest.mark.parametrize("rule", [linspace_mean, round_mean, stride_pick, even_pick, keep])
def test_equal_length_changes_nothing(rule):
    x = rows_of(16)
    found = segment_mean(x, *rule(16, 16))
    np.testing.assert_array_equal(found, x)


def test_means_lie_between_the_clips_of_their_window():
    x = rows_of(100)
    starts, stops = round_mean(100, 7)
    found = segment_mean(x, starts, stops)
    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        assert (found[row] >= x[start:stop].min(0) - 1e-6).all()
        assert (found[row] <= x[start:stop].max(0) + 1e-6).all()


def test_linspace_labels_are_their_definition():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 60, 300)
    durations = rng.uniform(1, 100, 300)
    moments = np.sort(rng.uniform(0, 1, (300, 2)), axis=1) * durations[:, None]
    found = linspace_labels(lengths, 16, moments, durations)
    for row, (length, duration) in enumerate(zip(lengths, durations, strict=True)):
        index = np.floor(np.linspace(0, length - 1, 16)).astype(int)
        a = int(length / duration * moments[row, 0])
        b = min(int(length / duration * moments[row, 1]), length - 1)
        a = min(a, b)
        first = min(i for i in range(16) if index[i] >= a)
        last = max(i for i in range(16) if index[i] <= b)
        assert found[row].tolist() == [min(first, last), last], row
        assert 0 <= found[row, 0] <= found[row, 1] < 16


def test_half_precision_features_are_averaged_in_single():
    x = (rows_of(4000, dim=1) * 0 + 1000).astype(np.float16)
    assert segment_mean(x, np.array([0]), np.array([4000]))[0, 0] == 1000.0


def test_a_video_without_clips_is_refused():
    for rule in (linspace_mean, round_mean, stride_pick, even_pick, keep):
        with pytest.raises(ValueError, match="without clips"):
            rule(np.array([3, 0]), 4)
    with pytest.raises(ValueError, match="'sometimes'"):
        round_mean(3, 4, when="sometimes")
