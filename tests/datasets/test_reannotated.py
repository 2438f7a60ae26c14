"""Test queries annotated again: percent of the video, joined to the original's queries."""

import json
from pathlib import Path

import numpy as np
import pytest

from tsgbench.config import Catalogue
from tsgbench.datasets import read_annotations
from tsgbench.errors import UserError

HEADER = "HITId,video_id,description,start,end\n"


def charades(folder: Path, *csvs: str) -> dict[str, Path]:
    """A tiny Charades-STA of two test videos, and csv files of the given lines."""
    texts = {
        "train": "".join(f"T{number} 0.0 5.0##person sits.\n" for number in range(20)),
        "test": "AB1 2.0 9.0##person opens a door.\nAB1 0.0 4.0##person runs.\n"
        'CD2 5.0 60.0##a person, "Bob", eats.\nCD2 1.0 2.0##he naps.\nCD2 3.0 4.0##he naps.\n',
        "durations_train": "id,length\n" + "".join(f"T{number},30\n" for number in range(20)),
        "durations_test": "id,length\nAB1,20.0\nCD2,50.0\n",
    }
    texts |= {f"reannotated_{number:02d}": HEADER + text for number, text in enumerate(csvs)}
    for role, text in texts.items():
        (folder / f"{role}.txt").write_text(text)
    return {role: folder / f"{role}.txt" for role in texts}


def read(files: dict[str, Path], original: str = "charades_sta"):
    tables, report = read_annotations("reannotated", files, settings={"original": original})
    return tables, report["splits"]


def test_percent_become_seconds_beside_the_original_moment(tmp_path):
    first = "H1,AB1.mp4,person runs.,10,35\nH1,AB1.mp4,person runs.,0,100\n"
    second = 'H2,CD2.mp4,"a person, ""Bob"", eats. ",50,51\n'
    tables, counts = read(charades(tmp_path, second, first))
    test = tables["test"]
    assert test.query_ids == ["AB1_00001", "CD2_00002"]  # the original's, in its order
    assert test.sentences == ["person runs.", 'a person, "Bob", eats.']
    assert test.moments.tolist() == [[0, 4], [5, 50]]  # the second cut to the video, as there
    np.testing.assert_allclose(test.annotators[0], [[2, 7], [0, 20]])
    np.testing.assert_allclose(test.annotators[1], [[25, 25.5]])
    assert counts["test"]["dropped"] == {}
    assert counts["test"]["repaired"] == {
        "moment cut to the video": {"count": 1, "rows": ["test.txt:3"]}
    }


def test_training_and_selection_are_the_original_ones(tmp_path):
    files = charades(tmp_path, "H1,AB1.mp4,person runs.,10,35\n")
    tables, _ = read(files)
    plain = {role: path for role, path in files.items() if not role.startswith("re")}
    original, _ = read_annotations("charades_sta", plain, settings={})
    assert list(tables) == ["train", "val", "test"]
    for split in ("train", "val"):
        assert tables[split].query_ids == original[split].query_ids
        assert tables[split].annotators == []


def test_activitynet_ids_lack_their_prefix_and_val_2_is_the_test(tmp_path):
    videos = {"v_-aB": {"duration": 200, "timestamps": [[0, 9]], "sentences": [" A man waves."]}}
    for name in ("train", "val_1", "val_2"):
        (tmp_path / f"{name}.json").write_text(json.dumps(videos))
    files = {name: tmp_path / f"{name}.json" for name in ("train", "val_1", "val_2")}
    (tmp_path / "r.csv").write_text(HEADER + "H,-aB,  A man waves.,5,50\n")
    tables, _ = read({**files, "reannotated_00": tmp_path / "r.csv"}, "activitynet_captions")
    assert list(tables) == ["train", "val_1", "test"]
    assert tables["test"].query_ids == ["v_-aB_val_2_000"]
    assert tables["test"].annotators[0].tolist() == [[10, 100]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("H,AB1.mp4,person Runs.,1,2\n", "fits none of the original's test queries"),
        ("H,ZZ9.mp4,person runs.,1,2\n", "fits none of the original's test queries"),
        ("H,CD2.mp4,he naps.,1,2\n", "fits several of the original's test queries"),
        (
            "H,AB1.mp4,person runs.,1,2\nH,AB1.mp4,person runs.,40,30\n",
            "an annotator's moment does not start before its end",
        ),
        ("H,AB1.mp4,person runs.,40,40\n", "an annotator's moment does not start before its end"),
        ("H,AB1.mp4,person runs.,101,120\n", "an annotator's moment is outside the video"),
    ],
)
def test_what_cannot_be_used_goes_and_is_counted(tmp_path, line, reason):
    tables, counts = read(charades(tmp_path, "H,AB1.mp4,person opens a door.,1,2\n" + line))
    assert tables["test"].query_ids == ["AB1_00000"]
    assert {why: entry["count"] for why, entry in counts["test"]["dropped"].items()} == {reason: 1}
    assert counts["test"]["rows"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("H,AB1.mp4,person runs.,one,2\n", r"reannotated_00.txt, line 2: start: .*'one'"),
        ("H,AB1.mp4,person runs.,1\n", "line 2: other number of cells"),
        ("H,AB1.mp4,person, who runs,1,2\n", "line 2: other number of cells"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        read(charades(tmp_path, text))


def test_another_header_no_file_and_another_original_are_named(tmp_path):
    files = charades(tmp_path, "")
    files["reannotated_00"].write_text("video,start,end\nAB1,1,2\n")
    with pytest.raises(UserError, match=r"line 1: expected the columns HITId, video_id"):
        read(files)
    files.pop("reannotated_00")
    with pytest.raises(UserError, match="needs files of roles reannotated_"):
        read(files)
    with pytest.raises(UserError, match="'tacos' is none of"):
        read(files, "tacos")


@pytest.mark.parametrize("original", ["charades_sta", "activitynet_captions"])
def test_the_entry_reads_what_the_originals_does(original):
    """So that train and the selection split are the same there and here."""
    entries = Catalogue.load().datasets
    ours, theirs = entries[f"{original}_reannotated"], entries[original]
    assert theirs["files"].items() < ours["files"].items()
    assert (ours["videos"], ours["settings"]["policy"]) == (
        theirs["videos"],
        theirs["settings"]["policy"],
    )
    for name in ("train", "select"):
        assert ours["splits"][name] == theirs["splits"][name]
    # The original reader's settings, other than its defaults, would not hold here
    assert theirs["settings"] == {"policy": "clip"} | (
        {"val_share": 0.1, "val_seed": 0} if original == "charades_sta" else {}
    )
