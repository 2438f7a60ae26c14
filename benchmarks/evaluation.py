"""Seconds to score a test split the size of ActivityNet Captions val_2, on one core."""

import argparse
import time

import numpy as np

from tsgbench.evaluation import evaluate
from tsgbench.study import ALL_METRICS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=17_031)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    annotated = np.sort(rng.uniform(0, 120, (options.queries, 2)), axis=1)
    ranked = np.sort(rng.uniform(0, 120, (options.queries, options.candidates, 2)), axis=2)
    seconds = []
    for _ in range(options.repeat):
        started = time.perf_counter()
        evaluate(ranked, annotated, ALL_METRICS)
        seconds.append(time.perf_counter() - started)
    print(
        f"{options.queries} queries x {options.candidates} candidates, {len(ALL_METRICS)} metrics: "
        f"{np.median(seconds):.2f} s (median of {options.repeat})"
    )


if __name__ == "__main__":
    main()
