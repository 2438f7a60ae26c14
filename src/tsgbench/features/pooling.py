"""From an extractor's activations to one vector a clip. Every pool is a named step of a recipe."""

from collections.abc import Callable

import numpy as np
import torch

from tsgbench.errors import UserError


def last_mean(taps: dict[str, torch.Tensor]) -> torch.Tensor:
    """The last tap, averaged over time and space where it has them: the field's usual feature.

    taps: (n, C, T, H, W) or (n, C). Returns (n, C).
    """
    x = list(taps.values())[-1]
    return x.flatten(2).mean(2) if x.ndim > 2 else x


def channel_stats(taps: dict[str, torch.Tensor]) -> torch.Tensor:
    """The `STATISTICS` of every channel of every tap, over space and time.

    Mean; change: mean of the second half of the time minus that of the first; maximum; standard
    deviation; deviation over time, of the spatial mean. With random weights they hold far more
    about what moves, and how, than the last layer's mean does.

    taps: each (n, C, T, H, W) with T of 2 or more. Returns (n, 5 * sum of C), statistic after
    statistic, within each tap after tap.
    """
    by_tap = [_statistics(name, x) for name, x in taps.items()]
    return torch.cat([part for parts in zip(*by_tap, strict=True) for part in parts], dim=1)


def _statistics(name: str, x: torch.Tensor) -> list[torch.Tensor]:
    if x.ndim != 5 or x.shape[2] < 2:
        raise UserError(
            f"taps: {name} has shape {tuple(x.shape[1:])}, and channel_stats needs channels, two "
            "time steps or more, height and width; leave it out"
        )
    n, channels, time, height, width = x.shape
    # channels-last memory: (n, T, H, W * C) is a view, and reducing its long rows is several times
    # faster than reducing over space directly
    rows = x.permute(0, 2, 3, 4, 1).reshape(n, time, height, width * channels)
    area = height * width
    mean = rows.sum(2).view(n, time, width, channels).sum(2) / area  # (n, T, C)
    square = (rows * rows).sum(2).view(n, time, width, channels).sum(2) / area
    largest = rows.amax((1, 2)).view(n, width, channels).amax(1)
    overall = mean.mean(1)
    half = time // 2
    change = mean[:, half:].mean(1) - mean[:, :half].mean(1)
    spread = (square.mean(1) - overall**2).clamp_min(0).sqrt()
    return [overall, change, largest, spread, mean.std(1, unbiased=False)]


def average_chunks(
    clips: np.ndarray, times: np.ndarray, chunk_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """A video's clips averaged over chunks of `chunk_s` seconds, as DiDeMo's features are.

    A clip belongs to the chunk in which it starts; the last chunk, which may be shorter, is the
    mean of what there is. clips: (n, dim), times: (n, 2) seconds, in order. Returns (m, dim) and
    the chunks' times (m, 2), the last one ending with the last clip. A chunk in which no clip
    starts has no row.
    """
    starts = chunk_starts(times, chunk_s)
    firsts = np.flatnonzero(np.diff(starts, prepend=-1))
    counts = np.diff(firsts, append=len(starts))
    means = np.add.reduceat(clips.astype(np.float64), firsts) / counts[:, None]
    starts = starts[firsts]
    ends = np.minimum(starts + chunk_s, times[:, 1].max())
    return means.astype(np.float32), np.stack([starts, ends], axis=1)


def chunk_starts(times: np.ndarray, chunk_s: float) -> np.ndarray:
    """(n,) start in seconds of the chunk in which each clip starts."""
    # a tick may be a hair too early
    return np.floor(times[:, 0] / chunk_s + 1e-6) * chunk_s


POOLS: dict[str, Callable[[dict[str, torch.Tensor]], torch.Tensor]] = {
    "last_mean": last_mean,
    "channel_stats": channel_stats,
}
