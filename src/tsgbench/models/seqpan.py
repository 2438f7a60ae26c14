"""SeqPAN: Parallel Attention Network with Sequence Matching for Video Grounding.

Zhang et al., Findings of ACL 2021; equation and section numbers refer to it. Both modalities pass
through the same encoder and parallel attention blocks, context-query attention fuses them, every
clip is labelled as outside, begin, inside or end of the moment (sequence matching), and two passes
of one encoder score it as first and as last clip.

The defaults are those of the public code (preset `official`). It departs from the paper in the
relaxed (not hard) label sample, the characters of the words, the trilinear similarity, the soft
boundary targets, the place and input of the self-guided head, the shared start and end encoder and
the hidden layer of the scorers; preset `paper` sets all of these as printed. What only one of the
two says holds for both: where dropout stands and the epsilon of the layer normalisations are the
public code's, because the paper gives no more than a rate.

Departures from the public code:
- Padding is masked before every convolution (`mask_convolutions`); the public code lets it leak,
  so that its predictions depend on what else is in the batch.
- Gumbel noise is off at test (`gumbel_at_test`); the public code draws it, and so its scores.
- The orthogonality of the label embeddings is squared as printed; the root of the public code has
  no slope at zero.

A departure from the paper: moments are decoded to the edges of clips, as in the public code; the
paper's i / (n - 1) gives a span of one clip no length.
"""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsgbench.models.base import Batch, Grounder, register
from tsgbench.models.layers import (
    DepthwiseConv,
    Dropout,
    MultiHeadAttention,
    Positions,
    WordVectors,
    check_length,
    masked_softmax,
    precise,
)
from tsgbench.models.targets import (
    boundary_targets,
    foreground_labels,
    index_labels,
    region_labels,
    span_moments,
    top_spans,
)
from tsgbench.settings import Count, DropoutRate, NotNegative, Positive, Size
from tsgbench.text import UNK, WordTable

NORM_EPS = 1e-6  # public code
INTERACTIONS = {  # per block, whether each attention in turn looks at the other modality
    "se_trm": (False,),
    "co_trm": (True,),
    "seco": (False, True),
    "cose": (True, False),
    "pa": (),
    "sgpa": (),
}
FFN_SCALES = {"1x": 1, "4x": 4}  # hidden layer of a transformer block, in widths of the model


