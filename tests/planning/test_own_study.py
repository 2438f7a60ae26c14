"""A data set of one's own in the plan: what decides its results, and what is refused."""

import copy

import pytest
import yaml

from guides import block_of, lay_out
from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.planning.study import Study

NAME = "kitchen/annotations.csv"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder with the guide's files; plans are made in the clone's catalogue."""
    catalogue = Catalogue.load()
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Catalogue, "load", lambda: catalogue)
    return tmp_path


def config(**own) -> dict:
    content = yaml.safe_load(block_of("add_a_dataset.md", "yaml"))
    content["datasets"]["kitchen"]["own"] |= own
    return content


def train(study: Study) -> str:
    return study.identity(study.find_key("train", "seqpan/kitchen/full/seed0").record)


def test_annotations_and_features_come_from_what_is_gathered(folder):
    study = Study(config())
    gather = study.find_key("gather", "kitchen")
    assert gather.record == "data/raw/kitchen.json" and not gather.inputs
    assert gather.own_files == {"annotations": NAME, "videos": "kitchen/videos"}
    assert study.find_key("annotations", "kitchen").inputs == {
        "annotations": gather.record,
        "durations": gather.record,
    }
    extract = study.find_key("extract", "kitchen/thumbnail_8x8_3fps")
    assert extract.inputs["videos"] == gather.record
    assert not [job for job in study.jobs.values() if job.phase == "download"]


def test_what_the_files_hold_decides_and_where_they_lie_does_not(folder):
    before = train(Study(config()))
    (folder / "kitchen").rename(folder / "elsewhere")
    moved = config(annotations="elsewhere/annotations.csv", videos="elsewhere/videos")
    assert train(Study(moved)) == before
    video = folder / "elsewhere/videos/v01.mp4"
    (folder / "elsewhere/videos/unused.mp4").write_bytes(b"x")
    (folder / "elsewhere/videos/notes.txt").write_bytes(b"x")
    assert train(Study(moved)) == before
    video.write_bytes(video.read_bytes() + b"more")
    assert train(Study(moved)) != before
    video.unlink()
    without = train(Study(moved))
    with open(folder / "elsewhere/annotations.csv", "a") as stream:
        stream.write("v02.mp4,one more,1,2,train\n")
    assert len({before, without, train(Study(moved))}) == 3


def test_printed_tables_do_not_put_it_in_the_place_of_a_paper_s(folder):
    study = Study(config())
    spec = study.find_key("table", "seqpan/table2").settings
    assert "kitchen" not in str(spec["datasets"])


@pytest.mark.parametrize(
    ("own", "select", "splits"),
    [
        ({}, "val", ["train", "val", "test"]),
        ({"shares": {"val": 0.2, "test": 0.2}}, "val", ["train", "val", "test"]),
        ({"shares": {"test": 0.2}}, "last", ["train", "test"]),
        ({"annotations": {"train": NAME, "test": NAME}}, "last", ["train", "test"]),
        (
            {"splits": {"train": "train", "select": "last", "test": ["test", "ood"]}},
            "last",
            ["train", "test", "ood"],
        ),
    ],
)
def test_the_protocol_follows_from_where_splits_come_from(folder, own, select, splits):
    study = Study(config(**own))
    assert study.catalogue.datasets["kitchen"]["splits"]["select"] == select
    assert study.find_key("annotations", "kitchen").settings["splits"] == splits


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"annotations": "gone.csv"},
            r"s\.yaml: datasets\.kitchen\.own\.annotations: gone\.csv: no",
        ),
        ({"videos": "gone"}, r"own\.videos: gone: no such folder; paths start at the project"),
        ({"colums": {"video": "v"}}, r"own: unknown key 'colums'; did you mean 'columns'\?"),
        ({"columns": {"vdieo": "v"}}, r"own\.columns"),
        ({"columns": {"video": "clip"}}, r"annotations\.csv, line 1: columns\.video: no column"),
        ({"shares": {"val": 0.5, "test": 0.5}}, r"leave nothing to train on"),
        ({"shares": {"test": 1.5}}, r"own\.shares\.test"),
        (
            {"annotations": {"train": NAME, "test": NAME}, "shares": {"test": 0.5}},
            r"own\.shares: each split has a file already",
        ),
        ({"policy": "drop"}, r"own\.policy"),
        ({"conventions": ["inches"]}, r"'inches' is not a known convention"),
        ({"splits": {"train": "train", "select": "test", "test": "test"}}, r"selects checkpoints"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_job(folder, own, message):
    with pytest.raises(UserError, match=message):
        Study(config(**own), source="s.yaml")


def test_two_files_of_one_video_are_refused(folder):
    (folder / "kitchen/videos/more").mkdir()
    (folder / "kitchen/videos/more/v01.avi").write_bytes(b"x")
    with pytest.raises(UserError, match=r"v01\.\w+: .*v01\.\w+ is of the same video"):
        Study(config())


def test_a_video_that_links_reach_twice_is_one(folder):
    before = Study(config()).config
    (folder / "kitchen/videos/again").symlink_to("..", target_is_directory=True)
    (folder / "kitchen/videos/more").mkdir()
    video = next((folder / "kitchen/videos").glob("v01.*"))
    (folder / "kitchen/videos/more" / video.name).symlink_to(video)
    (folder / "kitchen/videos/more/v99.mp4").symlink_to("nowhere.mp4")
    assert Study(config()).config == before


def test_a_name_that_is_taken_is_refused(folder):
    content = copy.deepcopy(config())
    content["datasets"]["shapes"] = content["datasets"].pop("kitchen")
    with pytest.raises(UserError, match=r"datasets\.shapes: is called like one of config/datas"):
        Study(content)
