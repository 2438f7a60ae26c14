"""`compile: true`: the same features through a compiler, and none where there is no compiler."""

import shutil

import numpy as np
import pytest
import torch

from feature_samples import RECIPE, write_video
from tsgbench.features.extract import extract
from tsgbench.features.store import FeatureStore

SMALL = RECIPE | {"taps": ["conv2a"], "pool": "last_mean", "batch_clips": 2}


def run(folder, name, **change):
    video = write_video(folder / "v.mp4", 24)
    out = folder / name
    recipe = SMALL | change
    facts = extract({"v": video}, out, recipe=recipe, identity="me", threads=1, device="cpu")
    with FeatureStore(out) as store:
        assert store.attrs["recipe"]["compile"] == facts["compile"]
        return facts, store.read("v")[0]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_features_agree(tmp_path):
    plain_facts, plain = run(tmp_path, "plain.h5")
    facts, clips = run(tmp_path, "compiled.h5", compile=True)
    assert facts["compile"] and not plain_facts["compile"]
    assert np.linalg.norm(clips - plain) < 1e-5 * np.linalg.norm(plain)


def test_without_a_compiler_one_warning_and_the_same_bits(tmp_path, monkeypatch, caplog):
    def refuse(network, **_):
        def call(*_):
            raise RuntimeError("no C++ compiler\nsecond line")

        return call

    _, plain = run(tmp_path, "plain.h5")
    monkeypatch.setattr(torch, "compile", refuse)
    facts, clips = run(tmp_path, "f.h5", compile=True)
    assert not facts["compile"] and np.array_equal(clips, plain)
    (said,) = [record for record in caplog.records if "compile" in record.message]
    assert said.levelname == "WARNING" and "no C++ compiler" in said.message
    assert "\n" not in said.message
