"""IA-Net: an iterative alignment framework for temporal sentence grounding.

Liu, Qu and Zhou, EMNLP 2021; equation and section numbers refer to it. Clips and words attend to
each other and then to themselves, several times over; after each attention a gate (calibration)
decides how much of what was found replaces what was there. Learned slots beside the words and the
clips are what to attend to where nothing matches. Candidates of several widths around every clip
are then scored, and their ends shifted.

The defaults follow the text. The public code is another model in many places, and does not run as
released (a module is missing, the number of candidates is fixed for one length); preset `official`
is what it would compute: no slots, no masks in the attention, self-attention over neighbouring
clips instead of positions, additive attention and a GRU in the localiser, other widths, labels,
averages and starting weights, offsets from anchors cut to whole clips. The text is the default
because its table 4 counts the slots, which the code lacks, and its size (68 MiB, table 3) is that
of the text's model. The text contradicts itself on the candidates: "on each frame" (sec. 3.5, the
default, as in the code) or a stride apart (sec. 4.2, preset `paper`).

Departures from both, and choices they leave open:
- Labels are the span of clips that best covers the moment in seconds, as moments are decoded
  (`span: grid`). The public code takes the moment's source clips, ends rounded down, and then the
  first window of `resample.linspace_mean` that starts there or later and the last that starts there
  or earlier (`windows`), which cannot be undone. A slip of its own is not followed: it takes a
  moment that ends in source clip T - 1 to the last window, whatever the video's length.
- Without calibration (models A and C of table 4) what attention finds is added: replacing would
  leave nothing of a modality's own features after one block.
- Slots belong to a block; every attention has its own projections (public code).
- The softmax over the cosines of a clip with the words has a temperature, `gamma` of 0.1, of which
  sec. 3.5 says nothing. Without one, no word's weight exceeds another's more than exp(2) times, and
  trained models spread them to 0.999 of the greatest entropy: every clip gets the mean word. (The
  code of Mithun et al., whom the text cites for it, multiplies clips that are not normalised.)
- The "multiple FC layers" are one hidden layer and one layer each for scores and offsets.
- Both ends are kept inside the video; where the shifts cross them, both become their mean.
- Weights start larger than PyTorch's, and gates open (`start: open`): without normalisation the
  features would vanish within the blocks. `pytorch` is the public code's start.
- Words without a vector are dropped before (`inputs.oov`); a sentence of none has one unknown word.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsgbench.errors import UserError
from tsgbench.models.base import Batch, Grounder, register
from tsgbench.models.layers import (
    BidirectionalGRU,
    Dropout,
    MultiHeadAttention,
    SinusoidalPositions,
    WordVectors,
    masked_softmax,
    precise,
)
from tsgbench.models.targets import best_first, centred_anchors, index_iou, index_labels
from tsgbench.settings import Count, DropoutRate, EvenSize, NotNegative, Positive, Share, Size
from tsgbench.text import WordTable

# Weights start so that the blocks let the features through. Nothing normalises them, and with
# PyTorch's own start each of six gates halves them: little is left to attend to or to score.
GATE_START = 2.0  # bias of Z, which then keeps 0.88 of a feature
ATTENTION_START = 2.0  # gain of the orthogonal projections between the modalities


@register("ia_net")
class IANet(Grounder):
    """The whole model; `forward` names its outputs. Defaults: the text, on Charades-STA.

    clip_dim: width of a clip feature. words: the word table of the data set.
    width: both directions of the GRUs together. dropout: before and after them, and in the head.
    reduce: wider clip features are first projected to so many numbers.
    positions: added to clip features and word vectors, or `none`.
    local_layers, local_window, local_heads: self-attention of clips at most so many positions
    apart, before the GRU (public code).
    slots, heads, n_blocks, components: K, H, l and the model of table 4; A attends between the
    modalities, B calibrates after it, C attends within them too, D calibrates after that too.
    mask_attention: False lets padding take part in the attention; pad_words: and pads every
    sentence to so many words first (both: public code, where padding is the only "nowhere").
    align, gamma: words for each clip by softmax of cosines / gamma, or by additive attention.
    head: hidden layer of the localiser, `fc` or `bigru`.
    start: of the weights, `open` (`start_weights`) or PyTorch's own.
    widths, half_width: candidates have 2 * half_width * (w - 1) + 1 clips; the text's windows are
    those of 0.5, and the 0.125 that it calls stride shrinks them in the public code.
    stride: distance of the candidates of a width, as a share of it, at least 1 clip.
    anchors: offsets are added to a candidate's ends as they are, or `truncated` to whole clips.
    span: clips of the moment (module docstring). label: IoU `raw`, or divided by the query's best.
    positives, positive_share: candidates that learn offsets have an IoU above the share, or at
    least this share of the query's best (`relative`).
    alpha, average: weight of the boundary loss; losses are averaged over `legal` candidates, with
    the errors of both ends summed (eq. 14-15), or over `all` of everything (public code).
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        width: EvenSize = 512,
        dropout: DropoutRate = 0.2,
        reduce: Size = 500,
        positions: Literal["sine", "none"] = "sine",
        local_layers: Count = 0,
        local_window: Count = 3,
        local_heads: Size = 4,
        n_blocks: Size = 3,
        components: Literal["A", "B", "C", "D"] = "D",
        slots: Count = 3,
        heads: Size = 4,
        mask_attention: bool = True,
        pad_words: Count = 0,
        align: Literal["cosine", "additive"] = "cosine",
        gamma: Positive = 0.1,
        head: Literal["fc", "bigru"] = "fc",
        start: Literal["open", "pytorch"] = "open",
        widths: Sequence[Positive] = (16, 24, 32, 40),
        half_width: Positive = 0.5,
        stride: NotNegative = 0.0,
        anchors: Literal["exact", "truncated"] = "exact",
        span: Literal["grid", "windows"] = "grid",
        label: Literal["raw", "rescaled"] = "raw",
        positives: Literal["absolute", "relative"] = "absolute",
        positive_share: Share = 0.45,
        alpha: NotNegative = 0.005,
        average: Literal["legal", "all"] = "legal",
    ):
        super().__init__()
        self.positions, self.mask_attention, self.pad_words = positions, mask_attention, pad_words
        self.anchors, self.span, self.label = anchors, span, label
        self.average, self.alpha = average, alpha
        self.positives, self.positive_share = positives, positive_share
        self._lay_out_anchors(torch.tensor(widths, dtype=torch.float32), half_width, stride)

        self.words = WordVectors(words)
        features = min(clip_dim, reduce)
        self.reduce = nn.Linear(clip_dim, features) if clip_dim > reduce else nn.Identity()
        self.local = nn.ModuleList(
            LocalAttention(features, local_heads, local_window, dropout)
            for _ in range(local_layers)
        )
        self.dropout = Dropout(dropout)
        self._encode(features, width)
        self.blocks = nn.ModuleList(
            InteractionBlock(width, heads, slots, components) for _ in range(n_blocks)
        )
        self.align = CosineAlignment(gamma) if align == "cosine" else AdditiveAlignment(width)
        self.head = (
            Hidden(2 * width, width) if head == "fc" else BidirectionalGRU(2 * width, width // 2)
        )
        self.score = nn.Linear(width, len(widths))
        self.offset = nn.Linear(width, 2 * len(widths))
        if start == "open":
            self.start_weights()

    def _encode(self, features: int, width: int) -> None:
        self.clip_positions = SinusoidalPositions(features)
        self.word_positions = SinusoidalPositions(self.words.dim)
        self.clip_encoder = BidirectionalGRU(features, width // 2)
        self.word_encoder = BidirectionalGRU(self.words.dim, width // 2)

    def _lay_out_anchors(self, widths: Tensor, half_width: float, stride: float) -> None:
        """widths: in clips, as printed."""
        self.widths: Tensor
        self.register_buffer("widths", effective_widths(widths, half_width), persistent=False)
        apart = (stride * self.widths).round().clamp(min=1)
        self.apart: Tensor
        self.register_buffer("apart", apart, persistent=False)

    def start_weights(self) -> None:
        """Start `open`, which neither text nor code states; see `GATE_START` for the reason."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.GRU):
                for part in module.weight_ih_l0.chunk(3):  # type: ignore[operator]  # one a gate
                    nn.init.xavier_uniform_(part)
                for part in module.weight_hh_l0.chunk(3):  # type: ignore[operator]
                    nn.init.orthogonal_(part)
        for block in self.blocks:  # of InteractionBlock, which a ModuleList does not say
            nn.init.orthogonal_(
                block.inter.clips.weight,  # type: ignore[union-attr,arg-type]
                ATTENTION_START,
            )
            nn.init.orthogonal_(
                block.inter.words.weight,  # type: ignore[union-attr,arg-type]
                ATTENTION_START,
            )
        for module in self.modules():
            if isinstance(module, Calibration):
                nn.init.constant_(module.gate_bias, GATE_START)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Returns

        logits: (B, T, A) of each candidate's score. offsets: (B, T, A, 2) shifts of its ends, in
        clips. Then attention maps, mean over heads, for figures; of block 1, and so on:
        attention1_clips_over_words: (B, T, L + K), slots last; attention1_words_over_clips;
        attention1_clips_over_clips: (B, T, T); attention1_words_over_words.
        """
        clips, words, q_mask = self.encode(batch)
        v_mask, outputs = batch.v_mask, {}  # type: ignore[var-annotated]  # of tensors
        masks = (v_mask, q_mask)
        if not self.mask_attention:
            masks = torch.ones_like(v_mask), torch.ones_like(q_mask)
        for number, block in enumerate(self.blocks, start=1):
            clips, words, maps = block(clips, words, *masks)  # (B, T, D), (B, L, D)
            outputs |= {f"attention{number}_{name}": value for name, value in maps.items()}
        aligned = self.align(clips, words, q_mask)  # (B, T, D)
        hidden = self.dropout(self.head(torch.cat([clips, aligned], dim=-1), v_mask))
        outputs["logits"] = self.score(hidden)
        outputs["offsets"] = self.offset(hidden).unflatten(-1, (-1, 2))
        return outputs

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Sec. 3.1: clips (B, T, D), words (B, L, D) and the words' mask, padded to `pad_words`."""
        clips = self.reduce(self.dropout(batch.video))
        words = self.dropout(self.words(batch.tokens))
        if self.positions == "sine":
            clips, words = self.clip_positions(clips), self.word_positions(words)
        for layer in self.local:
            clips = layer(clips, batch.v_mask if self.mask_attention else None)
        clips = self.dropout(self.clip_encoder(clips, batch.v_mask))
        words = self.dropout(self.word_encoder(words, batch.q_mask))
        missing = max(self.pad_words - words.shape[1], 0)
        return clips, F.pad(words, (0, 0, 0, missing)), F.pad(batch.q_mask, (0, missing))

    def candidates(self, batch: Batch, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Anchors (T, A, 2), and which of them are candidates of each video, (B, T, A): those
        inside it, every `stride` widths from the first of their width.
        """
        anchors = centred_anchors(batch.v_mask.shape[1], self.widths.to(dtype))
        if self.widths.min() > len(anchors):
            raise UserError(
                f"config/models/ia_net.yaml: widths: no candidate fits into {len(anchors)} clips;"
                " add narrower ones"
            )
        counts = batch.v_mask.sum(dim=1)[:, None, None]
        position = torch.arange(len(anchors), device=anchors.device)[:, None]  # (T, 1)
        first = ((self.widths - 1) / 2).ceil()  # (A,) the first centre whose anchor fits
        is_placed = (position - first) % self.apart == 0
        # Half a clip may hang over at the end, as in the public code
        return anchors, (anchors[..., 0] >= 0) & (anchors[..., 1] < counts) & is_placed

    def origins(self, anchors: Tensor) -> Tensor:
        """What offsets are added to: the anchors, or (public code) their ends without fractions."""
        return anchors.trunc() if self.anchors == "truncated" else anchors

    def spans(self, batch: Batch) -> Tensor:
        """(B, 2) long, the moments in clips, first and last; see the module's docstring."""
        if self.span == "grid":
            return index_labels(
                batch.gt,  # type: ignore[arg-type]  # who learns has moments
                batch.dur,
                batch.v_mask.sum(dim=1),
            )
        if batch.windows is None:
            raise UserError(
                "config/models/ia_net.yaml: span: 'windows' are those of inputs.resample"
                " linspace_mean; resample so, or set span to grid"
            )
        return batch.windows

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """align (eq. 14) and boundary (eq. 15, times alpha)."""
        if batch.gt is None:
            raise ValueError("batch.gt: IA-Net learns from moments, and this batch has none")
        logits, offsets = precise(outputs["logits"]), precise(outputs["offsets"])
        anchors, legal = self.candidates(batch, logits.dtype)
        span = self.spans(batch)[:, None, None]  # (B, 1, 1, 2)
        overlap = index_iou(anchors, span.to(logits.dtype)) * legal  # (B, T, A)
        best = overlap.amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)

        target = overlap / best if self.label == "rescaled" else overlap
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * legal
        is_all = self.average == "all"
        count = legal.numel() if is_all else legal.sum().clamp(min=1)

        bar = best if self.positives == "relative" else 1.0
        positive = (overlap > 0) & (overlap >= self.positive_share * bar)
        error = F.smooth_l1_loss(offsets, span - self.origins(anchors), reduction="none")
        error = (error.mean(dim=-1) if is_all else error.sum(dim=-1)) * positive  # (B, T, A)
        # A batch without positives has no boundary loss (public code: NaN)
        boundary = error.sum() / positive.sum().clamp(min=1)
        return {"align": entropy.sum() / count, "boundary": self.alpha * boundary}

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, K, 3): the candidates with the highest scores, their ends shifted."""
        logits, offsets = precise(outputs["logits"]), precise(outputs["offsets"])
        anchors, legal = self.candidates(batch, logits.dtype)
        logits = logits.masked_fill(~legal, -torch.inf).flatten(1)
        best, position = best_first(logits, k)
        boxes = (self.origins(anchors) + offsets).flatten(1, 2)
        boxes = boxes.gather(1, position[..., None].expand(-1, -1, 2))  # (B, K, 2)
        counts = batch.v_mask.sum(dim=1)[:, None]
        start, end = boxes.clamp(min=0).minimum(counts[..., None] - 1).unbind(-1)
        crossed, middle = end < start, (start + end) / 2
        start, end = torch.where(crossed, middle, start), torch.where(crossed, middle, end)
        clip_s = batch.dur[:, None] / counts
        seconds = torch.stack([start * clip_s, (end + 1) * clip_s], dim=-1)
        moments = seconds.minimum(batch.dur[:, None, None])
        moments = torch.cat([moments, best.sigmoid()[..., None].to(moments.dtype)], dim=-1)
        return moments.masked_fill(best.isneginf()[..., None], torch.nan)


def effective_widths(widths: Tensor, half_width: float) -> Tensor:
    """Clips of a candidate whose ends lie `half_width * (w - 1)` from its centre."""
    return 2 * half_width * (widths - 1) + 1


class LocalAttention(nn.Module):
    """Self-attention of neighbouring clips, added: (B, T, D) -> (B, T, D). Public code only."""

    def __init__(self, width: int, heads: int, window: int, dropout: float):
        super().__init__()
        if width % heads:
            raise UserError(
                f"config/models/ia_net.yaml: local_heads: {heads} do not divide the {width} numbers"
                " of a clip; set reduce to a multiple"
            )
        self.window = window
        self.project = nn.Linear(width, 3 * width)  # query, key, value
        self.attention = MultiHeadAttention(heads)
        self.out = nn.Linear(width, width)
        for layer in (self.project, self.out):  # as the public code starts these alone
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """mask: (B, T) real clips, None for all. Each clip sees itself, so that none sees none."""
        position = torch.arange(x.shape[1], device=x.device)
        distance = (position[:, None] - position).abs()
        seen = (distance <= self.window)[None, None]  # (1, 1, T, T)
        if mask is not None:
            seen = seen & (mask[:, None, None] | (distance == 0))
        q, k, v = self.project(x).chunk(3, dim=-1)
        return x + self.dropout(self.out(self.attention(q, k, v, seen)))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, S, D) -> (B, H, S, D / H)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def mean_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the real keys, mean over heads (eq. 2-4): (B, H, S, S') -> (B, S, S').

    mask: (B, S') bool, at least one real key each.
    """
    return scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(dim=-1).mean(dim=1)


class InterAttention(nn.Module):
    """Attention between the modalities, with K slots to attend to instead (eq. 1-6).

    One projection of each modality serves both directions; what is found is not projected.
    """

    def __init__(self, width: int, heads: int, slots: int):
        super().__init__()
        self.heads = heads
        self.clips = nn.Linear(width, width, bias=False)
        self.words = nn.Linear(width, width, bias=False)
        self.clip_slots: Tensor
        self.word_slots: Tensor
        for name in ("clip_slots", "word_slots"):
            drawn = torch.randn(slots, width) * 0.02
            if slots:
                self.register_parameter(name, nn.Parameter(drawn))
            else:  # nothing to learn
                self.register_buffer(name, drawn, persistent=False)

    def forward(
        self, clips: Tensor, words: Tensor, v_mask: Tensor, q_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What clips and words find, (B, T, D) and (B, L, D); their weights, slots last."""
        t, n, slots = clips.shape[1], words.shape[1], len(self.clip_slots)
        clips = torch.cat([clips, self.clip_slots.to(clips.dtype).expand(len(clips), -1, -1)], 1)
        words = torch.cat([words, self.word_slots.to(words.dtype).expand(len(words), -1, -1)], 1)
        x, y = (
            split_heads(self.clips(clips), self.heads),
            split_heads(self.words(words), self.heads),
        )
        scores = (x * x.shape[-1] ** -0.5) @ y.transpose(2, 3)  # (B, H, T + K, L + K)
        over_words = mean_weights(scores[:, :, :t], F.pad(q_mask, (0, slots), value=True))
        over_clips = mean_weights(
            scores[..., :n].transpose(2, 3), F.pad(v_mask, (0, slots), value=True)
        )
        return over_words @ words, over_clips @ clips, over_words, over_clips


class IntraAttention(nn.Module):
    """Attention within a modality: (B, S, D) -> what is found, and the weights (B, S, S)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, width, bias=False)  # queries and keys alike

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """mask: (B, S). Returns (B, S, D), and the weights (B, S, S), the mean of the heads."""
        y = split_heads(self.project(x), self.heads)
        weights = mean_weights((y * y.shape[-1] ** -0.5) @ y.transpose(2, 3), mask)
        return weights @ x, weights


class Calibration(nn.Module):
    """A gate between the features and their refinement by what attention found (eq. 7-12)."""

    def __init__(self, width: int):
        super().__init__()
        self.refine_and_gate = nn.Linear(2 * width, 2 * width)  # of R and of Z

    @property
    def gate_bias(self) -> Tensor:
        """(D,) view of the bias of Z."""
        return self.refine_and_gate.bias[len(self.refine_and_gate.bias) // 2 :]

    def forward(self, x: Tensor, found: Tensor) -> Tensor:
        """x, found: (B, S, D). Returns (B, S, D), between x and its refinement."""
        refined, gate = self.refine_and_gate(torch.cat([x, found], dim=-1)).chunk(2, dim=-1)
        refined = refined.tanh()
        return refined + gate.sigmoid() * (x - refined)  # Z * x + (1 - Z) * R


class Residual(nn.Module):
    """Where the ablation has no calibration."""

    def forward(self, x: Tensor, found: Tensor) -> Tensor:
        """x, found: (B, S, D). Returns their sum."""
        return x + found


class InteractionBlock(nn.Module):
    """Attention between, then within the modalities, each calibrated (eq. 13, sec. 3.4)."""

    def __init__(self, width: int, heads: int, slots: int, components: str):
        super().__init__()

        def updates(calibrated: bool) -> nn.ModuleList:  # of clips, of words
            return nn.ModuleList(Calibration(width) if calibrated else Residual() for _ in range(2))

        self.inter = InterAttention(width, heads, slots)
        self.after_inter = updates(components != "A")
        self.has_intra = components in ("C", "D")
        if self.has_intra:
            self.intra = nn.ModuleList(IntraAttention(width, heads) for _ in range(2))
            self.after_intra = updates(components == "D")

    def forward(
        self, clips: Tensor, words: Tensor, v_mask: Tensor, q_mask: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The refined clips and words, zero on padding, and the attention maps."""
        masks = v_mask, q_mask
        *found, over_words, over_clips = self.inter(clips, words, *masks)
        maps = {"clips_over_words": over_words, "words_over_clips": over_clips}
        both = [
            update(x, m) * mask[..., None]
            for update, x, m, mask in zip(
                self.after_inter, (clips, words), found, masks, strict=True
            )
        ]
        if self.has_intra:
            names = ("clips_over_clips", "words_over_words")
            for side, (name, mask) in enumerate(zip(names, masks, strict=True)):
                found, maps[name] = self.intra[side](both[side], mask)
                both[side] = self.after_intra[side](both[side], found) * mask[..., None]
        return *both, maps


class CosineAlignment(nn.Module):
    """Words for each clip, by softmax of their cosine similarity / gamma (sec. 3.5)."""

    def __init__(self, gamma: float):
        super().__init__()
        self.gamma = gamma

    def forward(self, clips: Tensor, words: Tensor, q_mask: Tensor) -> Tensor:
        """clips: (B, T, D), words: (B, L, D), q_mask: (B, L). Returns (B, T, D)."""
        cosine = F.normalize(clips, dim=-1) @ F.normalize(words, dim=-1).transpose(1, 2)
        return masked_softmax(cosine / self.gamma, q_mask[:, None]) @ words


class AdditiveAlignment(nn.Module):
    """Words for each clip, by softmax of w tanh(W1 v + b + W2 q). Public code only."""

    def __init__(self, width: int):
        super().__init__()
        self.clips = nn.Linear(width, width)
        self.words = nn.Linear(width, width, bias=False)
        self.weigh = nn.Linear(width, 1, bias=False)

    def forward(self, clips: Tensor, words: Tensor, q_mask: Tensor) -> Tensor:
        """clips: (B, T, D), words: (B, L, D), q_mask: (B, L). Returns (B, T, D)."""
        both = self.clips(clips)[:, :, None] + self.words(words)[:, None]  # (B, T, L, D)
        scores = self.weigh(both.tanh()).squeeze(-1)
        return masked_softmax(scores, q_mask[:, None]) @ words


class Hidden(nn.Linear):
    """A layer with ReLU, called as a recurrence is: it looks at one clip and needs no mask."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]  # see above
        """x: (B, T, inputs). Returns (B, T, outputs), not negative."""
        return super().forward(x).relu()
