"""What a file keeps: the survivors of the whole list by a plain loop, and nothing else."""

import itertools

import numpy as np
import pytest

from tsgbench.config import Catalogue
from tsgbench.datasets.moments import nms_ranks
from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import for_dataset, score_convention
from tsgbench.evaluation.keeping import Ranked, keep
from tsgbench.evaluation.needs import needs_of, needs_of_all
from tsgbench.evaluation.predictions import Predictions

SHIPPED = Catalogue.load().conventions
DATASETS = ["activitynet_captions", "charades_sta", "tacos", "charades_cd", "didemo"]


def invented(count=30, candidates=300, seed=0):
    """Candidates around two places per video, further down anywhere; fewer in some videos.

    On a grid of half seconds, so that many are equal and IoUs lie on thresholds; some reach the
    video's end but for single precision.
    """
    rng = np.random.default_rng(seed)
    names = [f"q{row}" for row in range(count)]
    durations = rng.integers(60, 120, count) / 2
    centres = np.sort(rng.uniform(0, 1, (count, 2, 2))) * durations[:, None, None]
    spans = centres[np.arange(count)[:, None], rng.integers(0, 2, (count, candidates))]
    spans = np.sort(spans + rng.normal(0, 1, spans.shape))
    anywhere = rng.random((count, candidates)) < np.linspace(-0.3, 0.5, candidates)
    drawn = np.sort(rng.uniform(0, 1, spans.shape)) * durations[:, None, None]
    spans = np.where(anywhere[..., None], drawn, spans)
    spans = np.rint(2 * np.clip(spans, 0, durations[:, None, None])) / 2
    spans[..., 1] = np.where(
        spans[..., 1] == durations[:, None], spans[..., 1] * (1 - 2e-7), spans[..., 1]
    )
    scores = np.sort(rng.random((count, candidates)))[:, ::-1]
    ranked = np.concatenate([spans, scores[..., None]], axis=-1)
    for row, many in enumerate(rng.integers(3, candidates + 1, count // 3)):
        ranked[row, many:] = np.nan
    moments = np.sort(rng.uniform(0, 1, (count, 2))) * durations[:, None]
    moments = np.rint(2 * moments) / 2 + [0, 0.5]
    starts = rng.integers(0, 6, (count, 4))
    marked = 5.0 * np.stack([starts, rng.integers(starts + 1, 7)], axis=-1)
    queries = Queries(names, names, names, durations, moments, list(marked))
    return queries, ranked, rng.integers(5, 300, count)


def predictions_of(kept: Ranked, clips, needs) -> Predictions:
    """As a file of them is read."""
    widest = np.bincount(kept.rows).max()
    spans = np.full((len(kept.counts), widest, 2), np.nan)
    for row in range(len(kept.counts)):
        found = kept.moments[kept.rows == row]
        spans[row, : len(found)] = found[:, :2]
    return Predictions(spans, clips, kept.counts, needs)


def test_a_subset_has_the_survivors_of_the_list_if_and_only_if_it_holds_them():
    """The proof in keeping.py, over every subset of short lists of overlapping moments."""
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(6):
        moments = np.sort(rng.integers(0, 6, (9, 2)), axis=1) + [0.0, 1.0]
        for threshold, depth in itertools.product((0.0, 0.3, 0.5), (1, 3, 5)):
            whole = nms_ranks(moments[None], threshold, depth)[0]
            first = whole[whole >= 0]
            subsets = np.array(list(itertools.product([False, True], repeat=len(moments))))
            holds = subsets[:, first].all(axis=1)
            given = np.where(subsets[..., None], moments, np.nan)
            same = (nms_ranks(given, threshold, depth) == whole).all(axis=1)
            assert (same == holds).all()
            missed += (~holds).sum()
    assert missed > 1000


@pytest.mark.parametrize("need", needs_of(for_dataset(SHIPPED["official_ia_net"], "tacos"))[1:])
def test_no_candidate_is_kept_that_no_need_asks_for(need):
    _, ranked, clips = invented()
    durations = np.full(len(ranked), 60.0)
    kept = keep(ranked, durations, clips, [need])
    positions = need["positions"]
    for row, candidates in enumerate(ranked):
        boxes = np.rint(candidates[:, :2] * positions / 60.0 - [0, 1]).clip(0, positions - 1)
        survivors = []
        for rank, (start, end) in enumerate(boxes):
            if np.isnan(start) or len(survivors) == need["depth"]:
                break
            end = max(start, end)
            others = [(boxes[other, 0], boxes[other].max()) for other in survivors]
            shared = [max(0, min(end, f) - max(start, s)) for s, f in others]
            hull = [max(end, f) - min(start, s) for s, f in others]
            if all(a <= need["above"] * b or b == 0 for a, b in zip(shared, hull, strict=True)):
                survivors.append(rank)
        assert kept.ranks[kept.rows == row].tolist() == survivors


@pytest.mark.parametrize("dataset", DATASETS)
def test_scores_of_kept_candidates_are_those_of_all_under_every_convention(dataset):
    queries, ranked, clips = invented(seed=DATASETS.index(dataset))
    conventions = {name: for_dataset(options, dataset) for name, options in SHIPPED.items()}
    needs = needs_of_all(conventions.values())
    kept = keep(ranked, queries.durations, clips, needs)
    assert (kept.counts == (~np.isnan(ranked[..., 0])).sum(axis=1)).all()
    bounded = predictions_of(kept, clips, needs)
    assert bounded.spans.shape[1] < 50 < 100 < ranked.shape[1]
    whole, differs = Predictions(ranked[..., :2], clips), False
    for options in conventions.values():
        expected = score_convention(whole, queries, options, dataset)
        found = score_convention(bounded, queries, options, dataset)
        cut = Predictions(ranked[:, :100, :2], clips)
        cut = score_convention(cut, queries, options, dataset)
        for name, values in expected.values.items():
            np.testing.assert_array_equal(found.values[name], values)
            differs |= (cut.values[name] != values).any()
        for name, values in expected.counts.items():
            np.testing.assert_array_equal(found.counts[name], values)
    assert differs, "the first hundred would have done: the case shows nothing"


def test_a_file_answers_the_conventions_it_was_made_for_and_refuses_the_others():
    queries, ranked, clips = invented()
    needs = needs_of_all([SHIPPED["seconds"]])
    bounded = predictions_of(keep(ranked, queries.durations, clips, needs), clips, needs)
    for name in ("seconds", "official_cma", "official_seqpan"):  # the latter two: first ranks
        score_convention(bounded, queries, SHIPPED[name], "charades_sta")
    score_convention(bounded, queries, SHIPPED["official_tan"], "activitynet_captions")  # 0.5
    for name, wanted in (
        ("official_tan", "iou seconds, above 0.45, depth 5"),
        ("official_ia_net", "iou index, positions 64, labels windows, above 0.05"),
        ("official_didemo", "chunks 6, chunk_s 5"),
    ):
        with pytest.raises(UserError, match=f"{wanted}.*; name the convention.*train the cell"):
            score_convention(bounded, queries, SHIPPED[name], "charades_sta")


def test_parts_of_a_split_are_joined_in_their_order():
    _, ranked, _ = invented(count=12)
    joined = Ranked.joined([Ranked.all_of(ranked[:5]), Ranked.all_of(ranked[5:])])
    whole = Ranked.all_of(ranked)
    for name in ("rows", "ranks", "moments", "counts"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
