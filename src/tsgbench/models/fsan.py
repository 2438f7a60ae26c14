"""FSAN: Fine-grained Semantic Alignment Network for weakly supervised grounding.

Wang et al., Findings of EMNLP 2021; equation and section numbers refer to it. There is no public
code. Words and clips attend to each other, a map says how well each word fits each clip, and every
segment is scored by the map: high inside for all words, low outside for at least one. Training
reads no boundary: a sentence must fit its own video better than a sentence of another video does,
and the map is sharpened where the model is confident.

Four things cannot train as they are printed. The defaults repair them; the printed forms are the
switches in brackets, so that the failure can be shown:
- The matching score (eq. 7) takes the best clip of every word on the normalised map (eq. 5), where
  the best clip of every word is 1 by construction: the loss (eq. 6) is the margin, its slope zero.
  Here it reads the map before the normalisation (`match_map: normalised`).
- Words that both sentences contain are masked in the map of the negative only (sec. 3.3). So "the"
  and its like count for the positive alone, and fitting them to every clip of every video meets
  the margin: the loss falls as well without a video. Here both maps leave them out (`repeated:
  negative`).
- The weights of eq. 10 and 12 may be negative, which rewards an unbounded loss; their sum grows
  with the number of segments; and the normalised map holds a 0 in every row, whose logarithm is
  not finite. Here weights are cut at zero, sum to one and, being a "confidence", carry no gradient
  (`weight: raw`, `detach: false`), and logarithms end at `floor`.
- The outer loss (eq. 11) raises what the text says it lowers and eq. 8 needs low. Here it is the
  logarithm of one minus the weakest response (`outer: literal`).

So repaired, and with the losses at a third each as printed, it still learns nothing from language:
the inner and outer losses are met best by a map that is 1 on all clips but one, whatever is said or
shown, and their slopes drown that of the matching loss. Three choices where the paper is silent let
it train at the printed weights (docs/models.md has the trials):
- Cosines are counted in units of `temperature`, as in contrastive training of images and texts.
  The paper states neither the margin nor the scale of its dot products, and without them the
  printed weights say little; in cosines, a hundredth is a hundred times the matching loss.
- `floor` is one half: inside a segment, responses above one half are raised towards one; outside,
  weakest responses below one half are lowered towards zero. Nothing is pushed across.
- At the start, the attentions of the interaction module add next to nothing (`start: usual`): the
  map is of what each clip shows, and what clips tell each other is learnt upon that.
With cosines as they are it trains too, less well, where the inner and outer losses move the
projections of eq. 5 alone (`moves: projections`).

Other choices that the paper leaves open: cosine rather than scaled dot product in eq. 5, so that a
margin has a meaning (`raw`); weights not shared between the modalities or the steps of a layer;
learned positions added once, to words before the text encoder (`pe_each_layer`); as negative, a
random sentence of another video of the batch; without the grounding module, attention pooling
within each segment, and a sentence fits a video as well as its best segment. Projections of the
attentions have no bias, as in eq. 1-2.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsgbench.models.base import Batch, Grounder, register
from tsgbench.models.layers import (
    Dropout,
    MultiHeadAttention,
    Positions,
    WordVectors,
    check_length,
    masked_softmax,
    precise,
)
from tsgbench.models.targets import span_moments, top_cells
from tsgbench.settings import Count, DropoutRate, NotNegative, Positive, Size
from tsgbench.text import WordTable

QUIET = 0.01  # share of an attention's output at a local start
MIN_RANGE = 1e-6  # a row of the map that varies by less is constant


@register("fsan")
class FSAN(Grounder):
    """The whole model; `forward` names its outputs. Defaults: ActivityNet Captions.

    clip_dim: width of a clip feature. words: the word table of the data set.
    width, heads, dropout: of every block; expansion: hidden layer of the feed-forward blocks, in
    widths. text_layers: transformer layers of the language encoder.
    max_clips, max_words: rows of the position tables; pe_each_layer: added before each layer.
    layers: of the interaction module, each with icim_cross attention between and icim_inner
    attention within the modalities (table 4).
    grounding: on the alignment map, or by pooling and scoring each segment (table 4).
    raw, match_map, repeated, weight, detach, outer, floor, moves, start, temperature: see the top
    of this file.
    margin: of the matching loss (eq. 6), in cosines.
    match_weight, inner_weight, outer_weight: of the losses (eq. 13); 0 leaves a loss out.
    """

    CONFLICTS = (
        (
            {"grounding": "attnpool_mlp", "icim_cross": False},
            "icim_cross: grounding attnpool_mlp reads the clips only, which know the sentence"
            " through cross-attention alone; switch it on",
        ),
    )

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        width: Size = 512,
        heads: Size = 8,
        expansion: Size = 4,
        dropout: DropoutRate = 0.1,
        text_layers: Count = 1,
        layers: Size = 6,
        max_clips: Size = 64,
        max_words: Size = 20,
        pe_each_layer: bool = False,
        icim_cross: bool = True,
        icim_inner: bool = True,
        grounding: Literal["alignment", "attnpool_mlp"] = "alignment",
        raw: Literal["cos", "dot"] = "cos",
        match_map: Literal["raw", "normalised"] = "raw",
        repeated: Literal["both", "negative"] = "both",
        margin: NotNegative = 0.2,
        temperature: Positive = 0.01,
        weight: Literal["relu_norm", "raw", "softmax"] = "relu_norm",
        detach: bool = True,
        outer: Literal["log1m", "literal"] = "log1m",
        floor: Positive = 0.5,
        moves: Literal["projections", "all"] = "all",
        start: Literal["local", "usual"] = "local",
        match_weight: NotNegative = 0.333333,
        inner_weight: NotNegative = 0.333333,
        outer_weight: NotNegative = 0.333333,
    ):
        super().__init__()
        is_pooled = grounding == "attnpool_mlp"
        self.max_clips, self.max_words = max_clips, max_words
        self.pe_each_layer, self.raw, self.match_map = pe_each_layer, raw, match_map
        self.margin, self.temperature, self.repeated = margin, temperature, repeated
        self.weight, self.detach, self.outer, self.floor = weight, detach, outer, floor
        self.match_weight, self.inner_weight = match_weight, inner_weight
        self.outer_weight, self.moves = outer_weight, moves

        block: Any = {"width": width, "heads": heads, "expansion": expansion, "dropout": dropout}
        self.vectors = WordVectors(words)
        self.project_words = nn.Linear(self.vectors.dim, width)
        self.text = nn.ModuleList(AttentionBlock(**block) for _ in range(text_layers))
        self.project_clips = nn.Linear(clip_dim, width)
        self.word_places = Positions(max_words, width)
        self.clip_places = Positions(max_clips, width)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            # Pooling reads no words, so the last layer need not make them.
            Interaction(icim_cross, icim_inner, not (is_pooled and last), **block)
            for last in [False] * (layers - 1) + [True]
        )
        if start == "local":
            self.layers.apply(_quieten)
        self.segment_head = SegmentHead(width, dropout) if is_pooled else None
        if not is_pooled:
            self.align_words = nn.Linear(width, width, bias=False)  # W_s of eq. 5
            self.align_clips = nn.Linear(width, width, bias=False)  # W_v

    def forward(self, batch: Batch, with_negatives: bool | None = None) -> dict[str, Tensor]:
        """Returns

        segments: (B, T, T) score of each segment (eq. 8), first clip by last clip; -inf where the
            last comes before the first, or is padding.
        raw, attention: (B, T, L) how well each word fits each clip, before and after max-min
            normalisation (eq. 5); 0 on padding. Not with `grounding: attnpool_mlp`.
        positive, negative, has_negative: (B,) scores of the own sentence and of one of another
            video (eq. 7), and whether there is one and both have words that the other lacks.
        sharpened: (B, T, L) as `attention`; the inner and outer losses read it, and their slopes
            reach the projections of eq. 5 alone. With negatives and `moves: projections`.
        with_negatives: whether the latter are there; by default only in training.
        """
        if with_negatives is None:
            with_negatives = self.training
        q_mask, v_mask = batch.q_mask, batch.v_mask
        words, clips = self.encode(batch)
        if not with_negatives:
            return self.ground(*self.interact(words, clips, q_mask, v_mask), q_mask, v_mask)
        other, own_kept, other_kept = draw_negatives(batch.tokens, q_mask, batch.video_idx)
        if self.repeated == "negative":
            own_kept = q_mask
        both = self.interact(  # one pass, twice as wide
            torch.cat([words, words[other]]),
            torch.cat([clips, clips]),
            torch.cat([q_mask, q_mask[other]]),
            torch.cat([v_mask, v_mask]),
        )
        (words, other_words), (clips, other_clips) = (x.chunk(2) for x in both)
        outputs = self.ground(words, clips, q_mask, v_mask)
        if self.moves == "projections" and self.segment_head is None:
            raw = self.align(words.detach(), clips.detach(), q_mask, v_mask)
            outputs["sharpened"] = normalise(raw, q_mask, v_mask).transpose(1, 2)
        negative = self.ground(other_words, other_clips, q_mask[other], v_mask)
        outputs["positive"] = self.match_score(outputs, own_kept, v_mask)
        outputs["negative"] = self.match_score(negative, other_kept, v_mask)
        outputs["has_negative"] = own_kept.any(dim=1) & other_kept.any(dim=1)
        return outputs

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Words (B, L, D) and clips (B, T, D) as they enter the interaction module (sec. 3.1)."""
        check_length("fsan", "max_words", batch.tokens.shape[1], self.max_words)
        check_length("fsan", "max_clips", batch.video.shape[1], self.max_clips)
        words = self.project_words(self.vectors(batch.tokens))
        words = self.dropout(self.word_places(words))
        for block in self.text:
            words = block(words, words, batch.q_mask)
        clips = self.project_clips(batch.video)
        return words, self.dropout(self.clip_places(clips))

    def interact(
        self, words: Tensor, clips: Tensor, q_mask: Tensor, v_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The iterative cross-modal interaction module (sec. 3.2).

        What stands on padding is not zero, but nothing reads it: as keys it is masked.
        """
        for index, layer in enumerate(self.layers):
            if index and self.pe_each_layer:
                words, clips = self.word_places(words), self.clip_places(clips)
            words, clips = layer(words, clips, q_mask, v_mask)
        return words, clips

    def ground(
        self, words: Tensor, clips: Tensor, q_mask: Tensor, v_mask: Tensor
    ) -> dict[str, Tensor]:
        """Outputs of `forward` without negatives."""
        if self.segment_head is not None:
            return {"segments": self.segment_head(clips, v_mask)}
        raw = self.align(words, clips, q_mask, v_mask)
        aligned = normalise(raw, q_mask, v_mask)
        return {
            "segments": segment_scores(aligned, q_mask, v_mask),
            "raw": raw.transpose(1, 2),
            "attention": aligned.transpose(1, 2),
        }

    def align(self, words: Tensor, clips: Tensor, q_mask: Tensor, v_mask: Tensor) -> Tensor:
        """(B, L, T) the map before its normalisation (eq. 5), 0 on padding."""
        a, b = precise(self.align_words(words)), precise(self.align_clips(clips))
        if self.raw == "cos":
            a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        else:
            a = a * a.shape[-1] ** -0.5
        with torch.autocast(a.device.type, enabled=False):  # normalising stretches every error
            return (a @ b.transpose(1, 2)).masked_fill(~_pairs(q_mask, v_mask), 0.0)

    def match_score(self, outputs: dict[str, Tensor], kept: Tensor, v_mask: Tensor) -> Tensor:
        """(B,) how well sentences fit videos (eq. 7): mean over `kept` words of the best clip."""
        if self.segment_head is not None:
            return precise(outputs["segments"]).flatten(1).amax(dim=1)
        chosen = outputs["raw" if self.match_map == "raw" else "attention"]  # (B, T, L)
        best = chosen.masked_fill(~v_mask[..., None], -torch.inf).amax(dim=1)  # (B, L)
        return (best * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """match (eq. 6), inner (eq. 9-10) and outer (eq. 11-12), weighted. Reads no boundary."""
        if "negative" not in outputs:
            outputs = self.forward(batch, with_negatives=True)
        hinge = (self.margin - outputs["positive"] + outputs["negative"]).relu() / self.temperature
        losses = {"match": self.match_weight * (hinge * outputs["has_negative"]).mean()}
        if self.segment_head is not None:
            return losses  # there is no map to sharpen
        aligned = outputs.get("sharpened", outputs["attention"]).transpose(1, 2)  # (B, L, T)
        weights = self.segment_weights(outputs["segments"])
        if self.inner_weight:
            inner = inner_losses(aligned, batch.q_mask, self.floor)
            losses["inner"] = self.inner_weight * (weights * inner).sum(dim=(1, 2)).mean()
        if self.outer_weight:
            outer = outer_losses(
                aligned, batch.q_mask, batch.v_mask, self.floor, raises=self.outer == "literal"
            )
            losses["outer"] = self.outer_weight * (weights * outer).sum(dim=(1, 2)).mean()
        return losses

    def segment_weights(self, scores: Tensor) -> Tensor:
        """Confidence in each segment: (B, T, T), 0 where there is none (eq. 10, 12)."""
        scores = scores.detach() if self.detach else scores
        real = scores.isfinite()
        if self.weight == "softmax":
            return masked_softmax(scores.flatten(1), real.flatten(1)).view_as(scores)
        scores = scores.masked_fill(~real, 0.0)
        if self.weight == "raw":
            return scores
        scores = scores.relu()
        return scores / scores.sum(dim=(1, 2), keepdim=True).clamp(min=MIN_RANGE)

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, K, 3): the segments with the highest scores, moved into [0, 1] in the same order.

        Eq. 8 lies in [-1, 1]; scores of the pooled head may be any number.
        """
        scores, spans = top_cells(precise(outputs["segments"]), k)
        is_pooled = self.segment_head is not None
        scores = scores.sigmoid() if is_pooled else ((scores + 1) / 2).clamp(0, 1)
        return span_moments(spans, scores, batch.dur, batch.v_mask.sum(dim=1))


class AttentionBlock(nn.Module):
    """Attention and feed-forward layer, each added and normalised (one line of eq. 3 and 4)."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float):
        super().__init__()
        self.project = nn.Linear(width, 3 * width, bias=False)  # query, key, value
        self.attention = MultiHeadAttention(heads)
        self.merge = nn.Linear(width, width, bias=False)
        self.norm_attention, self.norm_ffn = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn = nn.Sequential(
            nn.Linear(width, expansion * width), nn.ReLU(), nn.Linear(expansion * width, width)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """x: (B, X, D) looks at y: (B, Y, D), which may be x itself, where y_mask (B, Y) is set."""
        if x is y:
            q, k, v = self.project(x).chunk(3, dim=-1)
        else:
            for_x, for_y = self.project.weight.split([x.shape[-1], 2 * x.shape[-1]])
            q = F.linear(x, for_x)
            k, v = F.linear(y, for_y).chunk(2, dim=-1)
        seen = self.merge(self.attention(q, k, v, y_mask[:, None, None]))
        x = self.norm_attention(x + self.dropout(seen))
        return self.norm_ffn(x + self.dropout(self.ffn(x)))


class Interaction(nn.Module):
    """One layer of the interaction module: attention across, then within the modalities.

    Both modalities look at the other as it was before the layer. makes_words: whether a layer
    after this one, or the map, reads the words.
    """

    def __init__(self, cross: bool, inner: bool, makes_words: bool, **block: Any):
        super().__init__()

        def make(is_wanted: bool) -> AttentionBlock | None:
            return AttentionBlock(**block) if is_wanted else None

        self.cross_words, self.cross_clips = make(cross and makes_words), make(cross)
        self.inner_words, self.inner_clips = make(inner and makes_words), make(inner)

    def forward(
        self, words: Tensor, clips: Tensor, q_mask: Tensor, v_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """words: (B, L, D), q_mask: (B, L), clips: (B, T, D), v_mask: (B, T). Shapes stay."""
        old_words, old_clips = words, clips
        if self.cross_words is not None:
            words = self.cross_words(old_words, old_clips, v_mask)
        if self.cross_clips is not None:
            clips = self.cross_clips(old_clips, old_words, q_mask)
        if self.inner_words is not None:
            words = self.inner_words(words, words, q_mask)
        if self.inner_clips is not None:
            clips = self.inner_clips(clips, clips, v_mask)
        return words, clips


class SegmentHead(nn.Module):
    """Table 4, "w/o grounding module": pool the clips of each segment, score it by an MLP."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.relevance = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )
        self.score = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), Dropout(dropout),
            nn.Linear(width, width), nn.ReLU(), Dropout(dropout),
            nn.Linear(width, 1, bias=False),  # scores are only compared
        )  # fmt: skip

    def forward(self, clips: Tensor, v_mask: Tensor) -> Tensor:
        """clips: (B, T, D) -> (B, T, T) scores, -inf where there is no segment."""
        size = clips.shape[1]
        position = torch.arange(size, device=clips.device)
        first, last = torch.triu_indices(size, size, device=clips.device)  # (K,) each
        inside = (position >= first[:, None]) & (position <= last[:, None])  # (K, T)
        logits = precise(self.relevance(clips)).transpose(1, 2)  # (B, 1, T)
        weights = masked_softmax(logits, inside & v_mask[:, None])  # (B, K, T)
        pooled = weights.to(clips.dtype) @ clips  # (B, K, D)
        scored = precise(self.score(pooled)).squeeze(-1)
        scores = scored.new_full((len(clips), size, size), -torch.inf)
        scores[:, first, last] = scored.masked_fill(~v_mask[:, last], -torch.inf)
        return scores


