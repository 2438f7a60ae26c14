"""The JSON formats: ActivityNet Captions, TACoS in two versions, Charades-CD, ActivityNet-CD."""

import gzip
import json

import pytest

from tsgbench.datasets import read_annotations
from tsgbench.errors import UserError

CD_SPLITS = ("train", "val", "test_iid", "test_ood")


def entry(moments, sentences=None, **fields) -> dict:
    sentences = [f"s{place}" for place in range(len(moments))] if sentences is None else sentences
    return {"timestamps": moments, "sentences": sentences, **fields}


def write(folder, contents: dict) -> dict:
    files = {}
    for role, content in contents.items():
        files[role] = folder / f"{role}.json"
        files[role].write_text(content if isinstance(content, str) else json.dumps(content))
    return files


GOOD = {"v_a": entry([[0, 5.5], [2, 9]], [" One thing. ", "Two."], duration=10)}


@pytest.fixture
def anet(tmp_path) -> dict:
    train = {f"v_t{place}": entry([[0, 1]], duration=5.0) for place in range(9)}
    train["v_bad"] = entry(
        [[3, 3], [4, 2], [6, 8], [1, 7.5], [0, 5.000000000001], [0, 2]],
        ["zero", "inverted", "outside", "cut", "noise", "  "],
        duration=5,
    )
    train["v_none"] = entry([[0, 2]])
    train["v_null"] = entry([[0, 2]], duration=None)
    return write(tmp_path, {"train": train, "val_1": GOOD, "val_2": GOOD})


def gather(report: dict, action: str, *splits: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for split in splits:
        for reason, one in report["splits"][split][action].items():
            found.setdefault(reason, []).extend(one["rows"])
    return found


def test_activitynet_accounts_for_every_row(anet):
    tables, report = read_annotations("activitynet_captions", anet, settings={})
    assert list(tables) == ["train", "val_1", "val_2"]
    assert report["splits"]["train"]["rows"] == 9 + 6 + 2
    assert gather(report, "dropped", "train") == {
        "start not before end": ["train.json:v_bad[0]", "train.json:v_bad[1]"],
        "moment outside the video": ["train.json:v_bad[2]"],
        "empty sentence": ["train.json:v_bad[5]"],
        "missing duration": ["train.json:v_none[0]", "train.json:v_null[0]"],
    }
    assert gather(report, "repaired", "train") == {
        "moment cut to the video": ["train.json:v_bad[3]"],
        "moment cut to the video by a rounding error": ["train.json:v_bad[4]"],
    }


def test_activitynet_tells_the_two_annotators_of_a_video_apart(anet):
    tables, _ = read_annotations("activitynet_captions", anet, settings={})
    assert tables["val_1"].query_ids == ["v_a_val_1_000", "v_a_val_1_001"]
    assert tables["val_2"].query_ids == ["v_a_val_2_000", "v_a_val_2_001"]
    assert tables["val_1"].sentences == ["One thing.", "Two."]
    assert tables["val_1"].moments.tolist() == [[0, 5.5], [2, 9]]
    assert tables["val_1"].durations.tolist() == [10, 10]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"v_a": {"duration": 3,\n}', r"val_2\.json, line 2, column 1: not valid JSON"),
        ("[]", r"val_2\.json: content: expected an object, got \[\]"),
        ('{"v_a": {}, "v_a": {}}', r"val_2\.json: v_a: stands twice in one object"),
        ({"v_a": []}, r"val_2\.json, v_a: entry: expected an object"),
        ({"v_a": {"duration": 3, "timestamps": []}}, r"val_2\.json, v_a: sentences: is missing"),
        ({"v_a": {"duration": 3, "sentences": []}}, r"val_2\.json, v_a: timestamps: is missing"),
        ({"v_a": entry([[0, 1]], [], duration=3)}, r"v_a: sentences: 0 of them for 1 timestamps"),
        ({"v_a": entry([[0, 1]], [7], duration=3)}, r"v_a\[0\]: sentences: expected a text, got 7"),
        ({"v_a": entry([[0]], duration=3)}, r"v_a\[0\]: timestamps: expected \[start, end\]"),
        ({"v_a": entry([[0, 1], [0, "2"]], duration=3)}, r"v_a\[1\]: timestamps: expected a numb"),
        ({"v_a": entry([[0, True]], duration=3)}, r"v_a\[0\]: timestamps: expected a number"),
        ({"v_a": entry([[0, float("nan")]], duration=3)}, r"v_a\[0\]: timestamps: expected a num"),
        ({"v_a": entry([[0, 1]], duration="3")}, r"v_a: duration: expected a number, got \"3\""),
    ],
)
def test_what_is_malformed_is_named_with_file_place_and_field(anet, content, message):
    write(anet["val_2"].parent, {"val_2": content})
    with pytest.raises(UserError, match=message) as caught:
        read_annotations("activitynet_captions", anet, settings={})
    assert "download" in str(caught.value) and "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_refused(anet):
    anet["val_1"].write_bytes(b'{"v_\xe9": {}}')
    with pytest.raises(UserError, match=r"val_1\.json: not UTF-8"):
        read_annotations("activitynet_captions", anet, settings={})


@pytest.mark.parametrize("reader", ["activitynet_captions", "activitynet_cd", "charades_cd"])
def test_a_role_that_is_not_given_is_named(reader, anet):
    with pytest.raises(UserError, match="needs the file"):
        read_annotations(reader, {"train": anet["train"]}, settings={})


