"""QVHighlights: several windows per query, and a training file that not every study uses."""

import json

import pytest

from tsgbench.datasets import read_annotations
from tsgbench.datasets.qvhighlights import choose_moment, upload_of
from tsgbench.errors import UserError


def row(number: int, windows=((10, 20),), **fields) -> dict:
    return {
        "qid": number,
        "query": f"Thing {number} happens.",
        "duration": 150,
        "vid": f"up_load{number % 9}_{60.0 + 150 * (number % 2)}_{210.0 + 150 * (number % 2)}",
        "relevant_windows": [list(window) for window in windows],
        "relevant_clip_ids": [5],
        "saliency_scores": [[1, 2, 3]],
    } | fields


def write(folder, **rows) -> dict:
    for role, lines in rows.items():
        (folder / f"{role}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {role: folder / f"{role}.jsonl" for role in rows}


def test_every_window_is_kept_and_the_longest_trains(tmp_path):
    windows = [(0, 4), (30, 50), (100, 120)]
    files = write(tmp_path, train=[row(1)], val=[row(2)], test=[row(3, windows)])
    tables, _ = read_annotations("qvhighlights", files, settings={})
    assert list(tables) == ["train", "val", "test"]
    test = tables["test"]
    assert test.query_ids == ["test_3"] and test.durations.tolist() == [150]
    assert test.moments.tolist() == [[30, 50]]
    assert test.annotators[0].tolist() == [list(window) for window in windows]


def test_of_equally_long_windows_the_earliest():
    assert choose_moment([(50.0, 60.0), (20.0, 30.0), (0.0, 4.0)]) == (20.0, 30.0)


def test_without_the_training_file_parts_of_an_upload_stay_together(tmp_path):
    files = write(tmp_path, val=[row(number) for number in range(40)], test=[row(50)])
    settings = {"held_out_share": 0.3, "held_out_seed": 1}
    tables, _ = read_annotations("qvhighlights", files, settings=settings)
    assert list(tables) == ["val_train", "val_select", "test"]
    train, select = (
        {upload_of(video) for video in tables[split].video_ids}
        for split in ("val_train", "val_select")
    )
    assert not train & select and len(select) == 3
    assert len(tables["val_train"]) + len(tables["val_select"]) == 40
    assert upload_of("a_b_60.0_210.0") == "a_b"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"relevant_windows": []}, "line 2: relevant_windows: holds no window"),
        ({"relevant_windows": [[1]]}, r"line 2: relevant_windows: expected \[start, end\]"),
        ({"relevant_windows": [["1", 2]]}, "line 2: relevant_windows: expected a number"),
        ({"qid": "7"}, "line 2: qid: expected a whole number"),
        ({"query": None}, "line 2: query: expected a text"),
    ],
)
def test_malformed_rows_are_named(tmp_path, change, said):
    files = write(tmp_path, val=[row(1), row(2) | change], test=[row(3)])
    with pytest.raises(UserError, match=said):
        read_annotations("qvhighlights", files, settings={})


def test_a_malformed_line_is_named(tmp_path):
    files = write(tmp_path, val=[row(1)], test=[row(3)])
    files["val"].write_text(json.dumps(row(1)) + "\n\n{\n")
    with pytest.raises(UserError, match=r"val\.jsonl, line 3, column"):
        read_annotations("qvhighlights", files, settings={})
    files["val"].write_text('{"qid": 1, "qid": 2}\n')
    with pytest.raises(UserError, match="stands twice"):
        read_annotations("qvhighlights", files, settings={})
