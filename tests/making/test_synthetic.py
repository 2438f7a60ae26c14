"""The demo data set: deterministic, unambiguous, inside its videos, hard to guess."""

import hashlib
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

from tsgbench.datasets.moments import iou
from tsgbench.errors import UserError
from tsgbench.making import folders as making
from tsgbench.making import shapes as synthetic
from tsgbench.making.shapes import drawing, grammar, scene

SMALL = {
    "videos": {"train": 3, "val": 1, "test": 2},
    "size": 32,
    "duration_s": [12, 14],
    "event_s": [1.5, 3],
}
HARD = SMALL | {"difficulty": "hard"}


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*(folder / "videos").iterdir(), folder / "annotations.json"]
    }


def annotations(folder: Path) -> list[dict]:
    return json.loads((folder / "annotations.json").read_text())["videos"]


def many(difficulty: str, split: str, count: int) -> list[tuple]:
    settings = synthetic.check_settings({"difficulty": difficulty})
    return [synthetic.sample_video(settings, split, index)[:2] for index in range(count)]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    synthetic.render(folder, settings=SMALL, workers=1)
    return folder


def test_same_settings_same_bytes_with_two_workers(rendered, tmp_path):
    facts = synthetic.render(tmp_path, settings=SMALL, workers=2)
    assert hashes(tmp_path) == hashes(rendered)
    assert facts["videos"] == SMALL["videos"]
    assert facts["sentences"]["train"] == sum(
        len(v["queries"]) for v in annotations(rendered) if v["split"] == "train"
    )
    assert facts["bytes"] == sum(p.stat().st_size for p in (rendered / "videos").glob("*.mp4"))


def test_encoding_is_deterministic_whatever_the_memory_holds(tmp_path):
    """x264's default rate control gives other bytes about every third time."""
    sampled, _ = many("standard", "test", 1)[0]
    frames = drawing.draw(np.random.default_rng(0), sampled, size=64, noise=4.0)
    made, junk = set(), []
    for run in range(12):
        making.encode(tmp_path / "video.mp4", frames, fps=8, quantiser=25)
        made.add((tmp_path / "video.mp4").read_bytes())
        junk = [*junk[-3:], np.random.default_rng(run).bytes(100_000 * (run + 1))]
    assert len(made) == 1


def test_another_seed_gives_other_videos(rendered, tmp_path):
    synthetic.render(tmp_path, settings=SMALL | {"seed": 1}, workers=1)
    mine, theirs = hashes(tmp_path), hashes(rendered)
    assert all(mine[name] != theirs[name] for name in mine)


def test_a_video_does_not_depend_on_the_others(rendered, tmp_path):
    synthetic.render(tmp_path, settings=SMALL | {"videos": {"train": 2}}, workers=1)
    mine, theirs = hashes(tmp_path), hashes(rendered)
    shared = [name for name in mine if name.endswith(".mp4")]
    assert len(shared) == 2 and all(mine[name] == theirs[name] for name in shared)


