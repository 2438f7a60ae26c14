"""Reading a batch of videos from a feature file, warm, as float32 and as float16 on disk.

    python benchmarks/store.py

64 videos of 200 clips of 500 numbers (ActivityNet's size), picked anew each time from a file of
more, so that the system's cache is warm and no object of the library is. Numbers are normal.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from tsgbench.features.store import FeatureStore, FeatureWriter

ATTRS = {"identity": "0" * 16, "recipe": {}, "extractor": "none", "weights": "none"}
ATTRS |= {"clip_len": 16, "stride": 8, "versions": {"numpy": np.__version__}}


def write(path: Path, clips: np.ndarray, dtype: str) -> None:
    """clips: (videos, T, dim) float32."""
    times = np.stack([np.arange(clips.shape[1]), np.arange(clips.shape[1]) + 1.0], 1)
    with FeatureWriter(path, ATTRS, dtype=dtype) as writer:
        for k, video in enumerate(clips):
            writer.write(f"v{k:05}", video, times)


def measure(path: Path, batch: int, repeats: int) -> list[float]:
    """Seconds of reading `batch` videos of an open file, others each time, `repeats` times."""
    rng, seconds = np.random.default_rng(0), []
    with FeatureStore(path) as store:
        store.read_all(store.video_ids)  # into the system's cache
        for _ in range(repeats):
            wanted = [str(name) for name in rng.choice(store.video_ids, batch, replace=False)]
            start = time.perf_counter()
            clips, _, _ = store.read_all(wanted)
            seconds.append(time.perf_counter() - start)
            assert clips.shape[1] == store.dim
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=512, help="in the file")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--dim", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    shape = (options.videos, options.clips, options.dim)
    clips = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    print(f"{options.batch} of {options.videos} videos of {options.clips} x {options.dim},"
          f" h5py {h5py.__version__}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "float16"):
            path = Path(folder) / f"{dtype}.h5"
            write(path, clips, dtype)
            ms = 1000 * np.array(measure(path, options.batch, options.repeats))
            with FeatureStore(path) as store:
                read = store.read_all(store.video_ids)[0].reshape(shape)
            error = np.linalg.norm(read - clips) / np.linalg.norm(clips)
            print(f"{dtype}: best {ms.min():5.1f} ms, median {np.median(ms):5.1f} ms, file"
                  f" {path.stat().st_size / 1e6:.0f} MB, relative error {error:.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
