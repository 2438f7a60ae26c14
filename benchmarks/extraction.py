"""Clips a second of the extractors at full width: plain PyTorch one clip at a time, and as
extraction runs them, in float32 and bfloat16, with the share of the fastest convolution's rate.

Weights are random, and so are clips without --video, which also says how long decoding takes beside
the network. --busy counts processor time instead of the clock's, for a machine that others use.
Every rate is the best of --rounds measurements, between which the others are taken, so that a burst
of other work spoils no single one. The plain network runs in a process of its own, without the
large pages that extraction asks for.
"""

import argparse
import multiprocessing
import os
import time
import types
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from tsgbench.features.convolution import same_padding
from tsgbench.features.efficientnet_lite0 import Unit
from tsgbench.features.i3d import SamePool, Unit3D
from tsgbench.features.memory import LARGE_PAGES, ask_for_large_pages
from tsgbench.features.networks import ClipNetwork, find_network
from tsgbench.features.video import read_clips

# extractor: frames, side, tap, how frames are cut (as in config/features.yaml)
SHAPES = {
    "c3d": (16, 112, "fc6", {"size": (128, 171), "crop": 112}),
    "i3d": (16, 224, "avg_pool", {"size": 256, "keep_aspect": True, "crop": 224}),
    "vgg16": (1, 224, "fc7", {"size": 256, "keep_aspect": True, "crop": 224, "fps": 5}),
    "efficientnet_lite0": (
        1,
        224,
        "features",
        {"size": 256, "keep_aspect": True, "crop": 224, "fps": 2},
    ),
}


def plain_unit(self: Unit3D, x: torch.Tensor) -> torch.Tensor:
    padding = same_padding(x.shape[2:], self.conv3d.kernel_size, self.conv3d.stride)
    return F.relu(self.bn(self.conv3d(F.pad(x, padding))))


def plain_picture_unit(self: Unit, x: torch.Tensor) -> torch.Tensor:
    padding = same_padding(x.shape[2:], self.conv.kernel_size, self.conv.stride)
    x = self.bn(self.conv(F.pad(x, padding)))
    return F.relu6(x) if self.is_active else x


def plain_pool(self: SamePool, x: torch.Tensor) -> torch.Tensor:
    padded = F.pad(x, same_padding(x.shape[2:], self.kernel, self.stride))
    return F.max_pool3d(padded, self.kernel, self.stride)


def make_plain(network: ClipNetwork) -> ClipNetwork:
    """The network as one would first write it: padding, convolution, norm and ReLU, each a step."""
    for part in network.modules():
        if isinstance(part, Unit3D):
            part.forward = types.MethodType(plain_unit, part)
        elif isinstance(part, Unit):
            part.forward = types.MethodType(plain_picture_unit, part)
        elif isinstance(part, SamePool):
            part.forward = types.MethodType(plain_pool, part)
    return network


@dataclass
class Timing:
    """How to measure: for how long, on how many threads, by which clock."""

    seconds: float
    threads: int
    busy: bool

    def now(self) -> float:
        return time.process_time() / self.threads if self.busy else time.perf_counter()

    def rate(self, work: Callable[[], int]) -> float:
        """Units a second of `work`, which returns how many it did; the first call only warms up."""
        work()
        done, start = 0, self.now()
        while (passed := self.now() - start) < self.seconds or not done:
            done += work()
        return done / passed


def peak_rate(dtype: torch.dtype, timing: Timing) -> float:
    """Floating-point operations a second of a large 3x3x3 convolution or a large matrix product,
    whichever is faster: what this machine's libraries can reach."""
    torch.set_num_threads(timing.threads)
    a, b = (torch.rand(2048, 2048).to(dtype) for _ in range(2))
    x = torch.rand(2, 256, 8, 28, 28).to(dtype, memory_format=torch.channels_last_3d)
    weight = torch.rand(256, 256, 3, 3, 3).to(dtype, memory_format=torch.channels_last_3d)

    def multiply() -> int:
        torch.mm(a, b)
        return 2 * 2048**3

    def convolve() -> int:
        F.conv3d(x, weight, padding=1)
        return 2 * weight.numel() * x[:, 0].numel()

    with torch.inference_mode():
        return max(timing.rate(multiply), timing.rate(convolve))


def batched_rate(network: ClipNetwork, clips: torch.Tensor, tap: str, timing: Timing) -> float:
    """Clips a second as `extract` computes them: as many batches at once as threads."""

    def compute(_: int) -> int:
        with torch.inference_mode():
            network(clips, [tap])
        return len(clips)

    with ThreadPoolExecutor(timing.threads, "compute", torch.set_num_threads, (1,)) as pool:
        return timing.rate(lambda: sum(pool.map(compute, range(timing.threads))))


