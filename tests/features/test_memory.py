"""The number of clips computed at once changes no more than rounding; too many are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from feature_samples import RECIPE, write_video
from tsgbench.errors import UserError
from tsgbench.features.c3d import C3D
from tsgbench.features.extract import extract
from tsgbench.features.store import FeatureStore


def run(videos: dict, out: Path, recipe: dict) -> dict:
    return extract(videos, out, recipe=recipe, identity="me", threads=1, device="cpu")


def contents(path: Path) -> dict[str, np.ndarray]:
    with FeatureStore(path) as store:
        return {name: store.read(name)[0] for name in store.video_ids}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {f"v{k}": write_video(folder / f"v{k}.mp4", 20 + 25 * k, seed=k) for k in range(3)}


def test_other_sizes_round_differently_and_no_more(videos, tmp_path):
    whole = contents_of_size(videos, tmp_path, 8)
    for size in (1, 3, 16):
        for name, clips in contents_of_size(videos, tmp_path, size).items():
            assert np.linalg.norm(clips - whole[name]) < 1e-5 * np.linalg.norm(whole[name])


def contents_of_size(videos: dict, folder: Path, size: int) -> dict[str, np.ndarray]:
    run(videos, folder / f"{size}.h5", RECIPE | {"batch_clips": size})
    return contents(folder / f"{size}.h5")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_too_many_for_memory_name_the_setting(videos, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(C3D, "forward", fail)
    with pytest.raises(UserError, match="batch_clips: 4 clips at once do not fit"):
        run(videos, tmp_path / "f.h5", RECIPE)
    assert not (tmp_path / "f.h5").exists()