@register("seqpan")
class SeqPAN(Grounder):
    """The whole model; `forward` names its outputs. Defaults: the public code on Charades-STA.

    clip_dim: width of a clip feature. words: the word table of the data set.
    width, heads, dropout: of every block. max_clips, max_words: rows of the position table.
    char, char_dim: words carry a feature of their characters, embedded in so many dimensions.
    conv_layers, conv_kernel, mask_convolutions: the convolutional encoder.
    interaction, n_blocks: block type (`INTERACTIONS`) and number (fig. 5, table 6).
    guide: the self-guided head sees the block's own input too (`input`), or is eq. 4, where the
    public code has it (`fused`) or in place of the feed-forward layer (`feed_forward`, app. A.1).
    ffn: hidden layer of the transformer blocks that table 6 compares, in widths of the model.
    similarity: of clips and words in context-query attention.
    match: sequence matching `full`; `gumbel_no_emb` only its loss; `none`; `fb` foreground against
    background, `fb_gate` also as a gate (table 5).
    tau, vanilla: temperature; plain softmax without noise instead (fig. 6).
    st_mode: label sample relaxed (`soft`) or one-hot, straight-through (`st_hard`, eq. 8).
    extension: clips by which the begin and end regions reach either side of a boundary.
    labels: boundary targets, smoothed to the neighbours (`soft`) or `onehot`.
    location_weight, match_lambda: weights of the two losses; the paper halves the first.
    share_predictor, predictor: start and end encoder in one; scorers with a hidden layer or not.
    start: distribution of the untrained weights (`glorot_start`, or as PyTorch draws them).
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        width: Size = 128,
        heads: Size = 8,
        dropout: DropoutRate = 0.2,
        max_clips: Size = 64,
        max_words: Size = 64,
        char: bool = True,
        char_dim: Size = 50,
        conv_layers: Size = 4,
        conv_kernel: Size = 7,
        mask_convolutions: bool = True,
        interaction: Literal["se_trm", "co_trm", "seco", "cose", "pa", "sgpa"] = "sgpa",
        n_blocks: Size = 2,
        guide: Literal["input", "fused", "feed_forward"] = "input",
        ffn: Literal["1x", "4x"] = "1x",
        similarity: Literal["trilinear", "bilinear"] = "trilinear",
        match: Literal["full", "gumbel_no_emb", "none", "fb", "fb_gate"] = "full",
        tau: Positive = 0.3,
        vanilla: bool = False,
        st_mode: Literal["soft", "st_hard"] = "soft",
        gumbel_at_test: bool = False,
        orthogonality: Literal["squared", "norm"] = "squared",
        extension: Count = 1,
        labels: Literal["soft", "onehot"] = "soft",
        location_weight: NotNegative = 1.0,
        match_lambda: NotNegative = 1.0,
        share_predictor: bool = True,
        predictor: Literal["hidden", "linear"] = "hidden",
        start: Literal["glorot", "pytorch"] = "glorot",
    ):
        super().__init__()
        self.tau, self.vanilla, self.st_mode = tau, vanilla, st_mode
        self.match, self.gumbel_at_test = match, gumbel_at_test
        self.orthogonality, self.extension, self.labels = orthogonality, extension, labels
        self.location_weight, self.match_lambda = location_weight, match_lambda
        self.max_clips, self.max_words = max_clips, max_words
        self.mask_convolutions = mask_convolutions
        self.gap = conv_kernel // 2

        self.words = WordEncoder(words, width, char_dim if char else 0, dropout)
        self.clips = nn.Sequential(Dropout(dropout), nn.Linear(clip_dim, width), layer_norm(width))
        self.positions = Positions(max(max_clips, max_words), width)
        self.convolutions = ConvBlock(width, conv_layers, conv_kernel, dropout)
        self.blocks = nn.ModuleList(
            interaction_block(interaction, width, heads, dropout, guide, ffn)
            for _ in range(n_blocks)
        )
        self._fuse_and_match(width, similarity, match, dropout)
        self.localiser = Localiser(
            width, heads, dropout, max_clips, conv_layers, conv_kernel,
            share=share_predictor, hidden=predictor == "hidden",
        )  # fmt: skip
        if start == "glorot":
            glorot_start(self)

    def _fuse_and_match(self, width: int, similarity: str, match: str, dropout: float) -> None:
        """Make what stands between the blocks and the localiser: clips and words are fused, and
        clips are told inside from outside."""
        self.clips_to_words = ContextQueryAttention(width, similarity, dropout)
        self.words_to_clips = ContextQueryAttention(width, similarity, dropout)
        self.sentence_score = nn.Linear(width, 1, bias=False)
        self.fuse = nn.Linear(2 * width, width)
        if match != "none":
            self.match_score = nn.Linear(width, 1 if match.startswith("fb") else 4)
        if match == "full":
            self.label_vectors = nn.Parameter(nn.init.orthogonal_(torch.empty(4, width)))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs by name, with -inf on padded clips of the first two.

        start, end: (B, T) logits of the first and the last clip.
        attention: (B, T, L) weight of each word for each clip (eq. 16), for figures.
        match_logits: (B, T, 4) labels with noise, divided by tau; or (B, T) foreground.
        match: (B, T, 4) label sample, only where it feeds the label embeddings.
        """
        v_mask, q_mask = batch.v_mask, batch.q_mask
        clips, words = self.encode(batch)
        for_clips, attention = self.clips_to_words(clips, words, v_mask, q_mask)
        for_words, _ = self.words_to_clips(words, clips, q_mask, v_mask)
        weights = masked_softmax(self.sentence_score(for_words), q_mask[..., None], dim=1)
        sentence = (weights * for_words).sum(dim=1, keepdim=True)  # (B, 1, D)
        fused = self.fuse(torch.cat([for_clips, sentence.expand_as(for_clips)], dim=-1))
        outputs = {"attention": attention}
        fused = self.add_labels(fused, outputs) * v_mask[..., None]
        outputs["start"], outputs["end"] = self.localiser(fused, v_mask, self.mask_convolutions)
        return outputs

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Clips (B, T, D) and words (B, L, D) after the encoder and the interaction blocks.

        Both pass through the same weights, so they travel as one sequence: clips, a gap as wide as
        half a convolution that keeps them apart, words. That halves the number of operations.
        """
        clips, words = batch.video.shape[1], batch.tokens.shape[1]
        check_length("seqpan", "max_clips", clips, self.max_clips)
        check_length("seqpan", "max_words", words, self.max_words)
        split = clips + self.gap
        encoded_clips = self.positions(self.clips(batch.video))
        encoded_words = self.positions(self.words(batch.tokens))
        x = torch.cat([F.pad(encoded_clips, (0, 0, 0, self.gap)), encoded_words], dim=1)
        real = torch.cat([F.pad(batch.v_mask, (0, self.gap)), batch.q_mask], dim=1)  # (B, S)
        x = self.convolutions(x, real if self.mask_convolutions else self._is_used(x, split))
        for block in self.blocks:
            x = block(x, real, split)
        return x[:, :clips], x[:, split:]

    def _is_used(self, x: Tensor, split: int) -> Tensor:
        """(1, S): all but the gap, which stands for the zeros beyond the end of an array."""
        position = torch.arange(x.shape[1], device=x.device)
        return ((position < split - self.gap) | (position >= split))[None]

    def add_labels(self, fused: Tensor, outputs: dict[str, Tensor]) -> Tensor:
        """Sequence matching (sec. 3.1.4): label every clip, add the labels' embeddings.

        fused: (B, T, D). Adds `match_logits` and `match` to `outputs`.
        """
        if self.match == "none":
            return fused
        scores = self.match_score(fused)
        if self.match.startswith("fb"):
            outputs["match_logits"] = scores.squeeze(-1)
            return scores.sigmoid() * fused if self.match == "fb_gate" else fused
        if not self.vanilla:
            if self.training or self.gumbel_at_test:
                scores = scores + gumbel_like(scores)
            scores = scores / self.tau  # eq. 9
        outputs["match_logits"] = scores
        if self.match != "full":
            return fused
        outputs["match"] = sample_labels(scores, hard=self.st_mode == "st_hard")
        return fused + outputs["match"] @ self.label_vectors  # eq. 10

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """location (eq. 13), match and orthogonal (eq. 11), each with its weight."""
        if batch.gt is None:
            raise ValueError("batch.gt: SeqPAN learns from moments, and this batch has none")
        counts = batch.v_mask.sum(dim=1)
        span = index_labels(batch.gt, batch.dur, counts)
        losses = {"location": self.location_weight * self.location_loss(outputs, span, counts)}
        if self.match != "none":
            entropy = self.match_loss(outputs["match_logits"], span, counts)  # (B, T)
            mean = (entropy * batch.v_mask).sum() / counts.sum()  # over all real clips alike
            losses["match"] = self.match_lambda * mean
        if self.match == "full":
            is_squared = self.orthogonality == "squared"
            overlap = orthogonality_loss(self.label_vectors, squared=is_squared)
            losses["orthogonal"] = self.match_lambda * overlap  # eq. 11
        return losses

    def location_loss(self, outputs: dict[str, Tensor], span: Tensor, counts: Tensor) -> Tensor:
        """Mean over the batch of the cross-entropies of start and end."""
        total: Any = 0.0
        for name, index in zip(("start", "end"), span.unbind(1), strict=True):
            logits = precise(outputs[name])
            targets = boundary_targets(
                index, counts, logits.shape[1], soft=self.labels == "soft"
            ).to(logits.dtype)
            # Padding has log-probability -inf and target 0, whose product must be 0.
            log_p = logits.log_softmax(dim=1).masked_fill(logits.isneginf(), 0.0)
            total = total - (targets * log_p).sum(dim=1).mean()
        return total

    def match_loss(self, logits: Tensor, span: Tensor, counts: Tensor) -> Tensor:
        """Cross-entropy of each clip's region (eq. 11), or of being foreground: (B, T)."""
        logits, clips = precise(logits), logits.shape[1]
        if self.match.startswith("fb"):
            labels = foreground_labels(span, clips).to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        labels = region_labels(span, counts, clips, self.extension)
        return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, K, 3): the spans with the highest joint probability that end after they start."""
        start, end = (precise(outputs[name]).log_softmax(dim=1) for name in ("start", "end"))
        scores, spans = top_spans(start, end, k)
        return span_moments(spans, scores, batch.dur, batch.v_mask.sum(dim=1))


class WordEncoder(nn.Module):
    """Word vectors, with a feature of the characters beside them: (B, L) -> (B, L, D)."""

    def __init__(self, words: WordTable, width: int, char_dim: int, dropout: float):
        super().__init__()
        self.vectors = WordVectors(words)
        self.characters = CharacterCNN(words.words, char_dim, dropout) if char_dim else None
        features = self.vectors.dim + (
            self.characters.dim if char_dim else 0  # type: ignore[union-attr]  # then there are some
        )
        self.project = nn.Sequential(nn.Linear(features, width), layer_norm(width))
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) rows of the word table to (B, L, D)."""
        x = self.dropout(self.vectors(tokens))
        if self.characters is not None:
            x = torch.cat([x, self.characters(tokens)], dim=-1)
        return self.project(x)