@torch.no_grad()
def _quieten(module: nn.Module) -> None:
    """Let an attention add next to nothing at first; zero would stop the slope of what precedes."""
    if isinstance(module, AttentionBlock):
        module.merge.weight.mul_(QUIET)


def draw_negatives(
    tokens: Tensor, q_mask: Tensor, video_idx: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A random sentence of another video for each one, from the same batch.

    Returns its row (B,); and, (B, L) bool each, the words of the own sentence that the other does
    not contain, and those of the other that the own does not (sec. 3.3). None where the whole batch
    is of one video.
    """
    is_other = video_idx[:, None] != video_idx
    draws = torch.rand(is_other.shape, device=tokens.device).masked_fill(~is_other, -1.0)
    other = draws.argmax(dim=1)
    same = (tokens[:, :, None] == tokens[other][:, None]) & _pairs(q_mask, q_mask[other])
    exists = is_other.any(dim=1, keepdim=True)
    own_kept = q_mask & ~same.any(dim=2) & exists
    return other, own_kept, q_mask[other] & ~same.any(dim=1) & exists


def normalise(raw: Tensor, q_mask: Tensor, v_mask: Tensor) -> Tensor:
    """Each word's row from its least to its best clip, as 0 to 1 (eq. 5); 0 if all are equal.

    raw: (B, L, T). Padding takes no part and comes out as 0.
    """
    padding = ~v_mask[:, None]
    low = raw.masked_fill(padding, torch.inf).amin(dim=2, keepdim=True)
    high = raw.masked_fill(padding, -torch.inf).amax(dim=2, keepdim=True)
    scaled = (raw - low) / (high - low).clamp(min=MIN_RANGE)
    return scaled.masked_fill(~_pairs(q_mask, v_mask), 0.0)


def segment_scores(aligned: Tensor, q_mask: Tensor, v_mask: Tensor) -> Tensor:
    """Eq. 8 for all segments at once, by prefix sums: (B, L, T) -> (B, T, T), -inf for none.

    Mean response inside, minus the mean over the clips outside of their weakest word; the latter
    is 0 for the whole video.
    """
    mean = aligned.sum(dim=1) / q_mask.sum(dim=1, keepdim=True)  # (B, T)
    weakest = _weakest_word(aligned, q_mask, v_mask)
    length, real, outside = _segments(v_mask)
    scores = _sums_inside(mean) / length - _sums_outside(weakest) / outside
    return scores.masked_fill(~real, -torch.inf)


def inner_losses(aligned: Tensor, q_mask: Tensor, floor: float) -> Tensor:
    """Eq. 9 for all segments: (B, T, T), any finite number where there is no segment.

    The logarithm is taken first, of T rather than T * T values: it keeps the order.
    """
    logs = aligned.clamp(floor, 1).log()  # (B, L, T)
    weakest = weakest_inside(logs).masked_fill(~q_mask[..., None, None], 0.0)
    return -weakest.sum(dim=1) / q_mask.sum(dim=1)[:, None, None]


def weakest_inside(x: Tensor) -> Tensor:
    """(..., T) -> (..., T, T): minimum from first clip to last clip; x[last] below the diagonal."""
    size = x.shape[-1]
    before = torch.ones(size, size, dtype=torch.bool, device=x.device).tril(-1)
    rows = x.unsqueeze(-2).expand(*x.shape[:-1], size, size).masked_fill(before, torch.inf)
    return rows.cummin(dim=-1).values.masked_fill(before, 0.0)


def outer_losses(
    aligned: Tensor, q_mask: Tensor, v_mask: Tensor, floor: float, *, raises: bool
) -> Tensor:
    """Eq. 11 for all segments: (B, T, T), 0 for the whole video.

    raises: as printed, which raises the weakest response outside the segment.
    """
    weakest = _weakest_word(aligned, q_mask, v_mask)
    logs = (weakest if raises else 1 - weakest).clamp(floor, 1).log().masked_fill(~v_mask, 0.0)
    return -_sums_outside(logs) / _segments(v_mask)[2]


def _pairs(q_mask: Tensor, v_mask: Tensor) -> Tensor:
    return q_mask[:, :, None] & v_mask[:, None]  # (B, L, T)


def _weakest_word(aligned: Tensor, q_mask: Tensor, v_mask: Tensor) -> Tensor:
    """(B, T) the least response of any word to each clip; 0 on padding."""
    lowest = aligned.masked_fill(~q_mask[..., None], torch.inf).amin(dim=1)
    return lowest.masked_fill(~v_mask, 0.0)


def _segments(v_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each segment, first clip by last clip: length, whether it exists, clips outside (>= 1)."""
    position = torch.arange(v_mask.shape[1], device=v_mask.device)
    length = (position - position[:, None] + 1).clamp(min=1)  # (T, T)
    real = (position >= position[:, None]) & v_mask[:, None]  # (B, T, T)
    return length, real, (v_mask.sum(dim=1)[:, None, None] - length).clamp(min=1)


def _sums_inside(x: Tensor) -> Tensor:
    """(B, T) -> (B, T, T): sum from first clip to last clip."""
    prefix = F.pad(x.cumsum(dim=1), (1, 0))
    return prefix[:, None, 1:] - prefix[:, :-1, None]


def _sums_outside(x: Tensor) -> Tensor:
    """(B, T) -> (B, T, T): sum of what comes before the first and after the last clip.

    Exactly 0 for the whole video: nothing is subtracted that was not added in the same order.
    """
    prefix = F.pad(x.cumsum(dim=1), (1, 0))
    return prefix[:, :-1, None] + (prefix[:, None, -1:] - prefix[:, None, 1:])
