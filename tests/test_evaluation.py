"""Scores equal a plain loop; files that do not cover the split are refused."""

import numpy as np
import pytest

from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation import NMS_IOU, evaluate, read_predictions, write_predictions

METRICS = ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@5,IoU=0.3", "R@5,IoU=0.7", "mIoU"]


def random_moments(rng, *shape, duration=30.0):
    return np.sort(rng.uniform(0, duration, (*shape, 2)), axis=-1)


def plain_iou(a, b):
    overlap = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def plain_scores(ranked, annotated):
    hits = dict.fromkeys(METRICS, 0)
    for candidates, truth in zip(ranked, annotated, strict=True):
        kept = []
        for candidate in candidates:
            if not np.isnan(candidate[0]) and all(plain_iou(candidate, k) <= NMS_IOU for k in kept):
                kept.append(candidate)
        overlaps = [plain_iou(candidate, truth) for candidate in kept[:5]]
        for name in METRICS[:-1]:
            n, m = int(name[2]), float(name[-3:])
            hits[name] += any(overlap >= m for overlap in overlaps[:n])
        hits["mIoU"] += overlaps[0]
    return {name: 100 * hit / len(annotated) for name, hit in hits.items()}


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    annotated, ranked = random_moments(rng, 40), random_moments(rng, 40, 20)
    ranked[5, 3:] = np.nan
    scores = evaluate(ranked, annotated, METRICS)
    assert scores == pytest.approx(plain_scores(ranked, annotated))


def test_perfect_and_hopeless_predictions():
    annotated = random_moments(np.random.default_rng(0), 10)
    assert set(evaluate(annotated[:, None], annotated, METRICS).values()) == {100.0}
    assert set(evaluate(annotated[:, None] + 1000, annotated, METRICS).values()) == {0.0}


def test_more_candidates_never_hurt_and_higher_thresholds_never_help():
    rng = np.random.default_rng(1)
    annotated, ranked = random_moments(rng, 200), random_moments(rng, 200, 10)
    scores = evaluate(ranked, annotated, METRICS)
    assert scores["R@5,IoU=0.3"] >= scores["R@1,IoU=0.3"] >= scores["R@1,IoU=0.5"]


def test_the_threshold_itself_counts():
    annotated = np.array([[0.0, 10.0]])
    assert evaluate(np.array([[[0.0, 5.0]]]), annotated, ["R@1,IoU=0.5"]) == {"R@1,IoU=0.5": 100.0}


def test_unknown_metric_is_named():
    with pytest.raises(UserError, match="R@1 IoU 0.5"):
        evaluate(np.zeros((1, 1, 2)), np.ones((1, 2)), ["R@1 IoU 0.5"])


def queries(count):
    ids = [f"v{row}_0" for row in range(count)]
    return Queries(ids, ids, ["a"] * count, np.full(count, 30.0), np.tile([0.0, 1.0], (count, 1)))


def test_prediction_files_keep_every_bit(tmp_path):
    rng = np.random.default_rng(2)
    ranked = np.concatenate([random_moments(rng, 7, 4), rng.random((7, 4, 1))], axis=2)
    ranked[3, 2:] = np.nan
    write_predictions(tmp_path / "p.parquet", queries(7), ranked)
    np.testing.assert_array_equal(
        read_predictions(tmp_path / "p.parquet", queries(7)), ranked[..., :2]
    )


def test_a_part_of_the_split_is_refused(tmp_path):
    write_predictions(tmp_path / "p.parquet", queries(7), np.ones((7, 1, 3)))
    with pytest.raises(UserError, match="1 of 8 queries have no prediction.*v7_0"):
        read_predictions(tmp_path / "p.parquet", queries(8))
    with pytest.raises(UserError, match="v6_0.*not in the split"):
        read_predictions(tmp_path / "p.parquet", queries(6))


def test_a_damaged_prediction_file_is_named(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match="p.parquet.*not a prediction file"):
        read_predictions(tmp_path / "p.parquet", queries(1))
