"""Centring, standardising and PCA: what they do, and that only training videos teach them."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from feature_samples import ATTRS, sample_features, write_features
from tsgbench.errors import UserError
from tsgbench.features import reduce as reduction
from tsgbench.features.reduce import Reduction, reduce
from tsgbench.features.store import FeatureStore

TRAIN = ["v0", "v2", "v3", "v5"]


def run(folder, steps, features=None, train=TRAIN):
    raw = write_features(folder / "raw.h5", features or sample_features())
    out = folder / "out.h5"
    facts = reduce(raw, out, train_ids=train, recipe={"reduce": steps}, identity="new")
    with FeatureStore(out) as store:
        return {name: store.read(name) for name in store.video_ids}, facts, store.attrs


def test_no_step_changes_nothing_but_the_identity(tmp_path):
    made, facts, attrs = run(tmp_path, {})
    for name, (clips, times) in sample_features().items():
        assert (made[name][0] == clips).all() and (made[name][1] == times).all()
    assert attrs["identity"] == "new" and attrs["weights"] == "random, seed 0"
    assert attrs["recipe"] == ATTRS["recipe"] | {"reduce": {}} and attrs["clip_len"] == 16
    assert facts["videos"] == 6 and facts["dim"] == facts["dim_raw"] == 8
    assert facts["explained_variance"] is None and facts["train_videos"] == 4


def test_centring_is_exact_and_per_video(tmp_path):
    made, _, _ = run(tmp_path, {"center": "video"})
    for name, (clips, _) in sample_features().items():
        exact = clips - clips.astype(np.float64).mean(0)
        assert made[name][0] == pytest.approx(exact, rel=1e-6, abs=1e-6)
        assert np.abs(made[name][0].mean(0)).max() < 1e-5


def test_the_median_as_centre_leaves_zero_where_nothing_happens(tmp_path):
    """A value that holds for most of a video becomes exactly 0; mean-centring would leave -1."""
    clips = np.full((9, 2), 5.0, np.float32)
    clips[3:5] = [9.0, 2.0]
    times = np.stack([np.arange(9), np.arange(9) + 2], 1).astype(np.float64)
    still = {"v0": (clips, times)}
    made, _, _ = run(tmp_path, {"center": "video_median"}, still, ["v0"])
    assert (made["v0"][0][[0, 1, 2, 5, 6, 7, 8]] == 0).all()
    assert made["v0"][0][3].tolist() == [4.0, -3.0]


def test_rectified_numbers_are_the_two_halves(tmp_path):
    made, facts, _ = run(tmp_path, {"center": "video_median", "rectify": True})
    assert (facts["dim_raw"], facts["dim"]) == (8, 16)
    for name, (clips, _) in sample_features().items():
        x = clips.astype(np.float64) - np.median(clips.astype(np.float64), axis=0)
        up, down = made[name][0][:, :8], made[name][0][:, 8:]
        assert up - down == pytest.approx(x, rel=1e-6, abs=1e-6)
        assert (up >= 0).all() and (down >= 0).all() and (up * down == 0).all()


def test_named_statistics_are_kept_in_their_order(tmp_path):
    """Ten numbers per clip are five statistics of two channels, statistic after statistic."""
    rng = np.random.default_rng(0)
    times = np.stack([np.arange(7), np.arange(7) + 2], 1).astype(np.float64)
    features = {"v0": (rng.normal(size=(7, 10)).astype(np.float32), times)}
    recipe = ATTRS["recipe"] | {"pool": "channel_stats"}
    raw = write_features(tmp_path / "raw.h5", features, {"recipe": recipe})
    steps = {"keep": ["deviation_over_time", "change"]}
    reduce(raw, tmp_path / "out.h5", train_ids=["v0"], recipe={"reduce": steps}, identity="new")
    with FeatureStore(tmp_path / "out.h5") as store:
        assert (store.read("v0")[0] == features["v0"][0][:, [2, 3, 8, 9]]).all()


def test_statistics_cannot_be_chosen_where_there_are_none(tmp_path):
    with pytest.raises(UserError, match="raw.h5: keep: its clips are pooled by None"):
        run(tmp_path, {"keep": ["change"]})


def test_standardising_uses_the_training_clips(tmp_path):
    made, facts, _ = run(tmp_path, {"standardize": True})
    train = np.concatenate([made[name][0] for name in TRAIN])
    assert facts["train_clips"] == len(train)
    assert train.mean(0) == pytest.approx(0, abs=1e-5)
    assert train.std(0) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("steps", [{}, {"center": "video", "standardize": True}])
def test_pca_equals_a_direct_one(tmp_path, steps):
    made, facts, _ = run(tmp_path, steps | {"pca": {"dim": 3, "whiten_power": 0.7}})
    x = {name: clips.astype(np.float64) for name, (clips, _) in sample_features().items()}
    if steps:
        x = {name: clips - clips.mean(0) for name, clips in x.items()}
        train = np.concatenate([x[name] for name in TRAIN])
        x = {name: (clips - train.mean(0)) / train.std(0) for name, clips in x.items()}
    train = np.concatenate([x[name] for name in TRAIN])
    pca = PCA(3).fit(train)
    assert facts["explained_variance"] == pytest.approx(pca.explained_variance_ratio_.sum())
    for name, (clips, _) in made.items():
        expected = pca.transform(x[name]) / np.sqrt(pca.explained_variance_) ** 0.7
        signs = np.sign((expected * clips).sum(0))  # a component's sign is free
        assert clips == pytest.approx(expected * signs, abs=1e-4)
    deviation = np.concatenate([made[name][0] for name in TRAIN]).std(0, ddof=1)
    assert deviation == pytest.approx(np.sqrt(pca.explained_variance_) ** 0.3, rel=1e-4)


def test_only_training_videos_teach(tmp_path):
    """Other videos may change at will: what is made of the training videos stays, to the bit."""
    steps = {"center": "video", "standardize": True, "pca": {"dim": 3, "whiten_power": 1}}
    features = sample_features()
    changed = features | {
        name: (features[name][0] * 100 + 7, features[name][1]) for name in ("v1", "v4")
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, _, _ = run(tmp_path / "a", steps, features)
    other, _, _ = run(tmp_path / "b", steps, changed)
    assert all((one[name][0] == other[name][0]).all() for name in TRAIN)
    assert any((one[name][0] != other[name][0]).any() for name in ("v1", "v4"))


def test_small_blocks_keep_every_training_clip(tmp_path, monkeypatch):
    features = sample_features(videos=12)
    train = sorted(features)[:9]
    seen = []
    original = reduction._blocks

    def spy(*arguments):
        for block in original(*arguments):
            seen.append(len(block))
            yield block

    monkeypatch.setattr(reduction, "ROWS", 20)
    monkeypatch.setattr(reduction, "_blocks", spy)
    run(tmp_path, {"pca": {"dim": 4}}, features, train)
    assert sum(seen) == sum(len(features[name][0]) for name in train)
    assert len(seen) > 2 and min(seen) >= 20


def test_constant_numbers_do_not_divide_by_zero(tmp_path):
    features = sample_features()
    for clips, _ in features.values():
        clips[:, 2] = 5.0
    made, _, _ = run(tmp_path, {"standardize": True}, features)
    assert all((clips[:, 2] == 0).all() for clips, _ in made.values())


@pytest.mark.parametrize(
    "steps",
    [
        {"center": "video", "standardize": True, "pca": {"dim": 3, "whiten_power": 0.7}},
        {"center": "video_median", "rectify": True, "standardize": True},
    ],
)
def test_a_new_video_is_treated_like_the_others(tmp_path, steps):
    made, _, _ = run(tmp_path, steps)
    with FeatureStore(tmp_path / "out.h5") as store:
        learned = Reduction.from_arrays(store.arrays())
    for name, (clips, _) in sample_features().items():
        assert (learned.apply(clips) == made[name][0]).all()


def test_float16(tmp_path):
    exact, _, _ = run(tmp_path, {"standardize": True})
    half, _, _ = run(tmp_path, {"standardize": True, "dtype": "float16"})
    assert half["v0"][0] == pytest.approx(exact["v0"][0], abs=2e-3)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"centre": "video"}, "unknown step 'centre'"),
        ({"center": "clip"}, "center: 'clip'"),
        ({"pca": {"dims": 3}}, "pca"),
        ({"pca": {"dim": 3, "whiten_power": 2}}, "pca"),
        ({"pca": {"dim": 9}}, "9 is more than its 8 numbers"),
        ({"standardize": 1}, "standardize"),
        ({"rectify": "yes"}, "rectify"),
        ({"keep": ["median"]}, "keep"),
        ({"keep": []}, "keep"),
        ({"dtype": "int8"}, "dtype"),
    ],
)
def test_wrong_steps_are_named(tmp_path, steps, words):
    with pytest.raises(UserError, match=words):
        run(tmp_path, steps)


def test_training_videos_must_be_there(tmp_path):
    with pytest.raises(UserError, match="'v77' is not in it"):
        run(tmp_path, {"standardize": True}, train=["v0", "v77"])
    with pytest.raises(UserError, match="no training video"):
        run(tmp_path, {}, train=[])