class CharacterCNN(nn.Module):
    """Convolutions over the characters of each word, maximum over positions: (B, L) -> (B, L, 100).

    Public code only. Its input is a word's row, because the table knows how the word is spelt.
    dropout: of the characters' vectors, drawn anew for every occurrence of a word.
    """

    FILTERS = (10, 20, 30, 40)  # with kernels of 1, 2, 3 and 4 characters

    def __init__(self, words: list[str], char_dim: int, dropout: float):
        super().__init__()
        self.dim = sum(self.FILTERS)
        self.dropout = Dropout(dropout)
        spelt = words[UNK + 1 :]
        known = {c: i for i, c in enumerate(sorted(set("".join(spelt))), start=2)}
        longest = max([len(word) for word in spelt] + [len(self.FILTERS)])
        rows = torch.zeros(len(words), longest, dtype=torch.long)
        rows[UNK, 0] = UNK
        for row, word in enumerate(spelt, start=UNK + 1):
            rows[row, : len(word)] = torch.tensor([known[c] for c in word], dtype=torch.long)
        self.spelling: Tensor
        self.register_buffer("spelling", rows)  # (V, C)
        self.vectors = nn.Parameter(torch.randn(len(known) + 1, char_dim) * 0.1)
        self.kernels = nn.ParameterList(
            nn.Parameter(glorot(torch.empty(size, char_dim, filters)))
            for size, filters in enumerate(self.FILTERS, start=1)
        )
        self.biases = nn.ParameterList(torch.zeros(filters) for filters in self.FILTERS)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) rows of the word table to (B, L, 100)."""
        vectors = torch.cat([torch.zeros_like(self.vectors[:1]), self.vectors])  # row 0: no letter
        if self.training and self.dropout.p:
            return self.of_occurrences(self.spelling[tokens.flatten()], vectors).unflatten(
                0, tokens.shape
            )
        present, row_of = tokens.unique(return_inverse=True)  # each word of the batch once
        return self.of_words(self.spelling[present], vectors)[row_of]

    def of_occurrences(self, characters: Tensor, vectors: Tensor) -> Tensor:
        """characters: (N, C) rows of `vectors`, each looked up and dropped out: (N, 100)."""
        x = self.dropout(F.embedding(characters, vectors))
        # Two-dimensional and channels last, as `DepthwiseConv`
        x = x.transpose(1, 2).unsqueeze(2)  # (N, E, 1, C)
        features = [
            F.conv2d(x, kernel.permute(2, 1, 0).unsqueeze(2), bias).relu().amax(dim=(2, 3))
            for kernel, bias in zip(self.kernels, self.biases, strict=True)
        ]
        return torch.cat(features, dim=-1)

    def of_words(self, characters: Tensor, vectors: Tensor) -> Tensor:
        """The same without dropout: a character's product with each column of a kernel is computed
        once, then looked up."""
        features = []
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            size = kernel.shape[0]
            products = (vectors @ kernel).transpose(0, 1).flatten(0, 1)  # (characters * size, F)
            windows = characters.unfold(1, size, 1)  # (U, C - size + 1, size)
            rows = windows * size + torch.arange(size, device=characters.device)
            features.append((F.embedding(rows, products).sum(dim=2) + bias).relu().amax(dim=1))
        return torch.cat(features, dim=-1)


class ConvBlock(nn.Module):
    """Residual depthwise-separable convolutions, normalised first; padding comes out as zero.

    Padding is zeroed after each normalisation, or its bias would reach the real positions.
    """

    def __init__(self, width: int, layers: int, kernel: int, dropout: float):
        super().__init__()
        self.norms = nn.ModuleList(layer_norm(width) for _ in range(layers))
        self.depthwise = nn.ModuleList(DepthwiseConv(width, kernel) for _ in range(layers))
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, S, D); mask: (B, S)."""
        keep = mask[..., None].to(x.dtype)
        for norm, depthwise, pointwise in zip(
            self.norms, self.depthwise, self.pointwise, strict=True
        ):
            x = x + self.dropout(pointwise(depthwise(norm(x) * keep)).relu())
        return x * keep


