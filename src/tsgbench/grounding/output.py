"""What shows an answer: a timeline with frames of the video, and its best moment as a video."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.features.video import probe, read_clips, shown
from tsgbench.files import atomic_path
from tsgbench.grounding.cell import Answer
from tsgbench.inspection.thumbnails import read_thumbnails

FIGURES = (".pdf", ".png", ".svg")
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
        save(page.make(has_title=False), temporary, path.suffix[1:], 150)


def cut(path: Path, answer: Answer) -> None:
    """The best moment as a video of its own: encoded anew (H.264), frames at their times, without
    sound."""
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
    rate = Fraction(info.fps).limit_denominator(1001)
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        for pictures, times in clips:
            for picture, (start_s, end_s) in zip(pictures[:, 0], times, strict=True):
                if end_s <= best.start_s:
                    continue
                height, width = (side - side % 2 for side in picture.shape[:2])
                if not stream.codec_context.is_open:
                    stream.height, stream.width = height, width
                cropped = np.ascontiguousarray(picture[:height, :width])
                frame = av.VideoFrame.from_ndarray(cropped, format="rgb24")
                frame.pts = round(max(0.0, start_s - best.start_s) * TICKS)
                frame.time_base = Fraction(1, TICKS)
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
