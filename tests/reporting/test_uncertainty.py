"""Intervals and p values of rows: seeds averaged, parts and conventions respected, mixes refused.

All scores are invented.
"""

import json

import numpy as np
import pytest

from invented import write_cell
from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.query_scores import write_query_scores
from tsgbench.evaluation.resampling import (
    bootstrap_intervals,
    permutation_p_values,
    standard_errors,
)
from tsgbench.reporting.cells import read_cell
from tsgbench.reporting.uncertainty import Difference, compare, intervals

COUNT, VIDEOS = 300, 40
SPLITS = np.repeat(["iid", "ood"], [200, 100])
METRICS = ["R@1,IoU=0.5", "mIoU"]
CONVENTIONS = ["seconds", "official"]
PLACE = np.random.default_rng(0).integers(0, VIDEOS, COUNT)


def p_values_of(cells, reference):
    return {name: one.p_value for name, one in compare(cells, reference, METRICS).items()}


class Answers:
    """Writes cells of invented scores below a folder, and remembers the scores."""

    def __init__(self, root):
        self.root, self.scores = root, {}

    def write(self, name, better=0.0, rows=None, prefix="q"):
        """A cell that answers the given queries, in that order; `better` lifts every score."""
        rows = np.arange(COUNT) if rows is None else rows
        rng = np.random.default_rng(len(self.scores))
        video = rng.normal(0, 1, VIDEOS)[PLACE]
        scores = {}
        for convention in CONVENTIONS:
            good = video + rng.normal(0, 1, COUNT) + better
            iou = 100 / (1 + np.exp(-good))
            scores[convention] = dict(zip(METRICS, (100.0 * (iou > 50), iou), strict=True))
        ids = [f"{prefix}{row}" for row in rows]
        videos = [f"v{PLACE[row]}" for row in rows]
        queries = Queries(ids, videos, ids, np.ones(len(rows)), np.ones((len(rows), 2)))

        def means(of):
            return {
                convention: {metric: values[of].mean() for metric, values in found.items()}
                for convention, found in scores.items()
            }

        parts = {}
        for part in ("iid", "ood"):
            found = means(rows[SPLITS[rows] == part])
            size = int((SPLITS[rows] == part).sum())
            parts[part] = {"metrics": found["seconds"], "conventions": found, "queries": size}
        whole = means(rows)
        folder = write_cell(
            self.root, name, metrics=whole["seconds"], conventions=whole, parts=parts
        )
        path = folder / "metrics.json"
        record = json.loads(path.read_text())
        record["settings"] = {"score": {"iid": ["iid"], "ood": "ood"}}
        record["facts"] |= {"headline": "seconds", "queries": len(rows)}
        path.write_text(json.dumps(record))
        taken = {c: {m: v[rows] for m, v in found.items()} for c, found in scores.items()}
        write_query_scores(folder / "scores.parquet", queries, SPLITS[rows], taken)
        self.scores[name] = scores
        return name

    def read(self, *names, **seen):
        return [read_cell(name, self.root / name, **seen) for name in names]

    def mean(self, names, convention="seconds"):
        """(M, COUNT) the mean over the cells."""
        found = [list(self.scores[name][convention].values()) for name in names]
        return np.mean(found, axis=0)


@pytest.fixture
def answers(tmp_path):
    return Answers(tmp_path)


@pytest.fixture
def rows(answers):
    """Two systems of two seeds; the second is better."""
    return [
        [answers.write(f"{model}/shapes/full/seed{seed}", better) for seed in (0, 1)]
        for model, better in (("cma", 0.0), ("fian", 1.0))
    ]


@pytest.mark.parametrize("part", [None, "iid", "ood"])
@pytest.mark.parametrize("convention", [None, "official"])
def test_an_interval_is_that_of_the_mean_over_seeds_of_that_part_and_convention(
    answers, rows, part, convention
):
    cells = answers.read(*rows[0], convention=convention, part=part)
    is_in = np.isin(SPLITS, part or ["iid", "ood"])
    values = answers.mean(rows[0], convention or "seconds")[:, is_in]
    found = intervals(cells, METRICS)
    assert list(found) == METRICS
    expected = bootstrap_intervals(values, [f"v{place}" for place in PLACE[is_in]])
    np.testing.assert_allclose(list(found.values()), expected)
    for place, metric in enumerate(METRICS):
        assert found[metric][0] < values[place].mean() < found[metric][1]


