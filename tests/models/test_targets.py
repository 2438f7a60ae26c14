"""Labels and decoding on the grid of clips, against brute force."""

import itertools

import numpy as np
import pytest
import torch

from tsgbench.datasets import moments
from tsgbench.models.targets import (
    BEGIN,
    END,
    INSIDE,
    OUTSIDE,
    boundary_targets,
    clip_spans,
    foreground_labels,
    index_iou,
    index_labels,
    region_labels,
    span_moments,
    top_spans,
)

B, I, E, O = BEGIN, INSIDE, END, OUTSIDE  # noqa: E741


def all_spans(count):
    return torch.tensor([(i, j) for i in range(count) for j in range(i, count)])


def regions(start, end, count=12, clips=12):
    span = torch.tensor([[start, end]])
    return region_labels(span, torch.tensor([count]), clips, 1)[0].tolist()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((3, 8), {B: (2, 4), I: (5, 6), E: (7, 9)}),
        ((3, 7), {B: (2, 4), I: (5, 5), E: (6, 8)}),
        ((3, 6), {B: (2, 4), E: (5, 7)}),
        ((3, 5), {B: (2, 3), E: (4, 6)}),
        ((3, 4), {B: (2, 2), E: (3, 5)}),
        ((3, 3), {E: (2, 4)}),
        ((0, 0), {E: (0, 1)}),
        ((0, 11), {B: (0, 1), I: (2, 9), E: (10, 11)}),
    ],
)
def test_region_labels_of_the_public_code(span, expected):
    labels = [O] * 12
    for label, (first, last) in expected.items():
        labels[first : last + 1] = [label] * (last - first + 1)
    assert regions(*span) == labels


@pytest.mark.parametrize("count", range(1, 15))
def test_regions_come_in_order_and_never_on_padding(count):
    for start, end in all_spans(count).tolist():
        labels = regions(start, end, count, clips=count + 2)
        assert labels[count:] == [O, O]
        runs = [label for label, _ in itertools.groupby(labels)]
        inner = [label for label in runs if label != O]
        assert inner in ([B, I, E], [B, E], [E]), (start, end)
        assert runs == [O] * (labels[0] == O) + inner + [O], (start, end)
        assert (B not in inner) == (start == end or (start, end) == (0, 1))


def test_foreground_is_the_span():
    labels = foreground_labels(torch.tensor([[1, 3], [0, 0]]), 5)
    assert labels.int().tolist() == [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0]]


def test_soft_targets_stay_on_real_clips_and_sum_to_one():
    for count in range(1, 8):
        index = torch.arange(count)
        counts = torch.full((count,), count)
        targets = boundary_targets(index, counts, count + 3, soft=True)
        torch.testing.assert_close(targets.sum(1), torch.ones(count))
        assert (targets[:, count:] == 0).all()
        hard = boundary_targets(index, counts, count + 3, soft=False)
        assert torch.equal(hard.argmax(1), index) and (hard.sum(1) == 1).all()
    ends = torch.tensor([0, 2, 4])
    targets = boundary_targets(ends, torch.tensor([5, 5, 5]), 6, soft=True)
    assert targets[0].tolist() == [0.75, 0.25, 0, 0, 0, 0]
    assert targets[1].tolist() == [0, 0.25, 0.5, 0.25, 0, 0]
    assert targets[2].tolist() == [0, 0, 0, 0.25, 0.75, 0]
    assert boundary_targets(torch.tensor([0]), torch.tensor([1]), 2, soft=True).tolist() == [[1, 0]]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("duration", [0.3, 30.96, 117.61])
def test_index_to_seconds_and_back(count, duration):
    spans = all_spans(count)
    counts, dur = torch.full((len(spans),), count), torch.full((len(spans),), duration)
    scores = torch.ones(len(spans), 1)
    found = span_moments(spans[:, None], scores, dur, counts)[:, 0, :2]
    assert (found[:, 0] >= 0).all() and (found[:, 1] <= dur).all()
    assert torch.equal(index_labels(found, dur, counts), spans)


def test_index_labels_are_the_first_best_span():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 5, 9):
        spans = all_spans(count).numpy()
        dur = rng.uniform(1, 60)
        grid = np.stack([spans[:, 0], spans[:, 1] + 1], 1) * (dur / count)
        ends = np.sort(rng.uniform(0, dur, (200, 2)), axis=1)
        # Ties: moments that begin or end in the middle of a clip, and on its edge
        ties = np.sort(rng.integers(0, 2 * count + 1, (200, 2)), axis=1) * (dur / count / 2)
        gt = np.concatenate([ends, ties[ties[:, 0] < ties[:, 1]]])
        overlap = moments.iou(gt[:, None], grid[None])
        first = (overlap >= overlap.max(1, keepdims=True) - 1e-9).argmax(1)
        rows = len(gt)
        found = index_labels(
            torch.tensor(gt), torch.full((rows,), dur).double(), torch.full((rows,), count)
        )
        np.testing.assert_array_equal(found.numpy(), spans[first])


def test_top_spans_are_the_brute_force_best():
    rng = torch.Generator().manual_seed(0)
    mask = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    start, end = (
        torch.randn(3, 7, generator=rng).masked_fill(~mask, -torch.inf).log_softmax(1)
        for _ in range(2)
    )
    scores, spans = top_spans(start, end, 60)  # more than the 49 pairs
    for row, count in enumerate((7, 4, 1)):
        pairs = all_spans(count)
        joint = (start[row, pairs[:, 0]] + end[row, pairs[:, 1]]).exp()
        order = joint.argsort(descending=True)
        assert torch.equal(spans[row, : len(pairs)], pairs[order])
        torch.testing.assert_close(scores[row, : len(pairs)], joint[order])
        assert scores[row, len(pairs) :].isnan().all()
    found = span_moments(spans, scores, torch.tensor([7.0, 4.0, 1.0]), mask.sum(1))
    assert torch.equal(found.isnan().all(-1), scores.isnan())


def test_inclusive_iou_counts_whole_clips():
    candidates = torch.tensor([[0, 3], [2, 5], [4, 4], [6, 9], [2.5, 3.5]])
    found = index_iou(candidates, torch.tensor([[2, 5], [4, 4]])[:, None])
    assert found[0].tolist() == pytest.approx([2 / 6, 1, 1 / 4, 0, 2 / 4])
    assert found[1].tolist() == pytest.approx([0, 1 / 4, 1, 0, 0.5 / 2.5])
    for row, (first, last) in enumerate(((2, 5), (4, 4))):
        for place, (start, end) in enumerate(candidates[:4].long().tolist()):
            one, other = set(range(start, end + 1)), set(range(first, last + 1))
            assert found[row, place] == pytest.approx(len(one & other) / len(one | other))


def test_regressed_spans_are_brought_into_the_video():
    spans = torch.tensor([[[-2.0, 3.5], [1.5, 9.0], [3.0, 2.0], [7.0, 8.0]]])
    expected = [[0, 3.5], [1.5, 4], [2.5, 2.5], [4, 4]]
    assert clip_spans(spans, torch.tensor([5]))[0].tolist() == expected
