"""The sound of a part of a video, for a clip of it: decoded, cut to the sample, encoded anew."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler

from tsgbench.features.video import OWN_FILE_ALONE, shown

CODEC, FORMAT = "aac", "fltp"
STEREO = "stereo"  # what more channels are mixed down to
# Decoded frames whose time is off by less than this follow one another: containers round times
JITTER_S = 0.05
GAP_S = 1  # of silence at once: memory


class Sound:
    """What is heard from `from_s` until `until_s` of a video, in pieces, each at its sample.

    rate: samples per second. layout: `mono` or `stereo`. Times are the container's clock from its
    start, as those of pictures (features/video.py). Memory does not grow with the video's length.
    """

    def __init__(
        self,
        container: "av.container.InputContainer",
        stream: av.AudioStream,
        from_s: float,
        until_s: float,
    ) -> None:
        self._container, self._stream = container, stream
        known = AudioCodecContext.create(CODEC, "w").codec.audio_rates or []
        rate = stream.codec_context.sample_rate
        self.rate = rate if rate in known else 48_000
        self.layout = stream.layout.name if stream.layout.nb_channels <= 2 else STEREO
        self._first, self._last = round(from_s * self.rate), round(until_s * self.rate)

    def __iter__(self) -> Iterator[av.AudioFrame]:
        """Frames that follow one another without a gap from time 0, which is `from_s`; where the
        video has no sound, silence, but none behind its last sound."""
        made = 0
        for samples, at in self._decoded():
            for piece in _fit(samples, at - self._first, made, self._last - self._first, self.rate):
                frame = av.AudioFrame.from_ndarray(piece, format=FORMAT, layout=self.layout)
                frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
                frame.pts = made
                made += piece.shape[1]
                yield frame

    def _decoded(self) -> Iterator[tuple[np.ndarray, int]]:
        """(channels, n) float32 and the number of its first sample from the start of the video."""
        zero = Fraction(self._container.start_time or 0, av.time_base)
        resampler = AudioResampler(FORMAT, self.layout, self.rate)
        due: int | None = None
        try:
            for frame in self._container.decode(self._stream):
                at = due or 0
                if frame.pts is not None and frame.time_base is not None:
                    stated = round((frame.pts * frame.time_base - zero) * self.rate)
                    if due is None or abs(stated - due) > JITTER_S * self.rate:
                        at = stated
                if at >= self._last:
                    return
                frame.pts = None  # its place is kept here
                for part in resampler.resample(frame):
                    samples = part.to_ndarray()
                    yield samples, at
                    at += samples.shape[1]
                due = at
        except av.error.FFmpegError as error:
            logging.getLogger(__name__).warning(
                "%s: its sound ends where it cannot be decoded (%s)",
                shown(Path(self._container.name.removeprefix("file:"))),
                error.strerror,
            )


def open_sound(
    path: Path, from_s: float, until_s: float
) -> tuple["av.container.InputContainer", Sound | None]:
    """The video, to be closed, and its sound; None if it has none that can be decoded."""
    container = av.open(f"file:{path}", metadata_errors="replace", container_options=OWN_FILE_ALONE)
    stream = container.streams.best("audio")
    if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
        return container, None
    if not stream.codec_context.sample_rate or not stream.layout.nb_channels:
        return container, None
    return container, Sound(container, stream, from_s, until_s)


def _fit(samples: np.ndarray, at: int, made: int, until: int, rate: int) -> Iterator[np.ndarray]:
    """What of some samples follows the `made` ones, after silence where there is a gap, and ends
    before `until`. at: where they belong, counted as `made`."""
    skipped = max(0, made - at)
    samples = samples[:, skipped : max(skipped, until - at)]
    if not samples.shape[1]:
        return
    gap = at + skipped - made
    while gap > 0:
        silence = np.zeros((len(samples), min(gap, GAP_S * rate)), samples.dtype)
        gap -= silence.shape[1]
        yield silence
    yield np.ascontiguousarray(samples)