def test_a_finished_folder_that_is_made_again_keeps_no_damaged_video(rendered, tmp_path):
    """A bit that flipped in one would otherwise be filed as what was rendered."""
    synthetic.render(tmp_path, settings=SMALL, workers=1)
    video = sorted((tmp_path / "videos").glob("*.mp4"))[1]
    content = bytearray(video.read_bytes())
    content[len(content) // 2] ^= 1
    video.write_bytes(content)
    synthetic.render(tmp_path, settings=SMALL, workers=1)
    assert hashes(tmp_path) == hashes(rendered)


def test_an_interrupted_run_keeps_its_finished_videos(rendered, tmp_path, monkeypatch):
    encoded = []
    encode = making.encode

    def fail_at_third(path, frames, **options):
        if len(encoded) == 2:
            path.write_bytes(b"half a video")
            raise KeyboardInterrupt
        encoded.append(path)
        encode(path, frames, **options)

    monkeypatch.setattr(making, "encode", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        synthetic.render(tmp_path, settings=SMALL, workers=1)
    assert not (tmp_path / "annotations.json").exists()
    monkeypatch.setattr(making, "encode", encode)
    facts = synthetic.render(tmp_path, settings=SMALL, workers=1)
    assert facts["rendered_now"] == 4
    assert hashes(tmp_path) == hashes(rendered)


def test_videos_of_other_settings_are_not_reused(rendered, tmp_path):
    synthetic.render(tmp_path, settings=SMALL | {"seed": 1}, workers=1)
    assert synthetic.render(tmp_path, settings=SMALL, workers=1)["rendered_now"] == 6
    assert hashes(tmp_path) == hashes(rendered)


def test_splits_are_disjoint(rendered):
    videos = annotations(rendered)
    ids = [video["video_id"] for video in videos]
    assert len(set(ids)) == len(ids) == 6
    pixels = [value for name, value in hashes(rendered).items() if name.endswith(".mp4")]
    assert len(set(pixels)) == 6
    queries = [query["query_id"] for video in videos for query in video["queries"]]
    assert len(set(queries)) == len(queries)


@pytest.mark.parametrize("settings", [SMALL, HARD])
def test_the_files_say_what_the_annotations_say(settings, tmp_path):
    synthetic.render(tmp_path, settings=settings | {"videos": {"test": 2}}, workers=1)
    for video in annotations(tmp_path):
        with av.open(str(tmp_path / "videos" / f"{video['video_id']}.mp4")) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            assert stream.codec_context.name == "h264"
            assert (stream.width, stream.height, stream.average_rate) == (32, 32, 8)
        assert frames / 8 == video["duration_s"]
        assert 4 <= len(video["queries"]) == len(video["events"]) <= 5
        for query in video["queries"]:
            assert 0 <= query["start_s"] < query["end_s"] <= video["duration_s"]


@pytest.mark.parametrize("difficulty", ["standard", "hard"])
def test_something_happens_in_every_moment_and_nothing_outside(difficulty):
    for sampled, _ in many(difficulty, "train", 12):
        rng = np.random.default_rng(0)
        frames = drawing.draw(rng, sampled, size=64, noise=0.0).astype(int)
        changes = np.abs(np.diff(frames, axis=0)).sum((1, 2))  # from frame f to f + 1
        busy = np.zeros(sampled.frames - 1, dtype=bool)
        for event in sampled.events:
            during = slice(max(event.start - 1, 0), event.end)
            busy[during] = True
            assert (changes[during] > 0).any()
        assert not changes[~busy].any()


@pytest.mark.parametrize("difficulty", ["standard", "hard"])
def test_things_stay_inside_the_picture(difficulty):
    for sampled, _ in many(difficulty, "val", 60):
        for thing in range(3):
            x, y, radius, _ = scene.trace(sampled.things, sampled.events, sampled.frames, thing).T
            assert min(x.min(), y.min()) > 0.1 and max(x.max(), y.max()) < 0.9
            assert radius.min() > 0.09 and radius.max() < 0.19


@pytest.mark.parametrize("difficulty", ["standard", "hard"])
def test_events_overlap_no_more_than_stated(difficulty):
    limit = scene.DIFFICULTIES[difficulty].overlap
    shares = []
    for sampled, _ in many(difficulty, "train", 100):
        for a, b in zip(sampled.events, sampled.events[1:], strict=False):
            shared = max(0, min(a.end, b.end) - max(a.start, b.start))
            shares.append(shared / min(a.end - a.start, b.end - b.start))
            assert a.thing != b.thing or b.start >= a.end
    assert 0.5 * limit < max(shares) <= limit


# Reading a sentence back, with nothing but its words: what a person could understand from it.
ACTION_OF = {phrase: action for action, phrases in grammar.PHRASES.items() for phrase in phrases}
CLAUSE = (
    rf"(?:the|a) (?:(?P<colour>{'|'.join(scene.COLOURS)}) )?"
    rf"(?P<shape>{'|'.join((*scene.SHAPES, *grammar.ANY_SHAPE))}) "
    rf"(?P<phrase>{'|'.join(ACTION_OF)})"
)


def satisfying(clause: str, sampled: scene.Scene) -> list[scene.Event]:
    match = re.fullmatch(CLAUSE, clause)
    assert match, clause
    found = []
    for event in sampled.events:
        thing = sampled.things[event.thing]
        if (
            ACTION_OF[match["phrase"]] == event.action
            and match["colour"] in (None, thing.colour)
            and match["shape"] in (*grammar.ANY_SHAPE, thing.shape)
        ):
            found.append(event)
    return found


def readings(sentence: str, sampled: scene.Scene) -> list[list[scene.Event]]:
    """The events that satisfy the sentence, by each reading of "before" and "after"."""
    anonymous = re.sub(r"\?P<\w+>", "?:", CLAUSE)
    if match := re.fullmatch(rf"({anonymous}) (before|after) ({anonymous})", sentence):
        target, relation, other = match.groups()
    elif match := re.fullmatch(rf"(before|after) ({anonymous}) ({anonymous})", sentence):
        relation, other, target = match.groups()
    else:
        clause, _, order = re.fullmatch(
            rf"({anonymous})( (again|for the first time|for the second time))?", sentence
        ).groups()
        found = satisfying(clause, sampled)
        if order:
            assert len(found) == 2  # "again" means nothing where it happens once
            found = [found[order != "for the first time"]]
        return [found]
    others = satisfying(other, sampled)
    assert len(others) == 1
    strict, loose = [], []
    for event in satisfying(target, sampled):
        first, second = (event, others[0]) if relation == "before" else (others[0], event)
        strict += [event] if first.end <= second.start else []
        loose += [event] if first.start < second.start else []
    return [strict, loose]


@pytest.mark.parametrize("difficulty", ["standard", "hard"])
def test_every_sentence_is_true_of_exactly_its_moment(difficulty):
    kinds = set()
    for sampled, sentences in many(difficulty, "train", 400):
        for event, sentence in zip(sampled.events, sentences, strict=True):
            for found in readings(sentence, sampled):
                assert found == [event], sentence
            kinds |= set(re.findall(r"before|after|again|first|second", sentence)) or {"plain"}
    assert kinds == {"before", "after", "again", "first", "second", "plain"}


@pytest.mark.parametrize("difficulty", ["standard", "hard"])
def test_a_predictor_that_never_looks_scores_low(difficulty):
    videos = many(difficulty, "train", 300)
    moments = np.array([(e.start, e.end) for s, _ in videos for e in s.events]) / 8
    durations = np.array([s.frames for s, _ in videos for _ in s.events]) / 8
    edges = np.linspace(0, 1, 41)
    constants = [(a, b) for a in edges for b in edges if b > a]
    hits = [(iou(np.outer(durations, c), moments) >= 0.5).mean() for c in constants]
    assert max(hits) < 0.17
    # no part of a video is likelier than another, but for its ends, where a moment needs room
    centres = np.histogram(moments.mean(1) / durations, bins=10, range=(0, 1))[0][1:9]
    assert np.abs(centres / centres.mean() - 1).max() < 0.25
    shares = moments / durations[:, None]
    drawn = np.random.default_rng(0).permutation(len(shares))
    assert (iou(shares[drawn] * durations[:, None], moments) >= 0.5).mean() < 0.14


def test_words_and_pixels_are_both_needed():
    """The same sentence must point to different places, and a video must hold several moments."""
    videos = many("standard", "train", 300)
    places: dict[str, list[float]] = {}
    for sampled, sentences in videos:
        assert len({(e.thing, e.action) for e in sampled.events}) >= 2
        for event, sentence in zip(sampled.events, sentences, strict=True):
            places.setdefault(sentence, []).append(event.start / sampled.frames)
    common = [starts for starts in places.values() if len(starts) >= 4]
    assert len(common) > 10 and all(np.std(starts) > 0.02 for starts in common)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"sise": 96}, "did you mean 'size'"),
        ({"size": 97}, "size"),
        ({"videos": {"tset": 3}}, "videos"),
        ({"videos": {"train": 0}}, "videos"),
        ({"difficulty": "easy"}, "difficulty"),
        ({"event_s": [8, 2]}, "event_s"),
        ({"duration_s": [5, 5], "event_s": [3, 4]}, "event_s"),
    ],
)
def test_wrong_settings_are_named(settings, word, tmp_path):
    with pytest.raises(UserError, match=word):
        synthetic.render(tmp_path, settings=SMALL | {"size": 32} | settings, workers=1)
