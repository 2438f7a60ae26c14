"""CMA: video temporal grounding with two-branch cross-modality attention.

"A Simple Yet Effective Method for Video Temporal Grounding with Cross-Modality Attention" (2020);
equation and section numbers refer to it. An encoder attends over the clips once they are joined
with the sentence, a decoder lets clips and words attend to each other in two parallel branches, and
the two ends are regressed from one attention-weighted sum of the clips. One moment per query.

The paper's "Ours" is the default: the sentence vector is the only guide. "Ours+" (`guides:
multiple`) extracts several guide vectors from the words instead. No code was released; what the
paper leaves open follows LGI (Mun et al., CVPR 2020), the baseline that it builds on.

Choices the paper leaves open:
- The width, 512, is forced by eq. 5 and 9: that of the concatenated LSTM states.
- Feed-forward layers follow the attention blocks as in any transformer, although the equations
  have none; their width keeps the model at the size that is claimed (sec. 4.4). `ffn_width: 0`,
  preset `paper`, leaves them out.
- Eq. 13 lets the query branch attend to its words; its text says "V^in". The equation is followed.
- Fusion happens once, before the encoder's first layer (eq. 9 and 10).
- "128 clips, uniformly" (sec. 4.3) are sampled as LGI does, fewer where a video has fewer; ablation
  `clips_128` gives every video 128. "I3D" is that of Kinetics; `i3d_finetuned` has LGI's weights.
- The ends pass a sigmoid (`output`); LGI has a rectifier, which may leave the video.
- At the start the regressed moment is the middle half of the video, so that its ends are in order
  and no rectifier is dead. Other weights start as PyTorch starts them.

Departures: the query branch of the last layer keeps only its self-attention, as nothing reads the
rest. Ends in the wrong order are no moment, and count as a miss in LGI's evaluator; here they are
decoded as an instant, which has no overlap either, with score 0 where every other has 1, so that a
prediction file says how many there are.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsgbench.errors import UserError
from tsgbench.models.base import Batch, Grounder, register
from tsgbench.models.layers import (
    BidirectionalLSTM,
    Dropout,
    MultiHeadAttention,
    Positions,
    SinusoidalPositions,
    WordVectors,
    masked_softmax,
    precise,
)
from tsgbench.settings import Count, DropoutRate, EvenSize, NotNegative, Positive, Size
from tsgbench.text import WordTable

FIRST_MOMENT = (0.25, 0.75)  # the ends that an untrained model regresses, about
LOG_FLOOR = 1e-8  # LGI's, inside the logarithm of the attention loss


@register("cma")
class CMA(Grounder):
    """The whole model; `forward` names its outputs. Defaults: "Ours" on Charades-STA.

    clip_dim: width of a clip feature. words: the word table of the data set.
    width, heads: of every block. encoder_layers, decoder_layers, lstm_layers: depths.
    ffn_width: hidden layer of the feed-forward steps; 0 leaves them out.
    dropout: after every attention and feed-forward step. input_dropout: of clips, and between the
    layers of the LSTM.
    max_clips, max_words: rows of the learned position tables.
    guides: the sentence vector (`single`, "Ours"), or `phrases` vectors of words (`multiple`,
    "Ours+") from an attention with a hidden layer of `phrase_width` (eq. 7).
    structure: encoder and decoder, or one of them (table 3). pe: position encoding (table 4).
    fusion: of clips and guide vector (table 5); `hadamard_mlp` is LGI's.
    alpha, beta: the regression loss is alpha x^2 up to |x| = beta and linear beyond (eq. 24).
    reg_scale: `unit_slope` divides it by the slope of its linear part, 2 alpha beta, so that beta
    can be compared while the weight of the loss stays.
    attention_weight, diversity_weight: lambda_ta and lambda_sd (eq. 21).
    output: what keeps the ends from falling below 0 (`relu`), and above 1 too (`sigmoid`).
    sort_endpoints: swap the ends of a prediction where they come in the wrong order.
    """

    CONFLICTS = (
        (
            {"guides": "multiple", "structure": "decoder"},
            "guides: multiple guide vectors feed the encoder, which structure 'decoder' leaves"
            " out; use guides 'single'",
        ),
    )

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        width: EvenSize = 512,
        heads: Size = 4,
        encoder_layers: Count = 2,
        decoder_layers: Count = 2,
        lstm_layers: Size = 2,
        ffn_width: Count = 512,
        dropout: DropoutRate = 0.1,
        input_dropout: DropoutRate = 0.5,
        max_clips: Size = 128,
        max_words: Size = 10,
        guides: Literal["single", "multiple"] = "single",
        phrases: Size = 3,
        phrase_width: Size = 256,
        structure: Literal["full", "encoder", "decoder"] = "full",
        pe: Literal["none", "learned", "sincos"] = "sincos",
        fusion: Literal["hadamard", "hadamard_mlp", "add", "concat"] = "hadamard",
        alpha: Positive = 10.0,
        beta: Positive = 0.1,
        reg_scale: Literal["none", "unit_slope"] = "none",
        attention_weight: NotNegative = 1.0,
        diversity_weight: NotNegative = 1.0,
        output: Literal["sigmoid", "relu"] = "sigmoid",
        sort_endpoints: bool = False,
    ):
        super().__init__()
        self.guides, self.structure = guides, structure
        self.beta, self.output = beta, output
        self.reg_scale = 1.0 if reg_scale == "unit_slope" else 2 * alpha * beta
        self.attention_weight, self.diversity_weight = attention_weight, diversity_weight
        self.sort_endpoints = sort_endpoints

        self.clips = nn.Sequential(nn.Linear(clip_dim, width), nn.ReLU(), Dropout(input_dropout))
        self.query = QueryEncoder(words, width, lstm_layers, input_dropout)
        self.clip_positions = position_encoding(pe, "max_clips", max_clips, width)
        if structure != "encoder" or guides == "multiple":
            self.word_positions = position_encoding(pe, "max_words", max_words, width)
        if structure != "decoder":
            if guides == "multiple":
                self.phrases = PhraseExtraction(width, phrase_width, phrases)
                self.merge = nn.Sequential(
                    nn.Linear(phrases * width, width), nn.ReLU(), nn.Linear(width, width)
                )
            self.fuse = Fusion(width, fusion)
            self.encoder = nn.ModuleList(
                EncoderLayer(width, heads, ffn_width, dropout) for _ in range(encoder_layers)
            )
        if structure != "encoder":
            self.decoder = nn.ModuleList(
                DecoderLayer(width, heads, ffn_width, dropout, last=index == decoder_layers - 1)
                for index in range(decoder_layers)
            )
        self.localiser = Localiser(width, output)

    def forward(self, batch: Batch, *, with_maps: bool = False) -> dict[str, Tensor]:
        """What is found, by name.

        location: (B, 2) start and end as shares of the video.
        clip_weights: (B, T) temporal attention (eq. 18), zero on padding.
        phrases: (B, K, L) weight of each word for each guide vector (eq. 7), if there are several.
        with_maps: attention between the modalities (eq. 15-16), mean over heads, of decoder layer
        1, and so on: attention1_clips_over_words (B, T, L) and attention1_words_over_clips
        (B, L, T); the latter not of the last layer, whose words attend to nothing.
        """
        v_mask, q_mask = batch.v_mask, batch.q_mask
        clips = self.clip_positions(self.clips(batch.video)) * v_mask[..., None]  # eq. 2
        states, sentence = self.query(batch.tokens, q_mask)
        words, outputs = states, {}
        if hasattr(self, "word_positions"):
            words = self.word_positions(states) * q_mask[..., None]  # eq. 5
        if self.structure != "decoder":
            guides = sentence[:, None]  # (B, 1, D)
            if self.guides == "multiple":
                guides, outputs["phrases"] = self.phrases(words, q_mask)
            clips = self.encode(clips, guides, v_mask)
        if self.structure != "encoder":
            for number, layer in enumerate(self.decoder, start=1):
                if with_maps:
                    # A DecoderLayer, which a ModuleList does not say
                    maps = layer.maps(words, clips, q_mask, v_mask)  # type: ignore[operator]
                    outputs |= {
                        f"attention{number}_{name}": weights for name, weights in maps.items()
                    }
                words, clips = layer(words, clips, q_mask, v_mask)
        outputs["location"], outputs["clip_weights"] = self.localiser(clips, v_mask)
        return outputs

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """The outputs of `forward` with its maps, those of Figure 1 among them."""
        return self(batch, with_maps=True)

    def encode(self, clips: Tensor, guides: Tensor, v_mask: Tensor) -> Tensor:
        """Clips (B, T, D), each guide (B, K, D) joined in turn: attended, then merged (eq. 9-12).

        The guides share the encoder's weights, so they travel as K times as many videos.
        """
        count = guides.shape[1]
        x = self.fuse(clips[:, None], guides[:, :, None]).flatten(0, 1)  # (B * K, T, D)
        mask = v_mask.repeat_interleave(count, dim=0)
        for layer in self.encoder:
            x = layer(x, mask)
        if self.guides == "single":
            return x
        joined = x.unflatten(0, (-1, count)).transpose(1, 2).flatten(2)  # (B, T, K * D)
        return self.merge(joined) * v_mask[..., None]

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """regression (eq. 24), attention (eq. 25) and diversity (eq. 26), each with its weight."""
        if batch.gt is None:
            raise ValueError("batch.gt: CMA learns from moments, and this batch has none")
        location = precise(outputs["location"])
        target = (batch.gt / batch.dur[:, None]).to(location.dtype)  # eq. 22
        gap = regression_loss(location - target, self.beta).sum(dim=1).mean()
        labels = attention_labels(batch.gt, batch.dur, batch.v_mask)
        focus = attention_loss(precise(outputs["clip_weights"]), labels)
        losses = {"regression": self.reg_scale * gap, "attention": self.attention_weight * focus}
        if "phrases" in outputs:
            losses["diversity"] = self.diversity_weight * diversity_loss(outputs["phrases"])
        return losses

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, 1, 3): the regressed moment. Score 0: its ends came in the wrong order."""
        dur = batch.dur[:, None]
        ends = (precise(outputs["location"]).to(dur.dtype) * dur).clamp(min=0).minimum(dur)
        if self.sort_endpoints:
            ends = ends.sort(dim=1).values
        in_order = ends[:, :1] < ends[:, 1:]
        instant = ends.mean(dim=1, keepdim=True)
        # An instant is the shortest moment that the number format has, inside the video.
        instant = instant.maximum(dur * torch.finfo(dur.dtype).eps).minimum(dur)
        before = torch.nextafter(instant, torch.zeros_like(instant))
        ends = torch.where(in_order, ends, torch.cat([before, instant], dim=1))
        return torch.cat([ends, in_order.to(ends.dtype)], dim=1)[:, None][:, :k]