class PairAttention(nn.Module):
    """Attention within each of two sequences that lie end to end, or from each to the other."""

    def __init__(self, heads: int, dropout: float):
        super().__init__()
        self.attention = MultiHeadAttention(heads, dropout)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, real: Tensor, split: int, *, cross: bool
    ) -> Tensor:
        """q, k, v: (B, S, D); real: (B, S) bool; the second sequence starts at `split`."""
        sides = [slice(None, split), slice(split, None)]
        return torch.cat(
            [
                self.attention(q[:, own], k[:, seen], v[:, seen], real[:, None, None, seen])
                for own, seen in zip(sides, sides[::-1] if cross else sides, strict=True)
            ],
            dim=1,
        )


class ParallelAttention(nn.Module):
    """Self-guided parallel attention, SGPA (sec. 3.1.2): own context and other modality at once.

    One query projection serves both attentions. guide: as in `SeqPAN`. guided: off, the head is a
    feed-forward layer on the same input, without its confidence (PA of table 6).
    """

    def __init__(self, width: int, heads: int, dropout: float, guide: str, *, guided: bool = True):
        super().__init__()
        self.guide, self.guided = guide, guided
        self.norm_own, self.norm_other = layer_norm(width), layer_norm(width)
        self.norm_ffn = layer_norm(width)
        self.own = JoinedLinear(width, 1, 3)  # query, key, value
        self.other = JoinedLinear(width, 1, 2)  # key, value
        self.attention = PairAttention(heads, dropout)
        self.out_own, self.out_other = nn.Linear(width, width), nn.Linear(width, width)
        self.gate_own, self.gate_other = nn.Linear(width, width), nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        # Value and confidence, from the merged contexts and perhaps the block's own input
        self.head = JoinedLinear(width, 2 if guide == "input" else 1, 2 if guided else 1)
        if guide != "feed_forward":
            self.out, self.ffn = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor, split: int) -> Tensor:
        """x: (B, S, D), two sequences end to end; real: (B, S) bool."""
        own_x = self.norm_own(x)
        own, other = self.contexts(own_x, self.norm_other(x), real, split)
        merged = self.gate_own(own).sigmoid() * other + self.gate_other(other).sigmoid() * own
        merged = self.merge(merged)  # eq. 3
        if self.guide == "feed_forward":
            x = x + self.dropout(merged)
            refined = self.refine(self.dropout(self.norm_ffn(x)))
        else:
            if self.guide == "input":
                merged = torch.cat([own_x, merged], dim=-1)
            x = x + self.dropout(self.out(self.refine(merged)))
            refined = self.ffn(self.dropout(self.norm_ffn(x)))
        return (x + self.dropout(refined)) * real[..., None]

    def refine(self, x: Tensor) -> Tensor:
        """Eq. 4: a value times its confidence; without guidance the value alone."""
        x = self.head(x)
        return F.glu(x) if self.guided else x

    def contexts(
        self, own_x: Tensor, other_x: Tensor, real: Tensor, split: int
    ) -> tuple[Tensor, Tensor]:
        """Eq. 2: what each position finds in its own and in the other sequence, (B, S, D) each."""
        q, own_k, own_v = self.own(own_x).chunk(3, dim=-1)
        other_k, other_v = self.other(other_x).chunk(2, dim=-1)
        own = self.attention(q, own_k, own_v, real, split, cross=False)
        other = self.attention(q, other_k, other_v, real, split, cross=True)
        return self.out_own(own), self.out_other(other)


