"""Queries whose video is not available: left out, counted, and never mistaken for a whole split."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsgbench.datasets.queries import Queries, part_by_video, write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import read_ranked, read_unanswered, write_predictions
from tsgbench.jobs.records import Record
from tsgbench.phases import Task
from tsgbench.phases.evaluate import run

HEADLINE = {
    "predictions": "spans",
    "labels": "annotated",
    "iou": "seconds",
    "compare": ">=",
    "nms": None,
    "metrics": ["R@1,IoU=0.5", "mIoU"],
}


def queries(label: str, videos: list[str]) -> Queries:
    ids = [f"{video}_{label}_{n}" for n, video in enumerate(videos)]
    moments = np.tile([0.0, 10.0], (len(ids), 1))
    return Queries(ids, videos, ["a"] * len(ids), np.full(len(ids), 20.0), moments)


def evaluate(folder, tested: dict[str, Queries], answered: Queries, unanswered: list[str]) -> dict:
    """Facts of the evaluation of whole videos as predictions, but for the first: that is right."""
    for split, table in tested.items():
        write_queries(folder / f"{split}.jsonl", table)
    ranked = np.tile([0.0, 20.0, 1.0], (len(answered), 1, 1))
    ranked[:1, 0, 1] = 10.0
    write_predictions(folder / "predictions.parquet", answered, ranked, unanswered=unanswered)
    record = Record(
        folder / "run.json",
        {"outputs": dict.fromkeys([*(f"{s}.jsonl" for s in tested), "predictions.parquet"])},
    )
    task = Task(
        settings={
            "headline": "seconds",
            "splits": list(tested),
            "score": {"iid": ["iid"], "ood": ["ood"]} if "ood" in tested else {},
            "conventions": {"seconds": HEADLINE},
        },
        inputs={"run": record, "annotations": record},
        identity="",
        record=folder / "metrics.json",
        files={"scores": folder / "scores.parquet"},
        wildcards={"dataset": "any"},
    )
    return run(task)[0]


def test_queries_part_by_their_videos():
    table = queries("t", ["b", "a", "b", "c"])
    here, gone = part_by_video(table, {"a", "c"})
    assert here.query_ids == ["a_t_1", "c_t_3"] and gone.query_ids == ["b_t_0", "b_t_2"]
    assert len(part_by_video(table, set())[0]) == 0


def test_a_prediction_file_names_what_it_does_not_answer(tmp_path):
    table = queries("t", ["a", "b", "c"])
    path = tmp_path / "p.parquet"
    write_predictions(path, table.take([0, 2]), np.ones((2, 1, 3)), unanswered=["b_t_1"])
    assert read_unanswered(path) == {"b_t_1"}
    assert len(read_ranked(path, table.take([0, 2])).spans) == 2
    write_predictions(path, table, np.ones((3, 1, 3)))
    assert read_unanswered(path) == set()


def test_the_evaluation_says_how_many_of_how_many(tmp_path):
    table = queries("t", ["a", "b", "c", "b"])
    here, gone = part_by_video(table, {"a", "c"})
    facts = evaluate(tmp_path, {"test": table}, here, gone.query_ids)
    assert (facts["queries"], facts["of_queries"]) == (2, 4)
    # the first is right, the other has half of its video: neither counts what is not there
    assert facts["metrics"] == {"R@1,IoU=0.5": 100.0, "mIoU": 75.0}
    assert facts["counts"]["seconds"]["queries"] == 2
    others = part_by_video(table, {"a", "b"})
    assert (
        facts["unanswered"]
        != evaluate(tmp_path, {"test": table}, others[0], ["c_t_2"])["unanswered"]
    )


def test_parts_of_the_test_split_are_counted_each(tmp_path):
    tested = {"iid": queries("i", ["a", "b"]), "ood": queries("o", ["c", "a", "d"])}
    both = Queries(
        [*tested["iid"].query_ids, *tested["ood"].query_ids],
        ["a", "b", "c", "a", "d"],
        ["a"] * 5,
        np.full(5, 20.0),
        np.tile([0.0, 10.0], (5, 1)),
    )
    here, gone = part_by_video(both, {"b", "c", "d"})
    facts = evaluate(tmp_path, tested, here, gone.query_ids)
    counted = {name: (p["queries"], p["of_queries"]) for name, p in facts["parts"].items()}
    assert counted == {"iid": (1, 2), "ood": (2, 3)}
    assert facts["parts"]["iid"]["metrics"]["mIoU"] == 100.0
    assert facts["parts"]["ood"]["metrics"]["mIoU"] == 50.0


def test_a_file_that_answers_no_query_is_refused(tmp_path):
    table = queries("t", ["a", "b"])
    with pytest.raises(UserError, match=r"predictions\.parquet: answers no query"):
        evaluate(tmp_path, {"test": table}, table.take(np.array([], dtype=int)), table.query_ids)


def test_a_query_that_is_missing_without_being_named_is_refused(tmp_path):
    table = queries("t", ["a", "b", "c"])
    with pytest.raises(UserError, match="1 of 3 queries have no prediction"):
        evaluate(tmp_path, {"test": table}, table.take([0, 2]), [])


def test_a_name_that_is_not_in_the_split_is_refused(tmp_path):
    table = queries("t", ["a", "b", "c"])
    with pytest.raises(UserError, match="unanswered: names queries that are not in the split"):
        evaluate(tmp_path, {"test": table}, table.take([0, 2]), ["b_t_1", "x_t_9"])


def test_the_names_stand_in_the_schema(tmp_path):
    path = tmp_path / "p.parquet"
    write_predictions(path, queries("t", ["a"]), np.ones((1, 1, 3)), unanswered=["b_t_1"])
    assert json.loads(pq.read_schema(path).metadata[b"unanswered"]) == ["b_t_1"]
