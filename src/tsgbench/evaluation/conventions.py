"""What turns a prediction file into numbers, as data: `config/conventions.yaml`.

A convention names its options and this module knows only the options; it never asks for a name.

| option        | values |
|---------------|--------|
| `predictions` | `spans`; `chunks`: DiDeMo's protocol, with `chunks`, `chunk_s`, `best` |
| `labels`      | `annotated`; `windows`, `nearest_span`: quantised to the resampled axis |
| `iou`         | `seconds`; `index`: inclusive indices, on predictions rounded to that axis |
| `positions`   | length M of the resampled axis, where `labels` or `iou` need one |
| `compare`     | `>=` or `>`: whether an IoU of exactly m is a hit |
| `nms`         | threshold; `{minus: d}` for m - d at each IoU m; null for none |
| `metrics`     | names, see `metrics` and `didemo` |
| `datasets`    | options that differ, by data set |
"""

from dataclasses import dataclass

import numpy as np

from tsgbench import moments, resample
from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.didemo import Chunks, rank_candidates, score_candidates
from tsgbench.evaluation.metrics import score_queries, to_percent
from tsgbench.evaluation.predictions import Predictions

SINGLE = 2.0**-22  # twice the spacing of single precision


def for_dataset(convention: dict, dataset: str) -> dict:
    """The convention's options on one data set: its own, or else those common to all."""
    common = {key: value for key, value in convention.items() if key != "datasets"}
    return {**common, **convention.get("datasets", {}).get(dataset, {})}


def needs_clips(convention: dict) -> bool:
    """Whether the number of source clips must be known: the axis is quantised from it."""
    return convention["predictions"] == "spans" and (
        convention["labels"] != "annotated" or convention["iou"] == "index"
    )


@dataclass(frozen=True)
class Scores:
    """What every query contributes to the numbers of one convention.

    values: metric -> (Q,) in [0, 1]. counts: name -> (Q,) what the convention had to adapt.
    """

    values: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @property
    def percent(self) -> dict[str, np.ndarray]:
        """The values in percent, whose means are the metrics."""
        return {name: 100.0 * values for name, values in self.values.items()}

    def summarise(self, rows: np.ndarray | slice = slice(None)) -> dict[str, dict]:
        """`metrics`, name -> percent, and `counts`, of the given queries as if there were only
        those; `queries` among the counts is their number."""
        return {
            "metrics": {name: to_percent(values[rows]) for name, values in self.values.items()},
            "counts": {name: int(values[rows].sum()) for name, values in self.counts.items()},
        }


def evaluate_convention(
    predictions: Predictions | np.ndarray, queries: Queries, convention: dict, dataset: str
) -> dict[str, dict]:
    """The `metrics`, name -> percent, and `counts` of all queries; see `score_convention`."""
    return score_convention(predictions, queries, convention, dataset).summarise()


def score_convention(
    predictions: Predictions | np.ndarray, queries: Queries, convention: dict, dataset: str
) -> Scores:
    """Score predictions under one convention, query by query.

    predictions: of the very `queries`, in their order; an array is (Q, K, 2) seconds. `UserError`
    if the convention needs something that the predictions or the queries do not have.
    """
    if isinstance(predictions, np.ndarray):
        predictions = Predictions(predictions)
    options = for_dataset(convention, dataset)
    score = _score_chunks if options["predictions"] == "chunks" else _score_spans
    values, counts = score(predictions, queries, options)
    one_each = np.ones(len(queries), dtype=np.int64)
    return Scores(values, {"queries": one_each, **counts})


def _score_chunks(predictions: Predictions, queries: Queries, options: dict) -> tuple[dict, dict]:
    chunks = Chunks(options["chunks"], options["chunk_s"], options["best"])
    ranked, counts = rank_candidates(predictions.spans, chunks)
    values = score_candidates(ranked, queries.annotators, chunks)
    return {name: values[name] for name in options["metrics"]}, counts


def _score_spans(predictions: Predictions, queries: Queries, options: dict) -> tuple[dict, dict]:
    labels, extent = queries.moments, queries.durations
    spans, overlap, counts = _in_double(predictions.spans, extent), moments.iou, {}
    if needs_clips(options):
        positions, index = _quantised(predictions.clips, queries, options)
        if options["iou"] == "seconds":
            labels = moments.from_index(index, extent, positions)
        else:
            spans, widened = moments.to_index(spans, extent, positions)
            labels, extent, overlap = index, positions, moments.index_iou
            counts = {"candidates_narrower_than_a_position": widened}
    values = score_queries(
        spans,
        labels,
        options["metrics"],
        nms=options["nms"],
        compare=options["compare"],
        iou=overlap,
        extent=extent,
    )
    return values, counts


def _in_double(spans: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """Spans with ends that differ from the duration by single precision alone put right.

    Models hold durations in single precision. Without this the whole video would miss, or not miss,
    an IoU of exactly m by chance: on val_2 of ActivityNet Captions 18 queries at m = 0.5.
    """
    limit = durations[:, None]
    is_end = np.abs(spans[..., 1] - limit) <= SINGLE * limit
    return np.stack([spans[..., 0], np.where(is_end, limit, spans[..., 1])], axis=-1)


def _quantised(
    clips: np.ndarray | None, queries: Queries, options: dict
) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) positions of each video's axis and (Q, 2) inclusive indices of the annotated moments."""
    if clips is None:
        raise UserError(
            "predictions: column clips is missing, which this convention needs to quantise labels; "
            "run the training again"
        )
    if "positions" not in options:
        raise UserError(
            "config/conventions.yaml: positions: is missing for this data set; state the length of "
            "the resampled axis"
        )
    target = options["positions"]
    if options["labels"] == "windows":
        index = resample.linspace_labels(clips, target, queries.moments, queries.durations)
        return np.full(len(clips), target), index
    if options["labels"] == "nearest_span":
        positions = np.minimum(clips, target)
        return positions, moments.nearest_index(queries.moments, queries.durations, positions)
    raise UserError(
        f"config/conventions.yaml: labels: {options['labels']!r} has no indices; use windows or "
        "nearest_span with iou index"
    )