def position_encoding(kind: str, setting: str, length: int, width: int) -> nn.Module:
    """The module that adds it; positions count from 1, as in eq. 2 and 5."""
    if kind == "sincos":
        return SinusoidalPositions(width, first=1)
    return LearnedPositions(setting, length, width) if kind == "learned" else nn.Identity()


class LearnedPositions(Positions):
    """A learned table, which names the setting that made it too short."""

    def __init__(self, setting: str, length: int, width: int):
        super().__init__(length, width)
        self.setting = setting

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D); `UserError` if S is more than the table has."""
        if x.shape[1] > len(self.table):
            raise UserError(
                f"config/models/cma.yaml: {self.setting}: a batch is {x.shape[1]} long but the"
                f" model was built for {len(self.table)}; give inputs and model the same"
                f" {self.setting}"
            )
        return super().forward(x)


class QueryEncoder(nn.Module):
    """Word vectors through a bidirectional LSTM (eq. 3 and 4): states (B, L, D), sentence (B, D).

    The sentence is what both directions know at their end (eq. 6): the forward state of the last
    real word beside the backward state of the first.
    """

    def __init__(self, words: WordTable, width: int, layers: int, dropout: float):
        super().__init__()
        self.vectors = WordVectors(words)
        widths = [self.vectors.dim] + [width] * (layers - 1)
        self.layers = nn.ModuleList(BidirectionalLSTM(size, width // 2) for size in widths)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, mask: (B, L). Returns the states (B, L, D) and the sentence (B, D)."""
        x = self.vectors(tokens)
        for index, layer in enumerate(self.layers):
            x = layer(self.dropout(x) if index else x, mask)
        half = x.shape[2] // 2
        last = (mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, half)
        onward = x[..., :half].gather(1, last).squeeze(1)
        return x, torch.cat([onward, x[:, 0, half:]], dim=-1)


