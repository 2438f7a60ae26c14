"""Seconds to keep, write, read and score the predictions of a split like ActivityNet's val_2.

As many candidates per query as IA-Net and SeqPAN have there, of two kinds: `uniform` ones, of which
suppression keeps the first few, and `clustered` ones around three places per video, as a trained
model's, where it must look much further. Kept is what the data set's conventions need; beside it
stands the size of a file of the first hundred and of one of all candidates. Then the seconds to
write and read the scores of every query, and to say how sure their means are.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tsgbench.config import Catalogue
from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.conventions import evaluate_convention
from tsgbench.evaluation.keeping import Ranked, keep
from tsgbench.evaluation.predictions import Predictions, read_ranked, write_predictions
from tsgbench.evaluation.query_scores import read_query_scores, write_query_scores
from tsgbench.evaluation.resampling import (
    PERMUTATIONS,
    RESAMPLES,
    bootstrap_intervals,
    permutation_p_values,
)

DURATION_S, CHUNK_S, CLIPS = 120.0, 5.0, 300
BATCH = 64
CUT = 100  # what was once kept
SIZED = 1024  # queries whose files of all candidates are written, for their size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=17_031)
    parser.add_argument("--videos", type=int, default=4_885)
    parser.add_argument("--candidates", type=int, nargs="+", default=[719, 5_050])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dataset", default="activitynet_captions")
    options = parser.parse_args()
    queries = _queries(options.queries, np.random.default_rng(0))
    for candidates in options.candidates:
        for kind in (_uniform, _clustered):
            _time_scoring(kind, candidates, queries, options)
    _time_resampling(queries, options, np.random.default_rng(0))


def _time_scoring(
    kind: Callable, candidates: int, queries: Queries, options: argparse.Namespace
) -> None:
    conventions = Catalogue.load().conventions_of(options.dataset)
    needs = Catalogue.load().needs_of(options.dataset)
    clips = np.full(len(queries), CLIPS)
    parts, seconds = [], 0.0
    for rows, ranked in _batches(kind, len(queries), candidates):
        started = time.perf_counter()
        parts.append(keep(ranked, queries.durations[rows], clips[rows], needs))
        seconds += time.perf_counter() - started
    kept = Ranked.joined(parts)
    name = kind.__name__.strip("_")
    print(f"\n{len(queries)} queries x {candidates} {name} candidates")
    print(
        f"keep: {1e3 * seconds / len(queries):.3f} ms and {len(kept.rows) / len(queries):.1f}"
        " candidates per query"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.parquet"
        write = _median(
            lambda: write_predictions(path, queries, kept, clips, kept=needs), options.repeat
        )
        print(
            f"write: {write:.2f} s, {_bytes_per_query(path, queries)}; {_sizes(kind, candidates)}"
        )
        print(f"read: {_median(lambda: read_ranked(path, queries), options.repeat):.2f} s")
        predictions = read_ranked(path, queries)
    times = {
        name: _seconds(predictions, queries, convention, options)
        for name, convention in conventions.items()
    }
    print("score: " + ", ".join(f"{name} {value:.2f}" for name, value in times.items()))
    print(f"score, all conventions of {options.dataset}: {sum(times.values()):.2f} s")


def _batches(kind: Callable, count: int, candidates: int) -> Iterator[tuple[slice, np.ndarray]]:
    rng = np.random.default_rng(1)
    for first in range(0, count, BATCH):
        rows = slice(first, min(first + BATCH, count))
        spans = kind(rows.stop - first, candidates, rng)
        # Of single precision, as models make them
        scores = np.sort(rng.random(spans.shape[:2]))[:, ::-1, None]
        ranked = np.concatenate([spans, scores], axis=-1)
        yield rows, ranked.astype(np.float32).astype(np.float64)


def _sizes(kind: Callable, candidates: int) -> str:
    """Bytes per query of files that hold more."""
    ranked = np.concatenate([ranked for _, ranked in _batches(kind, SIZED, candidates)])
    queries = _queries(SIZED, np.random.default_rng(0))
    said = []
    with tempfile.TemporaryDirectory() as folder:
        for name, part in ((f"first {CUT}", ranked[:, :CUT]), ("all", ranked)):
            path = Path(folder) / "p.parquet"
            write_predictions(path, queries, part, np.full(SIZED, CLIPS))
            said.append(f"{name}: {_bytes_per_query(path, queries)}")
    return ", ".join(said)


def _bytes_per_query(path: Path, queries: Queries) -> str:
    return f"{path.stat().st_size / len(queries):,.0f} bytes per query"


def _seconds(
    predictions: Predictions, queries: Queries, convention: dict, options: argparse.Namespace
) -> float:
    """Median of the repetitions."""
    return _median(
        lambda: evaluate_convention(predictions, queries, convention, options.dataset),
        options.repeat,
    )


def _time_resampling(
    queries: Queries, options: argparse.Namespace, rng: np.random.Generator
) -> None:
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


def _uniform(queries: int, candidates: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.uniform(0, DURATION_S, (queries, candidates, 2)))


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