@pytest.mark.parametrize(
    ("reader", "duration"), [("activitynet_cd", "duration"), ("charades_cd", "video_duration")]
)
def test_the_cd_splits_are_read_each_from_its_file(reader, duration, tmp_path):
    contents = {
        split: {
            f"v_{split}": entry([[1, 2.5], [9, 11]], **{duration: 10.0}, framestamps=[[16, 40]])
        }
        for split in CD_SPLITS
    }
    contents["test_ood"]["v_late"] = entry([[12, 14], [4, 4]], **{duration: 10.0})
    tables, report = read_annotations(reader, write(tmp_path, contents), settings={})
    assert list(tables) == list(CD_SPLITS)
    for split in CD_SPLITS:
        assert tables[split].query_ids == [f"v_{split}_{split}_000", f"v_{split}_{split}_001"]
        assert tables[split].moments.tolist() == [[1, 2.5], [9, 10]]
    assert gather(report, "dropped", *CD_SPLITS) == {
        "moment outside the video": ["test_ood.json:v_late[0]"],
        "start not before end": ["test_ood.json:v_late[1]"],
    }


FRAMES = {"fps": 20.0, "num_frames": 200}


def test_tacos_in_frames_becomes_seconds(tmp_path):
    content = {"s1-d1.avi": entry([[20, 100], [150, 220], [250, 260]], **FRAMES)}
    contents = {"train": content, "val": {}, "test": {"s2-d1.avi": entry([[0, 200]], **FRAMES)}}
    tables, report = read_annotations("tacos", write(tmp_path, contents), settings={})
    assert tables["train"].moments.tolist() == [[1, 5], [7.5, 10]]
    assert tables["train"].durations.tolist() == [10, 10]
    assert set(tables["train"].video_ids) == {"s1-d1"}
    assert tables["test"].moments.tolist() == [[0, 10]] and len(tables["val"]) == 0
    assert list(report["splits"]["train"]["dropped"]) == ["moment outside the video"]


def test_tacos_in_seconds_takes_durations_from_the_other_version(tmp_path):
    contents = {
        "train": {"s1-d1": entry([[1, 5]], ["He waits"]), "s9-d9": entry([[1, 5]])},
        "val": {"s1-d2": entry([[0, 30]], [" "])},
        "test": {"s1-d3": entry([[0, 5.5], [0, 5.5]], ["same", "same"])},
        "durations_train": {"s1-d1.avi": entry([], **FRAMES)},
        "durations_val": {"s1-d2.avi": entry([], **FRAMES)},
        "durations_test": {"s1-d3.avi": entry([], **FRAMES)},
    }
    settings = {"policy": "clip_keep_duplicates", "full_stop": True}
    tables, report = read_annotations("tacos", write(tmp_path, contents), settings=settings)
    assert tables["train"].query_ids == ["s1-d1_train_000"]
    assert tables["train"].sentences == ["He waits."]
    assert tables["train"].durations.tolist() == [10]
    assert gather(report, "dropped", "train", "val") == {
        "missing duration": ["train.json:s9-d9[0]"],
        "empty sentence": ["val.json:s1-d2[0]"],
    }
    assert len(tables["test"]) == 2
    assert gather(report, "repaired", "test") == {"repeated, kept": ["test.json:s1-d3[1]"]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fps": 0, "num_frames": 10}, r"train\.json, s1: fps: must be above 0"),
        ({"fps": "29", "num_frames": 10}, r"train\.json, s1: fps: expected a number"),
        ({"fps": 29.4, "num_frames": "10"}, r"train\.json, s1: num_frames: expected a number"),
    ],
)
def test_tacos_refuses_a_wrong_clock(fields, message, tmp_path):
    files = write(tmp_path, {"train": {"s1": entry([[0, 1]], **fields)}, "val": {}, "test": {}})
    with pytest.raises(UserError, match=message):
        read_annotations("tacos", files, settings={})


def test_tacos_refuses_a_file_of_durations_that_states_none(tmp_path):
    contents: dict = {"train": {}, "val": {}, "test": {}}
    contents["durations_val"] = {"s1": entry([], num_frames=5)}
    with pytest.raises(UserError, match=r"durations_val\.json, s1: fps: expected a number"):
        read_annotations("tacos", write(tmp_path, contents), settings={})


def test_a_video_without_its_number_of_frames_has_no_duration(tmp_path):
    files = write(tmp_path, {"train": {"s1": entry([[0, 1]], fps=20)}, "val": {}, "test": {}})
    _, report = read_annotations("tacos", files, settings={})
    assert gather(report, "dropped", "train") == {"missing duration": ["train.json:s1[0]"]}


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("9" * 400, r"v_a\[0\]: timestamps: expected a number"),
        ("9" * 5000, "holds a number of thousands of digits"),
        ("NaN", r"timestamps: expected a number, got NaN"),
        ("1e999", r"timestamps: expected a number, got Infinity"),
        ('"5"', r"timestamps: expected a number"),
        ("5,5", r"timestamps: expected \[start, end\]"),
    ],
    ids=["400 digits", "5000 digits", "NaN", "infinite", "text", "comma"],
)
def test_a_time_that_is_no_number_is_named(tmp_path, end, said):
    text = json.dumps(GOOD).replace("5.5", end, 1)
    files = write(tmp_path, {"train": text, "val_1": GOOD, "val_2": GOOD})
    with pytest.raises(UserError, match=f"train.json.*{said}"):
        read_annotations("activitynet_captions", files, settings={})


def test_a_packed_file_is_called_so(tmp_path):
    files = write(tmp_path, {"train": GOOD, "val_1": GOOD, "val_2": GOOD})
    files["train"].write_bytes(gzip.compress(files["train"].read_bytes()))
    with pytest.raises(UserError, match=r"train\.json: packed by gzip; unpack it"):
        read_annotations("activitynet_captions", files, settings={})
