"""Batches sized by memory: what a clip needs, what is free, and features that stay the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from feature_samples import RECIPE, write_video
from tsgbench.errors import UserError
from tsgbench.features import extract as extraction
from tsgbench.features import memory
from tsgbench.features.extract import extract
from tsgbench.features.memory import choose_batch, clip_bytes, free_bytes
from tsgbench.features.store import FeatureStore, FeatureWriter

CPU = torch.device("cpu")
CLIP = (4, 8, 8, 3)
PIXELS = 4 * 8 * 8 * 3


def three_alive(batch: np.ndarray) -> torch.Tensor:
    """Three float32 copies of the batch at once, a fourth after one of them is gone, and a constant
    of a megabyte, which is no clip's."""
    x = torch.from_numpy(batch).float()
    constant = torch.zeros(1 << 18)
    y = x + 1
    z = y * 2
    del y
    return (z + x).sum() + constant.sum()


def test_a_clips_bytes_are_those_alive_at_once():
    assert clip_bytes(three_alive, CLIP) == (3 * 4 + 1) * PIXELS


@pytest.mark.parametrize(("clips", "expected"), [(1.0, 1), (3.9, 2), (4.1, 4), (1e9, 8)])
def test_the_batch_is_the_largest_power_of_two_that_fits(monkeypatch, clips, expected):
    each = clip_bytes(three_alive, CLIP)
    monkeypatch.setattr(memory, "free_bytes", lambda _: clips * 3 * each / memory.SHARE + 1)
    assert choose_batch(three_alive, CLIP, CPU, workers=3) == expected


def test_memory_for_less_than_a_clip_is_an_error(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    with pytest.raises(UserError, match="2 clips at once need .* set batch_clips to 1"):
        choose_batch(three_alive, CLIP, CPU, workers=2)


@pytest.mark.parametrize(
    ("controllers", "unlimited", "files"),
    [
        ("", "max", ("memory.max", "memory.current", "inactive_file")),
        (
            "memory",
            str(1 << 62),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_a_control_group_limits_what_is_free(tmp_path, controllers, unlimited, files):
    """A scheduler's limit stands in a folder above the process's own group."""
    most, used, idle = files
    inner = tmp_path / "groups" / controllers / "job_7" / "step_0"
    inner.mkdir(parents=True)
    for folder, limit in ((inner, unlimited), (inner.parent, "3000000")):
        (folder / most).write_text(limit + "\n")
        (folder / used).write_text("1200000\n")
        (folder / "memory.stat").write_text(f"anon 900000\n{idle} 200000\n")
    own = tmp_path / "cgroup"
    own.write_text(f"1:cpu:/elsewhere\n0:{controllers}:/job_7/step_0\n")
    assert min(memory._left_in_groups(own, tmp_path / "groups")) == 2_000_000


def test_what_is_free_is_the_least_of_machine_and_groups(monkeypatch):
    monkeypatch.setattr(memory, "_left_in_groups", lambda: [2_000_000])
    assert free_bytes(CPU) == 2_000_000
    monkeypatch.setattr(memory, "_left_in_groups", list)
    assert 10_000_000 < free_bytes(CPU) < 1 << 50


AUTO = RECIPE | {"batch_clips": "auto"}


def run(videos: dict, out: Path, recipe: dict) -> dict:
    return extract(videos, out, recipe=recipe, identity="me", threads=1, device="cpu")


def contents(path: Path) -> dict[str, np.ndarray]:
    with FeatureStore(path) as store:
        return {name: store.read(name)[0] for name in store.video_ids}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {f"v{k}": write_video(folder / f"v{k}.mp4", 20 + 25 * k, seed=k) for k in range(3)}


def test_the_size_that_was_chosen_is_in_the_file(videos, tmp_path):
    facts = run(videos, tmp_path / "f.h5", AUTO)
    assert facts["batch_clips"] == memory.MOST_CLIPS["cpu"]
    with FeatureStore(tmp_path / "f.h5") as store:
        assert store.attrs["recipe"]["batch_clips"] == facts["batch_clips"]
    run(videos, tmp_path / "g.h5", RECIPE | {"batch_clips": facts["batch_clips"]})
    for name, clips in contents(tmp_path / "g.h5").items():
        assert np.array_equal(clips, contents(tmp_path / "f.h5")[name])  # to the bit


def test_other_sizes_round_differently_and_no_more(videos, tmp_path):
    whole = contents_of_size(videos, tmp_path, 8)
    for size in (1, 3, 16):
        for name, clips in contents_of_size(videos, tmp_path, size).items():
            assert np.linalg.norm(clips - whole[name]) < 1e-5 * np.linalg.norm(whole[name])


def contents_of_size(videos: dict, folder: Path, size: int) -> dict[str, np.ndarray]:
    run(videos, folder / f"{size}.h5", RECIPE | {"batch_clips": size})
    return contents(folder / f"{size}.h5")


@pytest.mark.parametrize(("fitting", "size", "resumed"), [(8, 4, 1), (2, 2, 0)])
def test_a_resumed_run_keeps_its_size_if_that_still_fits(
    videos, tmp_path, monkeypatch, fitting, size, resumed
):
    """One file, one size: begun with 4, it goes on with 4; if only 2 fit, it starts over."""
    end = FeatureWriter.end

    def die(self, video):
        end(self, video)
        raise KeyboardInterrupt

    monkeypatch.setattr(extraction, "choose_batch", lambda *_: 4)
    monkeypatch.setattr(FeatureWriter, "end", die)
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path / "f.h5", AUTO)
    monkeypatch.setattr(extraction, "choose_batch", lambda *_: fitting)
    monkeypatch.setattr(FeatureWriter, "end", end)
    facts = run(videos, tmp_path / "f.h5", AUTO)
    assert (facts["batch_clips"], facts["resumed"], facts["videos"]) == (size, resumed, 3)
