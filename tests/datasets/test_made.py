"""The annotation file of data sets that a phase makes."""

import copy
import json

import pytest

from tsgbench.datasets import read_annotations
from tsgbench.errors import UserError

CONTENT = {
    "videos": [
        {
            "video_id": f"{split}_0",
            "split": split,
            "duration_s": 20,
            "events": [{"action": "grow"}],
            "queries": [
                {"query_id": f"{split}_0_{n}", "sentence": f"s{n}", "start_s": n, "end_s": n + 2.5}
                for n in range(3)
            ],
        }
        for split in ("test", "train", "val")
    ]
}


def read(tmp_path, content, policy="refuse"):
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    files = {"annotations": tmp_path / "annotations.json"}
    return read_annotations("made", files, settings={"policy": policy})


def test_every_video_goes_to_its_split(tmp_path):
    tables, report = read(tmp_path, CONTENT)
    assert list(tables) == ["train", "val", "test"]
    for split, table in tables.items():
        assert table.query_ids == [f"{split}_0_{n}" for n in range(3)]
        assert table.video_ids == [f"{split}_0"] * 3
        assert table.moments.tolist() == [[n, n + 2.5] for n in range(3)]
        assert table.durations.tolist() == [20.0] * 3
        assert report["splits"][split]["kept"] == 3


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["videos"], {}, r"annotations\.json: videos: missing or no list"),
        (["videos", 1, "split"], "dev", r"videos\[1\]: split: 'dev' is none of"),
        (["videos", 1, "video_id"], 7, r"videos\[1\]: video_id: missing or no str"),
        (["videos", 1, "duration_s"], None, r"videos\[1\]: duration_s: expected seconds"),
        (["videos", 1, "queries"], None, r"videos\[1\]: queries: missing"),
        (["videos", 1, "queries", 2], "x", r"videos\[1\]\.queries\[2\]: query_id: missing"),
        (["videos", 1, "queries", 2, "end_s"], "x", r"queries\[2\]: end_s: expected seconds"),
        (["videos", 1, "queries", 2, "sentence"], 1, r"queries\[2\]: sentence: missing"),
        (["videos", 1, "queries", 2, "query_id"], "a b", r"query id 'a b' has odd characters"),
        (["videos", 1, "queries", 2, "query_id"], "val_0_0", r"query id 'val_0_0' is also that of"),
        (["videos", 1, "queries", 2, "end_s"], 21, r"train_0_2: moment cut to the video"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, place, value, message):
    content = copy.deepcopy(CONTENT)
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


def test_the_other_policy_cuts_instead(tmp_path):
    content = copy.deepcopy(CONTENT)
    content["videos"][0]["queries"][0]["end_s"] = 21
    tables, report = read(tmp_path, content, policy="clip")
    assert tables["test"].moments[0].tolist() == [0, 20]
    cut = report["splits"]["test"]["repaired"]["moment cut to the video"]
    assert cut == {"count": 1, "rows": ["annotations.json:test_0_0"]}


def test_the_renderer_writes_what_the_reader_reads(tmp_path):
    from tsgbench.making.shapes import render

    counts = {"train": 3, "val": 1, "test": 2}
    facts = render(tmp_path, settings={"videos": counts, "size": 32}, workers=1)
    files = {"annotations": tmp_path / "annotations.json"}
    tables, report = read_annotations("made", files, settings={"policy": "refuse"})
    assert {split: len(table) for split, table in tables.items()} == facts["sentences"]
    assert {split: entry["videos"] for split, entry in report["splits"].items()} == counts
