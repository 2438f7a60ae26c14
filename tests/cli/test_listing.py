"""What `tsgbench datasets` knows: counts from a record or from files, and what is missing."""

import json
from pathlib import Path

import pytest

from tsgbench.cli.datasets import as_text, list_datasets
from tsgbench.cli.main import main
from tsgbench.errors import UserError
from tsgbench.files import write_json
from tsgbench.jobs.layout import Layout
from tsgbench.jobs.records import read_record, write_record
from tsgbench.phases import Task, annotations

SOURCES = {
    "x_train": {
        "path": "x/train.json",
        "excerpts": [{"path": "x/part.json"}],
        "substitutes": [{"path": "x/remade.json"}],
    },
    "x_test": {"path": "x/test.json"},
    "x_videos": {"path": "x/videos"},
    "x_zip": {"path": "x/v.zip", "unpack": {"into": "x/unpacked"}},
}
PROTOCOL = {"train": "train", "select": "val_1", "test": ["val_1", "val_2"]}
LAST = {"about": "why", "train": ["train", "val_2"], "select": "last", "test": "val_1"}
PAPERS = {
    name: {"paper": {"system": name.title(), "protocols": {"printed_x": {"protocol": protocol}}}}
    for name, protocol in (("one", "default"), ("two", "ends"), ("three", "ends"))
}
DATASETS = {
    "x": {
        "title": "X",
        "reader": "activitynet_captions",
        "files": {"train": "x_train", "val_1": "x_test", "val_2": "x_test"},
        "settings": {"policy": "clip"},
        "splits": {"train": "train", "select": "val_1", "test": "val_2"},
        "protocols": {
            "ends": LAST,
            "official_y": {"about": "why", "official": True, **PROTOCOL},
        },
        "published": "printed_x",
        "conventions": ["official_fsan"],
        "note": "two\nlines",
    }
}
TRAIN = {
    f"v_{name}": {"duration": 5, "timestamps": [[0, 2], [3, 1]], "sentences": ["a", "b"]}
    for name in "abcd"
}
TEST = {"v_t": {"duration": 5, "timestamps": [[0, 9]], "sentences": ["a"]}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def place(folder: str, **contents) -> None:
    for name, content in contents.items():
        path = Path(folder, "x", f"{name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def look(mirror=None) -> dict:
    return list_datasets(DATASETS, SOURCES, Layout().records, mirror=mirror, published=PAPERS)["x"]


def test_nothing_here_is_said_and_not_counted():
    found = look()
    assert found["counts"] is None and found["counted_from"] is None
    assert found["problem"] == "not here: train, val_1, val_2"
    assert found["parts"] == {
        "annotations": {"train": None, "val_1": None, "val_2": None},
        "videos": 0,
        "features": [],
    }
    assert "no counts (not here: train, val_1, val_2)" in as_text({"x": found})


@pytest.mark.parametrize("name", ["train", "part", "remade"])  # either stands for the whole
def test_files_are_read_from_downloads_and_mirror_alike(name):
    place("data/raw", test=TEST)
    place("elsewhere", **{name: TRAIN})
    found = look("elsewhere")
    assert found["parts"]["annotations"]["train"] == f"elsewhere/x/{name}.json"
    assert found["counted_from"] == "raw files"
    counts = found["counts"]
    assert counts["train"]["rows"] == 8
    assert counts["train"]["dropped"] == {"start not before end": 4}
    assert counts["val_1"]["repaired"] == {"moment cut to the video": 1}
    assert (counts["train"]["kept"], counts["train"]["videos"]) == (4, 4)
    assert look("http://elsewhere")["counts"] is None


def test_a_person_can_read_it():
    place("data/raw", test=TEST, train=TRAIN)
    Path("data/features/x").mkdir(parents=True)
    for name in ("c3d", "c3d.clips"):
        write_json(f"data/features/x/{name}.json", {})
    text = as_text({"x": look()})
    assert "x: X\n    here: 3 of 3 annotation files; videos: none; features: c3d\n" in text
    assert "official_y: trains on train, selects on val_1, tests on val_1 + val_2" in text
    assert "(a published practice)" in text
    assert "    default (One): trains on train, selects on val_1, tests on val_2\n" in text
    said = "    ends (Two, Three): trains on train + val_2, keeps the last epoch, tests on val_1\n"
    assert said in text
    assert "dropped 4: start not before end" in text and "repaired 1: moment cut" in text


@pytest.mark.parametrize(("source", "folder"), [("x_videos", "videos"), ("x_zip", "unpacked/in")])
def test_videos_are_counted_where_their_source_puts_them(source, folder):
    place("data/raw", test=TEST, train=TRAIN)
    made = Path("data/raw/x", folder)
    made.mkdir(parents=True)
    for name in ("a.mp4", "b.AVI", "unavailable.csv"):
        (made / name).touch()
    found = list_datasets({"x": DATASETS["x"] | {"videos": source}}, SOURCES, Layout().records)["x"]
    assert found["parts"]["videos"] == 2 and look()["parts"]["videos"] == 0


def test_a_malformed_file_is_a_problem_of_its_data_set_alone():
    place("data/raw", test=TEST, train={"v_a": {"sentences": []}})
    assert "timestamps: is missing" in look()["problem"]


def test_a_source_that_nobody_knows_is_refused():
    datasets = {"x": DATASETS["x"] | {"files": {"train": "y"}}}
    with pytest.raises(UserError, match=r"files\.train: source 'y' is not in"):
        list_datasets(datasets, SOURCES, Layout().records)


def make_annotations(settings: dict) -> None:
    """Run the annotations step as the workflow does, on files that are in place."""
    entry, inputs = DATASETS["x"], {}
    for role, name in entry["files"].items():
        path = Path("data/raw", f"{name}.json")
        write(path, {}, {}, [Path("data/raw", SOURCES[name]["path"])])
        inputs[role] = read_record(path)
    record = Path(Layout().records["annotations"].format(dataset="x"))
    settings = {"reader": entry["reader"], "generated": {}} | settings
    facts, files = annotations.run(Task(settings, inputs, "0", record, {}, {"dataset": "x"}))
    write(record, settings, facts, files)


def write(path: Path, settings: dict, facts: dict, files: list[Path]) -> None:
    about = {"phase": "p", "key": "x", "identity": "0", "code": "0", "inputs": {}, "made": {}}
    write_record(path, settings=settings, facts=facts, files=files, **about)


def test_the_annotations_step_leaves_a_list_of_bad_rows_and_counts():
    place("data/raw", test=TEST, train=TRAIN)
    make_annotations(DATASETS["x"]["settings"])
    folder = Path("data/annotations/x")
    head, *rows = (folder / "dropped.csv").read_text().splitlines()
    assert head == "split,action,reason,row"
    found = {tuple(row.split(",")) for row in rows}
    assert len(found) == len(rows) == 6
    assert ("val_2", "repaired", "moment cut to the video", "test.json:v_t[0]") in found
    assert {row[3] for row in found if row[1:3] == ("dropped", "start not before end")} == {
        f"train.json:v_{name}[1]" for name in "abcd"
    }
    listed = read_record(folder / "annotations.json")
    assert set(listed.files()) - set(listed.files(".jsonl")) == {"dropped.csv"}
    assert look()["counted_from"] == "data/annotations/x/annotations.json"
    from_record = look()["counts"]
    (folder / "annotations.json").unlink()
    assert look()["counts"] == from_record and look()["counted_from"] == "raw files"


def test_a_record_of_other_settings_is_not_believed():
    place("data/raw", test=TEST, train=TRAIN)
    make_annotations({"policy": "clip_keep_duplicates"})
    assert look()["counted_from"] == "raw files"


def test_the_verb_lists_every_data_set(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.delenv("TSGBENCH_MIRROR", raising=False)
    assert main(["datasets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"shapes", "didemo", "activitynet_cd"} <= set(listed)
    assert listed["charades_sta"]["protocols"]["official_seqpan"]["select"] == "test"
    assert main(["datasets"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in listed)


@pytest.mark.parametrize("field", ["sentence", "video"])
def test_half_a_character_is_refused_by_file_and_place_already_here(field):
    """Such a text can be read from JSON, and no file could be written with it later."""
    bad = {"duration": 5, "timestamps": [[0, 2]], "sentences": ["half \ud83d of it"]}
    train = {"v_c": bad}
    if field == "video":
        train = {"v_\ud83d": bad | {"sentences": ["whole"]}}
    place("data/raw", train=train, test=TEST)
    problem = look()["problem"]
    assert "train.json:v_" in problem and "lone surrogate" in problem and "get the file" in problem
    assert r"\ud83d" in problem
    as_text({"x": look()}).encode()


def test_a_byte_order_mark_is_no_part_of_a_json_file():
    place("data/raw", train=TRAIN, test=TEST)
    expected = look()["counts"]
    path = Path("data/raw/x/train.json")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert look()["counts"] == expected and expected["train"]["rows"] == 8
