"""Scores per query: their means are the metrics, and a file that is not theirs is refused."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_conventions import SHIPPED, invented, task

from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import for_dataset, score_convention
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.evaluation.query_scores import read_query_scores, write_query_scores
from tsgbench.phases import evaluate

COUNT = 400


@pytest.fixture
def queries():
    rng = np.random.default_rng(0)
    ids = [f"q{row}" for row in range(COUNT)]
    videos = [f"v{row}" for row in rng.integers(0, 60, COUNT)]
    moments = np.sort(rng.uniform(0, 9, (COUNT, 2)), axis=1)
    return Queries(ids, videos, ids, np.full(COUNT, 9.0), moments)


@pytest.fixture
def written(tmp_path, queries):
    """A file of two conventions, and what was written."""
    rng = np.random.default_rng(1)
    hits = 100.0 * rng.integers(0, 2, COUNT)
    scores = {
        "seconds": {"R@1,IoU=0.5": hits, "mIoU": rng.uniform(0, 100, COUNT)},
        "official": {"mIoU": rng.uniform(0, 100, COUNT)},
    }
    path = tmp_path / "scores.parquet"
    write_query_scores(path, queries, np.repeat(["iid", "ood"], COUNT // 2), scores)
    return path, scores


def test_a_file_gives_back_every_bit(written, queries):
    path, scores = written
    read = read_query_scores(path)
    assert len(read) == COUNT
    assert read.query_ids.tolist() == queries.query_ids
    assert read.video_ids.tolist() == queries.video_ids
    assert read.splits.tolist() == ["iid"] * (COUNT // 2) + ["ood"] * (COUNT // 2)
    assert read.names == [(c, metric) for c in scores for metric in scores[c]]
    for convention, metric in read.names:
        np.testing.assert_array_equal(read.values(convention, metric), scores[convention][metric])


def test_equal_scores_give_equal_bytes(written, queries, tmp_path):
    path, scores = written
    again = tmp_path / "again.parquet"
    write_query_scores(again, queries, ["iid"] * (COUNT // 2) + ["ood"] * (COUNT // 2), scores)
    assert again.read_bytes() == path.read_bytes()


def test_a_hit_takes_a_bit(tmp_path, queries):
    many = queries.take(np.arange(100_000) % COUNT)
    many.query_ids, many.video_ids = [""] * len(many), [""] * len(many)
    hits = 100.0 * np.random.default_rng(2).integers(0, 2, len(many))
    write_query_scores(tmp_path / "s", many, [""] * len(many), {"seconds": {"R@1,IoU=0.5": hits}})
    assert (tmp_path / "s").stat().st_size < 1.3 * len(many) / 8


def test_an_absent_column_is_named(written):
    with pytest.raises(UserError, match=r"scores\.parquet: has no column 'official/R@1,IoU=0.5'"):
        read_query_scores(written[0]).values("official", "R@1,IoU=0.5")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(written, share):
    path, _ = written
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"scores\.parquet: not a file of scores per query"):
        read_query_scores(path)


def test_a_damaged_byte_never_gives_another_number(written):
    path, scores = written
    whole = path.read_bytes()
    refused = 0
    for place in range(5, len(whole) - 2000, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            read = read_query_scores(path)
        except UserError as error:
            assert "scores.parquet" in str(error)
            refused += 1
            continue
        for convention, metric in read.names:
            assert (read.values(convention, metric) == scores[convention][metric]).all()
    assert refused > 5


def labelled(**columns) -> pa.Table:
    return pa.table({"query_id": ["a", "b"], "video_id": ["v", "v"], "split": ["t", "t"]} | columns)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"query_id": ["a"], "rank": [1]}), "not a file of scores per query"),
        (labelled(query_id=["a", "a"]), "query_id: not distinct"),
        (labelled(video_id=["v", None]), "video_id: not a text"),
        (labelled(split=[1, 2]), "split: not a text"),
        (labelled(score=[1.0, 2.0]), "score: not numbers called CONVENTION/METRIC"),
        (labelled(**{"seconds/mIoU": ["x", "y"]}), "seconds/mIoU: not numbers"),
        (labelled(**{"seconds/mIoU": [1.0, np.nan]}), "seconds/mIoU: not percentages"),
        (labelled(**{"seconds/mIoU": [1.0, None]}), "seconds/mIoU: not percentages"),
        (labelled(**{"seconds/mIoU": [1.0, 100.5]}), "seconds/mIoU: not percentages"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, table, message):
    path = tmp_path / "scores.parquet"
    pq.write_table(table, path)
    with pytest.raises(UserError, match=rf"scores\.parquet: {message}"):
        read_query_scores(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"scores\.parquet: no such file; evaluate the cell again"):
        read_query_scores(tmp_path / "scores.parquet")


def evaluated(folder, answered, names):
    """Facts and scores of the phase over two splits of 50 queries, of which some are answered."""
    queries, predictions = invented(50)
    rng = np.random.default_rng(3)
    starts = rng.integers(0, 6, (50, 4))
    queries.annotators = list(5.0 * np.stack([starts, starts + 1], axis=-1))
    write_queries(folder / "iid.jsonl", queries.take(np.arange(20)))
    write_queries(folder / "ood.jsonl", queries.take(np.arange(20, 50)))
    spans = np.concatenate([predictions.spans, np.zeros((50, 30, 1))], axis=2)[answered]
    unanswered = sorted(set(queries.query_ids) - {queries.query_ids[row] for row in answered})
    write_predictions(
        folder / "predictions.parquet",
        queries.take(answered),
        spans,
        predictions.clips[answered],
        unanswered=unanswered,
    )
    conventions = {name: for_dataset(SHIPPED[name], "charades_cd") for name in names}
    settings = {"headline": "seconds", "splits": ["iid", "ood"], "conventions": conventions}
    facts, files = evaluate.run(task(folder, **settings, score={"near": ["iid"], "far": "ood"}))
    assert files == [folder / "scores.parquet"]
    return facts, read_query_scores(files[0]), queries


def test_the_mean_of_every_column_is_the_metric_of_the_split_and_of_its_parts(tmp_path):
    answered = np.setdiff1d(np.arange(50), [3, 17, 44])
    facts, scores, queries = evaluated(tmp_path, answered, list(SHIPPED))
    assert scores.query_ids.tolist() == [queries.query_ids[row] for row in answered]
    assert scores.video_ids.tolist() == [queries.video_ids[row] for row in answered]
    expected = [(name, metric) for name in SHIPPED for metric in facts["conventions"][name]]
    # What is defined for no query is no number
    undefined = [name for name in scores.names if np.isnan(scores.values(*name)).all()]
    assert [name for name in scores.names if name not in undefined] == expected
    assert len(expected) > 50 and all(metric.startswith("mAP,") for _, metric in undefined)
    parts = {"near": scores.splits == "iid", "far": scores.splits == "ood"}
    assert [facts["parts"][part]["queries"] for part in parts] == [18, 29]
    for name, metric in expected:
        values = scores.values(name, metric)
        assert np.nanmean(values) == pytest.approx(facts["conventions"][name][metric], rel=1e-9)
        for part, rows in parts.items():
            found = facts["parts"][part]["conventions"][name][metric]
            assert values[rows].mean() == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_query_depends_on_another(name):
    queries, predictions = invented(40)
    rng = np.random.default_rng(4)
    starts = rng.integers(0, 6, (40, 4))
    sizes = rng.integers(1, 5, 40)
    spans = 5.0 * np.stack([starts, starts + 1], axis=-1)
    queries.annotators = [marked[:size] for marked, size in zip(spans, sizes, strict=True)]
    whole = score_convention(predictions, queries, SHIPPED[name], "charades_cd")
    rows = np.array([31, 2, 7])
    few = score_convention(predictions.take(rows), queries.take(rows), SHIPPED[name], "charades_cd")
    for metric, values in few.values.items():
        np.testing.assert_array_equal(values, whole.values[metric][rows])
    assert few.summarise() == whole.summarise(rows)
    assert whole.summarise(rows)["counts"]["queries"] == 3


def test_neither_predictions_nor_scores_take_pandas(tmp_path):
    """Half a second of every job that predicts or scores, if pyarrow has its way."""
    code = """
import sys
from pathlib import Path
import numpy as np
from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.predictions import read_ranked, read_unanswered, write_predictions
from tsgbench.evaluation.query_scores import read_query_scores, write_query_scores
queries = Queries(["a", "\\u00fc"], ["v", "v"], ["", ""], np.ones(2), np.array([[0.0, 1.0]] * 2))
write_predictions("p.parquet", queries, np.ones((2, 3, 3)), np.array([4, 4]), unanswered=["b"])
assert read_ranked("p.parquet", queries).spans.shape == (2, 3, 2)
assert read_unanswered("p.parquet") == {"b"}
write_query_scores("s.parquet", queries, ["t", "t"], {"c": {"mIoU": np.array([1.0, 2.0])}})
read = read_query_scores("s.parquet")
assert read.query_ids.tolist() == queries.query_ids and read.values("c", "mIoU").tolist() == [1, 2]
sys.exit("pandas" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
