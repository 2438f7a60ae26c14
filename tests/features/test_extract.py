"""From video files to a feature file: the whole path, its failures and its resumption."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from feature_samples import RECIPE, write_video
from tsgbench.errors import UserError
from tsgbench.features import extract as extraction
from tsgbench.features import feeding
from tsgbench.features.c3d import C3D
from tsgbench.features.extract import check_recipe, extract
from tsgbench.features.networks import find_network
from tsgbench.features.pooling import POOLS
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.features.video import probe, read_clips

RECIPES = yaml.safe_load((Path(__file__).parents[2] / "config" / "features.yaml").read_text())[
    "clips"
]


def run(videos: dict, out: Path, recipe: dict = RECIPE, **options) -> dict:
    return extract(videos, out, recipe=recipe, identity="me", threads=1, device="cpu", **options)


def contents(path: Path) -> dict:
    with FeatureStore(path) as store:
        return {name: store.read(name) for name in store.video_ids}


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, parts in one.items():
        for a, b in zip(parts, other[name], strict=True):
            assert np.array_equal(a, b)  # to the bit


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    lengths = {"a": 40, "b": 9, "c": 75, "d": 16}
    return {
        name: write_video(folder / f"{name}.mp4", frames, seed)
        for seed, (name, frames) in enumerate(lengths.items())
    }


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("features") / "f.h5"
    run(videos, out)
    return out


def test_features_are_those_of_each_clip_alone(videos, whole):
    network = C3D(width=0.0625, size=24)
    for name, (vectors, times) in contents(whole).items():
        parts = zip(*read_clips(videos[name], size=(24, 24)), strict=True)
        clips, expected_times = (np.concatenate(part) for part in parts)
        with torch.inference_mode():
            taps = [network(torch.from_numpy(clip[None]), RECIPE["taps"]) for clip in clips]
        expected = torch.cat([POOLS["channel_stats"](tap) for tap in taps]).numpy()
        assert vectors.shape == (len(clips), 5 * (4 + 16))
        np.testing.assert_allclose(vectors, expected, rtol=1e-3, atol=1e-2)
        assert (times == expected_times).all()


def test_facts_and_attributes(videos, tmp_path):
    facts = run(videos, tmp_path / "f.h5")
    assert facts["videos"] == 4 and facts["clips"] == 4 + 1 + 9 + 1 and facts["dim"] == 100
    assert facts["failed"] == [] and facts["resumed"] == 0 and facts["clips_per_s"] > 0
    with FeatureStore(tmp_path / "f.h5") as store:
        assert store.attrs["identity"] == "me" and store.attrs["weights"] == "random, seed 0"
        assert store.attrs["recipe"] == check_recipe(RECIPE)
        assert set(store.attrs["versions"]) >= {"torch", "av", "tsgbench"}


@pytest.mark.parametrize("change", [{"batch_clips": 4}, {"threads": 3}])
def test_a_second_run_gives_the_same_bits(videos, whole, tmp_path, change):
    threads = change.pop("threads", 1)
    extract(videos, tmp_path / "f.h5", recipe=RECIPE, identity="me", threads=threads, device="cpu")
    assert_equal(contents(tmp_path / "f.h5"), contents(whole))


def test_neighbours_in_the_batch_do_not_matter(videos, whole, tmp_path):
    backwards = dict(reversed(videos.items()))
    run(backwards, tmp_path / "f.h5")
    assert_equal(contents(tmp_path / "f.h5"), contents(whole))


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_resuming_gives_the_same_file(videos, whole, tmp_path, monkeypatch, finished):
    out = tmp_path / "f.h5"
    end = FeatureWriter.end

    def die(self, video):
        if len(self.done) == finished:  # all parts of the next video are written, but not its end
            raise KeyboardInterrupt
        end(self, video)

    monkeypatch.setattr(FeatureWriter, "end", die)
    with pytest.raises(KeyboardInterrupt):
        run(videos, out)
    assert not out.exists()
    monkeypatch.setattr(FeatureWriter, "end", end)
    facts = run(videos, out)
    assert facts["resumed"] == finished and facts["videos"] == 4
    assert_equal(contents(out), contents(whole))


def with_bad_video(videos: dict, tmp_path: Path, where: int) -> dict:
    """A video cut off in the middle: its first clips decode well."""
    path = tmp_path / "cut.mkv"
    content = write_video(tmp_path / "full.mkv", 160, seed=9).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    items = list(videos.items())
    return dict([*items[:where], ("bad", path), *items[where:]])


@pytest.mark.parametrize("where", [0, 2, 4])
def test_a_failed_video_stops_the_run_but_keeps_the_others(videos, whole, tmp_path, where):
    mixed = with_bad_video(videos, tmp_path, where)
    with pytest.raises(UserError, match=r"1 of 5 videos failed, the first: .*cut\.mkv.*cut off"):
        run(mixed, tmp_path / "f.h5")
    assert not (tmp_path / "f.h5").exists()
    facts = run(videos, tmp_path / "f.h5")
    assert facts["resumed"] == 4
    assert_equal(contents(tmp_path / "f.h5"), contents(whole))


def test_failures_up_to_the_stated_share_are_listed(videos, whole, tmp_path):
    mixed = with_bad_video(videos, tmp_path, 2)
    facts = run(mixed, tmp_path / "f.h5", RECIPE | {"max_failed_share": 0.2})
    assert facts["videos"] == 4
    (failure,) = facts["failed"]
    assert failure["video"] == "bad" and "cut.mkv" in failure["reason"]
    assert_equal(contents(tmp_path / "f.h5"), contents(whole))


def test_all_videos_failing_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"none\.mp4: no such video"):
        run({"x": tmp_path / "none.mp4"}, tmp_path / "f.h5")
    with pytest.raises(UserError, match="no video"):
        run({}, tmp_path / "f.h5")


def test_features_that_are_no_numbers_name_video_and_extractor(videos, tmp_path):
    state = C3D(width=0.0625, size=24).state_dict()
    state["conv1.bias"][0] = float("nan")
    torch.save(state, tmp_path / "c3d.pt")
    with pytest.raises(UserError, match="video 'a': extractor c3d gave NaN"):
        run(videos, tmp_path / "f.h5", checkpoint=tmp_path / "c3d.pt")


def test_a_checkpoint_is_used_and_named(videos, whole, tmp_path):
    torch.save(C3D(width=0.0625, size=24, seed=5).state_dict(), tmp_path / "c3d.pt")
    recipe = RECIPE | {"checkpoint": "some_source"}
    facts = run(videos, tmp_path / "f.h5", recipe, checkpoint=tmp_path / "c3d.pt")
    assert len(facts["weights"]) == 64
    run(videos, tmp_path / "g.h5", RECIPE | {"network": {"width": 0.0625, "seed": 5}})
    assert_equal(contents(tmp_path / "f.h5"), contents(tmp_path / "g.h5"))
    with pytest.raises(UserError, match="'some_source' is not here"):
        run(videos, tmp_path / "h.h5", recipe)


def test_an_error_ends_the_decoders(videos, tmp_path, monkeypatch):
    """Nobody may wait for ever on a queue that nobody empties."""
    monkeypatch.setattr(feeding, "CHUNKS_AHEAD", 1)

    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(extraction, "_compute", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(videos, tmp_path / "f.h5", RECIPE | {"batch_clips": 1})
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_a_bug_in_decoding_is_not_a_failed_video(videos, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(feeding, "read_views", broken)
    with pytest.raises(ZeroDivisionError):
        run(videos, tmp_path / "f.h5", RECIPE | {"max_failed_share": 1.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extractor": "c4d"}, "extractor: 'c4d' is unknown"),
        ({"extractor": "store"}, "extractor: 'store' is unknown"),
        ({"extractor": "../c3d"}, "is unknown"),
        ({"pool": "median"}, "pool: 'median' is unknown"),
        ({"taps": ["conv9"]}, "has no 'conv9'"),
        ({"strides": 4}, "unknown key 'strides'"),
        ({"frames": {"size": 3}}, "frames"),
        ({"frames": {"resize": [24, 32]}}, "square"),
        ({"network": {"depth": 3}}, "network"),
        ({"taps": ["fc6"]}, "channel_stats needs"),
        ({"taps": []}, "no list of names"),
        ({"precision": "float16"}, "precision: 'float16' is unknown"),
        ({"chunk_s": 0}, "chunk_s: 0 must be above 0"),
        ({"until_s": 0}, "until_s 0: all must be above 0"),
    ],
)
def test_wrong_recipes_are_named(videos, tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        run(videos, tmp_path / "f.h5", RECIPE | change)
    incomplete = {name: value for name, value in RECIPE.items() if name != "taps"}
    with pytest.raises(UserError, match="taps: is missing"):
        run(videos, tmp_path / "f.h5", incomplete)


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_of_the_repository_fit_their_networks(name):
    recipe = check_recipe(RECIPES[name])
    network = find_network(recipe["extractor"])
    assert set(recipe["taps"]) <= set(network.TAPS)


@pytest.mark.parametrize("name", ["c3d_random_stats_w16s8", "i3d_random_stats_w16s8"])
def test_the_demo_recipes_run(videos, tmp_path, name):
    facts = run(videos, tmp_path / "f.h5", RECIPES[name])
    assert facts["videos"] == 4 and facts["dim"] == {"c": 600, "i": 980}[name[0]]


def test_the_published_recipes_run_at_small_width(videos, tmp_path):
    """With random weights and few channels: fc6, fc7, and the average pool."""
    changes = {"checkpoint": None, "network": {"width": 0.03125}}
    found = {}
    for layer in ("fc6", "fc7"):
        recipe = RECIPES[f"c3d_sports1m_{layer}_w16s8"] | changes
        assert run(videos, tmp_path / f"{layer}.h5", recipe)["dim"] == 128
        found[layer] = contents(tmp_path / f"{layer}.h5")["b"][0]
    # The same weights (of one seed): one layer more, with nothing below zero
    network = C3D(width=0.03125)
    weight, bias = network.fc7.weight.detach().numpy(), network.fc7.bias.detach().numpy()
    expected = np.maximum(found["fc6"] @ weight.T + bias, 0)
    np.testing.assert_allclose(found["fc7"], expected, rtol=1e-4, atol=1e-4)
    i3d = RECIPES["i3d_kinetics_rgb_w16s8"] | changes | {"frames": {"short_side": 64, "crop": 48}}
    assert run(videos, tmp_path / "i.h5", i3d)["dim"] == 32


CHUNKS = RECIPES["vgg16_imagenet_fc7_5s"] | {
    "checkpoint": None,
    "network": {"width": 0.015625},
    "frames": {"short_side": 40, "crop": 32},
}


def test_chunks_are_means_of_their_frames(tmp_path):
    """DiDeMo's recipe: 8 frames a second looked at five times a second, 11.25 s in three chunks."""
    path = write_video(tmp_path / "v.mp4", 90)
    facts = run({"v": path}, tmp_path / "f.h5", CHUNKS)
    assert (facts["clips"], facts["rows"], facts["dim"]) == (57, 3, 64)
    run({"v": path}, tmp_path / "g.h5", CHUNKS | {"chunk_s": None})
    frames, frame_times = contents(tmp_path / "g.h5")["v"]
    assert frame_times[:, 0] == pytest.approx(np.arange(57) / 5)
    rows, times = contents(tmp_path / "f.h5")["v"]
    assert times.tolist() == [[0, 5], [5, 10], [10, pytest.approx(11.25)]]
    for row, part in zip(rows, np.split(frames, [25, 50]), strict=True):
        np.testing.assert_allclose(row, part.mean(0), rtol=1e-5)


