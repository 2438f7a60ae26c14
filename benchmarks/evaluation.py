"""Seconds to score a test split the size of ActivityNet Captions val_2 under every convention.

Two kinds of candidates: `uniform` ones, of which suppression keeps the first few, and `clustered`
ones around three places a video, as a trained model's, where it must look much further. Then the
seconds to write and read the scores of every query, and to say how sure their means are.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tsgbench.config import Catalogue
from tsgbench.datasets.table import Queries
from tsgbench.evaluation import Predictions, evaluate_convention
from tsgbench.evaluation.query_scores import read_query_scores, write_query_scores
from tsgbench.evaluation.resampling import (
    PERMUTATIONS,
    RESAMPLES,
    bootstrap_intervals,
    permutation_p_values,
)

DURATION_S, CHUNK_S = 120.0, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=17_031)
    parser.add_argument("--videos", type=int, default=4_885)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dataset", default="activitynet_captions")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    queries = _queries(options.queries, rng)
    candidates = {
        "uniform": np.sort(rng.uniform(0, DURATION_S, (len(queries), options.candidates, 2))),
        "clustered": _clustered(len(queries), options.candidates, rng),
    }
    print(f"{options.queries} queries x {options.candidates} candidates, seconds:")
    print(f"{'convention':18}" + "".join(f"{kind:>12}" for kind in candidates))
    for name, convention in Catalogue.load().conventions.items():
        times = [_seconds(spans, queries, convention, options) for spans in candidates.values()]
        print(f"{name:18}" + "".join(f"{value:12.2f}" for value in times))
    _time_resampling(queries, options, rng)


def _seconds(spans: np.ndarray, queries: Queries, convention: dict, options) -> float:
    """Median of the repetitions."""
    predictions = Predictions(spans, np.full(len(queries), 300))
    if convention["predictions"] == "chunks":
        predictions = Predictions(spans / 4)  # six chunks are 30 s
    return _median(
        lambda: evaluate_convention(predictions, queries, convention, options.dataset),
        options.repeat,
    )


def _time_resampling(queries: Queries, options, rng: np.random.Generator) -> None:
    """Of as many metrics as the headline has: hits, and an IoU."""
    scores = 100.0 * rng.integers(0, 2, (9, len(queries)))
    scores[-1] = rng.uniform(0, 100, len(queries))
    queries.video_ids = [f"v{video}" for video in rng.integers(0, options.videos, len(queries))]
    named = {"seconds": {str(place): values for place, values in enumerate(scores)}}
    splits = ["test"] * len(queries)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        steps = {
            "write scores": lambda: write_query_scores(path, queries, splits, named),
            "read scores": lambda: read_query_scores(path),
            f"bootstrap, {RESAMPLES}": lambda: bootstrap_intervals(scores, queries.video_ids),
            f"permutations, {PERMUTATIONS}": lambda: permutation_p_values(
                scores - scores[::-1], queries.video_ids
            ),
        }
        print(f"\n{len(scores)} metrics of {options.videos} videos, seconds:")
        for name, step in steps.items():
            print(f"{name:20}{_median(step, options.repeat):10.2f}")


def _median(step: Callable[[], object], repeat: int) -> float:
    """Seconds, the median of the repetitions."""
    measured = []
    for _ in range(repeat):
        started = time.perf_counter()
        step()
        measured.append(time.perf_counter() - started)
    return float(np.median(measured))


def _clustered(queries: int, candidates: int, rng: np.random.Generator) -> np.ndarray:
    centres = np.sort(rng.uniform(0, DURATION_S, (queries, 3, 2)))
    chosen = rng.integers(0, 3, (queries, candidates))
    spans = np.take_along_axis(centres, chosen[..., None], axis=1)
    return np.sort(np.clip(spans + rng.normal(0, 3, spans.shape), 0, DURATION_S))


def _queries(count: int, rng: np.random.Generator) -> Queries:
    names = [str(row) for row in range(count)]
    moments = np.sort(rng.uniform(0, DURATION_S, (count, 2)))
    starts = rng.integers(0, 6, (count, 4))
    ends = rng.integers(starts + 1, 7)
    marked = list(CHUNK_S * np.stack([starts, ends], axis=-1).astype(float))
    return Queries(names, names, names, np.full(count, DURATION_S), moments, marked)


if __name__ == "__main__":
    main()
