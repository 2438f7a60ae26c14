"""Scores equal a plain loop, whatever the suppression, the comparison and the discount."""

import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.evaluation.metrics import NMS_IOU, evaluate

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


def plain_survivors(candidates, threshold):
    kept = []
    for candidate in candidates:
        if np.isnan(candidate[0]):
            continue
        if threshold is None or all(plain_iou(candidate, k) <= threshold for k in kept):
            kept.append(candidate)
    return kept


@pytest.mark.parametrize("nms", [None, 0.3, 0.45, {"minus": 0.05}])
@pytest.mark.parametrize("compare", [">=", ">"])
def test_recall_equals_a_plain_loop_with_a_suppression_for_each_threshold(nms, compare):
    rng = np.random.default_rng(3)
    # On a coarse grid, so that IoUs of exactly m and exactly the threshold occur
    annotated, ranked = np.rint(random_moments(rng, 80)), np.rint(random_moments(rng, 80, 40))
    annotated[:, 1] += 1
    ranked[..., 1] += 1
    ranked[7, 10:] = np.nan
    names = [f"R@{n},IoU={m}" for n in (1, 3, 5) for m in (0.1, 0.25, 0.5, 0.75)]
    hits = dict.fromkeys(names, 0)
    ties = 0
    for name in names:
        n, m = int(name[2]), float(name.split("=")[1])
        threshold = m - nms["minus"] if isinstance(nms, dict) else nms
        for candidates, truth in zip(ranked, annotated, strict=True):
            found = [plain_iou(c, truth) for c in plain_survivors(candidates, threshold)[:n]]
            hits[name] += any(o >= m if compare == ">=" else o > m for o in found)
            ties += any(o == m for o in found)
    assert ties > 0
    expected = {name: 100 * count / len(annotated) for name, count in hits.items()}
    assert evaluate(ranked, annotated, names, nms=nms, compare=compare) == pytest.approx(expected)


def test_discounted_recall_equals_a_plain_loop():
    rng = np.random.default_rng(4)
    durations = rng.uniform(30, 60, 50)
    annotated, ranked = random_moments(rng, 50), random_moments(rng, 50, 12)
    names = [f"dR@{n},IoU={m}" for n in (1, 5) for m in (0.1, 0.5)]
    sums = dict.fromkeys(names, 0.0)
    for name in names:
        n, m = int(name[3]), float(name[-3:])
        for candidates, truth, duration in zip(ranked, annotated, durations, strict=True):
            best = 0.0
            for found in plain_survivors(candidates, NMS_IOU)[:n]:
                if plain_iou(found, truth) >= m:
                    off = [abs(found[end] - truth[end]) / duration for end in (0, 1)]
                    best = max(best, (1 - off[0]) * (1 - off[1]))
            sums[name] += best
    expected = {name: 100 * total / 50 for name, total in sums.items()}
    found = evaluate(ranked, annotated, names, extent=durations)
    assert found == pytest.approx(expected)
    plain = evaluate(ranked, annotated, [name[1:] for name in names])
    assert all(0 < found[name] < plain[name[1:]] for name in names)


def test_discounting_without_durations_is_refused():
    with pytest.raises(UserError, match="dR.*durations"):
        evaluate(np.zeros((1, 1, 2)), np.ones((1, 2)), ["dR@1,IoU=0.5"])


def test_fewer_candidates_than_asked_for():
    annotated = np.array([[0.0, 10.0]])
    for nms in (None, 0.5):
        scores = evaluate(np.array([[[0.0, 8.0]]]), annotated, ["R@5,IoU=0.7"], nms=nms)
        assert scores == {"R@5,IoU=0.7": 100.0}
