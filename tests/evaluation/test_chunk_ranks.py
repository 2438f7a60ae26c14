"""DiDeMo's protocol against a plain loop over queries and annotators."""

import itertools

import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.evaluation.didemo import Chunks, rank_candidates, score_candidates
from tsgbench.evaluation.metrics import to_percent

CHUNKS = Chunks()
ORDER = [(c, c) for c in range(6)] + list(itertools.combinations(range(6), 2))


def seconds(runs):
    """Half-open seconds of inclusive runs of chunks."""
    return 5.0 * (np.asarray(runs, dtype=np.float64) + [0, 1])


def invented(rng, count):
    """Rankings (Q, 21) of runs and each query's 3, 4 or 7 labels."""
    rankings = [[ORDER[place] for place in rng.permutation(21)] for _ in range(count)]
    labels = [
        [ORDER[place] for place in rng.choice(21, rng.choice([3, 4, 7]), replace=True)]
        for _ in range(count)
    ]
    return rankings, labels


def plain_iou(a, b):
    overlap = min(a[1], b[1]) - max(a[0], b[0]) + 1
    return max(0, overlap) / (max(a[1], b[1]) - min(a[0], b[0]) + 1)


def plain_scores(rankings, labels):
    hits, overlaps = {1: 0, 5: 0}, []
    for ranking, marked in zip(rankings, labels, strict=True):
        ranks = sorted(ranking.index(label) + 1 for label in marked)[:3]
        for n in hits:
            hits[n] += np.mean(ranks) <= n
        overlaps.append(np.mean(sorted(plain_iou(ranking[0], label) for label in marked)[-3:]))
    share = 100 / len(labels)
    return {"Rank@1": share * hits[1], "Rank@5": share * hits[5], "mIoU": 100 * np.mean(overlaps)}


def scores(spans, labels):
    ranked, counts = rank_candidates(np.asarray(spans), CHUNKS)
    values = score_candidates(ranked, [seconds(marked) for marked in labels], CHUNKS)
    metrics = {name: to_percent(value) for name, value in values.items()}
    return metrics, {name: int(count.sum()) for name, count in counts.items()}


def test_the_candidates_stand_in_their_fixed_order():
    assert [tuple(run) for run in CHUNKS.candidates] == ORDER


def test_scores_equal_a_plain_loop():
    rankings, labels = invented(np.random.default_rng(0), 300)
    for query in range(0, 300, 2):  # half of them agree with the ranking, so that there are hits
        labels[query] = [rankings[query][place] for place in (0, 0, 1, 9)][: len(labels[query])]
    found, counts = scores([seconds(ranking) for ranking in rankings], labels)
    assert found == pytest.approx(plain_scores(rankings, labels))
    assert set(counts.values()) == {0}


def test_all_three_must_be_first_for_rank_1_but_rank_5_is_a_mean():
    ranking = [seconds(ORDER)]
    first, second, far = ORDER[0], ORDER[1], ORDER[12]
    assert scores(ranking, [[first] * 3 + [far]])[0]["Rank@1"] == 100
    assert scores(ranking, [[first, first, second, far]])[0]["Rank@1"] == 0
    assert scores(ranking, [[first, first, far, far]])[0]["Rank@5"] == 100  # (1 + 1 + 13) / 3
    assert scores(ranking, [[first, second, far, far]])[0]["Rank@5"] == 0  # (1 + 2 + 13) / 3


def test_generic_spans_go_to_the_nearest_run_and_the_missing_ones_follow_in_order():
    spans = np.full((1, 5, 2), np.nan)
    spans[0, :4] = [[9.0, 21.0], [10.1, 19.9], [1.0, 2.0], [0.0, 29.0]]
    ranked, counts = rank_candidates(spans, CHUNKS)
    order = [ORDER[place] for place in ranked[0].argsort()]
    named = [(2, 3), (0, 0), (0, 5)]
    assert order[:3] == named
    assert order[3:] == [run for run in ORDER if run not in named]
    assert counts == {
        "queries_with_appended_candidates": 1,
        "queries_with_repeated_candidates": 1,
        "runs_named_off_the_grid": 3,  # (10.1, 19.9) stands for the first one's run again
    }


@pytest.mark.parametrize(
    "span, run", [((0, 30), (0, 5)), ((26, 27), (5, 5)), ((24.9, 25), (4, 4)), ((12, 13), (2, 2))]
)
def test_the_nearest_run(span, run):
    ranked, _ = rank_candidates(np.array([[span]], dtype=np.float64), CHUNKS)
    assert ORDER[ranked[0].argmin()] == run


def test_nothing_that_is_done_to_candidates_depends_on_labels():
    rng = np.random.default_rng(1)
    spans = np.sort(rng.uniform(0, 30, (50, 3, 2)))
    before, _ = rank_candidates(spans, CHUNKS)
    assert (np.sort(before, axis=1) == np.arange(1, 22)).all()


@pytest.mark.parametrize(
    "marked, message",
    [
        ([], "several people"),
        ([np.zeros((0, 2))], "several people"),
        ([np.array([[0.0, 7.0]])], "whole chunks"),
        ([np.array([[25.0, 35.0]])], "within 6 chunks"),
        ([np.array([[5.0, 5.0]])], "within 6 chunks"),
    ],
)
def test_labels_that_the_protocol_cannot_take_are_refused(marked, message):
    with pytest.raises(UserError, match=message):
        score_candidates(np.arange(1, 22)[None], marked, CHUNKS)
