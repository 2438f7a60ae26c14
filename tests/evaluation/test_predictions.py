"""Prediction files keep every bit; those that do not cover the split are refused."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation import read_predictions, read_ranked, write_predictions
from tsgbench.evaluation.predictions import read_first


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
