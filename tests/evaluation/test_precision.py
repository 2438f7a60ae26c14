"""Several annotated moments per query: recall and average precision equal plain loops, written from
the rules of QVHighlights' evaluator."""

import numpy as np
import pytest

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import evaluate_convention, score_convention
from tsgbench.evaluation.metrics import score_queries
from tsgbench.evaluation.precision import THRESHOLDS, average_precision, within

CONVENTION = {
    "predictions": "spans",
    "labels": "several",
    "iou": "seconds",
    "compare": ">=",
    "nms": None,
    "lengths": {"short": [0, 10], "middle": [10, 30], "long": [30, 150]},
    "metrics": [
        "R@1,IoU=0.5",
        "R@1,IoU=0.7",
        "mAP",
        "mAP,IoU=0.5",
        "mAP,IoU=0.75",
        "mAP,short",
        "mAP,middle",
        "mAP,long",
        "mIoU",
    ],
}


def plain_iou(a, b):
    overlap = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def plain_precision(ranked, windows, threshold):
    """Interpolated area below precision over recall, of a greedy matching down the ranking."""
    taken, is_right = set(), []
    for moment in ranked[:10]:
        overlaps = sorted(
            ((plain_iou(moment, window), place) for place, window in enumerate(windows)),
            reverse=True,
        )
        match = next(
            (place for iou, place in overlaps if iou >= threshold and place not in taken), None
        )
        is_right.append(match is not None)
        taken.add(match)
    recall = np.cumsum(is_right) / len(windows)
    precision = np.cumsum(is_right) / np.arange(1, len(is_right) + 1)
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def invented(seed, queries=60):
    """Rankings near some of their windows, of lengths that fall into every range."""
    rng = np.random.default_rng(seed)
    ranked, windows = [], []
    for _ in range(queries):
        starts = rng.uniform(0, 100, rng.integers(1, 6))
        marked = np.stack([starts, starts + rng.choice([4, 10, 20, 30, 45], len(starts))], axis=1)
        near = np.repeat(marked, 4, axis=0)[rng.permutation(4 * len(marked))][:12]
        near = near + rng.normal(0, 3, near.shape)
        near[:, 1] = np.maximum(near[:, 1], near[:, 0] + 1)
        ranked.append(near)
        windows.append(marked)
    return ranked, windows


def padded(arrays):
    depth = max(map(len, arrays))
    return np.stack(
        [np.pad(a, ((0, depth - len(a)), (0, 0)), constant_values=np.nan) for a in arrays]
    )


def as_queries(windows):
    names = [f"q{place}" for place in range(len(windows))]
    first = np.array([marked[0] for marked in windows])
    return Queries(names, names, names, np.full(len(windows), 150.0), first, windows)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_evaluators_rules(seed):
    ranked, windows = invented(seed)
    found = evaluate_convention(padded(ranked), as_queries(windows), CONVENTION, "any")["metrics"]
    pairs = list(zip(ranked, windows, strict=True))
    best = [max(plain_iou(r[0], window) for window in w) for r, w in pairs]
    expected = {f"R@1,IoU={m}": 100 * np.mean([b >= m for b in best]) for m in (0.5, 0.7)}
    expected["mIoU"] = 100 * np.mean(best)
    by_threshold = {m: [plain_precision(r, w, m) for r, w in pairs] for m in THRESHOLDS}
    expected["mAP"] = 100 * np.mean(list(by_threshold.values()))
    expected["mAP,IoU=0.5"] = 100 * np.mean(by_threshold[THRESHOLDS[0]])
    expected["mAP,IoU=0.75"] = 100 * np.mean(by_threshold[THRESHOLDS[5]])
    for name, (low, high) in CONVENTION["lengths"].items():
        within_range = [[x for x in w if low < x[1] - x[0] <= high] for w in windows]
        some = [pair for pair in zip(ranked, within_range, strict=True) if pair[1]]
        values = [plain_precision(r, w, m) for r, w in some for m in THRESHOLDS]
        expected[f"mAP,{name}"] = 100 * np.mean(values)
    assert found == pytest.approx(expected)


def test_perfect_hopeless_and_repeated_rankings():
    windows = np.array([[[0.0, 10.0], [20.0, 30.0]]])
    assert average_precision(windows, windows).mean() == 1
    assert average_precision(windows + 500, windows).max() == 0
    # the same window twice: right once; of two windows, half the recall at full precision
    twice = windows[:, [0, 0]]
    assert average_precision(twice, windows).mean() == 0.5
    # a miss first: precision 1/2 at half the recall
    late = np.concatenate([windows[:, :1] + 500, windows[:, :1]], axis=1)
    assert average_precision(late, windows).mean() == 0.25
    nothing = np.full((1, 3, 2), np.nan)
    assert average_precision(nothing, windows).max() == 0


def test_the_tenth_counts_and_the_eleventh_does_not():
    window = np.array([[[0.0, 10.0]]])
    misses = np.repeat(window + 500, 12, axis=1)
    for place, expected in ((9, 10.0), (10, 0.0)):
        ranked = misses.copy()
        ranked[0, place] = window[0, 0]
        found = score_queries(ranked, window, ["mAP,IoU=0.5"], nms=None)
        assert 100 * found["mAP,IoU=0.5"][0] == pytest.approx(expected)


def test_suppression_comes_before_the_ten():
    window = np.array([[[0.0, 10.0]]])
    same = np.repeat(window + 500, 12, axis=1)
    same[0, 11] = window[0, 0]
    [value] = score_queries(same, window, ["mAP,IoU=0.5"], nms=0.7)["mAP,IoU=0.5"]
    assert value == 0.5  # eleven that are one, then the right one


def test_a_window_at_the_limit_belongs_to_the_shorter_range():
    windows = np.array([[[0.0, 10.0], [0.0, 10.5], [0.0, 30.0]]])
    kept = [~np.isnan(within(windows, *limits)[..., 0]) for limits in ((0, 10), (10, 30))]
    assert kept[0].tolist() == [[True, False, False]] and kept[1].tolist() == [[False, True, True]]


def test_queries_without_a_window_of_the_range_do_not_count():
    windows = [np.array([[0.0, 5.0]]), np.array([[0.0, 50.0]])]
    ranked = padded([windows[0], windows[1] + 200])
    scores = score_convention(ranked, as_queries(windows), CONVENTION, "any")
    assert np.isnan(scores.values["mAP,short"]).tolist() == [False, True]
    found = scores.summarise()["metrics"]
    assert found["mAP,short"] == 100 and found["mAP,long"] == 0
    assert "mAP,middle" not in found  # of nothing


def test_what_has_no_meaning_is_refused():
    one = np.array([[[0.0, 10.0], [20.0, 30.0]]])
    with pytest.raises(UserError, match="one moment per query"):
        score_queries(one, one, ["dR@1,IoU=0.5"], extent=np.array([150.0]))
    with pytest.raises(UserError, match="suppression"):
        score_queries(one, one, ["mAP"], nms={"minus": 0.05})
    with pytest.raises(UserError, match="no range"):
        score_queries(one, one, ["mAP,tiny"])