class TransformerBlock(nn.Module):
    """A standard transformer layer (fig. 9a and b; Vaswani et al., 2017), normalised first.

    Attention within each sequence or, `cross`, to the other one, with an output projection, and a
    feed-forward layer with a rectified hidden layer of `scale` times the width. Neither paper nor
    public code says more of table 6's blocks; normalised first as all else here is.
    """

    def __init__(self, width: int, heads: int, dropout: float, scale: int, *, cross: bool = False):
        super().__init__()
        self.cross = cross
        self.norm, self.norm_ffn = layer_norm(width), layer_norm(width)
        self.project = JoinedLinear(width, 1, 3)  # query, key, value
        self.attention = PairAttention(heads, dropout)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        self.ffn = nn.Sequential(
            nn.Linear(width, scale * width),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(scale * width, width),
        )

    def forward(self, x: Tensor, real: Tensor, split: int) -> Tensor:
        """x: (B, S, D), two sequences end to end; real: (B, S) bool."""
        q, k, v = self.project(self.norm(x)).chunk(3, dim=-1)
        x = x + self.dropout(self.out(self.attention(q, k, v, real, split, cross=self.cross)))
        x = x + self.dropout(self.ffn(self.norm_ffn(x)))
        return x * real[..., None]


class Cascade(nn.ModuleList):
    """Transformer blocks one after the other, that count as one block (fig. 10)."""

    def forward(self, x: Tensor, real: Tensor, split: int) -> Tensor:
        """x: (B, S, D), two sequences end to end, split at `split`; real: (B, S) bool."""
        for block in self:
            x = block(x, real, split)
        return x


