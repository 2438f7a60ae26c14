"""Statistics of a table of queries, on numbers that can be checked by hand."""

import numpy as np
import pytest

from tsgbench.datasets import Queries
from tsgbench.datasets.queries import join
from tsgbench.datasets.statistics import average_moments, count_moments, describe
from tsgbench.errors import UserError


def table(videos, moments, durations, sentences, annotators=()) -> Queries:
    return Queries(
        [f"{video}_{place}" for place, video in enumerate(videos)],
        list(videos),
        list(sentences),
        np.array(durations, dtype=np.float64),
        np.array(moments, dtype=np.float64),
        list(annotators),
    )


ONE = table("aab", [(0, 2), (1, 5), (2, 8)], [10, 10, 20], ["x y", "x", "y z w"])
TWO = table("c", [(0, 4)], [8], ["x v"])


def test_means_are_over_queries_and_video_lengths_over_videos():
    assert describe(ONE, str.split) == {
        "videos": 2,
        "queries": 3,
        "vocabulary": 4,
        "query_words": 2.0,
        "moment_s": 4.0,
        "moment_std_s": pytest.approx(np.sqrt(8 / 3)),
        "video_s": 15.0,
        "ratio": pytest.approx((0.2 + 0.4 + 0.3) / 3),
        "ratio_std": pytest.approx(np.std([0.2, 0.4, 0.3])),
    }


def test_the_tokeniser_decides_the_words():
    found = describe(ONE, lambda sentence: list(sentence.replace(" ", "")) + ["."])
    assert found["vocabulary"] == 5 and found["query_words"] == 3.0


def test_unrepaired_rows_are_described_as_they_stand():
    found = describe(table("ab", [(5, 1), (0, 6)], [8, np.nan], ["x", "x"]), str.split)
    assert found["moment_s"] == 1.0 and found["video_s"] == 8.0 and found["ratio"] == 0.5


def test_joined_splits_keep_every_column_in_order():
    both = join([ONE, TWO])
    assert both.query_ids == ONE.query_ids + TWO.query_ids
    assert both.video_ids == ["a", "a", "b", "c"] and both.sentences[-1] == "x v"
    assert both.moments.tolist() == [[0, 2], [1, 5], [2, 8], [0, 4]]
    assert both.durations.tolist() == [10, 10, 20, 8] and both.annotators == []
    assert describe(both, str.split)["vocabulary"] == 5


def test_annotators_are_joined_or_refused():
    marked = table("d", [(0, 4)], [8], ["x"], [np.array([[0.0, 4.0], [4.0, 8.0]])])
    assert len(join([marked, marked]).annotators) == 2
    with pytest.raises(UserError, match="several annotators"):
        join([ONE, marked])
    counted = join([ONE, marked], is_scored=False)  # by their one moment each
    assert counted.annotators == [] and counted.query_ids == ONE.query_ids + marked.query_ids
    with pytest.raises(UserError, match="at least one"):
        join([])


def random_table(seed: int) -> Queries:
    """Moments on a coarse grid, so that some repeat, in videos of different lengths."""
    draw = np.random.default_rng(seed)
    videos = [f"v{number}" for number in draw.integers(0, 5, 40)]
    durations = np.array([10.0 + 5 * int(video[1]) for video in videos])
    ends = np.sort(draw.integers(0, 8, (40, 2)), axis=1) + [0, 1]
    return table(videos, ends / 8 * durations[:, None], durations, ["x"] * 40)


@pytest.mark.parametrize("seed", range(5))
def test_averages_equal_plain_loops(seed):
    queries = random_table(seed)
    by_video, distinct = {}, set()
    for video, (start, end) in zip(queries.video_ids, queries.moments.tolist(), strict=True):
        by_video.setdefault(video, []).append(end - start)
        distinct.add((video, start, end))
    found = average_moments(queries)
    assert found["queries_per_video"] == 40 / len(by_video)
    means = [sum(lengths) / len(lengths) for lengths in by_video.values()]
    assert found["video_mean_moment_s"] == pytest.approx(sum(means) / len(means))
    lengths = [end - start for _, start, end in distinct]
    assert len(lengths) < 40 and found["distinct_moment_s"] == pytest.approx(np.mean(lengths))


@pytest.mark.parametrize("seed", range(5))
def test_histograms_equal_plain_loops(seed):
    queries, bins = random_table(seed), 5
    both, length = np.zeros((bins, bins), int), np.zeros(bins, int)
    ratios = []
    for (start, end), duration in zip(queries.moments.tolist(), queries.durations, strict=True):
        at = [min(int(part / duration * bins), bins - 1) for part in (start, end)]
        both[at[0], at[1]] += 1
        ratios.append((end - start) / duration)
        length[min(int(ratios[-1] * bins), bins - 1)] += 1
    found = count_moments(queries, bins)
    assert found["start_end"] == both.tolist() and found["length"] == length.tolist()
    assert found["start"] == both.sum(1).tolist() and found["end"] == both.sum(0).tolist()
    assert found["queries"] == 40 and found["ratio"] == pytest.approx(np.mean(ratios))


def test_the_whole_video_is_in_the_last_bin():
    found = count_moments(table("a", [(0.0, 0.3)], [0.3], ["x"]), 20)
    assert found["length"][-1] == 1 and found["start_end"][0][-1] == 1
