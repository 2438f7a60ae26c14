"""How sure the numbers of a row are, and whether two rows differ, from their cells' scores.

A row is one system's cells, one a seed. Their scores are averaged over the seeds, query by query,
before videos are resampled (evaluation/resampling.py): what varies is the sample of videos, while
the seeds stay those that were run. Their spread is the table's standard deviation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tsgbench.errors import UserError
from tsgbench.evaluation.query_scores import QueryScores, read_query_scores
from tsgbench.evaluation.resampling import (
    bootstrap_intervals,
    detectable,
    permutation_p_values,
    standard_errors,
)
from tsgbench.reporting.cells import Cell
from tsgbench.reporting.numbers import SIGNIFICANT

# How far the mean of a column may be from the number of metrics.json, in percent
ROUNDING = 1e-7


@dataclass(frozen=True)
class Difference:
    """Of two rows. p_value: of there being none, not corrected. error: its standard error in
    percent, None where its videos tell none. videos: how many there are."""

    p_value: float
    error: float | None
    videos: int

    def detectable(self, tests: int) -> float | None:
        """The smallest true difference that this one of so many tests finds four times of five, in
        percent, whatever the others find; None where the videos tell none."""
        return detectable(self.error, SIGNIFICANT / tests) if self.error else None


@dataclass(frozen=True)
class _Sample:
    """A row's scores: values (M, Q) percent, mean over seeds, of queries sorted by their ids."""

    metrics: list[str]
    query_ids: np.ndarray
    video_ids: np.ndarray
    values: np.ndarray

    def defined_for_all(self) -> "_Sample":
        """Only the metrics that every query has."""
        is_whole = ~np.isnan(self.values).any(axis=1)
        metrics = [name for name, whole in zip(self.metrics, is_whole, strict=True) if whole]
        return replace(self, metrics=metrics, values=self.values[is_whole])

    def take(self, metrics: list[str]) -> np.ndarray:
        return self.values[[self.metrics.index(metric) for metric in metrics]]


def intervals(cells: Sequence[Cell], metrics: Iterable[str]) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals over videos of one row's numbers, in percent, by metric.

    cells: one system's, one a seed, all under one convention and over one part, which are
    respected. Metrics that the cells do not define, or only for some queries, have none; nor has
    any if there are fewer than two videos or no cell. `UserError` if the cells answer different
    queries, or if their scores are missing, damaged or not those of their `metrics.json`.
    """
    sample = _read_row(cells, metrics).defined_for_all()
    if not sample.metrics or len(set(sample.video_ids)) < 2:
        return {}
    bounds = bootstrap_intervals(sample.values, sample.video_ids)
    return {
        metric: (float(lower), float(upper))
        for metric, (lower, upper) in zip(sample.metrics, bounds, strict=True)
    }


def compare(
    cells: Sequence[Cell], reference: Sequence[Cell], metrics: Iterable[str]
) -> dict[str, Difference]:
    """How two rows differ, by metric that both define.

    Two-sided paired permutation test over videos, of the means over the seeds of each. Correct all
    that a table shows at once (`resampling.holm`). `UserError` if the rows were scored on different
    queries or under different conventions, which no test can compare.
    """
    metrics = list(metrics)
    ours, theirs = (_read_row(row, metrics).defined_for_all() for row in (cells, reference))
    shared = [metric for metric in ours.metrics if metric in theirs.metrics]
    if not shared:
        return {}
    _check_comparable(cells[0], ours, reference[0], theirs)
    tested = paired_tests(ours.take(shared) - theirs.take(shared), ours.video_ids)
    return dict(zip(shared, tested, strict=True))


def paired_tests(differences: np.ndarray, video_ids: np.ndarray) -> list[Difference]:
    """What a paired permutation test says of each row. differences: (M, Q) in percent; video_ids:
    of the queries."""
    p_values = permutation_p_values(differences, video_ids)
    videos = len(set(video_ids))
    errors = standard_errors(differences, video_ids) if videos > 1 else np.zeros(len(differences))
    return [
        Difference(float(p_value), float(error) if error > ROUNDING else None, videos)
        for p_value, error in zip(p_values, errors, strict=True)
    ]


def _read_row(cells: Sequence[Cell], metrics: Iterable[str]) -> _Sample:
    """The mean over the cells of each query's scores, of the metrics that the cells define."""
    defined = [m for m in metrics if cells and cells[0].metrics.get(m) is not None]
    if not defined:
        return _Sample([], np.array([]), np.array([]), np.empty((0, 0)))
    first = _read_cell(cells[0], defined)
    total = first.values.copy()
    for cell in cells[1:]:
        scores = _read_cell(cell, defined)
        _check_comparable(cell, scores, cells[0], first)
        total += scores.values
    return _Sample(defined, first.query_ids, first.video_ids, total / len(cells))


def _read_cell(cell: Cell, metrics: list[str]) -> _Sample:
    """One cell's scores under its convention and of its part, checked against its metrics."""
    scores = read_query_scores(_path(cell))
    rows = _rows_of_part(cell, scores)
    order = rows[np.argsort(scores.query_ids[rows], kind="stable")]
    values = np.array([scores.values(_convention(cell), metric)[order] for metric in metrics])
    stated = np.array([cell.metrics.get(metric) for metric in metrics], dtype=np.float64)
    if len(order) != cell.scored["queries"] or not np.allclose(
        np.nanmean(values, axis=1), stated, rtol=0, atol=ROUNDING
    ):
        raise UserError(
            f"{_path(cell)}: holds other scores than metrics.json beside it states; evaluate the "
            "cell again"
        )
    return _Sample(metrics, scores.query_ids[order], scores.video_ids[order], values)


def _rows_of_part(cell: Cell, scores: QueryScores) -> np.ndarray:
    """The rows of the queries that the cell is seen over."""
    if cell.part is None:
        return np.arange(len(scores))
    parts = cell.evaluation.get("settings", {}).get("score", {})
    if cell.part not in parts:
        raise UserError(
            f"{cell.folder / 'metrics.json'}: settings.score: has no part {cell.part!r}; evaluate "
            "the cell again"
        )
    splits = parts[cell.part]
    return np.flatnonzero(np.isin(scores.splits, [splits] if isinstance(splits, str) else splits))


def _check_comparable(cell: Cell, found: _Sample, other: Cell, there: _Sample) -> None:
    """Two cells that are averaged or compared answer the same queries under one convention."""
    if _convention(cell) != _convention(other):
        raise UserError(
            f"{_path(cell)}: read under {_convention(cell)!r}, but {other.name} under "
            f"{_convention(other)!r}; compare systems under one convention"
        )
    if not (
        np.array_equal(found.query_ids, there.query_ids)
        and np.array_equal(found.video_ids, there.video_ids)
    ):
        only = len(np.setxor1d(found.query_ids, there.query_ids))
        raise UserError(
            f"{_path(cell)}: query_id: scored on other queries than {other.name} ({only} are only "
            "in one of them), so the two cannot be compared; evaluate both on the same videos"
        )


def _convention(cell: Cell) -> str:
    """The convention whose columns are the cell's: its own or its evaluation's headline."""
    if cell.convention is not None:
        return cell.convention
    headline = cell.evaluation["facts"].get("headline")
    if not headline:
        raise UserError(
            f"{cell.folder / 'metrics.json'}: facts.headline: missing, so its scores have no name; "
            "evaluate the cell again"
        )
    return headline


def _path(cell: Cell) -> Path:
    return cell.folder / "scores.parquet"