class PhraseExtraction(nn.Module):
    """Several guide vectors, each an attention-weighted sum of the words (eq. 7 and 8)."""

    def __init__(self, width: int, hidden: int, phrases: int):
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.Tanh(), nn.Linear(hidden, phrases, bias=False)
        )

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """words: (B, L, D). Returns guides (B, K, D) and weights (B, K, L)."""
        scores = precise(self.score(words)).transpose(1, 2)
        weights = masked_softmax(scores, mask[:, None])
        return weights.to(words.dtype) @ words, weights


class Fusion(nn.Module):
    """Joins clips and a guide vector, broadcast against each other (table 5)."""

    def __init__(self, width: int, kind: str):
        super().__init__()
        self.kind = kind
        if kind == "concat":
            self.join = nn.Linear(2 * width, width)
        elif kind == "hadamard_mlp":
            self.clips, self.guide = nn.Linear(width, width), nn.Linear(width, width)
            self.join = nn.Linear(width, width)

    def forward(self, clips: Tensor, guide: Tensor) -> Tensor:
        """clips: (B, 1, T, D), guide: (B, K, 1, D), or any that broadcast. Returns (B, K, T, D)."""
        if self.kind == "add":
            return clips + guide
        if self.kind == "hadamard":
            return clips * guide
        if self.kind == "hadamard_mlp":  # LGI
            return self.join(self.clips(clips).relu() * self.guide(guide).relu()).relu()
        return self.join(torch.cat(torch.broadcast_tensors(clips, guide), dim=-1)).relu()


