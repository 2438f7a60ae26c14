"""Extractions in shards, and several together, end with the very files of each in a single piece,
whatever befalls them."""

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from feature_samples import RECIPE, write_video
from tsgbench.errors import UserError
from tsgbench.features import feeding, video
from tsgbench.features.extract import Wanted, extract, extract_shard
from tsgbench.features.journal import journal_of
from tsgbench.features.shards import Shard, finished, journal_of_shard, journals, report_of
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.files import write_json

LENGTHS = {"a": 40, "b": 9, "c": 75, "d": 16, "e": 30}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    made = {
        name: write_video(folder / f"{name}.mp4", frames, seed)
        for seed, (name, frames) in enumerate(LENGTHS.items())
    }
    broken = folder / "bad.mp4"
    broken.write_bytes(b"no video")
    return dict(sorted({**made, "bad": broken}.items()))


RECIPE_LENIENT = {**RECIPE, "max_failed_share": 0.5}


def run(videos: dict, out: Path, recipe: dict = RECIPE_LENIENT, **options) -> dict:
    return extract(videos, out, recipe=recipe, identity="me", threads=1, device="cpu", **options)


def run_shard(videos: dict, out: Path, shard: Shard, recipe: dict = RECIPE_LENIENT) -> dict:
    mine = {name: videos[name] for name in shard.share(list(videos))}
    wanted = [Wanted(out, recipe, "me", journal=journal_of_shard(out, "me", shard))]
    (facts,) = extract_shard(mine, wanted, threads=1, device="cpu")
    write_json(report_of(out, "me", shard), facts)
    return facts


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory) -> tuple[bytes, dict]:
    out = tmp_path_factory.mktemp("whole") / "f.clips.h5"
    facts = run(videos, out)
    return out.read_bytes(), facts


def counted(facts: dict) -> dict:
    return {name: facts[name] for name in ("videos", "clips", "rows", "dim", "failed", "resumed")}


@pytest.mark.parametrize("total", [1, 2, 4, 9])
def test_the_file_is_that_of_one_piece_to_the_byte(videos, whole, tmp_path, total):
    out = tmp_path / "f.clips.h5"
    for number in reversed(range(1, total + 1)):  # they end in any order
        run_shard(videos, out, Shard(number, total))
    assert not out.exists()
    facts = run(videos, out, shards=finished(out, "me"))
    assert out.read_bytes() == whole[0]
    assert counted(facts) == counted(whole[1]) and facts["shards"] == total
    assert [row["video"] for row in facts["failed"]] == ["bad"]


def test_what_no_shard_made_is_made_at_the_end(videos, whole, tmp_path):
    """A shard of which the last video was torn off, and one that is missing."""
    out = tmp_path / "f.clips.h5"
    for number in (1, 2):
        run_shard(videos, out, Shard(number, 3))
    torn = journal_of_shard(out, "me", Shard(2, 3))
    torn.write_bytes(torn.read_bytes()[:-3])
    facts = run(videos, out, shards=finished(out, "me"))
    with FeatureStore(out) as store:
        assert sorted(store.video_ids) == sorted(LENGTHS)
    assert counted(facts)["videos"] == len(LENGTHS)


def test_a_killed_shard_goes_on_where_it_stopped(videos, whole, tmp_path):
    out, shard = tmp_path / "f.clips.h5", Shard(1, 1)
    first = dict(list(videos.items())[:3])
    run_shard(first, out, shard)
    report_of(out, "me", shard).unlink()
    assert run_shard(videos, out, shard)["resumed"] == 2  # beside the broken one
    run(videos, out, shards=finished(out, "me"))
    assert out.read_bytes() == whole[0]


def test_shards_of_two_numbers_and_of_other_settings_do_no_harm(videos, whole, tmp_path, caplog):
    out = tmp_path / "f.clips.h5"
    for shard in (Shard(1, 2), Shard(1, 3), Shard(2, 3)):
        run_shard(videos, out, shard)
    run_shard(videos, out, Shard(3, 3), {**RECIPE_LENIENT, "dtype": "float16"})
    facts = run(videos, out, shards=finished(out, "me"))
    with FeatureStore(out) as store:
        assert sorted(store.video_ids) == sorted(LENGTHS)
    assert facts["videos"] == len(LENGTHS) and [row["video"] for row in facts["failed"]] == ["bad"]
    assert "made with other settings" in caplog.text


