"""Annotated durations against the features' time axes: counted, listed, and too many stop."""

import csv
from pathlib import Path

import numpy as np
import pytest
from test_released import CHARADES, numbers, write_npy

from feature_samples import RECIPE, write_video
from tsgbench.cli.datasets import as_text, list_datasets
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.features.durations import compare_durations
from tsgbench.features.extract import extract
from tsgbench.features.store import FeatureWriter
from tsgbench.jobs.layout import Layout
from tsgbench.jobs.records import Record, read_record, write_record
from tsgbench.phases import Task, reduce, released
from tsgbench.phases import extract as extract_phase

SECONDS = {"a": 4, "b": 8, "c": 8, "d": 8}
NO_PCA = {"reduce": {}, "splits": ["train"]}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {
        name: write_video(folder / f"{name}.mp4", 8 * seconds) for name, seconds in SECONDS.items()
    }


def record(path: Path, files: list[Path], facts: dict | None = None) -> Record:
    common = {"phase": "x", "key": "x", "identity": "0", "settings": {}, "code": ""}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, inputs={}, files=files, facts=facts or {}, made={}, **common)
    return read_record(path)


def annotations(folder: Path, durations: dict[str, float], facts: dict | None = None) -> Record:
    names = list(durations)
    moments = np.array([[0.0, 1.0]] * len(names))
    queries = Queries(names, names, names, np.array(list(durations.values())), moments)
    write_queries(folder / "train.jsonl", queries)
    return record(folder / "annotations.json", [folder / "train.jsonl"], facts)


def task(folder: Path, videos: dict[str, Path], durations: dict, recipe: dict, **facts) -> Task:
    folder.mkdir(exist_ok=True)
    links = []
    for path in videos.values():
        links.append(folder / path.name)
        links[-1].symlink_to(path)
    return Task(
        settings=RECIPE | recipe,
        inputs={
            "annotations": annotations(folder, durations, facts),
            "videos": record(folder / "videos.json", links),
        },
        identity="me",
        record=folder / "clips.json",
        files={"features": folder / "f.clips.h5", "failed": folder / "f.clips.failed.csv"},
        wildcards={},
    )


@pytest.mark.parametrize(
    ("ends_s", "annotated_s", "differs"),
    [
        (8.0, 30.0, True),
        (30.0, 8.0, True),
        (8.0, 10.0, False),  # no more than 2 s
        (8.0, 10.1, True),
        (96.0, 100.0, False),  # no more than 5 %
        (104.9, 100.0, False),
        (94.9, 100.0, True),
        (105.1, 100.0, True),
    ],
)
def test_a_difference_counts_above_two_seconds_and_five_percent(ends_s, annotated_s, differs):
    found = compare_durations({"v": ends_s}, {"v": annotated_s, "w": 1.0})
    assert [row["video"] for row in found] == (["v"] if differs else [])


def test_what_was_not_to_be_extracted_is_not_missed():
    assert compare_durations({"v": 30.0}, {"v": 200.0}, until_s=30) == []
    assert compare_durations({"v": 12.0}, {"v": 200.0}, until_s=30)
    assert compare_durations({"v": 30.0}, {"v": 8.0}, until_s=30)


def test_differing_videos_are_counted_named_and_passed_on(tmp_path, videos):
    durations = {"a": 4.1, "b": 30.0, "c": 8.0, "d": 8.5}
    job = task(tmp_path / "p", videos, durations, {"max_failed_share": 0.3})
    facts, made = extract_phase.run(job)
    said = "b: annotated 30.0 s, its features end at 8.0 s"
    assert facts["durations"] == {"compared": 4, "differ": 1, "first": [said]}
    job.settings = NO_PCA
    job.inputs = {
        "annotations": job.inputs["annotations"],
        "clips": record(tmp_path / "p/f.clips.json", made, facts),
    }
    job.files = {"features": tmp_path / "p/f.h5"}
    reduced, _ = reduce.run(job)
    assert reduced["durations"] == facts["durations"]


