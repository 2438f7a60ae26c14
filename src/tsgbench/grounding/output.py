"""What shows an answer: a timeline with frames of the video, and its best moment as a video."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsgbench.features.video import probe, read_clips, shown
from tsgbench.files import atomic_path
from tsgbench.grounding.cell import Answer
from tsgbench.grounding.sound import CODEC, Sound, open_sound
from tsgbench.inspection.thumbnails import read_thumbnails
from tsgbench.reporting.endings import kind_of

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import OutputContainer

TICKS = 90_000  # per second, of a clip's clock
FRAMES_AT_ONCE = 4  # of whole pictures: memory


@dataclass(frozen=True)
class Shown:
    """What the drawing code of reports asks of a query."""

    duration_s: float
    thumbnails: np.ndarray
    thumbnails_s: np.ndarray


def draw_answers(path: Path, answers: list[Answer]) -> None:
    """A timeline of each answer's moments under frames of its video."""
    from matplotlib import rc_context  # slow to import

    from tsgbench.reporting.figures import STYLE
    from tsgbench.reporting.page import LEFT, Page
    from tsgbench.reporting.plotting import save
    from tsgbench.reporting.timeline import (
        SYSTEMS,
        TIMES,
        draw_lanes,
        draw_strip,
        lanes_height,
        strip_height,
    )

    page = Page()
    frames: dict[Path, Shown] = {}
    for one in answers:
        if one.video not in frames:
            pictures = read_thumbnails(one.video, one.duration_s)
            frames[one.video] = Shown(one.duration_s, *pictures)
        query: Any = frames[one.video]  # has what is drawn of an `Inspected`
        page.add_text(f"“{one.sentence}”", size=8.5)
        page.add_text(shown(one.video.name), size=7, color="#404040")
        if len(query.thumbnails):
            page.add(
                strip_height(query, TIMES) + 0.04,
                partial(draw_strip, query=query, left=LEFT, width=TIMES),
            )
        lanes = [
            (f"{rank}: score {m.score:.3f}", (m.start_s, m.end_s), SYSTEMS[0])
            for rank, m in enumerate(one.moments, start=1)
        ]
        page.add(
            lanes_height(lanes),
            partial(draw_lanes, query=query, lanes=lanes),
        )
    with rc_context(STYLE), atomic_path(path) as temporary:
        save(page.make(has_title=False), temporary, kind_of(path), 150)


def cut(path: Path, answer: Answer) -> None:
    """The best moment as a video of its own, encoded anew: H.264, frames at their times, and AAC
    where the video has sound."""
    import av

    info, best = probe(answer.video), answer.moments[0]
    clips = read_clips(
        answer.video,
        size=min(info.width, info.height),
        keep_aspect=True,
        clip_len=1,
        stride=1,
        until_s=best.end_s,
        chunk_clips=FRAMES_AT_ONCE,
    )
    source, sound = open_sound(answer.video, best.start_s, best.end_s)
    with (
        source,
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(info.fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        heard = _Heard(container, sound) if sound else None
        for pictures, times in clips:
            for picture, (start_s, end_s) in zip(pictures[:, 0], times, strict=True):
                if end_s > best.start_s:
                    shown_s = max(0.0, start_s - best.start_s)
                    _write_frame(container, stream, picture, shown_s)
                    if heard:
                        heard.write_until(shown_s)
        container.mux(stream.encode())
        if heard:
            heard.finish()


def _write_frame(
    container: "OutputContainer", stream: "VideoStream", picture: np.ndarray, shown_s: float
) -> None:
    """picture: (H, W, 3) uint8."""
    from av import VideoFrame

    height, width = (side - side % 2 for side in picture.shape[:2])
    if not stream.codec_context.is_open:
        stream.height, stream.width = height, width
    cropped = np.ascontiguousarray(picture[:height, :width])
    frame = VideoFrame.from_ndarray(cropped, format="rgb24")
    frame.pts, frame.time_base = round(shown_s * TICKS), Fraction(1, TICKS)
    container.mux(stream.encode(frame))


class _Heard:
    """A clip's sound, written beside its pictures, since a container keeps in memory what it gets
    of one stream before the other. Begin with a picture: only then the size of all is known."""

    def __init__(self, container: "OutputContainer", sound: Sound) -> None:
        self._container, self._frames, self._rate = container, iter(sound), sound.rate
        self._stream: Any = container.add_stream(CODEC, rate=sound.rate, layout=sound.layout)
        self._written = 0  # samples

    def write_until(self, moment_s: float) -> None:
        """The sound until then, and the rest of the frame that it ends in."""
        while self._written <= moment_s * self._rate:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._written += frame.samples
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """All that is left."""
        self.write_until(float("inf"))
        self._container.mux(self._stream.encode())
