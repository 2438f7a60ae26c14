"""Blocks that at least two of the papers share."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsgbench.errors import UserError
from tsgbench.models.products import plain_products
from tsgbench.text import PAD, WordTable


def check_length(model: str, setting: str, length: int, limit: int) -> None:
    """`UserError` that names the setting, if a batch is longer than the model was built for."""
    if length > limit:
        raise UserError(
            f"config/models/{model}.yaml: {setting}: a batch is {length} long but the model"
            f" was built for {limit}; give inputs and model the same {setting}"
        )


def precise(x: Tensor) -> Tensor:
    """Half precision made single: losses and probabilities need the digits. fp64 stays."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def masked_softmax(logits: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the positions where `mask` is True; a row without any gives zeros."""
    weights = logits.masked_fill(~mask, -torch.inf).softmax(dim)
    return weights.masked_fill(~mask, 0.0)  # also turns the NaN of a row without any into zero


class WordVectors(nn.Module):
    """Frozen word vectors; words that have none share one trainable vector; padding is zero.

    tokens (B, L) -> (B, L, dim). The vectors are saved with the model, so that a checkpoint loaded
    with another vocabulary is refused by its shape.
    """

    def __init__(self, words: WordTable):
        super().__init__()
        vectors = torch.as_tensor(words.vectors, dtype=torch.float32).clone()
        is_unknown = ~torch.as_tensor(words.has_vector, dtype=torch.bool)
        is_unknown[PAD] = False
        vectors[is_unknown] = 0.0
        vectors[PAD] = 0.0
        self.dim = vectors.shape[1]
        self.vectors: Tensor
        self.register_buffer("vectors", vectors)
        self.is_unknown: Tensor
        self.register_buffer("is_unknown", is_unknown)
        # As long as the other vectors are, so that the unknown word is neither silent nor loud.
        known = vectors[torch.as_tensor(words.has_vector, dtype=torch.bool)]
        scale = known.std().item() if known.numel() > 1 else 1.0
        self.unknown = nn.Parameter(torch.randn(self.dim) * scale)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) rows of the word table to (B, L, dim)."""
        known = F.embedding(tokens, self.vectors)
        return known + self.is_unknown[tokens].unsqueeze(-1) * self.unknown


class Dropout(nn.Dropout):
    """`nn.Dropout`, with random numbers that cost a third as much on a CPU.

    There, drawing one number an element takes longer than multiplying matrices of this size. So
    16 bits of a 64-bit draw decide each element: the rate is exact to 1 / 65,536, and the kept
    elements are scaled by what that makes it.
    """

    LEVELS = 1 << 16

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; in training, elements are dropped and the others scaled up."""
        dropped = round(self.p * self.LEVELS)
        if not self.training or dropped == 0 or x.device.type != "cpu":
            return super().forward(x)
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        levels = draws.view(torch.int16)[: x.numel()].view(x.shape)
        # Written as numbers at once: turning truth values into them takes five times as long
        keep = torch.ge(levels, dropped - self.LEVELS // 2, out=torch.empty_like(x.detach()))
        return x * keep.mul_(self.LEVELS / (self.LEVELS - dropped))


class DepthwiseConv(nn.Module):
    """One filter a channel along time, 'same' length: (B, S, D) -> (B, S, D).

    Run as a two-dimensional convolution over a channels-last view: the same numbers as `Conv1d`
    with `groups=D`, without its transposed copies, in half the time on a CPU.
    """

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(width, 1, 1, kernel))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        planes = x.transpose(1, 2).unsqueeze(2)  # (B, D, 1, S), channels last in memory
        padding = (0, self.kernel // 2)
        out = F.conv2d(planes, self.weight, padding=padding, groups=self.weight.shape[0])
        return out.squeeze(2).transpose(1, 2)


class MultiHeadAttention(nn.Module):
    """Softmax attention of several heads, without an output projection.

    `queries`, `keys`, `values`: (B, S, D); mask: broadcastable to (B, heads, Sq, Sk), True where a
    query may look, at least one key for every query; or numbers that are added to the scores.
    dropout: of the weights after the softmax, in training.
    """

    def __init__(self, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """(B, Sq, D) for queries (B, Sq, D), keys and values (B, Sk, D)."""
        if queries.device.type == "cpu" and queries.dtype == torch.bfloat16:
            # The CPU kernel's backward is ten times slower in half precision.
            with torch.autocast("cpu", enabled=False):
                return self.attend(precise(queries), precise(keys), precise(values), mask)
        return self.attend(queries, keys, values, mask)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """As `forward`, in the precision of its inputs."""
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (queries, keys, values)
        )
        if mask.dtype != torch.bool:
            mask = mask.to(q.dtype)
        if self.training and self.dropout.p:
            # Step by step: the fused kernel draws its own dropout, on a CPU a slow one.
            if mask.dtype == torch.bool:  # numbers to add, whose backward pass costs nothing
                mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -torch.inf)
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3) + mask  # (B, heads, Sq, Sk)
            out = self.dropout(scores.softmax(dim=-1)) @ v
        else:
            # The fused kernel multiplies small blocks, each of which would cost oneDNN its start
            with plain_products():
                out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).flatten(2)  # (B, Sq, D)

    def weights(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """(B, Sq, Sk): what `forward` weighs the values by, mean over heads. For figures."""
        q, k = (precise(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (queries, keys))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # (B, heads, Sq, Sk)
        return masked_softmax(scores, mask).mean(dim=1)


class Positions(nn.Module):
    """Adds a learned vector for each position: (B, S, D) -> (B, S, D)."""

    def __init__(self, length: int, width: int):
        super().__init__()
        self.table = nn.Parameter(nn.init.xavier_uniform_(torch.empty(length, width)))

    def forward(self, x: Tensor) -> Tensor:
        """S is at most the length of the table."""
        return x + self.table[: x.shape[1]]


class SinusoidalPositions(nn.Module):
    """Adds sines and cosines of each position (Vaswani et al., 2017): (B, S, D) -> (B, S, D).

    Place p, from `first`, has sin(p / 10000^(2i / D)) in channel 2i and the cosine in 2i + 1. Any
    length, no parameters.
    """

    def __init__(self, width: int, *, first: int = 0):
        super().__init__()
        self.first = first
        pair = torch.arange((width + 1) // 2, dtype=torch.float64)
        rates = torch.exp(-math.log(10_000.0) * 2 * pair / width)
        self.rates: Tensor
        self.register_buffer("rates", rates.repeat_interleave(2)[:width], persistent=False)
        # A cosine is a sine a quarter of a turn later.
        turns = math.pi / 2 * (torch.arange(width, dtype=torch.float64) % 2)
        self.turns: Tensor
        self.register_buffer("turns", turns, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of any length, in the precision of x."""
        last = self.first + x.shape[1]
        positions = torch.arange(self.first, last, device=x.device, dtype=self.rates.dtype)
        return x + torch.sin(positions[:, None] * self.rates + self.turns).to(x.dtype)


def reverse_within_length(x: Tensor, mask: Tensor) -> Tensor:
    """Each row's real positions in reverse order, padding where it was: (B, S, D) -> (B, S, D)."""
    rows, length = mask.shape
    position = torch.arange(length, device=x.device)
    index = torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - position, position)  # (B, S)
    index = index + length * torch.arange(rows, device=x.device)[:, None]
    # Whole rows are copied, three times as fast on a CPU as gathering every element.
    return x.flatten(0, 1).index_select(0, index.flatten()).unflatten(0, (rows, length))


class Bidirectional(nn.Module):
    """One recurrent layer in both directions over padded sequences: (B, S, D) -> (B, S, 2H).

    mask: (B, S), True on the real positions, which come first. Padding comes out as zero, and the
    backward direction starts at the last real position: each sequence is reversed within its
    length. Packing computes the same, but its backward pass is several times slower on a CPU.
    """

    cell: type[nn.RNNBase]

    def __init__(self, inputs: int, width: int):
        super().__init__()
        # A GRU or an LSTM, which torch's types make differ from their base
        self.ahead = self.cell(inputs, width, batch_first=True)  # type: ignore[call-arg,arg-type]
        self.back = self.cell(inputs, width, batch_first=True)  # type: ignore[call-arg,arg-type]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """In full precision where the processor has no other."""
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # The CPU has no recurrence in half precision.
            with torch.autocast("cpu", enabled=False):
                return self.run(precise(x), mask)
        return self.run(x, mask)

    def run(self, x: Tensor, mask: Tensor) -> Tensor:
        """As `forward`, in the precision of x."""
        ahead, back = self.both(x, reverse_within_length(x, mask))
        joined = torch.cat([ahead, reverse_within_length(back, mask)], dim=-1)
        return joined * mask[..., None]

    def both(self, x: Tensor, reverse: Tensor) -> tuple[Tensor, Tensor]:
        """The forward direction over `x` and the backward one over `reverse`: (B, S, H) each."""
        return self.ahead(x)[0], self.back(reverse)[0]


class BidirectionalGRU(Bidirectional):
    """Gated recurrent units in both directions; see `Bidirectional`."""

    cell = nn.GRU

    def both(self, x: Tensor, reverse: Tensor) -> tuple[Tensor, Tensor]:
        """As of any cell; on a CPU side by side (`TwinGRU`)."""
        if x.device.type != "cpu":
            return super().both(x, reverse)
        cells: tuple[Any, Any] = self.ahead, self.back  # whose parameters no type names
        inputs = [
            F.linear(sequence, cell.weight_ih_l0, cell.bias_ih_l0)
            for sequence, cell in zip((x, reverse), cells, strict=True)
        ]
        states = TwinGRU.apply(  # type: ignore[no-untyped-call]
            torch.stack(inputs).permute(2, 0, 1, 3).contiguous(),  # (S, 2, B, 3H)
            torch.stack([cell.weight_hh_l0 for cell in cells]),
            torch.stack([cell.bias_hh_l0 for cell in cells])[:, None],
        )
        ahead, back = states.permute(1, 2, 0, 3)
        return ahead, back


class TwinGRU(torch.autograd.Function):
    """Two recurrences of gated units side by side, from zero states: what `nn.GRU` computes.

    On a CPU the cost of a narrow recurrence is that of starting its many small operations. Here a
    step is six of them for both directions, and its backward pass four: all that does not depend
    on the next step's gradient is computed for the whole sequence at once.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """inputs: (S, 2, B, 3H) of the reset, the update and the new gate; weight: (2, 3H, H);
        bias: (2, 1, 3H). Returns the states (S, 2, B, H)."""
        steps, _, rows, gates = inputs.shape
        width = gates // 3
        onward = weight.transpose(1, 2)
        states = inputs.new_zeros(steps + 1, 2, rows, width)
        reset_update = torch.empty_like(inputs[..., : 2 * width])
        new, recalled = torch.empty_like(states[1:]), torch.empty_like(states[1:])
        for step in range(steps):
            state, gate, proposed = states[step], reset_update[step], new[step]
            seen = torch.baddbmm(bias, state, onward)  # (2, B, 3H)
            torch.add(inputs[step, ..., : 2 * width], seen[..., : 2 * width], out=gate).sigmoid_()
            memory = recalled[step].copy_(seen[..., 2 * width :])
            given = inputs[step, ..., 2 * width :]
            torch.addcmul(given, gate[..., :width], memory, out=proposed).tanh_()
            torch.lerp(proposed, state, gate[..., width:], out=states[step + 1])
        ctx.save_for_backward(weight, states, reset_update, new, recalled)
        return states[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of inputs, weight and bias. grad: of the states, (S, 2, B, H)."""
        weight, states, reset_update, new, recalled = ctx.saved_tensors
        (reset, update), before = reset_update.chunk(2, dim=-1), states[:-1]
        # What a state's gradient is multiplied by to give that of each gate's argument
        of_new = (1 - update) * (1 - new.square())
        of_reset = of_new * recalled * reset * (1 - reset)
        of_update = (before - new) * update * (1 - update)
        slopes = torch.stack([of_reset, of_update, of_new * reset], dim=-2)  # (S, 2, B, 3, H)
        at_state = torch.empty_like(before)
        at_gates = torch.empty_like(slopes)
        update = update.contiguous()
        flowing = torch.zeros_like(at_state[0])
        for step in reversed(range(len(before))):
            here = torch.add(grad[step], flowing, out=at_state[step])
            gates = torch.mul(slopes[step], here[..., None, :], out=at_gates[step]).flatten(2)
            flowing = torch.baddbmm(here * update[step], gates, weight)
        flat = at_gates.flatten(3).transpose(0, 1).flatten(1, 2)  # (2, S * B, 3H)
        of_weight = flat.transpose(1, 2) @ before.transpose(0, 1).flatten(1, 2)
        of_bias = flat.sum(dim=1, keepdim=True)
        at_gates[..., 2, :] = at_state * of_new  # as the input reaches it, without the reset
        return at_gates.flatten(3), of_weight, of_bias


class BidirectionalLSTM(Bidirectional):
    """Long short-term memory in both directions; see `Bidirectional`."""

    cell = nn.LSTM