class Plain:
    """The plain network, one clip at a time, in a process that is started as anyone would."""

    def __init__(self, name: str, timing: Timing) -> None:
        os.environ.pop(LARGE_PAGES, None)
        spawning = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, spawning, _build_plain, (name, timing))
        self.pool.submit(os.getpid).result()  # it is there, and has its environment
        ask_for_large_pages()

    def rate(self) -> float:
        return self.pool.submit(_plain_rate).result()


def _build_plain(name: str, timing: Timing) -> None:
    frames, side, _, _ = SHAPES[name]
    torch.set_num_threads(timing.threads)
    network = make_plain(find_network(name).for_clips({}, frames, side).eval())
    clip = torch.randint(0, 256, (1, frames, side, side, 3), dtype=torch.uint8)
    globals().update(PLAIN=(network, clip, SHAPES[name][2], timing))


def _plain_rate() -> float:
    network, clip, tap, timing = globals()["PLAIN"]

    def compute() -> int:
        with torch.inference_mode():
            network(clip, [tap])
        return 1

    return timing.rate(compute)


def difference(network: ClipNetwork, clips: torch.Tensor, tap: str) -> tuple[float, float]:
    """What bfloat16 does to features: relative error of the vectors, and the smallest cosine."""
    torch.set_num_threads(1)
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        network.set_precision(dtype)
        with torch.inference_mode():
            found.append(network(clips, [tap])[tap].flatten(1).double().numpy())
    rough, exact = found
    cosine = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    return float(np.linalg.norm(rough - exact) / np.linalg.norm(exact)), float(cosine.min())


def read(video: Path, frames: int, options: dict) -> tuple[torch.Tensor, float]:
    """A video's clips, and the processor seconds that decoding a clip took."""
    start = time.process_time()
    stride = max(1, frames // 2)
    chunks = [clips for clips, _ in read_clips(video, clip_len=frames, stride=stride, **options)]
    clips = torch.from_numpy(np.concatenate(chunks))
    return clips, (time.process_time() - start) / len(clips)


def report(name: str, options: argparse.Namespace, timing: Timing, peaks: dict) -> None:
    """Measure one extractor and print what came out. peaks: by dtype."""
    frames, side, tap, cut = SHAPES[name]
    kind = find_network(name)
    network = kind.for_clips({}, frames, side).eval()
    clips, decode_s = None, None
    if options.video:
        clips, decode_s = read(options.video, frames, cut)
    if clips is None or len(clips) < options.batch:
        clips = torch.randint(0, 256, (options.batch, frames, side, side, 3), dtype=torch.uint8)
    clips = clips[: options.batch]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        make_plain(kind.for_clips({}, frames, side).eval())(clips[:1], [tap])
    flops = counter.get_total_flops()
    print(f"\n{name}: {frames} x {side} x {side}, {tap}, {flops / 1e9:.1f} GFLOP a clip")
    plain = Plain(name, timing)
    network = network.to(memory_format=network.MEMORY_FORMAT)
    found = {dtype: [] for dtype in ("plain", *peaks)}
    best_peaks = dict(peaks)
    for _ in range(options.rounds):
        found["plain"].append(plain.rate())
        for dtype in peaks:
            network.set_precision(dtype)
            found[dtype].append(batched_rate(network, clips, tap, timing))
            best_peaks[dtype] = max(best_peaks[dtype], peak_rate(dtype, timing))
    plain.pool.shutdown()
    best = {dtype: max(rates) for dtype, rates in found.items()}
    print(f"  plain, one clip at a time   {best['plain']:7.2f} clips/s")
    for dtype, peak in best_peaks.items():
        share = best[dtype] * flops / peak
        line = f"  batches, {str(dtype).split('.')[1]:9}          {best[dtype]:7.2f} clips/s"
        line += f"   {best[dtype] / best['plain']:4.2f} x plain"
        line += f"   {share:4.0%} of the peak of {peak / 1e9:.0f} GFLOP/s"
        if decode_s:
            line += f"   decoding: {decode_s * best[dtype] / options.threads:.0%} of that time"
        print(line, flush=True)
    error, cosine = difference(network, clips, tap)
    print(f"  bfloat16 against float32: relative error {error:.2e}, smallest cosine {cosine:.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extractors", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best is taken")
    parser.add_argument("--video", type=Path, help="take clips from it, and time its decoding")
    parser.add_argument("--busy", action="store_true", help="count processor time")
    options = parser.parse_args()
    ask_for_large_pages()
    timing = Timing(options.seconds, options.threads, options.busy)
    peaks = {dtype: peak_rate(dtype, timing) for dtype in (torch.float32, torch.bfloat16)}
    clock = "processor time" if options.busy else "clock time"
    load = f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    print(f"{options.threads} threads, batches of {options.batch}, {clock}, {load}")
    for dtype, peak in peaks.items():
        print(f"peak, of a large convolution or matrix product, {dtype}: {peak / 1e9:.0f} GFLOP/s")
    for name in options.extractors:
        report(name, options, timing, peaks)


if __name__ == "__main__":
    main()
