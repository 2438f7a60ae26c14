"""Videos that a download could not have: listed with the failed ones, and not held against them."""

import csv

import numpy as np
import pytest

from feature_samples import RECIPE, write_video
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.downloads.manifest import write_manifest
from tsgbench.downloads.unavailable import Loss, write_losses
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore
from tsgbench.jobs.records import Record
from tsgbench.phases import Task
from tsgbench.phases.extract import run


@pytest.fixture
def task(tmp_path) -> Task:
    """Four annotated videos: `a` and `b` are here, `gone` is listed as removed, `lost` nowhere."""
    names = ["a", "b", "gone", "lost"]
    moments = np.tile([0.0, 1.0], (4, 1))
    write_queries(
        tmp_path / "train.jsonl", Queries(names, names, ["x"] * 4, np.full(4, 3.0), moments)
    )
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in "ab":
        write_video(videos / f"{name}.mp4", 24)
    write_manifest(videos, ["a.mp4", "b.mp4"])
    losses = {name: Loss("removed", "2026-01-01", True) for name in ("gone", "in no annotation")}
    write_losses(videos / "unavailable.csv", losses)
    return Task(
        settings=RECIPE | {"max_failed_share": 0.4},
        inputs={
            "annotations": Record(
                tmp_path / "a.json", {"outputs": {"train.jsonl": {}}, "facts": {}}
            ),
            "videos": Record(tmp_path / "v.json", {"outputs": {"videos/manifest.csv": {}}}),
        },
        identity="0" * 16,
        record=tmp_path / "clips.json",
        files={"features": tmp_path / "clips.h5", "failed": tmp_path / "clips.failed.csv"},
        wildcards={},
    )


def test_unavailable_videos_are_listed_and_counted_apart(task):
    facts, files = run(task)
    assert (facts["videos"], facts["failed"], facts["unavailable"]) == (2, 1, 1)
    with open(files[1], newline="") as stream:
        rows = {row["video"]: row["reason"] for row in csv.DictReader(stream)}
    assert set(rows) == {"gone", "lost"}
    assert rows["gone"] == "unavailable: removed" and "lost" in rows["lost"]
    with FeatureStore(files[0]) as store:
        assert sorted(store.video_ids) == ["a", "b"]


def test_a_video_that_nobody_lists_counts_against_what_may_fail(task):
    task.settings["max_failed_share"] = 0.2
    with pytest.raises(UserError, match=r"1 of 3 videos failed"):
        run(task)


def test_a_video_that_is_here_after_all_is_used(task, tmp_path):
    write_video(tmp_path / "videos/gone.mp4", 24)
    write_manifest(tmp_path / "videos", ["a.mp4", "b.mp4", "gone.mp4"])
    facts, _ = run(task)
    assert (facts["videos"], facts["unavailable"]) == (3, 0)
