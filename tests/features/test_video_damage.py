"""Decoding what is damaged, odd or very long: one clear error or every frame, in bounded memory."""

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.features import video
from video_samples import clips_of, numbers, write_video


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


def test_a_file_that_just_ends_is_noticed(tmp_path):
    """Matroska needs no index at its end: half a file decodes without any complaint."""
    content = write_video(tmp_path / "a.mkv", 160).read_bytes()
    path = tmp_path / "half.mkv"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"half\.mkv: cut off: its header promises 20\.0 s"):
        clips_of(path)


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


def test_a_single_frame_is_one_clip(tmp_path):
    clips, times = clips_of(write_video(tmp_path / "a.mp4", 1))
    assert clips.shape == (1, 16, 16, 16, 3) and (clips == clips[:, :1]).all()
    assert times.tolist() == [[0, pytest.approx(1 / 8)]]


def restamp(path: Path, changes: dict[int, int]) -> None:
    """Give frames of a Matroska file, 8 a second, the time of another: frame -> milliseconds."""
    content = bytearray(path.read_bytes())
    for frame, ms in changes.items():
        # a block: number of the track, milliseconds in the cluster
        place = content.index(b"\x81" + struct.pack(">h", 125 * frame), content.index(b"\xa3"))
        struct.pack_into(">h", content, place + 1, ms)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "changes",
    [{9: 8 * 125}, {9: 8 * 125, 10: 8 * 125}, {5: 2 * 125}, {5: 2 * 125, 9: 8 * 125, 12: 0}],
    ids=["twice", "three times", "back", "all of these"],
)
def test_times_that_repeat_or_go_back_count_on(tmp_path, changes):
    """No frame is lost or moved, and starts increase: such a frame comes one frame's length after
    the one before it, which here is when it was shown at first."""
    path = write_video(tmp_path / "a.mkv", 20)
    whole = clips_of(path, clip_len=1, stride=1)
    restamp(path, changes)
    with av.open(str(path)) as container:
        stamps = [frame.time for frame in container.decode(video=0)]
    assert (np.diff(stamps) <= 0).any()  # the file is as wrong as it should be
    clips, times = clips_of(path, clip_len=1, stride=1)
    assert (numbers(clips) == np.arange(20)[:, None]).all()
    assert times == pytest.approx(whole[1], abs=2e-3)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path, suffix, share):
    """Unless what is missing is as short as what headers get wrong."""
    path = write_video(tmp_path / f"a{suffix}", 200, size=(64, 64))
    whole = clips_of(path)[1]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    try:
        _, times = clips_of(path)
    except UserError as error:
        assert f"a{suffix}: " in str(error) and "\n" not in str(error)
    else:
        assert whole[-1, 1] - times[-1, 1] <= max(video.MISSING_S, video.MISSING_SHARE * 25)


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


# Not `ru_maxrss`, which a process inherits from the one that starts it
SAY_PEAK = """
import re
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(clips, peak_kb // 1024)
"""


def peak_mb(code: str, folder: Path, frames: int, fps: int) -> int:
    """Most resident megabytes of a process that makes every clip of a video by `code`."""
    path = write_video(folder / f"{frames}.mp4", frames, size=(16, 16), fps=fps)
    command = [sys.executable, "-c", code, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    clips, peak = map(int, said.split())
    assert clips == -(-(frames - 16) // 8) + 1
    return peak


READ_AND_SAY_PEAK = (
    """
import sys
from tsgbench.features.video import read_clips
clips = sum(len(times) for _, times in read_clips(sys.argv[1], size=112))
"""
    + SAY_PEAK
)


def test_resident_memory_does_not_grow_with_length(tmp_path):
    """Ten thousand frames, 376 MB as pictures of 112 x 112, against five hundred."""
    peaks = [peak_mb(READ_AND_SAY_PEAK, tmp_path, frames, 25) for frames in (500, 10_000)]
    assert peaks[1] < peaks[0] + 40


EXTRACT_AND_SAY_PEAK = (
    """
import sys
from pathlib import Path
from tsgbench.features.extract import extract
recipe = {"extractor": "c3d", "network": {"width": 0.03125}, "frames": {"resize": [16, 16]},
          "taps": ["conv3b"], "pool": "last_mean"}
facts = extract({"v": Path(sys.argv[1])}, Path(sys.argv[1] + ".h5"), recipe=recipe, identity="me",
                threads=1, device="cpu")
clips = facts["clips"]
"""
    + SAY_PEAK
)


@pytest.mark.slow
def test_two_hours_are_extracted_in_less_than_a_gigabyte(tmp_path):
    """From file to feature file: 72,000 frames, ten a second, against two minutes."""
    peaks = [peak_mb(EXTRACT_AND_SAY_PEAK, tmp_path, frames, 10) for frames in (1_200, 72_000)]
    assert peaks[1] < 1000 and peaks[1] < peaks[0] + 100