def test_only_the_first_seconds_are_read(tmp_path):
    path = write_video(tmp_path / "v.mp4", 90)
    facts = run({"v": path}, tmp_path / "f.h5", CHUNKS | {"until_s": 7})
    assert (facts["clips"], facts["rows"]) == (35, 2)
    assert contents(tmp_path / "f.h5")["v"][1].tolist() == [[0, 5], [5, 7]]


@pytest.mark.parametrize("extractor", ["c3d", "i3d", "vgg16"])
def test_bfloat16_is_close_and_says_so(videos, tmp_path, extractor):
    recipe = RECIPE | {"extractor": extractor, "pool": "last_mean", "network": {"width": 0.125}}
    taps = {"c3d": ["conv3b"], "i3d": ["Mixed_3b"], "vgg16": ["conv3_3"]}
    recipe |= {"taps": taps[extractor]}
    some = {"b": videos["b"]}
    run(some, tmp_path / "f.h5", recipe)
    run(some, tmp_path / "g.h5", recipe | {"precision": "bfloat16"})
    with FeatureStore(tmp_path / "g.h5") as store:
        assert store.attrs["recipe"]["precision"] == "bfloat16"
        rough = store.read("b")[0]
    exact = contents(tmp_path / "f.h5")["b"][0]
    assert not np.array_equal(rough, exact)
    assert np.linalg.norm(rough - exact) < 0.02 * np.linalg.norm(exact)


