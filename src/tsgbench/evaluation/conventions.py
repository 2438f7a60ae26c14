"""What turns a prediction file into numbers, as data: `config/conventions.yaml`.

A convention names its options and this module knows only the options; it never asks for a name.

| option        | values |
|---------------|--------|
| `predictions` | `spans`; `chunks`: DiDeMo's protocol, with `chunks`, `chunk_s`, `best` |
| `labels`      | `annotated`; `several`: all that were marked, of which the best counts; |
|               | `windows`, `nearest_span`: quantised to the resampled axis |
| `iou`         | `seconds`; `index`: inclusive indices, on predictions rounded to that axis |
| `positions`   | length M of the resampled axis, where `labels` or `iou` need one |
| `compare`     | `>=` or `>`: whether an IoU of exactly m is a hit |
| `nms`         | threshold; `{minus: d}` for m - d at each IoU m; null for none |
| `metrics`     | names, see `metrics`, `precision` and `didemo` |
| `lengths`     | name -> [above, up to] seconds: the ranges of metrics such as `mAP,short` |
| `score_annotators` | whether each of a query's annotators is scored, too, see `agreement` |
| `datasets`    | options that differ, by data set |
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsgbench.datasets import moments
from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.didemo import Chunks, rank_candidates, score_candidates
from tsgbench.evaluation.keeping import on_axis, positions_of
from tsgbench.evaluation.metrics import score_queries, to_percent
from tsgbench.evaluation.needs import first_unmet, needs_of
from tsgbench.evaluation.predictions import Predictions
from tsgbench.features import resample

EXACT = ("annotated", "several")  # labels in seconds, as they were annotated


def for_dataset(convention: dict[str, Any], dataset: str) -> dict[str, Any]:
    """The convention's options on one data set: its own, or else those common to all."""
    common = {key: value for key, value in convention.items() if key != "datasets"}
    return {**common, **convention.get("datasets", {}).get(dataset, {})}


def needs_clips(convention: dict[str, Any]) -> bool:
    """Whether the number of source clips must be known: the axis is quantised from it."""
    return convention["predictions"] == "spans" and (
        convention["labels"] not in EXACT or convention["iou"] == "index"
    )


@dataclass(frozen=True)
class Scores:
    """What every query contributes to the numbers of one convention.

    values: metric -> (Q,) in [0, 1], NaN where the metric is not defined for a query. counts:
    name -> (Q,) what the convention had to adapt.
    """

    values: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @property
    def percent(self) -> dict[str, np.ndarray]:
        """The values in percent, whose means are the metrics."""
        return {name: 100.0 * values for name, values in self.values.items()}

    def summarise(self, rows: np.ndarray | slice = slice(None)) -> dict[str, dict[str, Any]]:
        """`metrics`, name -> percent, and `counts`, of the given queries as if there were only
        those; `queries` among the counts is their number. A metric that is defined for none of them
        is left out."""
        metrics = {name: to_percent(values[rows]) for name, values in self.values.items()}
        return {
            "metrics": {name: mean for name, mean in metrics.items() if not math.isnan(mean)},
            "counts": {name: int(values[rows].sum()) for name, values in self.counts.items()},
        }


def evaluate_convention(
    predictions: Predictions | np.ndarray,
    queries: Queries,
    convention: dict[str, Any],
    dataset: str,
) -> dict[str, dict[str, Any]]:
    """The `metrics`, name -> percent, and `counts` of all queries; see `score_convention`."""
    return score_convention(predictions, queries, convention, dataset).summarise()


def score_convention(
    predictions: Predictions | np.ndarray,
    queries: Queries,
    convention: dict[str, Any],
    dataset: str,
) -> Scores:
    """Score predictions under one convention, query by query.

    predictions: of the very `queries`, in their order; an array is (Q, K, 2) seconds, all
    candidates. `UserError` if the convention needs something that the predictions or the queries do
    not have: candidates that were not kept, too.
    """
    if isinstance(predictions, np.ndarray):
        predictions = Predictions(predictions)
    options = for_dataset(convention, dataset)
    _check_kept(predictions, options)
    score = _score_chunks if options["predictions"] == "chunks" else _score_spans
    values, counts = score(predictions, queries, options)
    one_each = np.ones(len(queries), dtype=np.int64)
    return Scores(values, {"queries": one_each, **counts})


def _check_kept(predictions: Predictions, options: dict[str, Any]) -> None:
    if predictions.kept is None:
        return
    unmet = first_unmet(needs_of(options), predictions.kept)
    if unmet is not None:
        wanted = ", ".join(f"{key} {value}" for key, value in unmet.items())
        raise UserError(
            f"{predictions.source}: does not keep all candidates that this convention asks for"
            f" ({wanted}); name the convention under the data set in config/datasets.yaml, and"
            " train the cell again"
        )


def _score_chunks(
    predictions: Predictions, queries: Queries, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    chunks = Chunks(options["chunks"], options["chunk_s"], options["best"])
    ranked, counts = rank_candidates(predictions.spans, chunks, predictions.counts)
    values = score_candidates(ranked, queries.annotators, chunks)
    return {name: values[name] for name in options["metrics"]}, counts


def _score_spans(
    predictions: Predictions, queries: Queries, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    labels, extent = queries.moments, queries.durations
    if options["labels"] == "several":
        labels = _several(queries)
    spans, is_widened = on_axis(predictions.spans, extent, predictions.clips, options)
    overlap, counts = moments.iou, {}
    if needs_clips(options):
        positions, index = _quantised(predictions.clips, queries, options)
        if is_widened is None:
            labels = moments.from_index(index, extent, positions)
        else:
            labels, extent, overlap = index, positions, moments.index_iou
            narrow = is_widened[:, 0].astype(np.int64)
            counts = {"first_moments_narrower_than_a_position": narrow}
    values = score_queries(
        spans,
        labels,
        options["metrics"],
        nms=options["nms"],
        compare=options["compare"],
        iou=overlap,
        extent=extent,
        lengths=options.get("lengths"),
    )
    return values, counts


def _several(queries: Queries) -> np.ndarray:
    """(Q, W, 2) every marked moment, NaN where a query has fewer; the one there is without them."""
    marked = queries.annotators or list(queries.moments[:, None])
    sizes = np.array([len(moments) for moments in marked])
    padded = np.full((len(marked), sizes.max(), 2), np.nan)
    padded[np.arange(sizes.max()) < sizes[:, None]] = np.concatenate(marked)
    return padded


def _quantised(
    clips: np.ndarray | None, queries: Queries, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) positions of each video's axis and (Q, 2) inclusive indices of the annotated moments."""
    positions = positions_of(clips, options)
    if options["labels"] == "windows":
        index = resample.linspace_labels(
            clips,  # type: ignore[arg-type]  # known, or positions_of had refused
            options["positions"],
            queries.moments,
            queries.durations,
        )
        return positions, index
    if options["labels"] == "nearest_span":
        return positions, moments.nearest_index(queries.moments, queries.durations, positions)
    raise UserError(
        f"config/conventions.yaml: labels: {options['labels']!r} has no indices; use windows or "
        "nearest_span with iou index"
    )
