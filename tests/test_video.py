"""Decoding: every frame once, exact times, clear errors. Videos are made here, with PyAV."""

import struct
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tsgbench import video
from tsgbench.errors import UserError

FORMATS = {".mp4": "libx264", ".avi": "mpeg4", ".mkv": "libx264"}


def write_video(
    path: Path, frames: int, *, size=(48, 64), fps=8, stamps=None, sound=False, b_frames=0
) -> Path:
    """A video whose frame number k is a flat grey of 8 + 4 k (up to 255). stamps: in 1 / 1000 s."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(FORMATS[path.suffix], rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        # nearly lossless, so that a frame can be told from its neighbours
        exact = {"qp": "2"} if FORMATS[path.suffix] == "libx264" else {"qmin": "1", "qmax": "1"}
        stream.options = {"bf": str(b_frames), **exact}
        if stamps:
            stream.codec_context.time_base = Fraction(1, 1000)
        if sound:
            audio = container.add_stream("aac", rate=16000, layout="mono")
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 16000 * frames // fps), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 16000
            container.mux(audio.encode(silence))
            container.mux(audio.encode())
        for k in range(frames):
            picture = np.full((*size, 3), min(8 + 4 * k, 255), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def clips_of(path: Path, **options) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(video.read_clips(path, **{"size": 16, **options}))
    return tuple(np.concatenate(part) for part in zip(*chunks, strict=True))


def numbers(clips: np.ndarray) -> np.ndarray:
    """Which frame each picture of `write_video` is: (n, clip_len)."""
    return np.rint((clips.mean((2, 3, 4)) - 8) / 4).astype(int)


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


def test_a_file_that_just_ends_is_noticed(tmp_path):
    """Matroska needs no index at its end: half a file decodes without any complaint."""
    content = write_video(tmp_path / "a.mkv", 160).read_bytes()
    path = tmp_path / "half.mkv"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"half\.mkv: cut off: its header promises 20\.0 s"):
        clips_of(path)


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


def damaged(tmp_path: Path, kind: str) -> Path:
    path = write_video(tmp_path / "whole.mp4", 200, size=(64, 64))
    content = path.read_bytes()
    bad = tmp_path / "bad.mp4"
    if kind == "empty":
        bad.write_bytes(b"")
    elif kind == "text":
        bad.write_text("not a video\n" * 50)
    elif kind == "head only":
        bad.write_bytes(content[:300])
    elif kind == "cut off":
        bad.write_bytes(content[: len(content) - (len(content) - 4000) // 2])
    elif kind == "noise":
        start = content.index(b"mdat") + 8
        bad.write_bytes(content[:start] + np.random.default_rng(0).bytes(len(content) - start))
    elif kind == "audio only":
        with av.open(str(bad), "w") as container:
            stream = container.add_stream("aac", rate=16000, layout="mono")
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 16000), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    elif kind == "no frames":
        with av.open(str(bad), "w") as container:
            stream = container.add_stream("libx264", rate=8)
            stream.height = stream.width = 64
            stream.pix_fmt = "yuv420p"
            container.start_encoding()
    elif kind == "folder":
        bad.mkdir()
    return bad


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "folder", "empty", "text", "head only"),
        *("cut off", "noise", "audio only", "no frames"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, kind):
    path = damaged(tmp_path, kind)
    with pytest.raises(UserError, match=r"bad\.mp4: ") as caught:
        clips_of(path)
    assert "\n" not in str(caught.value)
    if kind not in ("cut off", "noise"):  # their headers are whole
        with pytest.raises(UserError, match=r"bad\.mp4: "):
            video.probe(path)


def test_settings_that_make_no_sense(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3)
    for options in ({"clip_len": 0}, {"stride": 0}, {"fps": 0.0}, {"fps": -1.0}, {"until_s": 0}):
        with pytest.raises(UserError, match="above 0"):
            clips_of(path, **options)


def test_memory_does_not_grow_with_length(tmp_path):
    """No more pictures are alive than a clip and a chunk hold, however long the video."""
    path = write_video(tmp_path / "a.mp4", 400, fps=25)
    reader = video.read_clips(path, size=16, chunk_clips=2)
    tracemalloc.start()
    for clips, _ in reader:
        assert clips.nbytes == len(clips) * 16 * 16 * 16 * 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 16 * 16 * 16 * 3 + 200_000


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_hole_in_the_stream_is_an_error_or_patched_over(tmp_path, share):
    """What is left is decoded as players do, with every clip's time; never fewer clips silently."""
    path = write_video(tmp_path / "a.mp4", 200, size=(64, 64))
    whole = clips_of(path)[1]
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 8
    hole = start + int(share * (len(content) - start))
    content[hole : hole + 400] = np.random.default_rng(0).bytes(400)[: len(content) - hole]
    path.write_bytes(content)
    try:
        _, times = clips_of(path)
    except UserError as error:
        assert "a.mp4: " in str(error) and "\n" not in str(error)
    else:
        assert times[-1, 1] == pytest.approx(whole[-1, 1], abs=1.0)


READ_AND_SAY_PEAK = """
import resource, sys
from tsgbench.video import read_clips
clips = sum(len(times) for _, times in read_clips(sys.argv[1], size=112))
print(clips, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_resident_memory_does_not_grow_with_length(tmp_path):
    """Ten thousand frames, 376 MB as pictures of 112 x 112, against five hundred."""
    peaks = []
    for frames in (500, 10_000):
        path = write_video(tmp_path / f"{frames}.mp4", frames, size=(16, 16), fps=25)
        command = [sys.executable, "-c", READ_AND_SAY_PEAK, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        clips, peak_mb = map(int, said.split())
        assert clips == -(-(frames - 16) // 8) + 1
        peaks.append(peak_mb)
    assert peaks[1] < peaks[0] + 40


def test_only_the_first_seconds(tmp_path):
    path = write_video(tmp_path / "a.mp4", 44)
    clips, times = clips_of(path, clip_len=4, stride=4, until_s=2.3)
    assert numbers(clips)[:, 0].tolist() == [0, 4, 8, 12, 15]  # frames 0 to 18 start before 2.3 s
    assert times[-1].tolist() == [pytest.approx(15 / 8), pytest.approx(2.3)]
