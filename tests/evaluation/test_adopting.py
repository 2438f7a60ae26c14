"""The phase that takes another program's predictions for a cell's, and their evaluation."""

import numpy as np
import pytest

from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import read_ranked, read_unanswered, write_predictions
from tsgbench.files import sha256_file
from tsgbench.jobs.records import Record
from tsgbench.phases import Task
from tsgbench.phases.adopt import run

QUERIES = Queries(
    [f"q{n}" for n in range(4)],
    list("aabb"),
    [f"dog {n}" for n in range(4)],
    np.full(4, 30.0),
    np.tile([0.0, 10.0], (4, 1)),
)
ROWS = "query_id,start_s,end_s,score\nq0,1,2,0.1\nq0,3,4,0.9\nq1,,,\nq3,5,6,\n"


@pytest.fixture
def task(tmp_path):
    """Of a file with two answers to the first query, none to the second, and no third."""
    write_queries(tmp_path / "test.jsonl", QUERIES)
    (tmp_path / "p.csv").write_text(ROWS)
    return task_of(tmp_path, max_missing=0.5)


def task_of(folder, needs=(), **more) -> Task:
    path = folder / "p.csv"
    return Task(
        settings={
            "splits": {"test": ["test"]},
            "needs": list(needs),
            "predictions": {"file": str(path), "sha256": sha256_file(path), "source": "…", **more},
        },
        inputs={"annotations": Record(folder / "a.json", {"outputs": {"test.jsonl": {}}})},
        identity="",
        record=folder / "run.json",
        files={"predictions": folder / "predictions.parquet"},
        wildcards={"dataset": "any"},
    )


def test_the_file_is_that_of_a_training_with_all_answers_and_the_absent_named(task):
    facts, files = run(task)
    (path,) = files
    assert read_unanswered(path) == {"q2"}
    found = read_ranked(path, QUERIES.take(np.array([0, 1, 3])))
    assert found.kept is None and found.counts.tolist() == [2, 1, 1]
    assert found.spans[0].tolist() == [[3, 4], [1, 2]] and found.spans[2, 0].tolist() == [5, 6]
    assert np.isnan(found.spans[1]).all()
    assert (facts["queries"], facts["of_queries"], facts["parameters"]) == (3, 4, 0)
    assert facts["counts"] == {
        "queries_absent": 1,
        "queries_without_answer": 1,
        "queries_sorted_by_score": 1,
    }


def test_where_all_candidates_are_ranked_a_query_without_answer_is_left_out(task, tmp_path):
    _, (path,) = run(task_of(tmp_path, [{"chunks": 6, "chunk_s": 5}], max_missing=0.5))
    assert read_unanswered(path) == {"q1", "q2"}


def test_our_own_predictions_are_taken_as_they_are(tmp_path):
    write_queries(tmp_path / "test.jsonl", QUERIES)
    write_predictions(tmp_path / "p.csv", QUERIES, np.ones((4, 1, 3)), np.full(4, 9))
    facts, (path,) = run(task_of(tmp_path))
    assert path.read_bytes() == (tmp_path / "p.csv").read_bytes()
    assert facts["format"] == "predictions"


def test_files_that_changed_or_lack_too_much_are_refused_and_nothing_is_written(task, tmp_path):
    with pytest.raises(UserError, match=r"has 3 of the 4 queries of any \(test\).*--max-missing"):
        run(task_of(tmp_path))
    (tmp_path / "p.csv").write_text(ROWS.replace("3,4", "3,5"))
    with pytest.raises(UserError, match="changed, or gone, since this job was planned"):
        run(task)
    (tmp_path / "p.csv").unlink()
    with pytest.raises(UserError, match="changed, or gone"):
        run(task)
    assert not (tmp_path / "predictions.parquet").exists()
