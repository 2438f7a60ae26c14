"""Small videos whose frames can be told apart, and what decoding makes of them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tsgbench.features import video

FORMATS = {".mp4": "libx264", ".avi": "mpeg4", ".mkv": "libx264"}


def write_video(
    path: Path, frames: int, *, size=(48, 64), fps=8, stamps=None, sound=False, b_frames=0
) -> Path:
    """A video whose frame number k is a flat grey of 8 + 4 k (up to 255). stamps: in 1 / 1000 s.
    sound: True for silence, or (channels, n) of what is heard, 16000 samples a second."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(FORMATS[path.suffix], rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        # nearly lossless, so that a frame can be told from its neighbours
        exact = {"qp": "2"} if FORMATS[path.suffix] == "libx264" else {"qmin": "1", "qmax": "1"}
        stream.options = {"bf": str(b_frames), **exact}
        if stamps:
            stream.codec_context.time_base = Fraction(1, 1000)
        if sound is not False:
            silence = np.zeros((1, 16000 * frames // fps), np.float32)
            samples = silence if sound is True else sound
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
            audio = container.add_stream("aac", rate=16000, layout=layout)
            for start in range(0, samples.shape[1], 16000):  # encoding all at once is slow
                piece = np.ascontiguousarray(samples[:, start : start + 16000])
                heard = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                heard.sample_rate = 16000
                container.mux(audio.encode(heard))
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