def interaction_block(
    interaction: str, width: int, heads: int, dropout: float, guide: str, ffn: str
) -> nn.Module:
    """One block of the kinds compared in table 6; both modalities share its weights."""
    if interaction in ("sgpa", "pa"):
        return ParallelAttention(width, heads, dropout, guide, guided=interaction == "sgpa")
    return Cascade(
        TransformerBlock(width, heads, dropout, FFN_SCALES[ffn], cross=cross)
        for cross in INTERACTIONS[interaction]
    )


class ContextQueryAttention(nn.Module):
    """What `y` says about each position of `x`, and back (appendix A.2): (B, X, D)."""

    def __init__(self, width: int, similarity: str, dropout: float):
        super().__init__()
        self.similarity = similarity
        rows = 3 if similarity == "trilinear" else width
        self.weights = nn.Parameter(torch.empty(rows, width).uniform_(-1, 1) / width**0.5)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(4 * width, width, bias=False)

    def forward(
        self, x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x: (B, X, D), y: (B, Y, D) with their masks. Returns the features and (B, X, Y)."""
        over_y, over_x = self.attend(x, y, x_mask, y_mask)
        seen = over_y @ y  # (B, X, D)
        echoed = over_y @ (over_x.transpose(1, 2) @ x)  # (B, X, D)
        return self.out(torch.cat([x, seen, x * seen, x * echoed], dim=-1)), over_y

    def attend(self, x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The similarities as weights over y for each x, and over x for each y, (B, X, Y) both."""
        x, y = self.dropout(x), self.dropout(y)
        if self.similarity == "bilinear":
            scores = (x @ self.weights) @ y.transpose(1, 2)
        else:
            of_x, of_y, of_both = self.weights.unbind()
            scores = (x @ of_x)[..., None] + (x * of_both + of_y) @ y.transpose(1, 2)
        over_y = masked_softmax(scores, y_mask[:, None, :], dim=2)
        return over_y, masked_softmax(scores, x_mask[:, :, None], dim=1)


class LocaliserBlock(nn.Module):
    """Attention and a feed-forward layer as the public code's localiser has them.

    Without an output projection and with a feed-forward layer of one map (footnote 3).
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.norm, self.norm_ffn = layer_norm(width), layer_norm(width)
        self.project = JoinedLinear(width, 1, 3)  # query, key, value
        self.attention = MultiHeadAttention(heads, dropout)
        self.ffn = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x: (B, T, D); seen: mask of the attention, see `MultiHeadAttention`."""
        q, k, v = self.project(self.dropout(self.norm(x))).chunk(3, dim=-1)
        x = x + self.dropout(self.attention(q, k, v, seen))
        return x + self.dropout(self.ffn(self.dropout(self.norm_ffn(x))))


class Localiser(nn.Module):
    """Conditioned start and end scores (sec. 3.1.5): the end is read from the start's encoding."""

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float,
        max_clips: int,
        conv_layers: int,
        conv_kernel: int,
        *,
        share: bool,
        hidden: bool,
    ):
        super().__init__()
        self.encoders = nn.ModuleList(
            nn.ModuleDict(
                {
                    "positions": Positions(max_clips, width),
                    "convolutions": ConvBlock(width, conv_layers, conv_kernel, dropout),
                    "block": LocaliserBlock(width, heads, dropout),
                }
            )
            for _ in range(1 if share else 2)
        )
        # A bias that reaches the logits by linear maps alone would shift all of a video's alike.
        self.norms = nn.ModuleList(layer_norm(width, bias=hidden) for _ in range(2))
        self.scores = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1, bias=False))
            if hidden
            else nn.Linear(2 * width, 1, bias=False)
            for _ in range(2)
        )

    def forward(self, x: Tensor, v_mask: Tensor, mask_convolutions: bool) -> list[Tensor]:
        """x: (B, T, D), zero on padding. Returns start and end logits, (B, T), -inf on padding.

        Without `mask_convolutions` padding is left as it is between the passes, as in the public
        code, and the second pass reads it.
        """
        kept = v_mask if mask_convolutions else torch.ones_like(v_mask)
        seen = v_mask[:, None, None] if mask_convolutions else leaky_mask(v_mask, x.dtype)
        encoded, logits = x, []
        for index, (norm, score) in enumerate(zip(self.norms, self.scores, strict=True)):
            encoder: Any = self.encoders[index % len(self.encoders)]
            encoded = encoder["convolutions"](encoder["positions"](encoded), kept)
            encoded = encoder["block"](encoded, seen) * kept[..., None]
            joined = torch.cat([norm(encoded), x], dim=-1)
            logits.append(score(joined).squeeze(-1).masked_fill(~v_mask, -torch.inf))
        return logits


