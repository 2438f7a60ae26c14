"""The phases `extract` and `reduce`: which files are read, and what becomes of failed videos."""

import csv
from pathlib import Path

import numpy as np
import pytest

from feature_samples import RECIPE, write_video
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.downloads.manifest import MANIFEST, write_manifest
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore
from tsgbench.jobs.records import Record, read_record, write_record
from tsgbench.phases import Task, extract, reduce

IDS = ["a", "gone", "s13-d21.avi"]  # the last as in 2D-TAN's TACoS


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")


def record(path: Path, files: list[Path]) -> Record:
    common = {"phase": "x", "key": "x", "identity": "0", "settings": {}, "code": ""}
    write_record(path, inputs={}, files=files, facts={}, made={}, **common)
    return read_record(path)


def extract_task(folder: Path, names: list[str], recipe: dict) -> Task:
    """Videos of a download whose record names one manifest, as sources of thousands have it."""
    videos = folder / "videos"
    videos.mkdir()
    for seed, name in enumerate(names):
        write_video(videos / name, 30, seed)
    (videos / "unavailable.csv").write_text("id,reason\n")
    write_manifest(videos, [*names, "unavailable.csv"])
    n = len(IDS)
    queries = Queries(IDS, IDS, IDS, np.full(n, 4.0), np.array([[0.0, 1.0]] * n))
    write_queries(folder / "train.jsonl", queries)
    return Task(
        settings=recipe,
        inputs={
            "annotations": record(folder / "annotations.json", [folder / "train.jsonl"]),
            "videos": record(folder / "videos.json", [videos / MANIFEST]),
        },
        identity="me",
        record=folder / "clips.json",
        files={"features": folder / "f.clips.h5", "failed": folder / "f.clips.failed.csv"},
        wildcards={},
    )


def test_videos_are_found_by_id_and_failures_listed(tmp_path):
    task = extract_task(tmp_path, ["a.mp4", "s13-d21.avi"], RECIPE | {"max_failed_share": 0.4})
    facts, made = extract.run(task)
    assert facts["videos"] == 2 and facts["failed"] == 1 and len(made) == 2
    with FeatureStore(tmp_path / "f.clips.h5") as store:
        assert store.video_ids == ["a", "s13-d21.avi"]
    with open(tmp_path / "f.clips.failed.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["video"] == "gone" and "no such video file" in row["reason"]

    clips = record(tmp_path / "f.clips.json", made)
    task.settings = {"reduce": {"pca": {"dim": 2, "whiten_power": 0}}, "splits": ["train"]}
    task.inputs = {"annotations": task.inputs["annotations"], "clips": clips}
    task.files = {"features": tmp_path / "f.h5"}
    facts, _ = reduce.run(task)
    assert facts["train_videos"] == 2 and facts["train_videos_lacking"] == 1


def test_more_failures_than_allowed_stop_the_phase_and_are_all_listed(tmp_path):
    recipe = RECIPE | {"max_failed_share": 0.3}
    task = extract_task(tmp_path, ["a.mp4"], recipe)
    stopped = tmp_path / "f.clips.stopped.failed.csv"
    with pytest.raises(UserError, match=r"2 of 3 videos failed.*f\.clips\.stopped\.failed\.csv"):
        extract.run(task)
    with open(stopped, newline="") as stream:
        rows = {row["video"]: row["reason"] for row in csv.DictReader(stream)}
    assert set(rows) == {"gone", "s13-d21.avi"}
    assert all("no such video file" in reason for reason in rows.values())
    # Snakemake removes a failed job's outputs, and this list must not be among them
    assert stopped not in task.files.values() and not task.files["failed"].exists()

    for name in ("gone.mp4", "s13-d21.avi"):
        write_video(tmp_path / "videos" / name, 30)
    write_manifest(tmp_path / "videos", ["a.mp4", "gone.mp4", "s13-d21.avi"])
    facts, _ = extract.run(task)
    assert facts["videos"] == 3 and not stopped.exists()


def test_two_files_of_one_video_are_an_error(tmp_path):
    task = extract_task(tmp_path, ["a.mp4", "a.avi", "s13-d21.avi"], RECIPE)
    with pytest.raises(UserError, match=r"a\.mp4: .*a\.avi is of the same video"):
        extract.run(task)
