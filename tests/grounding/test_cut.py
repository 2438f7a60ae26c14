"""The best moment as a video: its frames and its sound, at their times."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tsgbench.grounding.cell import Answer, Moment
from tsgbench.grounding.output import cut
from video_samples import clips_of, numbers, write_video

RATE = 16000  # of what `write_video` writes


def answer(video: Path, start_s: float, end_s: float) -> Answer:
    return Answer(video, 0.0, "a sentence", [Moment(1, start_s, end_s, 1.0)], [], [])


def tone(hertz: float, from_s: float, until_s: float, of_s: float, channels: int = 1) -> np.ndarray:
    """(channels, n) a tone within silence."""
    at = np.arange(round(of_s * RATE)) / RATE
    heard = np.where((at >= from_s) & (at < until_s), 0.5 * np.sin(2 * np.pi * hertz * at), 0)
    return np.tile(heard.astype(np.float32), (channels, 1))


def heard(path: Path) -> tuple[np.ndarray, int]:
    """(channels, n) of all that a player plays, each at its time, and samples a second."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        frames = [(frame.pts * frame.time_base, frame) for frame in container.decode(stream)]
        last_s, last = frames[-1]
        samples = np.zeros((last.to_ndarray().shape[0], round(last_s * rate) + last.samples))
        for at_s, frame in frames:
            first = round(at_s * rate)
            samples[:, max(0, first) : first + frame.samples] = frame.to_ndarray()[
                :, -min(0, first) :
            ]
        return samples, rate


def loud_s(samples: np.ndarray, rate: int, piece_s: float = 0.02) -> tuple[float, float]:
    """From when until when something is heard."""
    size = round(piece_s * rate)
    pieces = samples[0][: len(samples[0]) // size * size].reshape(-1, size)
    loud = np.flatnonzero(np.sqrt((pieces**2).mean(axis=1)) > 0.1)
    return loud[0] * piece_s, (loud[-1] + 1) * piece_s


def test_frames_and_sound_are_those_of_the_moment(tmp_path):
    sound = tone(440, 3.0, 4.0, of_s=6.0)
    video = write_video(tmp_path / "a.mp4", 48, sound=sound)
    cut(tmp_path / "c.mp4", answer(video, 2.5, 5.0))
    clips, times = clips_of(tmp_path / "c.mp4", clip_len=1, stride=1)
    assert numbers(clips)[:, 0].tolist() == list(range(20, 40))
    assert times[-1, 1] == pytest.approx(2.5, abs=0.05)
    samples, rate = heard(tmp_path / "c.mp4")
    assert (len(samples), rate) == (1, RATE)
    assert samples.shape[1] / rate == pytest.approx(2.5, abs=0.1)
    # The source's encoder has put its silence before it
    begins_s, ends_s = loud_s(*heard(video))
    assert (begins_s, ends_s) == pytest.approx((3.0, 4.0), abs=0.1)
    assert loud_s(samples, rate) == pytest.approx((begins_s - 2.5, ends_s - 2.5), abs=0.025)
    middle = samples[0, rate * 6 // 10 : rate * 14 // 10]
    assert np.abs(np.fft.rfft(middle)).argmax() / 0.8 == pytest.approx(440, abs=2)


def test_a_video_without_sound_gives_a_clip_without(tmp_path):
    video = write_video(tmp_path / "a.mp4", 24)
    cut(tmp_path / "c.mp4", answer(video, 1.0, 2.0))
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert not container.streams.audio and len(container.streams.video) == 1


@pytest.mark.parametrize("channels", [2, 6])
def test_several_channels_become_two(tmp_path, channels):
    sound = tone(440, 0.0, 3.0, of_s=3.0, channels=channels)
    video = write_video(tmp_path / "a.mkv", 24, sound=sound)
    cut(tmp_path / "c.mp4", answer(video, 1.0, 2.0))
    samples, _ = heard(tmp_path / "c.mp4")
    assert len(samples) == 2 and np.abs(samples).max() > 0.2


@pytest.mark.parametrize(("ends_s", "start_s", "left_s"), [(2.0, 1.0, 1.0), (1.0, 2.0, 0.0)])
def test_sound_that_ends_before_the_pictures_ends_there(tmp_path, ends_s, start_s, left_s):
    video = write_video(tmp_path / "a.mp4", 32, sound=tone(440, 0.0, ends_s, of_s=ends_s))
    cut(tmp_path / "c.mp4", answer(video, start_s, 4.0))
    clips, _ = clips_of(tmp_path / "c.mp4", clip_len=1, stride=1)
    assert len(clips) == (4.0 - start_s) * 8
    with av.open(str(tmp_path / "c.mp4")) as container:
        took = sum(
            frame.samples for one in container.streams.audio for frame in container.decode(one)
        )
    assert took / RATE == pytest.approx(left_s, abs=0.2)


def test_sound_that_begins_late_stays_where_it_was(tmp_path):
    video = write_video(tmp_path / "a.mkv", 32, sound=tone(440, 0, 2, 2))
    with av.open(str(tmp_path / "late.mkv"), "w") as late, av.open(str(video)) as source:
        made = {one: late.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":  # two seconds later
                packet.pts += round(2 / packet.time_base)
                packet.dts += round(2 / packet.time_base)
            packet.stream = made[packet.stream]
            late.mux(packet)
    cut(tmp_path / "c.mp4", answer(tmp_path / "late.mkv", 1.0, 4.0))
    begins_s, _ = loud_s(*heard(tmp_path / "late.mkv"))
    assert begins_s == pytest.approx(2.0, abs=0.1)
    assert loud_s(*heard(tmp_path / "c.mp4")) == pytest.approx((begins_s - 1.0, 3.0), abs=0.025)


MEASURED = """
import re, sys
from pathlib import Path
from tsgbench.grounding.cell import Answer, Moment
from tsgbench.grounding.output import cut
video, clip, end_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
cut(clip, Answer(video, 0.0, "", [Moment(1, 0.0, end_s, 1.0)], [], []))
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="not Linux")
def test_memory_does_not_grow_with_the_moment(tmp_path):
    video = write_video(
        tmp_path / "a.mp4", 200, fps=1, sound=tone(440, 0.0, 200.0, 200.0, channels=2)
    )
    took_kb = []
    for end_s in (20.0, 200.0):
        words = [sys.executable, "-c", MEASURED, str(video), str(tmp_path / "c.mp4"), str(end_s)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        took_kb.append(int(done.stdout))
    whole_kb = 180 * RATE * 2 * 4 / 1024  # of the sound between them
    assert took_kb[1] - took_kb[0] < whole_kb / 3
    assert heard(tmp_path / "c.mp4")[0].shape[1] / RATE == pytest.approx(200, abs=0.1)