def leaky_mask(v_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, 1, T, T) to add to attention scores: a large negative number except between real clips.

    So the public code masks. For a padded clip all scores are that number, next to which they do
    not count: it averages all clips, padded ones too.
    """
    between = v_mask[:, None, :, None] & v_mask[:, None, None, :]
    return torch.zeros_like(between, dtype=dtype).masked_fill(~between, torch.finfo(dtype).min)


class JoinedLinear(nn.Linear):
    """Linear maps from `inputs` features to `outputs` others, all `width` wide, in one product.

    fans: inputs and outputs of each map, for its start.
    """

    def __init__(self, width: int, inputs: int, outputs: int):
        super().__init__(inputs * width, outputs * width)
        self.fans = width, width


def layer_norm(width: int, *, bias: bool = True) -> nn.LayerNorm:
    """With the epsilon of the public code."""
    return nn.LayerNorm(width, eps=NORM_EPS, bias=bias)


def glorot(weight: Tensor, fans: tuple[int, int] | None = None) -> Tensor:
    """Fill with Glorot's uniform distribution; returns `weight`.

    fans: inputs and outputs; else the last two axes, times the positions of a kernel before them.
    """
    positions = math.prod(weight.shape[:-2])
    inputs, outputs = fans or (positions * weight.shape[-2], positions * weight.shape[-1])
    limit = math.sqrt(6 / (inputs + outputs))
    with torch.no_grad():
        return weight.uniform_(-limit, limit)


def glorot_start(model: SeqPAN) -> None:
    """Start as TensorFlow does where the public code names no distribution.

    Kernels, vectors of characters, positions and the unknown word: Glorot's; biases: zero. The
    label embeddings stay orthogonal.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            glorot(
                module.weight,
                getattr(module, "fans", module.weight.shape),  # type: ignore[arg-type]  # two
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, ContextQueryAttention):
            rows, width = module.weights.shape
            glorot(module.weights, (rows, width) if module.similarity == "bilinear" else (1, width))
        elif isinstance(module, CharacterCNN):
            glorot(module.vectors)
        elif isinstance(module, WordVectors):
            glorot(module.unknown, (1, module.dim))


def gumbel_like(x: Tensor) -> Tensor:
    """Standard Gumbel noise: -log of an exponential draw."""
    return -torch.empty_like(x).exponential_().clamp(min=torch.finfo(x.dtype).tiny).log()


def sample_labels(scores: Tensor, *, hard: bool) -> Tensor:
    """Softmax of (..., 4) scores; hard: its one-hot argmax, with the gradient of the softmax."""
    relaxed = scores.softmax(dim=-1)
    if not hard:
        return relaxed
    onehot = F.one_hot(scores.argmax(dim=-1), scores.shape[-1]).to(relaxed.dtype)
    # The difference first: it is exactly zero, so the sample is exactly one-hot.
    return onehot + (relaxed - relaxed.detach())


def orthogonality_loss(vectors: Tensor, *, squared: bool) -> Tensor:
    """Sum of squares (or its root) of the dot products between different rows."""
    # Element by element: a matrix product would run in half precision under autocast.
    products = (vectors[:, None] * vectors[None]).sum(dim=-1)
    apart = products - products.diagonal().diag()
    return apart.square().sum() if squared else torch.linalg.norm(apart)