@pytest.mark.parametrize("change", [{}, {"chunk_s": 1.0}])
def test_clips_are_written_as_they_come(videos, tmp_path, monkeypatch, change):
    """Never more than a batch, or a chunk of seconds, waits in memory."""
    lengths = []
    append = FeatureWriter.append

    def count(self, video, clips, times):
        lengths.append(len(clips))
        append(self, video, clips, times)

    monkeypatch.setattr(FeatureWriter, "append", count)
    run({"c": videos["c"]}, tmp_path / "f.h5", RECIPE | {"batch_clips": 2, "stride": 2} | change)
    assert max(lengths) <= 2 and len(lengths) > 4


REAL = ["v_ZNVhz7ctTq0.mp4", "v_GGSY1Qvo990.mp4"]  # ActivityNet
REAL += ["v_ApplyEyeMakeup_g01_c01.avi", "v_BaseballPitch_g01_c01.avi"]  # UCF101


@pytest.mark.parametrize(
    ("name", "change", "dim"),
    [
        ("c3d_sports1m_fc6_w16s8", {"network": {"width": 0.0625}}, 256),
        (
            "i3d_kinetics_rgb_w16s8",
            {"network": {"width": 0.0625}, "frames": {"short_side": 72, "crop": 64}},
            64,
        ),
        ("vgg16_imagenet_fc7_5s", {"network": {"width": 0.03125}, "fps": 2}, 128),
    ],
)
def test_real_videos_to_features(mirror, tmp_path, name, change, dim):
    """The published recipes on real videos, with few random channels."""
    videos = {Path(file).stem: mirror / "videos" / file for file in REAL}
    recipe = check_recipe(RECIPES[name] | {"checkpoint": None} | change)
    stride = recipe["stride"] = 1 if recipe["chunk_s"] else 32
    facts = run(videos, tmp_path / "f.h5", recipe)
    assert facts["videos"] == 4 and facts["dim"] == dim and not facts["failed"]
    for video, (clips, times) in contents(tmp_path / "f.h5").items():
        info = probe(videos[video])
        assert times[0, 0] == 0 and info.duration_s - 0.2 < times[-1, 1] <= info.duration_s
        assert np.isfinite(clips).all() and (np.diff(times[:, 0]) > 0).all()
        if recipe["chunk_s"]:
            assert len(clips) == -(-times[-1, 1] // 5)
        else:
            assert len(clips) == -(-(info.frames - 16) // stride) + 1
        assert len(clips) == 1 or clips.std(0).max() > 0
