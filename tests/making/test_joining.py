"""Joined videos: footage that keeps its side, frames and times that agree, bytes that repeat."""

import hashlib
import json
from pathlib import Path

import av
import numpy as np
import pytest

from tsgbench.datasets import read_annotations
from tsgbench.errors import UserError
from tsgbench.features.video import read_clips
from tsgbench.making import folders as making
from tsgbench.making import joined as joining
from tsgbench.making.joined import footage, join
from tsgbench.making.joined.plan import SPLITS, Clip, deal, plan_videos, split_of

FRAMES = 14
SMALL = {
    "shares": {"val": 0.25, "test": 0.3},
    "uses": {"train": 2, "val": 1, "test": 1},
    "clips": [2, 3],
    "segment_s": [3, 4],
    "size": [32, 48],
}
# Clips 0 and 1 are of one YouTube video, 2 and 3 of another, and so on
SOURCES = [f"yt{number // 2}" for number in range(24)]


def write_clip(path: Path, number: int, *, frames=FRAMES, size=(32, 48)) -> Path:
    """Left half: brightness says which frame; right half: which clip."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=3, options={"qp": "2"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for frame in range(frames):
            picture = np.empty((*size, 3), np.uint8)
            picture[:, : size[1] // 2] = 20 + 12 * frame
            picture[:, size[1] // 2 :] = 20 + 8 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> tuple[dict[str, Path], Path]:
    """24 clips of 12 YouTube videos in 3 categories, and MSR-VTT's file about them."""
    folder = tmp_path_factory.mktemp("clips")
    clips = {f"c{n}": write_clip(folder / f"c{n}.mp4", n) for n in range(len(SOURCES))}
    content = {
        "videos": [
            {"video_id": f"c{n}", "category": n % 3, "url": f"https://x.org/watch?v={source}"}
            for n, source in enumerate(SOURCES)
        ],
        "sentences": [
            {"video_id": name, "caption": f"{name} sentence {text}"}
            for name in clips
            for text in ("one", "two", "three", "One")
        ],
    }
    (folder / "info.json").write_text(json.dumps(content))
    return clips, folder / "info.json"


def make(folder: Path, material, *, files=None, gone=(), workers=1, **settings) -> dict:
    return join(
        folder,
        clips=material[0] if files is None else files,
        gone=dict.fromkeys(gone, "private"),
        sentences=material[1],
        settings=SMALL | settings,
        workers=workers,
    )


@pytest.fixture(scope="module")
def joined(tmp_path_factory, material) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    make(folder, material)
    return folder


def annotations(folder: Path) -> list[dict]:
    return json.loads((folder / "annotations.json").read_text())["videos"]