def test_too_many_failures_are_judged_over_all_shards(videos, tmp_path):
    out = tmp_path / "f.clips.h5"
    strict = {**RECIPE, "max_failed_share": 0.1}
    for number in (1, 2):
        run_shard(videos, out, Shard(number, 2), strict)
    with pytest.raises(UserError, match="1 of 6 videos failed"):
        run(videos, out, strict, shards=finished(out, "me"))
    assert journal_of_shard(out, "me", Shard(1, 2)).exists()


def test_reports_are_those_of_one_identity(videos, tmp_path):
    out = tmp_path / "f.clips.h5"
    run_shard(videos, out, Shard(2, 2))
    assert [json.loads(json.dumps(one.facts))["shards"] for one in finished(out, "me")] == [0]
    assert finished(out, "other") == []


def test_shares_are_every_video_once_in_order():
    names = [f"v{number:02}" for number in range(17)]
    for total in (1, 2, 5, 17, 40):
        shards = [Shard(number, total) for number in range(1, total + 1)]
        assert [name for shard in shards for name in shard.share(names)] == names


@pytest.mark.parametrize("text", ["", "2", "0-of-2", "3-of-2", "a-of-b", "1-of-02x", "-1-of-2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UserError, match="--shard"):
        Shard.parse(text)


# --- several recipes in one pass ------------------------------------------------------------------

THUMBNAILS = {
    "extractor": "thumbnail",
    "frames": {"resize": [8, 8]},
    "fps": 3,
    "until_s": 5,
    "clip_len": 1,
    "stride": 1,
    "chunk_s": 1,
    "taps": ["pixels"],
    "pool": "last_mean",
    "batch_clips": 32,
    "max_failed_share": 0.5,
}
WHOLE = Shard(1, 1)
SEVERAL = {
    "c3d": RECIPE_LENIENT,
    "thumbnails": THUMBNAILS,
    "other": RECIPE_LENIENT
    | {
        "network": {"width": 0.0625, "seed": 1},
        "frames": {"short_side": 28, "crop": 24},
        "stride": 5,
        "batch_clips": 3,
        "dtype": "float16",
    },
}


@pytest.fixture(scope="module")
def apart(videos, tmp_path_factory) -> dict[str, tuple[bytes, dict]]:
    folder = tmp_path_factory.mktemp("apart")
    found = {}
    for name, recipe in SEVERAL.items():
        facts = run(videos, folder / f"{name}.h5", recipe)
        found[name] = ((folder / f"{name}.h5").read_bytes(), facts)
    return found


def run_together(videos: dict, folder: Path, names: list[str], shard: Shard = WHOLE) -> dict:
    """A shard of each of `names`, as the workflow has them made; the facts of each."""
    outs = {name: folder / f"{name}.h5" for name in names}
    wanted = [
        Wanted(
            out,
            SEVERAL[name],
            "me",
            journal=journal_of_shard(out, "me", shard),
            known=[journal_of(out), *journals(out, "me")],
        )
        for name, out in outs.items()
    ]
    mine = {name: videos[name] for name in shard.share(list(videos))}
    found = extract_shard(mine, wanted, threads=2, device="cpu")
    for out, facts in zip(outs.values(), found, strict=True):
        write_json(report_of(out, "me", shard), facts)
    return dict(zip(outs, found, strict=True))


@pytest.fixture
def opened(monkeypatch) -> Counter:
    """How often each video was opened."""
    counts: Counter = Counter()
    opening = video._container

    def count(path):
        counts[path.stem] += 1
        return opening(path)

    monkeypatch.setattr(video, "_container", count)
    return counts


def assert_as_apart(videos: dict, folder: Path, apart: dict, names: list[str]) -> None:
    for name in names:
        out = folder / f"{name}.h5"
        facts = run(videos, out, SEVERAL[name], shards=finished(out, "me"))
        assert out.read_bytes() == apart[name][0]
        assert [row["video"] for row in facts["failed"]] == ["bad"]


@pytest.mark.parametrize("total", [1, 2])
def test_several_together_are_to_the_byte_what_each_is_alone(
    videos, apart, tmp_path, opened, total
):
    for number in range(1, total + 1):
        found = run_together(videos, tmp_path, list(SEVERAL), Shard(number, total))
        assert [facts["together"] for facts in found.values()] == [3, 3, 3]
    assert opened == Counter(list(videos))  # each once
    opened.clear()
    for name in SEVERAL:
        out = tmp_path / f"{name}.h5"
        facts = run(videos, out, SEVERAL[name], shards=finished(out, "me"))
        assert out.read_bytes() == apart[name][0]
        assert counted(facts) == counted(apart[name][1])
    assert not opened


def killed(out: Path, number: int, do, *args) -> None:
    """Do something that ends when the writer of `out` has so many videos, before it ends the
    next."""
    end = FeatureWriter.end

    def die(self, name):
        if self.path == out and len(self.done) == number:
            raise KeyboardInterrupt
        end(self, name)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FeatureWriter, "end", die)
        do(*args)


def test_a_killed_pass_goes_on_however_the_videos_are_shared_then(videos, apart, tmp_path, opened):
    """Of three, one is begun alone, the others together; then one of these goes on alone, and the
    other with the first."""
    outs = {name: tmp_path / f"{name}.h5" for name in SEVERAL}
    killed(outs["other"], 3, run, videos, outs["other"], SEVERAL["other"])
    killed(outs["c3d"], 2, run_together, videos, tmp_path, ["c3d", "thumbnails"])
    # From its shard, of which nothing says that it ended
    facts = run(videos, outs["c3d"], shards=finished(outs["c3d"], "me"))
    assert facts["resumed"] == 2 and facts["shards"] == 0
    assert outs["c3d"].read_bytes() == apart["c3d"][0]
    opened.clear()
    found = run_together(videos, tmp_path, ["other", "thumbnails"])
    resumed = found["thumbnails"]["resumed"]
    assert resumed in (2, 3)  # its own third video may have been ended first
    assert found["other"]["videos"] == 2 and found["thumbnails"]["videos"] == 5
    assert opened == Counter(["bad", *(["c"] if resumed == 2 else []), "d", "e"])
    assert_as_apart(videos, tmp_path, apart, ["other", "thumbnails"])


def test_one_that_fails_ends_all_at_once(videos, apart, tmp_path, monkeypatch):
    """Nobody may wait for ever on a queue that nobody empties."""
    monkeypatch.setattr(feeding, "CHUNKS_AHEAD", 1)
    append = FeatureWriter.append

    def fail(self, *args):
        if self.path.stem == "other":
            raise UserError("the disk is full")
        append(self, *args)

    monkeypatch.setattr(FeatureWriter, "append", fail)
    with pytest.raises(UserError, match="the disk is full"):
        run_together(videos, tmp_path, list(SEVERAL))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("decode", "compute"))]
    monkeypatch.undo()
    run_together(videos, tmp_path, list(SEVERAL))
    assert_as_apart(videos, tmp_path, apart, list(SEVERAL))


def test_what_a_video_has_wrong_for_one_recipe_is_a_failure_of_that_one(
    videos, tmp_path, monkeypatch
):
    too_large = RECIPE_LENIENT | {"frames": {"resize": [24, 24], "crop": 24}}
    monkeypatch.setitem(SEVERAL, "c3d", too_large)
    frames = {"resize": [24, 24], "crop": 25}
    monkeypatch.setitem(SEVERAL, "thumbnails", THUMBNAILS | {"frames": frames})
    found = run_together(videos, tmp_path, list(SEVERAL))
    assert [len(facts["failed"]) for facts in found.values()] == [1, len(videos), 1]
    reasons = {row["video"]: row["reason"] for row in found["thumbnails"]["failed"]}
    assert "crop: 25 pixels do not fit" in reasons["a"] and "bad.mp4" in reasons["bad"]
