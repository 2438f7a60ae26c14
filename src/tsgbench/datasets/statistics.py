"""What papers print about a data set: how many queries, how long, in how many different words."""

from collections.abc import Callable

import numpy as np

from tsgbench.datasets.queries import Queries


def describe(queries: Queries, tokenizer: Callable[[str], list[str]]) -> dict[str, float | int]:
    """Statistics of one split, or of several that `table.join` put together.

    tokenizer: words of a sentence (`tsgbench.text.tokens`), which decides the counts of words and
    so what a printed vocabulary size can be compared with. Returns `videos`, `queries`,
    `vocabulary` (distinct words), `query_words` (mean), `moment_s` and `moment_std_s` (over
    queries, standard deviation of the population), `video_s` (mean over videos) and `ratio` and
    `ratio_std` (of a moment to its video, over queries).

    Papers describe the public files, not repaired rows: to compare with them, pass what
    `readers.read_as_printed` returns. An inverted moment counts there with its negative length
    (SeqPAN's 8.22 s of Charades-STA need that; ratios take its distance), and a video without a
    duration in no mean of seconds.
    """
    sentences = [tokenizer(sentence) for sentence in queries.sentences]
    moments_s = queries.moments[:, 1] - queries.moments[:, 0]
    ratios = np.abs(moments_s) / queries.durations
    videos = dict(zip(queries.video_ids, queries.durations.tolist(), strict=True))
    return {
        "videos": len(videos),
        "queries": len(queries),
        "vocabulary": len({word for words in sentences for word in words}),
        "query_words": _mean([len(words) for words in sentences]),
        "moment_s": _mean(moments_s),
        "moment_std_s": float(np.std(moments_s)),
        "video_s": _mean(list(videos.values())),
        "ratio": _mean(ratios),
        "ratio_std": float(np.nanstd(ratios)),
    }


def average_moments(queries: Queries) -> dict[str, float]:
    """Averages that weigh queries otherwise than `describe` does.

    Returns `queries_per_video`; `distinct_moment_s`: mean length over the distinct moments, which
    differ in video, start or end; `video_mean_moment_s`: mean over videos of their mean length.
    """
    lengths_s = queries.moments[:, 1] - queries.moments[:, 0]
    videos = _places(queries.video_ids)
    distinct = np.unique(np.column_stack([videos, queries.moments]), axis=0)
    totals_s, counts = np.bincount(videos, lengths_s), np.bincount(videos)
    return {
        "queries_per_video": len(queries) / len(counts),
        "distinct_moment_s": _mean(distinct[:, 2] - distinct[:, 1]),
        "video_mean_moment_s": _mean(totals_s / counts),
    }


def count_moments(queries: Queries, bins: int) -> dict:
    """Histograms of where moments lie, in parts of their video: `bins` equal bins over [0, 1].

    queries: with moments inside their videos, as the row policies leave them. Returns `queries`,
    `ratio` (mean length), and the counts `start`, `end` and `length` (bins,) and `start_end`
    (bins, bins), start first. The last bin includes 1.
    """
    ends = queries.moments / queries.durations[:, None]  # (Q, 2)
    lengths = ends[:, 1] - ends[:, 0]
    limits = np.linspace(0, 1, bins + 1)
    both = np.histogram2d(ends[:, 0], ends[:, 1], bins=[limits, limits])[0].astype(int)
    # A rounding error must not put the whole video outside
    length = np.histogram(np.clip(lengths, 0, 1), bins=limits)[0]
    return {
        "queries": len(queries),
        "ratio": _mean(lengths),
        "start": both.sum(axis=1).tolist(),
        "end": both.sum(axis=0).tolist(),
        "length": length.tolist(),
        "start_end": both.tolist(),
    }


def _places(names: list[str]) -> np.ndarray:
    """Each name's index among the distinct names, in order of appearance."""
    indices: dict[str, int] = {}
    return np.array([indices.setdefault(name, len(indices)) for name in names])


def _mean(values: np.ndarray | list) -> float:
    return float(np.nanmean(values))
