"""An extraction in shards ends with the very file of one in a single piece, whatever befalls it."""

import json
from pathlib import Path

import pytest

from feature_samples import RECIPE, write_video
from tsgbench.errors import UserError
from tsgbench.features.extract import Wanted, extract, extract_shard
from tsgbench.features.shards import Shard, finished, journal_of_shard, report_of
from tsgbench.features.store import FeatureStore
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
