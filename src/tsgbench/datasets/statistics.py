"""What papers print about a data set: how many queries, how long, in how many different words."""

from collections.abc import Callable

import numpy as np

from tsgbench.datasets.table import Queries


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


def _mean(values: np.ndarray | list) -> float:
    return float(np.nanmean(values))
