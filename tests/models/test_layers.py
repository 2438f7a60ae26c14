"""Shared blocks: the fast forms compute what the plain ones do."""

import math

import pytest
import torch
from model_samples import word_table
from torch import nn

from tsgbench.models.layers import (
    BidirectionalGRU,
    BidirectionalLSTM,
    DepthwiseConv,
    Dropout,
    MultiHeadAttention,
    SinusoidalPositions,
    WordVectors,
    masked_softmax,
    reverse_within_length,
)


def test_depthwise_conv_is_a_grouped_conv1d():
    torch.manual_seed(0)
    ours, plain = DepthwiseConv(6, 5).double(), nn.Conv1d(6, 6, 5, padding=2, groups=6, bias=False)
    plain = plain.double()
    plain.weight.data = ours.weight.data[:, :, 0].clone()
    x = torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    found, expected = ours(x), plain(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    grads = [torch.autograd.grad(y.square().sum(), x)[0] for y in (found, expected)]
    torch.testing.assert_close(*grads, atol=1e-12, rtol=0)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_the_rate(rate):
    torch.manual_seed(0)
    layer, x = Dropout(rate), torch.ones(101, 1003, requires_grad=True)
    y = layer(x)
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert (y == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
    assert y[y != 0].unique().item() == pytest.approx(1 / (1 - rate), rel=1e-3)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())
    assert layer.eval()(x) is x
    torch.manual_seed(0)
    assert torch.equal(layer.train()(x), y), "the global seed decides"


def test_dropout_is_independent_between_neighbours():
    torch.manual_seed(1)
    kept = Dropout(0.5)(torch.ones(200_000)) != 0
    for lag in (1, 2, 3, 4):
        agree = (kept[lag:] == kept[:-lag]).float().mean().item()
        assert agree == pytest.approx(0.5, abs=0.01)


def test_masked_softmax_of_nothing_is_zero():
    mask = torch.tensor([[True, True, False], [False, False, False]])
    weights = masked_softmax(torch.randn(2, 3), mask)
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 0.0]))
    assert (weights[~mask] == 0).all()


def test_words_without_a_vector_share_a_trainable_one():
    table = word_table(dim=4)
    layer = WordVectors(table)
    found = layer(torch.tensor([[0, 1, 2, 5]]))[0]
    assert (found[0] == 0).all(), "padding"
    assert torch.equal(found[1], layer.unknown) and torch.equal(found[3], layer.unknown)
    torch.testing.assert_close(found[2], torch.as_tensor(table.vectors[2]))
    assert [name for name, _ in layer.named_parameters()] == ["unknown"]


def test_attention_is_softmax_attention_per_head():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 5, 6, dtype=torch.float64)
    mask = torch.tensor([1, 1, 1, 0, 0], dtype=torch.bool)[None, None, None]
    found = MultiHeadAttention(3)(q, k, v, mask)
    for head in range(3):
        part = slice(2 * head, 2 * head + 2)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / 2**0.5
        weights = masked_softmax(scores, mask[0])
        torch.testing.assert_close(found[..., part], weights @ v[..., part])


@pytest.mark.parametrize("mask", ["bool", "added"])
def test_dropped_attention_weights_are_those_after_the_softmax(mask):
    q, k, v = torch.randn(3, 2, 5, 6, dtype=torch.float64)
    seen = torch.tensor([1, 1, 1, 0, 0], dtype=torch.bool)[None, None, None]
    given = seen if mask == "bool" else torch.zeros(1, 1, 1, 5).masked_fill(~seen, -1e30)
    layer = MultiHeadAttention(3, dropout=0.4)
    steady = MultiHeadAttention(3)(q, k, v, seen)
    torch.testing.assert_close(layer.eval()(q, k, v, given), steady)
    torch.manual_seed(0)
    found = layer.train()(q, k, v, given)
    torch.manual_seed(0)
    heads = [x.unflatten(-1, (3, 2)).transpose(1, 2) for x in (q, k, v)]
    weights = masked_softmax(heads[0] @ heads[1].transpose(2, 3) / 2**0.5, seen)
    expected = (Dropout(0.4)(weights) @ heads[2]).transpose(1, 2).flatten(2)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, steady)


def lengths_and_mask():
    lengths = torch.tensor([3, 5, 1])
    return lengths, torch.arange(5) < lengths[:, None]


def test_reversal_stays_within_the_length():
    _, mask = lengths_and_mask()
    x = torch.arange(15.0).view(3, 5, 1)
    found = reverse_within_length(x, mask)[..., 0]
    assert found.tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5], [10, 11, 12, 13, 14]]
    assert torch.equal(reverse_within_length(found[..., None], mask), x)


@pytest.mark.parametrize(
    ("ours", "plain"), [(BidirectionalGRU, nn.GRU), (BidirectionalLSTM, nn.LSTM)]
)
def test_bidirectional_recurrence_is_the_packed_one(ours, plain):
    torch.manual_seed(0)
    lengths, mask = lengths_and_mask()
    ours, plain = ours(4, 3).double(), plain(4, 3, batch_first=True, bidirectional=True).double()
    for side, suffix in ((ours.ahead, ""), (ours.back, "_reverse")):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(plain, f"{kind}_l0{suffix}").data.copy_(getattr(side, f"{kind}_l0").data)
    x = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(plain(packed)[0], batch_first=True)
    found = ours(x, mask)
    assert found.shape == (3, 5, 6) and (found[~mask] == 0).all()
    torch.testing.assert_close(found, expected)
    sides = [[p for cell in (ours.ahead, ours.back) for p in cell.parameters()]]
    sides.append(list(plain.parameters()))  # of both directions, in the same order
    grads = [
        torch.autograd.grad((y + y.square()).sum(), [x, *parameters], retain_graph=True)
        for y, parameters in zip((found, expected), sides, strict=True)
    ]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(found[:1, :3], ours(x[:1, :3], mask[:1, :3]))


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("first", [0, 1])
def test_sinusoidal_positions_are_their_formula(width, first):
    found = SinusoidalPositions(width, first=first)(torch.zeros(1, 5, width).double())[0]
    for place in range(5):
        for channel in range(width):
            angle = (place + first) / 10_000 ** (2 * (channel // 2) / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert found[place, channel].item() == pytest.approx(expected, abs=1e-12)
