"""Small videos, attributes and feature files that several tests of this folder use."""

from pathlib import Path

import av
import numpy as np

from tsgbench.features.store import FeatureWriter

ATTRS = {
    "identity": "0123456789abcdef",
    "recipe": {"extractor": "c3d", "taps": ["conv1a"]},
    "extractor": "c3d",
    "weights": "random, seed 0",
    "clip_len": 16,
    "stride": 8,
    "versions": {"torch": "0"},
}
RECIPE = {
    "extractor": "c3d",
    "network": {"width": 0.0625, "seed": 0},
    "frames": {"resize": [24, 24]},
    "taps": ["conv1a", "conv3b"],
    "pool": "channel_stats",
    "batch_clips": 4,
}


def write_video(path: Path, frames: int, seed: int = 0) -> Path:
    """A small MP4 of moving noise."""
    rng = np.random.default_rng(seed)
    scenery = rng.integers(0, 256, (32, 32 + frames, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"qp": "20", "threads": "1"})
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for k in range(frames):
            picture = np.ascontiguousarray(scenery[:, k : k + 32])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def sample_features(videos: int = 6, dim: int = 8, seed: int = 0) -> dict[str, tuple]:
    """Clips (n, dim) and times (n, 2) of a few videos of different lengths."""
    rng = np.random.default_rng(seed)
    made = {}
    for number in range(videos):
        n = int(rng.integers(1, 30))
        clips = rng.normal(rng.normal(size=dim), 1 + np.arange(dim), (n, dim)).astype(np.float32)
        made[f"v{number}"] = (clips, np.stack([np.arange(n), np.arange(n) + 2.0], 1))
    return made


def write_features(
    path: Path, features: dict[str, tuple], attrs: dict | None = None, **options
) -> Path:
    with FeatureWriter(path, ATTRS | (attrs or {}), **options) as writer:
        for name, (clips, times) in features.items():
            writer.write(name, clips, times)
    return path