def hashes(folder: Path) -> dict[str, str]:
    files = [*(folder / "videos").iterdir(), folder / "annotations.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def levels(path: Path) -> np.ndarray:
    """(F, 2) which frame of its clip, and of which clip, every picture is."""
    chunks = [clips[:, 0] for clips, _ in read_clips(path, size=(32, 48), clip_len=1, stride=1)]
    pictures = np.concatenate(chunks).astype(float)
    halves = [pictures[:, :, 4:20].mean((1, 2, 3)), pictures[:, :, 28:44].mean((1, 2, 3))]
    return np.stack([(halves[0] - 20) / 12, (halves[1] - 20) / 8], axis=1)


# --- the plan ------------------------------------------------------------------------------


def test_no_footage_is_on_two_sides(joined):
    sides: dict[str, set] = {}
    for video in annotations(joined):
        for segment in video["segments"]:
            assert segment["source"] == SOURCES[int(segment["clip"][1:])]
            sides.setdefault(segment["source"], set()).add(video["split"])
    assert {len(splits) for splits in sides.values()} == {1}
    assert set().union(*sides.values()) == set(SPLITS)


def test_the_side_of_a_source_depends_on_no_other():
    shares = {"val": 0.1, "test": 0.25}
    sides = [split_of(f"source {n}", shares, 0) for n in range(4000)]
    assert sides.count("test") / 4000 == pytest.approx(0.25, abs=0.02)
    assert sides.count("val") / 4000 == pytest.approx(0.1, abs=0.02)
    assert sides != [split_of(f"source {n}", shares, 1) for n in range(4000)]


def pool(number: int, categories=4) -> list[Clip]:
    return [Clip(f"c{n}", f"s{n}", n % categories, 50, ("a", "b", "c")) for n in range(number)]


@pytest.mark.parametrize("number", [4, 7, 8, 23, 100])
def test_clips_are_dealt_once_and_as_many_as_can_be(number):
    dealt = deal(pool(number), (4, 6), np.random.default_rng(0), same_category=False)
    assert all(4 <= len(video) <= 6 for video in dealt)
    names = [clip.clip for video in dealt for clip in video]
    # Seven cannot be made of fours, fives and sixes
    assert len(names) == len(set(names)) == (6 if number == 7 else number)


def test_the_harder_variant_puts_clips_of_a_category_together():
    shares = {}
    for same in (False, True):
        rng = np.random.default_rng(0)
        dealt = deal(pool(100, categories=10), (4, 6), rng, same_category=same)
        twins = [
            [other.category for other in video].count(clip.category) > 1
            for video in dealt
            for clip in video
        ]
        shares[same] = np.mean(twins)
    assert shares[False] < 0.5 and shares[True] > 0.85


def test_each_use_has_other_neighbours_places_and_sentences():
    settings = joining.DEFAULTS | {"sentences": 1}
    videos = plan_videos(pool(200), settings, fade=0, same_category=False)
    uses: dict[str, list] = {}
    for video in videos:
        assert len({segment.clip.source for segment in video.segments}) == len(video.segments)
        for segment in video.segments:
            others = {other.clip.clip for other in video.segments if other is not segment}
            uses.setdefault(segment.clip.clip, []).append((others, segment))
    of_one = next(found for found in uses.values() if len(found) == 5)
    assert len({frozenset(others) for others, _ in of_one}) == 5
    assert len({(segment.first, segment.frames) for _, segment in of_one}) == 5
    assert {text for _, segment in of_one for text in segment.sentences} == {"a", "b", "c"}


# --- pictures and times --------------------------------------------------------------------


def test_every_frame_is_the_sources_and_moments_are_where_clips_change(joined):
    videos = annotations(joined)
    assert len(videos) >= 6
    for video in videos:
        found = levels(joined / "videos" / f"{video['video_id']}.mp4")
        assert len(found) == round(video["duration_s"] * 3)
        at = 0
        for segment in video["segments"]:
            assert segment["start_s"] == pytest.approx(at / 3)
            first, end = round(segment["from_s"] * 3), at + segment["frames"]
            expected = np.arange(first, first + segment["frames"])
            np.testing.assert_allclose(found[at:end, 0], expected, atol=0.3)
            np.testing.assert_allclose(found[at:end, 1], int(segment["clip"][1:]), atol=0.4)
            assert segment["end_s"] == pytest.approx(end / 3)
            at = end
        assert at == len(found)


def test_queries_are_the_clips_own_sentences_at_its_moment(joined):
    for video in annotations(joined):
        moments = {(s["start_s"], s["end_s"]): s["clip"] for s in video["segments"]}
        assert len(video["queries"]) == 2 * len(moments)
        for query in video["queries"]:
            clip = moments[query["start_s"], query["end_s"]]
            assert query["sentence"].startswith(f"{clip} sentence ")
    files = {"annotations": joined / "annotations.json"}
    tables, _ = read_annotations("made", files, settings={"policy": "refuse"})
    assert all(len(tables[split]) for split in SPLITS)


def test_a_cross_fade_mixes_neighbours_and_the_moment_ends_halfway(tmp_path, material):
    facts = make(tmp_path, material, difficulty="hard")
    assert facts["with_one_of_its_category"] > 0.5
    for video in annotations(tmp_path)[:4]:
        found = levels(tmp_path / "videos" / f"{video['video_id']}.mp4")[:, 1]
        for old, new in zip(video["segments"], video["segments"][1:], strict=False):
            # Three frames: a quarter, a half and three quarters of the new clip
            edge = round(new["start_s"] * 3)
            assert old["end_s"] == new["start_s"]
            before, after = (int(segment["clip"][1:]) for segment in (old, new))
            mixed = before + (after - before) * np.array([0, 0.25, 0.5, 0.75, 1])
            np.testing.assert_allclose(found[edge - 2 : edge + 3], mixed, atol=0.6)
        assert len(found) == round(video["duration_s"] * 3)


def test_another_shape_is_fitted_and_padded(tmp_path):
    path = write_clip(tmp_path / "tall.mp4", 9, size=(64, 32))
    pictures = footage.read_frames(path, 2, 4, size=(32, 48), fps=3)
    assert pictures.shape == (4, 32, 48, 3)
    assert pictures[:, :, :15].max() == pictures[:, :, 33:].max() == 0
    assert (pictures[0, 4:28, 17:22] > 30).all()


# --- again, killed, damaged ----------------------------------------------------------------


def test_the_same_bytes_with_two_workers(joined, tmp_path, material):
    make(tmp_path, material, workers=2)
    assert hashes(tmp_path) == hashes(joined)


def test_an_interrupted_run_keeps_its_finished_videos(joined, tmp_path, material, monkeypatch):
    done = []

    def fail_at_third(path, frames, **options):
        if len(done) == 2:
            path.write_bytes(b"half a video")
            raise KeyboardInterrupt
        done.append(path)
        making.encode(path, frames, **options)

    monkeypatch.setattr(footage, "encode", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, material)
    assert not (tmp_path / "annotations.json").exists()
    monkeypatch.undo()
    facts = make(tmp_path, material)
    assert facts["joined_now"] == sum(facts["videos"].values()) - 2
    assert hashes(tmp_path) == hashes(joined)


def test_missing_and_damaged_clips_are_tolerated_up_to_the_share(tmp_path, material):
    clips = dict(material[0])
    bad = tmp_path / "c3.mp4"
    bad.write_bytes(clips["c3"].read_bytes()[:700])
    clips["c3"] = bad
    del clips["c5"]
    facts = make(tmp_path / "set", material, files=clips, gone=["c5"], max_lost_share=0.1)
    assert set(facts["lost"]) == {"c3", "c5"} and facts["lost"]["c5"] == "private"
    used = {s["clip"] for video in annotations(tmp_path / "set") for s in video["segments"]}
    assert not used & {"c3", "c5"}
    message = r"2 of 24 clips cannot be used, more than the share 0\.05 .*c3: .*c3\.mp4.*get them"
    with pytest.raises(UserError, match=message) as caught:
        make(tmp_path / "other", material, files=clips, gone=["c5"])
    assert "\n" not in str(caught.value)


def test_a_clip_that_changed_makes_all_videos_anew(joined, tmp_path, material):
    clips = dict(material[0])
    make(tmp_path / "set", material)
    clips["c0"] = write_clip(tmp_path / "c0.mp4", 20)
    facts = make(tmp_path / "set", material, files=clips)
    assert facts["joined_now"] == sum(facts["videos"].values())
    assert hashes(tmp_path / "set") != hashes(joined)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": [4, 6]}, "unknown key 'clip'; did you mean 'clips'"),
        ({"clips": [6, 4]}, r"clips: \[6, 4\] is wrong"),
        ({"shares": {"val": 0.6, "test": 0.5}}, "shares: .* together below 1"),
        ({"uses": {"train": 1}}, "uses: "),
        ({"size": [31, 48]}, "size: .*even"),
        ({"difficulty": "easy"}, "difficulty: 'easy' is wrong; give one of standard, hard"),
        ({"segment_s": [1, 2]}, "segment_s: "),
        ({"clips": [9, 12]}, "split '.*' has . source videos and needs 9 or more"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, material, change, message):
    with pytest.raises(UserError, match=message):
        make(tmp_path, material, **change)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["videos", 1, "url"], "https://x.org/", r"videos\[1\]: url: .* names no YouTube video"),
        (["videos", 1, "category"], "x", r"videos\[1\]: category: missing or no int"),
        (["videos", 1, "video_id"], "other", r"sentences: none of clip 'c1'"),
        (["sentences", 2, "caption"], None, r"sentences\[2\]: caption: missing or no str"),
    ],
)
def test_a_spoilt_file_of_sentences_is_named(tmp_path, material, place, value, message):
    content = json.loads(material[1].read_text())
    content[place[0]][place[1]][place[2]] = value
    (tmp_path / "info.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        make(tmp_path / "set", (material[0], tmp_path / "info.json"))


# --- the real material ---------------------------------------------------------------------


def test_real_clips_of_the_mirror(mirror, tmp_path):
    """Thirty of them: listed with their checksums, described, joined at their own rate and size."""
    import zipfile

    from tsgbench.downloads.identifiers import read_list

    folder = mirror / "msrvtt"
    if not folder.is_dir():
        pytest.skip("the mirror has no clips of MSR-VTT")
    listed = read_list(Path(__file__).parents[2] / "config/lists/msrvtt_clips.csv")
    assert len(listed) == 640
    names = list(listed)[:30]
    clips = {name: folder / "videos" / f"{name}.mp4" for name in names}
    for name, path in clips.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name]
    with zipfile.ZipFile(folder / "test_videodatainfo.json.zip") as archive:
        archive.extractall(tmp_path)
    facts = join(
        tmp_path / "set",
        clips=clips,
        gone={},
        sentences=tmp_path / "test_videodatainfo.json",
        settings={"clips": [2, 3], "uses": dict.fromkeys(SPLITS, 1), "sentences": 3},
        workers=1,
    )
    assert facts["lost"] == {} and sum(facts["sources"].values()) >= 26
    video = annotations(tmp_path / "set")[0]
    path = tmp_path / "set/videos" / f"{video['video_id']}.mp4"
    segment = video["segments"][1]
    shown = footage.read_frames(
        path, round(segment["start_s"] * 3), segment["frames"], size=(224, 298), fps=3
    )
    first = round(segment["from_s"] * 3)
    source = footage.read_frames(
        clips[segment["clip"]], first, segment["frames"], size=(224, 298), fps=3
    )
    error = np.square(shown.astype(float) - source).mean((1, 2, 3))
    assert (10 * np.log10(255**2 / np.maximum(error, 1e-9)) > 28).all()  # dB, of each frame