class AttentionBlock(nn.Module):
    """Attention to a sequence, its own (SA) or another (BA), added and normalised.

    x: (B, S, D) and its mask (B, S); seen, seen_mask: the sequence attended to. Padding comes out
    as zero.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.project = nn.Linear(width, 3 * width)  # query, key, value
        self.attention = MultiHeadAttention(heads)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor, seen: Tensor | None = None, seen_mask: Tensor | None = None
    ) -> Tensor:
        """(B, S, D); without `seen`, x attends to itself."""
        if seen is None:
            q, k, v = self.project(x).chunk(3, dim=-1)
            seen_mask = mask
        else:
            width = x.shape[-1]
            weight, bias = self.project.weight, self.project.bias
            q = F.linear(x, weight[:width], bias[:width])
            k, v = F.linear(seen, weight[width:], bias[width:]).chunk(2, dim=-1)
        attended = self.out(
            self.attention(q, k, v, seen_mask[:, None, None])  # type: ignore[index]  # with `seen`
        )
        return self.norm(x + self.dropout(attended)) * mask[..., None]

    def weights(self, x: Tensor, seen: Tensor, seen_mask: Tensor) -> Tensor:
        """(B, S, seen): how much of each position of another sequence each position of x takes."""
        width = x.shape[-1]
        (to_q, to_k, _), (q_bias, k_bias, _) = (
            part.split(width) for part in (self.project.weight, self.project.bias)
        )
        q, k = F.linear(x, to_q, q_bias), F.linear(seen, to_k, k_bias)
        return self.attention.weights(q, k, seen_mask[:, None, None])


class FeedForward(nn.Module):
    """Two linear layers, added and normalised; nothing at all for a hidden width of 0."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.hidden = hidden
        if hidden:
            self.layers = nn.Sequential(
                nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), Dropout(dropout)
            )
            self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D). mask: (B, S)."""
        if not self.hidden:
            return x
        return self.norm(x + self.layers(x)) * mask[..., None]


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward step: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int, ffn_width: int, dropout: float):
        super().__init__()
        self.own = AttentionBlock(width, heads, dropout)
        self.ffn = FeedForward(width, ffn_width, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """mask: (B, T); padding comes out as zero."""
        return self.ffn(self.own(x, mask), mask)


class DecoderLayer(nn.Module):
    """Words and clips, each attending to itself and then to the other (eq. 13-16).

    Both see the other as it was before it looked back, hence in parallel. last: the words need
    only be attended to, so they keep their self-attention and nothing else.
    """

    def __init__(self, width: int, heads: int, ffn_width: int, dropout: float, *, last: bool):
        super().__init__()
        self.words, self.clips = (
            Branch(width, heads, ffn_width, dropout, looks_back=looks_back)
            for looks_back in (not last, True)
        )

    def forward(
        self, words: Tensor, clips: Tensor, q_mask: Tensor, v_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """words: (B, L, D), q_mask: (B, L), clips: (B, T, D), v_mask: (B, T). Shapes stay."""
        own_words, own_clips = self.words.own(words, q_mask), self.clips.own(clips, v_mask)
        return (
            self.words(own_words, q_mask, own_clips, v_mask),
            self.clips(own_clips, v_mask, own_words, q_mask),
        )

    def maps(
        self, words: Tensor, clips: Tensor, q_mask: Tensor, v_mask: Tensor
    ) -> dict[str, Tensor]:
        """What `forward` lets each modality take of the other; rows of padding are not zero."""
        own_words, own_clips = self.words.own(words, q_mask), self.clips.own(clips, v_mask)
        looks = {"clips_over_words": self.clips.other.weights(own_clips, own_words, q_mask)}
        if self.words.looks_back:
            looks["words_over_clips"] = self.words.other.weights(own_words, own_clips, v_mask)
        return looks


class Branch(nn.Module):
    """One modality in a decoder layer: `own` first, then `forward` looks at the other."""

    def __init__(self, width: int, heads: int, ffn_width: int, dropout: float, *, looks_back: bool):
        super().__init__()
        self.own = AttentionBlock(width, heads, dropout)
        self.looks_back = looks_back
        if looks_back:
            self.other = AttentionBlock(width, heads, dropout)
            self.ffn = FeedForward(width, ffn_width, dropout)

    def forward(self, x: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
        """x: (B, S, D), other: (B, S', D). Returns (B, S, D): x itself if it does not look back."""
        if not self.looks_back:
            return x
        return self.ffn(self.other(x, mask, other, other_mask), mask)


class Localiser(nn.Module):
    """Attention pooling over the clips, and the two ends regressed from it (eq. 17-20)."""

    def __init__(self, width: int, output: str):
        super().__init__()
        self.output = output
        self.score = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )
        self.ends = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        first = torch.tensor(FIRST_MOMENT)
        with torch.no_grad():
            self.ends[-1].bias.copy_(  # type: ignore[operator]  # of a linear layer
                first.logit() if output == "sigmoid" else first
            )

    def forward(self, clips: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """clips: (B, T, D). Returns the ends (B, 2) and the weights of the clips (B, T)."""
        weights = masked_softmax(precise(self.score(clips)).squeeze(-1), mask)
        pooled = (weights[..., None] * clips).sum(dim=1)
        ends = precise(self.ends(pooled))
        return ends.sigmoid() if self.output == "sigmoid" else ends.relu(), weights


def regression_loss(gap: Tensor, beta: float) -> Tensor:
    """Eq. 24 divided by 2 alpha beta, so that its linear part has slope 1; element by element."""
    return F.smooth_l1_loss(gap, torch.zeros_like(gap), beta=beta, reduction="none")


def attention_labels(gt: Tensor, dur: Tensor, v_mask: Tensor) -> Tensor:
    """(B, T) bool, True on the clips of the moment, two or more where there are (LGI).

    gt: (B, 2) and dur: (B,) in seconds. The ends are rounded to clips, both included.
    """
    counts = v_mask.sum(dim=1, keepdim=True)
    ends = (gt.double() / dur.double()[:, None] * counts).round().long()  # (B, 2)
    first = ends[:, :1].minimum(counts - 1)
    last = ends[:, 1:].maximum(first + 1).minimum(counts - 1)
    position = torch.arange(v_mask.shape[1], device=gt.device)
    return (position >= first) & (position <= last)


def attention_loss(weights: Tensor, labels: Tensor) -> Tensor:
    """Eq. 25: how far the temporal attention is from lying on the labelled clips alone."""
    surprise = -(weights + LOG_FLOOR).log() * labels
    return (surprise.sum(dim=1) / labels.sum(dim=1)).mean()


def diversity_loss(weights: Tensor) -> Tensor:
    """Eq. 26: zero if every guide looks at one word, another each. weights: (B, K, L)."""
    weights = precise(weights)
    # Element by element: a matrix product would run in half precision under autocast.
    products = (weights[:, :, None] * weights[:, None]).sum(dim=-1)  # (B, K, K)
    identity = torch.eye(weights.shape[1], device=weights.device, dtype=weights.dtype)
    return (products - identity).square().sum(dim=(1, 2)).mean()