@pytest.mark.parametrize("part", [None, "iid", "ood"])
def test_a_p_value_is_that_of_the_difference_of_the_means_over_seeds(answers, rows, part):
    cells, reference = (answers.read(*row, part=part) for row in rows)
    is_in = np.isin(SPLITS, part or ["iid", "ood"])
    differences = (answers.mean(rows[1]) - answers.mean(rows[0]))[:, is_in]
    videos = [f"v{place}" for place in PLACE[is_in]]
    found = compare(reference, cells, METRICS)
    p_values = [one.p_value for one in found.values()]
    np.testing.assert_allclose(p_values, permutation_p_values(differences, videos))
    assert p_values_of(cells, reference) == pytest.approx(dict(zip(METRICS, p_values, strict=True)))
    assert max(p_values) < 0.01
    errors = [one.error for one in found.values()]
    np.testing.assert_allclose(errors, standard_errors(differences, videos))
    assert {one.videos for one in found.values()} == {len(set(videos))}
    same = compare(cells, cells, METRICS).values()
    assert {(one.p_value, one.error) for one in same} == {(1.0, None)}


def test_metrics_that_are_not_defined_have_neither(answers, rows):
    cells, reference = (answers.read(*row) for row in rows)
    assert list(intervals(cells, ["R@5,IoU=0.5", "mIoU"])) == ["mIoU"]
    assert list(compare(cells, reference, ["mIoU", "R@5,IoU=0.5"])) == ["mIoU"]
    assert intervals([], METRICS) == compare([], reference, METRICS) == {}
    assert intervals(answers.read(*rows[0], convention="not_computable"), METRICS) == {}


def test_the_order_in_which_a_file_has_its_queries_does_not_matter(answers):
    plain = answers.write("cma/shapes/full/seed0")
    found = intervals(answers.read(plain), METRICS)
    answers.scores.clear()  # so that the next has the same scores
    order = np.random.default_rng(1).permutation(COUNT)
    shuffled = answers.write("fian/shapes/full/seed0", rows=order)
    np.testing.assert_allclose(
        list(intervals(answers.read(shuffled), METRICS).values()), list(found.values())
    )
    cells = answers.read(plain), answers.read(shuffled)
    assert p_values_of(*cells) == dict.fromkeys(METRICS, 1.0)


def test_rows_and_seeds_scored_on_different_queries_are_refused(answers):
    whole = answers.write("cma/shapes/full/seed0")
    fewer = answers.write("cma/shapes/full/seed1", rows=np.arange(1, COUNT))
    others = answers.write("fian/shapes/full/seed0", prefix="x")
    message = r"seed1/scores\.parquet: query_id: scored on other queries than cma.*\(1 are only"
    with pytest.raises(UserError, match=message):
        intervals(answers.read(whole, fewer), METRICS)
    with pytest.raises(UserError, match=r"fian.*scored on other queries than cma.*\(600 are only"):
        compare(answers.read(others), answers.read(whole), METRICS)
    part = {"part": "ood"}  # the query that is missing is in the other part
    assert compare(answers.read(whole, **part), answers.read(fewer, **part), METRICS)


def test_two_conventions_are_not_compared(answers, rows):
    cells, reference = answers.read(*rows[0]), answers.read(*rows[1], convention="official")
    with pytest.raises(UserError, match="read under 'seconds', but .* under 'official'"):
        compare(cells, reference, METRICS)


def test_one_video_says_nothing_about_others(answers):
    rows = np.flatnonzero(PLACE == 3)
    name = answers.write("cma/shapes/full/seed0", rows=rows)
    assert intervals(answers.read(name), METRICS) == {}
    other = answers.write("fian/shapes/full/seed0", rows=rows)
    found = compare(answers.read(name), answers.read(other), METRICS)
    assert found == dict.fromkeys(METRICS, Difference(1.0, None, 1))


def test_scores_of_another_evaluation_are_refused(answers, rows):
    (mine, _), (other, _) = rows
    scores = (answers.root / other / "scores.parquet").read_bytes()
    (answers.root / mine / "scores.parquet").write_bytes(scores)
    with pytest.raises(UserError, match=r"cma.*scores\.parquet: holds other scores"):
        intervals(answers.read(mine), METRICS)
    (answers.root / mine / "scores.parquet").unlink()
    with pytest.raises(UserError, match=r"scores\.parquet: no such file; evaluate the cell again"):
        intervals(answers.read(mine), METRICS)


def test_an_unknown_part_is_named(answers, rows):
    cell = answers.read(rows[0][0], part="iid")[0]
    cell.evaluation["settings"]["score"].clear()
    with pytest.raises(UserError, match=r"metrics\.json: settings\.score: has no part 'iid'"):
        intervals([cell], METRICS)
