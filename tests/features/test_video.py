"""Decoding: every frame once, with its exact time. Videos are made here, with PyAV."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.features import video
from video_samples import FORMATS, clips_of, numbers, write_video


def test_probe_reads_the_header(tmp_path):
    info = video.probe(write_video(tmp_path / "a.mp4", 24, sound=True))
    assert (info.fps, info.width, info.height, info.frames) == (8, 64, 48, 24)
    assert info.duration_s == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("b_frames", [0, 2])
def test_windows_and_times(tmp_path, suffix, b_frames):
    path = write_video(tmp_path / f"a{suffix}", 44, b_frames=b_frames)
    clips, times = clips_of(path)
    assert clips.shape == (5, 16, 16, 16, 3) and clips.dtype == np.uint8
    # every 8 frames, and the last clip moved back to end with the video
    starts = np.array([0, 8, 16, 24, 28])
    assert (numbers(clips) == starts[:, None] + np.arange(16)).all()
    assert times == pytest.approx(np.stack([starts, starts + 16], 1) / 8, abs=2e-3)


@pytest.mark.parametrize(
    ("frames", "clip_len", "stride", "starts"),
    [
        (16, 16, 8, [0]),
        (17, 16, 8, [0, 1]),
        (24, 16, 8, [0, 8]),
        (20, 4, 10, [0, 10, 16]),
        (9, 1, 4, [0, 4, 8]),
    ],
)
def test_windows_of_other_lengths(tmp_path, frames, clip_len, stride, starts):
    path = write_video(tmp_path / "a.mp4", frames)
    clips, times = clips_of(path, clip_len=clip_len, stride=stride)
    assert (numbers(clips) == np.array(starts)[:, None] + np.arange(clip_len)).all()
    assert times[-1, 1] == pytest.approx(frames / 8)


def test_a_short_video_repeats_its_last_frame_but_not_its_time(tmp_path):
    clips, times = clips_of(write_video(tmp_path / "a.mp4", 5))
    assert numbers(clips).tolist() == [[0, 1, 2, 3, 4] + [4] * 11]
    assert times.tolist() == [[0.0, pytest.approx(5 / 8)]]


def test_chunks_do_not_change_the_answer(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60)
    whole = clips_of(path, chunk_clips=100)
    chunks = list(video.read_clips(path, size=16, chunk_clips=2))
    assert max(len(clips) for clips, _ in chunks) == 2
    for part, expected in zip(zip(*chunks, strict=True), whole, strict=True):
        assert (np.concatenate(part) == expected).all()


def test_sound_changes_nothing(tmp_path):
    silent = clips_of(write_video(tmp_path / "a.mp4", 24))
    with_sound = clips_of(write_video(tmp_path / "b.mp4", 24, sound=True))
    assert (silent[0] == with_sound[0]).all() and silent[1] == pytest.approx(with_sound[1])


def test_variable_frame_rate_keeps_each_frames_own_time(tmp_path):
    stamps = [0, 100, 250, 300, 700, 900, 1000, 1500]
    path = write_video(tmp_path / "a.mp4", 8, stamps=stamps)
    _, times = clips_of(path, clip_len=2, stride=1)
    assert times[:, 0] == pytest.approx(np.array(stamps[:-1]) / 1000, abs=1e-3)
    assert times[:-1, 1] == pytest.approx(np.array(stamps[2:]) / 1000, abs=1e-3)


def test_a_lower_rate_takes_the_frame_on_screen(tmp_path):
    path = write_video(tmp_path / "a.mp4", 30, fps=10)
    clips, times = clips_of(path, clip_len=1, stride=1, fps=4)
    assert numbers(clips)[:, 0].tolist() == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27]
    assert times == pytest.approx(np.stack([np.arange(12), np.arange(1, 13)], 1) / 4)


def test_a_higher_rate_repeats_frames_and_ends_with_the_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5, fps=4)
    clips, times = clips_of(path, clip_len=1, stride=1, fps=6)
    assert numbers(clips)[:, 0].tolist() == [0, 0, 1, 2, 2, 3, 4, 4]
    assert times[-1].tolist() == [pytest.approx(7 / 6), pytest.approx(1.25)]


@pytest.mark.parametrize("unit", [Fraction(1, 30000), Fraction(1, 1000)])
def test_the_own_rate_takes_every_frame_once(unit):
    """Although Matroska rounds the times of frames to milliseconds."""
    ends = [float(round(Fraction(1001 * k, 30000) / unit) * unit) for k in range(5001)]
    frames = [(k, ends[k], ends[k + 1]) for k in range(5000)]
    taken = list(video._at_rate(iter(frames), 30000 / 1001))
    assert [picture for picture, _, _ in taken] == list(range(5000))


@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_resize_and_crop(tmp_path, size):
    path = write_video(tmp_path / "a.mp4", 3, size=size)
    assert clips_of(path, size=(20, 30))[0].shape[2:4] == (20, 30)
    assert clips_of(path, size=(20, 30), crop=12)[0].shape[2:4] == (12, 12)
    height, width = clips_of(path, size=24, keep_aspect=True)[0].shape[2:4]
    assert height == 24 and width == round(24 * size[1] / size[0])
    with pytest.raises(UserError, match="crop"):
        clips_of(path, size=(20, 30), crop=25)


def test_the_crop_is_the_centre(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"qp": "1"})
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv444p"
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[16:48, 16:48] = (200, 100, 50)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    clips, _ = clips_of(path, size=(64, 64), crop=32)
    inner = clips[0, 0, 2:-2, 2:-2].astype(int)
    assert np.abs(inner - [200, 100, 50]).max() <= 6  # RGB, in this order
    full, _ = clips_of(path, size=(64, 64))
    assert full[0, 0, :12].max() < 12


def turn(path: Path, degrees: int) -> None:
    """Make an MP4 ask its player for a clockwise turn, as telephones do: its header's matrix."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, start, *matrix)
    path.write_bytes(content)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pictures_are_turned_upright(tmp_path, degrees):
    """A picture with one bright corner, 96 wide and 64 high, stored lying on its side."""
    upright = np.full((64, 96, 3), 20, np.uint8)
    upright[:16, :24] = 220
    path = tmp_path / "a.mp4"
    stored = np.ascontiguousarray(np.rot90(upright, degrees // 90))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"qp": "1"})
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuv444p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode())
    turn(path, degrees)
    clips, _ = clips_of(path, size=32, keep_aspect=True)
    assert clips.shape[2:] == (32, 48, 3)
    picture = clips[0, 0].mean(-1)
    assert picture[1:7, 1:11].min() > 200 and picture[10:].max() < 40
    assert picture[:, 14:].max() < 40
    squeezed, _ = clips_of(path, size=(16, 24))
    assert squeezed.shape[2:] == (16, 24, 3) and squeezed[0, 0, :3, :5].min() > 190


def test_clips_equal_a_direct_decode(mirror):
    path = mirror / "videos" / "v_ZNVhz7ctTq0.mp4"
    with av.open(str(path)) as container:
        frames = [
            frame.to_ndarray(format="rgb24", width=171, height=128, interpolation=video.SCALING)
            for frame in container.decode(video=0)
        ]
    frames = np.stack(frames)[:, 8:120, 29:141]
    clips, times = clips_of(path, size=(128, 171), crop=112)
    starts = [*range(0, 420 - 16, 8), 404]
    assert len(clips) == len(starts)
    assert all((clip == frames[a : a + 16]).all() for clip, a in zip(clips, starts, strict=True))
    assert times == pytest.approx(np.stack([starts, np.array(starts) + 16], 1) / 30)


@pytest.mark.parametrize(
    "name",
    [
        "v_ZNVhz7ctTq0.mp4",
        "v_GGSY1Qvo990.mp4",
        "v_ApplyEyeMakeup_g01_c01.avi",  # B-frames in AVI: FFmpeg's times jump back and forth
        "v_BaseballPitch_g01_c01.avi",
    ],
)
def test_times_of_real_videos_cover_them_in_order(mirror, name):
    path = mirror / "videos" / name
    info = video.probe(path)
    _, times = clips_of(path)
    assert times[0, 0] == 0 and (np.diff(times, axis=0) > 0).all()
    assert (times[1:, 0] < times[:-1, 1]).all()
    assert info.duration_s - 0.15 < times[-1, 1] <= info.duration_s
    # all but the last clip are a stride apart
    assert np.diff(times[:-1, 0]) == pytest.approx(8 / info.fps, rel=0.01)


def test_settings_that_make_no_sense(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3)
    for options in ({"clip_len": 0}, {"stride": 0}, {"fps": 0.0}, {"fps": -1.0}, {"until_s": 0}):
        with pytest.raises(UserError, match="above 0"):
            clips_of(path, **options)


def test_a_film_that_begins_after_all_that_is_taken_is_named(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3)
    with pytest.raises(UserError, match=r"a\.mp4: shows no picture .*until_s: 0\.0001"):
        clips_of(path, until_s=1e-4)


def test_only_the_first_seconds(tmp_path):
    path = write_video(tmp_path / "a.mp4", 44)
    clips, times = clips_of(path, clip_len=4, stride=4, until_s=2.3)
    assert numbers(clips)[:, 0].tolist() == [0, 4, 8, 12, 15]  # frames 0 to 18 start before 2.3 s
    assert times[-1].tolist() == [pytest.approx(15 / 8), pytest.approx(2.3)]
