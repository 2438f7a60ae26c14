"""Charades-STA: its format, its defects, and the counts of the real files."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from tsgbench.datasets import read_annotations
from tsgbench.datasets.moments import iou
from tsgbench.errors import UserError

ROOT = Path(__file__).parents[2]

TRAIN = [
    "AAAAA 0.0 6.9##a person puts a book on a shelf.",
    "AAAAA 8.0 7.0##inverted",
    "BBBBB 20.8 31.0##ends after the video.",
    "CCCCC 1 2##no duration",
    "BBBBB 31.0 33.0##begins after the video.",
    "DDDDD 1.0 2.0##",
]
TEST = ["TTTTT 24.3 30.4##person turn a light on.", "TTTTT 0.0 3.0##a ## inside."]


@pytest.fixture
def files(tmp_path):
    content = {
        "train": "\n".join(TRAIN) + "\n",
        "test": "\n".join(TEST),  # without a last line end
        "durations_train": 'id,script,length\nAAAAA,"x, y",30.5\nBBBBB,z,30\nDDDDD,z,9\n',
        "durations_test": "id,script,length\nTTTTT,x,31.29\n",
    }
    for role, text in content.items():
        (tmp_path / f"{role}.txt").write_text(text)
    return {role: tmp_path / f"{role}.txt" for role in content}


def test_every_row_lands_in_a_split_or_in_the_report(files):
    tables, report = read_annotations("charades_sta", files, settings={"val_share": 0.25})
    rows = {split: entry["rows"] for split, entry in report["splits"].items()}
    assert rows["train"] + rows["val"] == len(TRAIN) and rows["test"] == len(TEST)
    seen = [report["splits"][split] for split in ("train", "val")]
    dropped = {
        (reason, place)
        for one in seen
        for reason, e in one["dropped"].items()
        for place in e["rows"]
    }
    assert dropped == {
        ("start not before end", "train.txt:2"),
        ("missing duration", "train.txt:4"),
        ("moment outside the video", "train.txt:5"),
        ("empty sentence", "train.txt:6"),
    }
    cut = [place for one in seen for e in one["repaired"].values() for place in e["rows"]]
    assert cut == ["train.txt:3"]
    kept = {
        name: moment
        for split in ("train", "val")
        for name, moment in zip(
            tables[split].query_ids, tables[split].moments.tolist(), strict=True
        )
    }
    assert kept == {"AAAAA_00000": [0.0, 6.9], "BBBBB_00002": [20.8, 30.0]}
    assert tables["test"].sentences == ["person turn a light on.", "a ## inside."]
    assert tables["test"].query_ids == ["TTTTT_00000", "TTTTT_00001"]


@pytest.mark.parametrize("role", ["train", "test", "durations_train"])
@pytest.mark.parametrize("end", ["\n\n\n", "\r\n \t\r\n", "\n\n "])
def test_marks_in_front_and_blank_lines_at_the_end_change_nothing(files, role, end):
    tables, report = read_annotations("charades_sta", files, settings={})
    text = "\ufeff" + files[role].read_text().rstrip("\n") + end
    files[role].write_bytes(text.encode())
    again, same = read_annotations("charades_sta", files, settings={})
    assert same == report
    assert all(again[split].sentences == tables[split].sentences for split in tables)


@pytest.mark.parametrize(
    ("role", "text", "message"),
    [
        ("train", "AAAAA 0.0 6.9 a person", r"train\.txt, line 1: sentence: no '##'"),
        ("train", "AAAAA 0.0 6.9##ok\nAAAAA 0.0##x", r"train\.txt, line 2: expected 'video start"),
        ("train", "AAAAA 0.0 6.9##ok\n\nAAAAA 0.0 1##x", r"train\.txt, line 2: sentence"),
        ("test", "AAAAA zero 6.9##x", r"test\.txt, line 1: start: expected seconds, got 'zero'"),
        ("test", "AAAAA 0.0 nan##x", r"test\.txt, line 1: end: expected seconds, got 'nan'"),
        ("test", "A/../A 0.0 1.0##x", r"test\.txt, line 1: expected 'video start"),
        ("durations_train", "id,len\nA,3\n", r"durations_train\.txt, line 1: column 'length'"),
        ("durations_test", "id,length\nA,\n", r"durations_test\.txt, line 2: length: expected"),
        ("durations_test", "id,length\nA,3\nB\n", r"durations_test\.txt, line 3: length"),
        (
            "durations_test",
            "id,length\nA,3\nA,3.0\nA,4\n",
            r"line 4: length: 4 s of .* 3 s in an",
        ),
        ("train", "AAAAA 0.0 6_9##ok", r"train\.txt, line 1: end: expected seconds, got '6_9'"),
        ("durations_test", "id,length\n,3\n", r"durations_test\.txt, line 2: id: is empty"),
    ],
)
def test_a_malformed_line_names_file_line_and_field(files, role, text, message):
    files[role].write_text(text)
    with pytest.raises(UserError, match=message):
        read_annotations("charades_sta", files, settings={})


def test_the_same_video_in_train_and_test_cannot_share_a_query_id(files):
    files["test"].write_text(TRAIN[0])
    with pytest.raises(UserError, match=r"query id 'AAAAA_00000' is also that of train\.txt:1"):
        read_annotations("charades_sta", files, settings={})


@pytest.fixture(scope="module")
def real(mirror):
    config = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())["charades_sta"]
    sources = yaml.safe_load((ROOT / "config/sources.yaml").read_text())
    files = {role: mirror / sources[name]["path"] for role, name in config["files"].items()}
    return read_annotations(config["reader"], files, settings=config["settings"])


def test_the_real_counts(real):
    _, report = real
    splits = report["splits"]
    assert {split: (e["rows"], e["kept"], e["videos"]) for split, e in splits.items()} == {
        "train": (11150, 11146, 4802),
        "val": (1258, 1258, 534),
        "test": (3720, 3720, 1334),
    }
    assert splits["train"]["dropped"] == {
        "start not before end": {
            "count": 4,
            "rows": [f"charades_sta_train.txt:{line}" for line in (8252, 8440, 9623, 9624)],
        }
    }
    cut = {split: e["repaired"]["moment cut to the video"]["count"] for split, e in splits.items()}
    # STATS: 1,805 + 562 end after the video; 3 of the training ones are inverted, thus dropped
    assert cut["train"] + cut["val"] == 1805 - 3 and cut["test"] == 562


def test_the_real_splits_share_no_video_and_ids_are_clean(real):
    tables, _ = real
    videos = {split: set(table.video_ids) for split, table in tables.items()}
    assert not videos["train"] & videos["val"] and not videos["test"] & videos["val"]
    assert not videos["train"] & videos["test"]
    ids = [name for table in tables.values() for name in table.query_ids]
    assert len(ids) == len(set(ids)) == 16124
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in ids)
    assert tables["test"].query_ids[0] == "3MSZA_00000"


def test_the_whole_video_scores_what_is_known(real):
    test = real[0]["test"]
    whole = np.stack([np.zeros(len(test)), test.durations], axis=1)
    overlap = iou(whole, test.moments)
    recall = [round(100 * float(np.mean(overlap >= m)), 1) for m in (0.3, 0.5, 0.7)]
    assert recall == [35.0, 0.4, 0.0] and round(100 * overlap.mean(), 1) == 27.1
