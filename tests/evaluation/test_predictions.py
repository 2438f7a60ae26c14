"""Prediction files keep every bit; those that do not cover the split are refused."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import evaluate_convention
from tsgbench.evaluation.keeping import Ranked
from tsgbench.evaluation.predictions import (
    read_first,
    read_predictions,
    read_ranked,
    write_predictions,
)


def random_moments(rng, *shape):
    return np.sort(rng.uniform(0, 30, (*shape, 2)), axis=-1)


def queries(count):
    ids = [f"v{row}_0" for row in range(count)]
    return Queries(ids, ids, ["a"] * count, np.full(count, 30.0), np.tile([0.0, 1.0], (count, 1)))


def test_prediction_files_keep_every_bit(tmp_path):
    rng = np.random.default_rng(2)
    ranked = np.concatenate([random_moments(rng, 7, 4), rng.random((7, 4, 1))], axis=2)
    ranked[3, 2:] = np.nan
    write_predictions(tmp_path / "p.parquet", queries(7), ranked)
    np.testing.assert_array_equal(
        read_predictions(tmp_path / "p.parquet", queries(7)), ranked[..., :2]
    )


def test_a_part_of_the_split_is_refused(tmp_path):
    write_predictions(tmp_path / "p.parquet", queries(7), np.ones((7, 1, 3)))
    with pytest.raises(UserError, match="1 of 8 queries have no prediction.*v7_0"):
        read_predictions(tmp_path / "p.parquet", queries(8))
    with pytest.raises(UserError, match="v6_0.*not in the split"):
        read_predictions(tmp_path / "p.parquet", queries(6))


def test_a_damaged_prediction_file_is_named(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match="p.parquet.*not a prediction file"):
        read_predictions(tmp_path / "p.parquet", queries(1))
    with pytest.raises(UserError, match="p.parquet.*not a prediction file"):
        read_first(tmp_path / "p.parquet", ["v0_0"])


def test_first_predictions_of_single_queries(tmp_path):
    ranked = random_moments(np.random.default_rng(3), 4, 3)
    scored = np.concatenate([ranked, np.ones((4, 3, 1))], axis=2)
    write_predictions(tmp_path / "p.parquet", queries(4), scored)
    found = read_first(tmp_path / "p.parquet", ["v2_0", "v0_0", "absent"])
    assert {name: span.tolist() for name, span in found.items()} == {
        "v0_0": ranked[0, 0].tolist(),
        "v2_0": ranked[2, 0].tolist(),
    }
    assert read_first(tmp_path / "p.parquet", []) == {}


def test_clips_travel_with_the_predictions(tmp_path):
    clips = np.array([5, 300, 7])
    write_predictions(tmp_path / "p.parquet", queries(3), np.ones((3, 4, 3)), clips)
    found = read_ranked(tmp_path / "p.parquet", queries(3))
    assert found.clips.tolist() == clips.tolist() and found.spans.shape == (3, 4, 2)
    taken = found.take(np.array([2, 0]))
    assert taken.clips.tolist() == [7, 5] and len(taken.spans) == 2


def test_a_file_without_clips_says_so(tmp_path):
    write_predictions(tmp_path / "p.parquet", queries(3), np.ones((3, 1, 3)))
    found = read_ranked(tmp_path / "p.parquet", queries(3))
    assert found.clips is None and found.take(np.array([1])).clips is None


def test_the_order_of_the_file_does_not_matter(tmp_path):
    rng = np.random.default_rng(3)
    ranked = np.concatenate([random_moments(rng, 6, 5), rng.random((6, 5, 1))], axis=2)
    write_predictions(tmp_path / "p.parquet", queries(6), ranked, np.arange(1, 7))
    table = pq.read_table(tmp_path / "p.parquet")
    pq.write_table(table.take(rng.permutation(len(table))), tmp_path / "shuffled.parquet")
    found = read_ranked(tmp_path / "shuffled.parquet", queries(6))
    np.testing.assert_array_equal(found.spans, ranked[..., :2])
    assert found.clips.tolist() == [1, 2, 3, 4, 5, 6]


def test_contradictions_in_a_file_are_refused(tmp_path):
    path = tmp_path / "p.parquet"
    write_predictions(path, queries(2), np.ones((2, 2, 3)), np.array([4, 5]))
    table = pq.read_table(path)
    pq.write_table(table.take([0, 0, 2]), path)
    with pytest.raises(UserError, match="rank: not distinct"):
        read_ranked(path, queries(2))
    clips = table["clips"].to_numpy().copy()
    clips[1] += 1
    place = table.column_names.index("clips")
    pq.write_table(table.set_column(place, "clips", [clips]), path)
    with pytest.raises(UserError, match="clips: not one positive number"):
        read_ranked(path, queries(2))


def test_two_queries_of_one_id_are_refused(tmp_path):
    write_predictions(tmp_path / "p.parquet", queries(2), np.ones((2, 1, 3)))
    both = queries(2)
    both.query_ids = ["v0_0", "v0_0"]
    with pytest.raises(UserError, match="two queries of one id"):
        read_ranked(tmp_path / "p.parquet", both)


def ranked_with_gaps(tmp_path, needs):
    """Ranks 1, 4 and 9 of ten candidates in the first query, rank 1 of one in the second."""
    found = np.array([[0.0, 5.0, 0.9], [10.0, 15.0, 0.5], [20.0, 25.0, 0.1], [1.0, 2.0, 0.7]])
    kept = Ranked(np.array([0, 0, 0, 1]), np.array([0, 3, 8, 0]), found, np.array([10, 1]))
    path = tmp_path / "p.parquet"
    write_predictions(path, queries(2), kept, np.array([7, 9]), kept=needs)
    return path, found


def test_ranks_are_those_among_all_candidates_and_gaps_close_on_reading(tmp_path):
    needs = [{"ranks": 1}, {"iou": "seconds", "above": 0.5, "depth": 5}]
    path, found = ranked_with_gaps(tmp_path, needs)
    assert pq.read_table(path)["rank"].to_pylist() == [1, 4, 9, 1]
    assert pq.read_table(path)["candidates"].to_pylist() == [10, 10, 10, 1]
    read = read_ranked(path, queries(2))
    np.testing.assert_array_equal(read.spans[0], found[:3, :2])
    np.testing.assert_array_equal(read.spans[1, 0], found[3, :2])
    assert np.isnan(read.spans[1, 1:]).all() and read.counts.tolist() == [10, 1]
    assert read.kept == needs and read.take(np.array([1])).counts.tolist() == [1]
    assert read_first(path, ["v0_0"])["v0_0"].tolist() == [0.0, 5.0]


def test_a_file_of_all_candidates_says_so_and_one_that_says_nothing_is_good_for_the_first(tmp_path):
    path, _ = ranked_with_gaps(tmp_path, None)
    assert read_ranked(path, queries(2)).kept is None
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    found = read_ranked(path, queries(2))
    options = {"predictions": "spans", "labels": "annotated", "iou": "seconds", "compare": ">="}
    options |= {"nms": 0.5, "metrics": ["R@1,IoU=0.5", "mIoU"]}
    evaluate_convention(found, queries(2), options, "any")
    options["metrics"] = ["R@5,IoU=0.5"]
    with pytest.raises(UserError, match=r"p\.parquet: does not keep all .*train the cell again"):
        evaluate_convention(found, queries(2), options, "any")


def test_a_query_without_its_first_candidate_is_refused(tmp_path):
    path, _ = ranked_with_gaps(tmp_path, None)
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(UserError, match="rank: a query lacks its first"):
        read_ranked(path, queries(2))