def test_more_than_may_fail_stop_the_phase_and_are_listed(tmp_path, videos):
    durations = {"a": 4.0, "b": 30.0, "c": 5.0, "d": 8.0}
    job = task(tmp_path / "p", videos, durations, {"max_failed_share": 0.3})
    with pytest.raises(UserError, match=r"2 of 4 videos do not last as long as annotated.* b: ann"):
        extract_phase.run(job)
    assert not (tmp_path / "p/f.clips.h5").exists()
    with open(tmp_path / "p/f.clips.stopped.failed.csv", newline="") as stream:
        reasons = {row["video"]: row["reason"] for row in csv.DictReader(stream)}
    assert reasons == {
        "b": "annotated 30.0 s, its features end at 8.0 s",
        "c": "annotated 5.0 s, its features end at 8.0 s",
    }


def test_videos_of_a_killed_run_count(tmp_path, videos, monkeypatch):
    """The time axes that the journal kept are compared like those of this run."""
    durations = {"a": 30.0, "b": 8.0, "c": 30.0, "d": 8.0}
    how = {"recipe": RECIPE | {"max_failed_share": 0.5}, "identity": "me", "threads": 1}
    how |= {"device": "cpu", "durations": durations}
    end = FeatureWriter.end

    def die(self, video):
        if len(self.done) == 2:
            raise KeyboardInterrupt
        end(self, video)

    monkeypatch.setattr(FeatureWriter, "end", die)
    with pytest.raises(KeyboardInterrupt):
        extract(videos, tmp_path / "f.h5", **how)
    monkeypatch.setattr(FeatureWriter, "end", end)
    facts = extract(videos, tmp_path / "f.h5", **how)
    assert facts["resumed"] == 2
    assert facts["durations"]["differ"] == 2 and facts["durations"]["compared"] == 4


def test_durations_on_a_grid_are_not_compared(tmp_path, videos):
    durations = dict.fromkeys(videos, 30.0)
    job = task(tmp_path / "p", videos, durations, {}, duration_grid_s=5.0)
    assert extract_phase.run(job)[0]["durations"] is None


@pytest.mark.parametrize("times", [{"chunk_s": 1}, {"fps": 16, "clip_len": 16, "stride": 16}])
def test_released_rows_that_cover_a_part(tmp_path, times):
    arrays = {"a": numbers(8, 4), "b": numbers(30, 4)}
    files = write_npy(tmp_path, arrays)
    recipe = CHARADES | {"times": times, "max_failed_share": 0.5}
    job = Task(
        settings={"released": recipe},
        inputs={
            "annotations": annotations(tmp_path, {"a": 30.0, "b": 30.0}),
            "released": record(tmp_path / "r.json", list(files.values())),
        },
        identity="me",
        record=tmp_path / "out.json",
        files={"features": tmp_path / "out.h5", "failed": tmp_path / "out.failed.csv"},
        wildcards={},
    )
    said = "a: annotated 30.0 s, its features end at 8.0 s"
    expected = {"compared": 2, "differ": 1, "first": [said]}
    assert released.run(job)[0]["durations"] == expected
    job.settings = {"released": recipe | {"max_failed_share": 0.4}}
    with pytest.raises(UserError, match="1 of 2 videos do not last as long"):
        released.run(job)
    job.settings = {"released": recipe | {"times": "equal"}}  # of the annotated duration
    assert released.run(job)[0]["durations"] is None
    job.settings = {"released": recipe}
    job.inputs["annotations"] = annotations(
        tmp_path, {"a": 30.0, "b": 30.0}, {"duration_grid_s": 5}
    )
    assert released.run(job)[0]["durations"] is None


def test_the_list_of_data_sets_says_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = {
        "title": "Shapes",
        "note": "n",
        "reader": "made",
        "splits": {"train": "train", "select": "val", "test": "test"},
        "files": {},
        "generated": {"annotations": "annotations.json"},
    }
    found = {"compared": 900, "differ": 8, "first": ["a: annotated 30.0 s, its … 8.0 s"]}
    for features, facts in (("ours", {"durations": found}), ("theirs", {"durations": None})):
        path = Layout().records["reduce"].format(dataset="shapes", features=features)
        record(Path(path), [], facts)
    (tmp_path / "data/features/shapes/broken.json").write_text("{")
    listed = list_datasets({"shapes": entry}, {}, Layout().records)
    assert listed["shapes"]["durations"] == {"ours": found}
    said = "ours: 8 of 900 videos do not last as long as annotated (a: annotated 30.0 s"
    assert said in as_text(listed) and "theirs" not in as_text(listed).split("annotated (")[1]
