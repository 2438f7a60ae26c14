"""DiDeMo: chunks, several annotators, and the training file that not everyone can have."""

import itertools
import json
import random

import pytest

from tsgbench.datasets import read_annotations, read_queries, write_queries
from tsgbench.datasets.didemo import choose_moment
from tsgbench.errors import UserError


def row(number: int, times, **fields) -> dict:
    return {
        "annotation_id": number,
        "video": f"1{number % 7}@N01_{number % 7}_ab.mov",
        "description": f"thing {number}",
        "num_segments": 6,
        "times": times,
        "dl_link": "x",
    } | fields


def write(folder, **contents) -> dict:
    for role, content in contents.items():
        (folder / f"{role}.json").write_text(json.dumps(content))
    return {role: folder / f"{role}.json" for role in contents}


def test_chunks_become_seconds_and_every_annotator_is_kept(tmp_path):
    rows = [row(1, [[1, 1], [0, 2], [1, 1], [0, 0]], num_segments=5), row(2, [[5, 5]] * 7)]
    files = write(tmp_path, train=[row(1, [[0, 0]])], val=[row(1, [[2, 3]])], test=rows)
    tables, _ = read_annotations("didemo", files, settings={})
    assert list(tables) == ["train", "val", "test"]
    test = tables["test"]
    assert test.query_ids == ["test_1", "test_2"]
    assert test.moments.tolist() == [[5, 10], [25, 30]] and test.durations.tolist() == [25, 30]
    assert test.annotators[0].tolist() == [[5, 10], [0, 15], [5, 10], [0, 5]]
    assert test.annotators[1].shape == (7, 2)
    assert tables["val"].moments.tolist() == [[10, 20]]
    write_queries(tmp_path / "x.jsonl", test)
    back = read_queries(tmp_path / "x.jsonl")
    assert [moments.tolist() for moments in back.annotators] == [
        moments.tolist() for moments in test.annotators
    ]


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ([(0, 5), (5, 10), (5, 10), (0, 30)], (5, 10)),  # the most frequent
        ([(0, 5), (10, 15), (10, 20), (10, 25)], (10, 20)),  # a tie: the middle of them
        ([(20, 25), (0, 5)], (0, 5)),  # as far from each other: the earlier
        ([(0, 10), (0, 5)], (0, 5)),  # as far, begin together: the shorter
        # equal in truth, though not in every order of the sum
        ([(0, 5), (0, 5), (0, 15), (0, 15)], (0, 5)),
    ],
)
def test_one_moment_stands_for_all_whatever_their_order(times, chosen):
    for order in itertools.permutations(times):
        assert choose_moment(list(order)) == chosen


def test_without_the_training_file_val_is_divided_by_video(tmp_path):
    dice = random.Random(0)
    val = [row(number, [[dice.randrange(3), 3]] * 4) for number in range(40)]
    files = write(tmp_path, val=val, test=[row(50, [[0, 0]])])
    tables, _ = read_annotations("didemo", files, settings={"held_out_share": 0.3})
    assert list(tables) == ["val_train", "val_select", "test"]
    train, select = (set(tables[split].video_ids) for split in ("val_train", "val_select"))
    assert len(train) == 5 and len(select) == 2 and not train & select
    assert len(tables["val_train"]) + len(tables["val_select"]) == 40


def test_bad_rows_are_judged_by_the_policy(tmp_path):
    rows = [
        row(1, [[0, 0]], description=" "),
        row(2, [[0, 0]], num_segments=0),
        row(3, [[5, 5]], num_segments=5),
        row(4, [[3, 5], [3, 5], [0, 0]], num_segments=5),
        row(5, [[0, 0], [0, 0], [5, 5]], num_segments=5),
        row(6, [[0, 0]]),
    ]
    files = write(tmp_path, train=[], val=[], test=rows)
    tables, report = read_annotations("didemo", files, settings={})
    found = report["splits"]["test"]
    assert {reason: one["rows"] for reason, one in found["dropped"].items()} == {
        "empty sentence": ["test.json:[0]"],
        "missing duration": ["test.json:[1]"],
        "moment outside the video": ["test.json:[2]"],
        "an annotator's moment is outside the video": ["test.json:[4]"],
    }
    assert {reason: one["rows"] for reason, one in found["repaired"].items()} == {
        "moment cut to the video": ["test.json:[3]"]
    }
    assert tables["test"].annotators[0].tolist() == [[15, 25], [15, 25], [0, 5]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"times": []}, r"\[0\]: times: holds no annotation"),
        ({"times": [[2, 1]]}, r"\[0\]: times: expected \[first, last\] chunk, got \[2, 1\]"),
        ({"times": [[-1, 1]]}, r"\[0\]: times: expected \[first, last\]"),
        ({"times": [[0, 1.5]]}, r"\[0\]: times: expected \[first, last\]"),
        ({"times": [[0]]}, r"\[0\]: times: expected \[first, last\]"),
        ({"times": "x"}, r"\[0\]: times: expected a list"),
        ({"num_segments": "6"}, r"\[0\]: num_segments: expected a whole number, got \"6\""),
        ({"num_segments": True}, r"\[0\]: num_segments: expected a whole number, got true"),
        ({"annotation_id": None}, r"\[0\]: annotation_id: expected a whole number, got null"),
        ({"description": 3}, r"\[0\]: description: expected a text"),
    ],
)
def test_a_malformed_row_names_file_place_and_field(fields, message, tmp_path):
    files = write(tmp_path, val=[row(1, [[0, 0]]) | fields], test=[])
    with pytest.raises(UserError, match=r"val\.json, " + message):
        read_annotations("didemo", files, settings={})


def test_a_missing_field_is_named(tmp_path):
    incomplete = row(1, [[0, 0]])
    del incomplete["video"]
    with pytest.raises(UserError, match=r"val\.json, \[0\]: video: is missing"):
        read_annotations("didemo", write(tmp_path, val=[incomplete], test=[]), settings={})
    with pytest.raises(UserError, match=r"test\.json: content: expected a list"):
        read_annotations("didemo", write(tmp_path, val=[], test={}), settings={})


def test_the_same_annotation_twice_is_refused(tmp_path):
    files = write(tmp_path, train=[], val=[], test=[row(1, [[0, 0]]), row(1, [[1, 1]])])
    with pytest.raises(UserError, match=r"test\.json:\[1\]: query id 'test_1' is also that of"):
        read_annotations("didemo", files, settings={})
