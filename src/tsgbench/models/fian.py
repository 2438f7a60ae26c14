"""FIAN: Fine-grained Iterative Attention Network for Temporal Language Localization in Videos.

Qu et al., ACM Multimedia 2020; equation and section numbers refer to it. Query and video attend to
each other twice, once starting with the query and once with the video (sec. 3.3); what the query
found is laid along the video and gated into it; convolutions as wide as each candidate window score
the window and move its ends (sec. 3.4).

There is no public code. What the paper leaves open, and the choice taken:
- A query is laid along the video by a matrix from positions in the query to positions in the video
  (eq. 11), so both have a fixed greatest length (`max_words`, `max_clips`), and a longer batch is
  refused. Padding is zeroed before, and so adds nothing. The biases of eq. 11 are printed one a
  word; only one a clip fits.
- Attention is added and normalised after (post-norm), "shortcut" and normalisation being left out
  of eq. 7-8 (sec. 3.3.2); the feed-forward layer is four times as wide.
- The four encoders share no weights: "same architecture" is not "same weights" (`share`).
- 512 units of a recurrence are 256 in each direction: the residual sums ask for it.
- Self-attention of the video has two layers as in CMIN, its model, but looks at the whole video,
  "long context" (`video_attention`).
- Dropout of 0.2 where CMIN has it (clips and words as they come in, each self-attention, each
  recurrence) and on the two steps of an encoder; warm-up, decay and 20 words are CMIN's, IA-Net's.
- A moment's label is the span of clips with the largest IoU; labels are raw IoU, not rescaled to
  the best candidate. A batch without a positive candidate has no positive term.
- The score's and the offsets' convolutions of one window are one convolution of three channels. The
  projections of eq. 4-5, printed without, have biases.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsgbench.errors import UserError
from tsgbench.models.base import Batch, Grounder, register
from tsgbench.models.layers import (
    BidirectionalGRU,
    Dropout,
    MultiHeadAttention,
    WordVectors,
    masked_softmax,
    precise,
)
from tsgbench.models.targets import (
    best_first,
    clip_spans,
    index_iou,
    index_labels,
    span_moments,
)
from tsgbench.settings import Count, DropoutRate, EvenSize, NotNegative, Share, Size
from tsgbench.text import WordTable

NEIGHBOURS = 3  # clips either side that `window3` looks at (CMIN)
TGN_POSITIVE = 0.5  # IoU above which an anchor is a positive of the TGN head
CMIN_FLOOR = 0.3  # share of the best IoU below which a label of the CMIN head is zero


@register("fian")
class FIAN(Grounder):
    """The whole model; `forward` names its outputs. Defaults: TACoS, the data set of the ablations.

    clip_dim: width of a clip feature. words: the word table of the data set.
    width, heads: of every block. dropout: of the inputs, of every step that is added, and after
    every recurrence. ffn_scale: hidden layer of an encoder, in widths.
    max_clips, max_words: length of the video and of the query in eq. 11, and of the candidates.
    video_layers, video_attention: self-attention over the video, over all of it (`global`) or three
    clips either side, not normalised (`window3`, CMIN).
    attention: guided (`cga`, eq. 6), without the information gate (`cma`), or additive (`soft`).
    branches: which of the two iterative branches exist, `qv` (eq. 9) and `vq` (eq. 10).
    integrate: queries gated into the videos (`gated`, eq. 12-14); videos alone, beside each other
    (`concat`), or also their difference and product (`matrix`).
    share: encoders of the same direction are one (`same_direction`), or all differ.
    head: `content` (sec. 3.4); `tgn` or `cmin`, with anchors of the same windows (table 5).
    windows, rho: candidate sizes in clips; their stride as a share of the size, at least 1 clip.
    tau: IoU above which a candidate is positive. alpha: weight of the boundary loss (eq. 18).
    force_best_positive: the best candidate of each query is positive whatever its IoU.
    """

    CONFLICTS = (
        (
            {"integrate": "matrix", "branches": "vq"},
            "integrate: 'matrix' needs branches 'both', not 'vq'",
        ),
        (
            {"integrate": "matrix", "branches": "qv"},
            "integrate: 'matrix' needs branches 'both', not 'qv'",
        ),
    )

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        width: EvenSize = 512,
        heads: Size = 8,
        dropout: DropoutRate = 0.2,
        ffn_scale: Size = 4,
        max_clips: Size = 200,
        max_words: Size = 20,
        video_layers: Count = 2,
        video_attention: Literal["global", "window3"] = "global",
        attention: Literal["cga", "cma", "soft"] = "cga",
        branches: Literal["both", "qv", "vq"] = "both",
        integrate: Literal["gated", "concat", "matrix"] = "gated",
        share: Literal["none", "same_direction"] = "none",
        head: Literal["content", "tgn", "cmin"] = "content",
        windows: tuple[Size, ...] = (8, 16, 32, 64),
        rho: NotNegative = 0.125,
        tau: Share = 0.55,
        alpha: NotNegative = 0.005,
        force_best_positive: bool = False,
    ):
        super().__init__()
        self.max_clips, self.max_words = max_clips, max_words
        self.integrate, self.head_kind = integrate, head
        self.tau, self.alpha, self.force_best_positive = tau, alpha, force_best_positive

        self.words = WordVectors(words)
        self.query_gru = BidirectionalGRU(self.words.dim, width // 2)
        self.project = nn.Linear(clip_dim, width)
        self.self_attention = nn.ModuleList(
            SelfAttention(width, heads, dropout, NEIGHBOURS if video_attention == "window3" else 0)
            for _ in range(video_layers)
        )
        self.video_gru = BidirectionalGRU(width, width // 2)
        self.encoders = build_encoders(
            branches, integrate, share, lambda: Encoder(width, heads, dropout, ffn_scale, attention)
        )
        self.dropout = Dropout(dropout)
        streams = 2 if branches == "both" else 1
        if integrate == "gated":
            self.integration = GatedIntegration(streams, width, max_words, max_clips)
        fused = width * (4 if integrate == "matrix" else streams)
        self.final_gru = BidirectionalGRU(fused, width // 2)
        if head == "content":
            self.head: ContentHead | AnchorHead = ContentHead(width, windows, rho, max_clips)
        else:
            self.head = AnchorHead(width, windows, max_clips, is_centred=head == "cmin")

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs for the J candidates of `self.head.candidates`, zero where not legal.

        candidate_score: (B, J) logits.
        candidate_offset: (B, J, 2) shifts of start and end in clips; `tgn` has none.
        """
        v_mask, q_mask = batch.v_mask, batch.q_mask
        self._check_lengths(batch)
        words = self.query_gru(self.dropout(self.words(batch.tokens)), q_mask)
        words = self.dropout(words)  # (B, L, D)
        clips = self.project(self.dropout(batch.video)) * v_mask[..., None]  # (B, T, D)
        for layer in self.self_attention:
            clips = layer(clips, v_mask)
        clips = self.dropout(self.video_gru(clips, v_mask))
        fused = self.fuse(*self.attend(clips, words, v_mask, q_mask)) * v_mask[..., None]
        final = self.dropout(self.final_gru(fused, v_mask))
        final = F.pad(final, (0, 0, 0, self.max_clips - final.shape[1]))
        outputs = self.head(final).masked_fill(~self.legal(v_mask)[..., None], 0.0)
        if self.head_kind == "tgn":
            return {"candidate_score": outputs.squeeze(-1)}
        return {"candidate_score": outputs[..., 0], "candidate_offset": outputs[..., 1:]}

    def attend(
        self, clips: Tensor, words: Tensor, v_mask: Tensor, q_mask: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Videos (B, T, D) and queries (B, L, D) of the branches there are (eq. 9-10)."""
        videos, queries, encoders = [], [], self.encoders
        if "qv_query" in encoders:
            query = encoders["qv_query"](words, clips, q_mask, v_mask)
            queries.append(query)
            videos.append(encoders["qv_video"](clips, query, v_mask, q_mask))
        if "vq_video" in encoders:
            video = encoders["vq_video"](clips, words, v_mask, q_mask)
            videos.append(video)
            if "vq_query" in encoders:
                queries.append(encoders["vq_query"](words, video, q_mask, v_mask))
        return videos, queries

    def fuse(self, videos: list[Tensor], queries: list[Tensor]) -> Tensor:
        """What the final recurrence reads: (B, T, one, two or four widths)."""
        if self.integrate == "gated":
            return self.integration(videos, queries)
        if self.integrate == "matrix":
            first, second = videos
            videos = [first, second, first - second, first * second]
        return torch.cat(videos, dim=-1)

    def legal(self, v_mask: Tensor) -> Tensor:
        """(B, J) bool: candidates within the real clips.

        A video shorter than every window keeps the first candidate, cut to the video.
        """
        start, end = self.head.candidates.unbind(-1)
        is_inside = (start >= 0) & (end <= v_mask.sum(dim=1, keepdim=True) - 1)
        is_first = torch.arange(len(start), device=start.device) == 0
        return is_inside | (is_first & ~is_inside.any(dim=1, keepdim=True))

    def _check_lengths(self, batch: Batch) -> None:
        for name, mask in (("max_clips", batch.v_mask), ("max_words", batch.q_mask)):
            length, limit = mask.shape[1], getattr(self, name)
            if length > limit:
                raise UserError(
                    f"config/models/fian.yaml: {name}: a batch is {length} long but the model was"
                    f" built for {limit}; give inputs and model the same {name}"
                )

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """align (eq. 15-16) and boundary (eq. 17), the latter with its weight and not of `tgn`."""
        if batch.gt is None:
            raise ValueError("batch.gt: FIAN learns from moments, and this batch has none")
        span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(dim=1))  # (B, 2)
        logits = precise(outputs["candidate_score"])
        candidates = self.head.candidates.to(logits.dtype)
        labels, parts, positive = self.label(
            index_iou(candidates, span[:, None].to(logits.dtype)), self.legal(batch.v_mask)
        )
        entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        losses: dict[str, Any] = {"align": sum(masked_mean(entropy, part) for part in parts)}
        if self.head_kind != "tgn":
            shifts = span[:, None] - candidates  # (B, J, 2)
            apart = F.smooth_l1_loss(
                precise(outputs["candidate_offset"]), shifts, reduction="none"
            ).sum(-1)
            losses["boundary"] = self.alpha * masked_mean(apart, positive)
        return losses

    def label(self, overlap: Tensor, legal: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """What is learned of candidates, by their IoU (B, J) with the query's moment.

        Returns the label of its score; the parts whose mean losses are added (the positives and the
        negatives, so that both weigh the same); the candidates whose ends are learned.
        """
        overlap = overlap.masked_fill(~legal, 0.0)
        highest, position = overlap.max(dim=1, keepdim=True)
        best = torch.zeros_like(legal).scatter(1, position, True) & legal
        if self.head_kind == "cmin":
            share = overlap / highest.clamp(min=1e-6)
            return share.masked_fill(share < CMIN_FLOOR, 0.0), [legal], best
        if self.head_kind == "tgn":
            positive = overlap > TGN_POSITIVE
            overlap = positive.to(overlap.dtype)
        else:
            positive = overlap > self.tau
            if self.force_best_positive:
                positive = positive | best
        return overlap, [positive, legal & ~positive], positive

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, K, 3): the candidates with the highest scores, their ends moved."""
        counts = batch.v_mask.sum(dim=1)
        logits = precise(outputs["candidate_score"])
        # Not by their probabilities, of which many confident ones round to 1
        scores, position = best_first(logits.masked_fill(~self.legal(batch.v_mask), -torch.inf), k)
        spans = self.head.candidates.to(scores.dtype)[position]  # (B, K, 2)
        if "candidate_offset" in outputs:
            offset = precise(outputs["candidate_offset"])
            spans = spans + offset.gather(1, position[..., None].expand_as(spans))
        scores = scores.masked_fill(scores.isneginf(), torch.nan).sigmoid()
        return span_moments(clip_spans(spans, counts), scores, batch.dur, counts)


def build_encoders(
    branches: str, integrate: str, share: str, make: Callable[[], nn.Module]
) -> nn.ModuleDict:
    """The encoders of sec. 3.3 that reach the result, named by branch and receiver."""
    names = []
    if branches != "vq":
        names += ["qv_query", "qv_video"]
    if branches != "qv":
        names += ["vq_video"] + (["vq_query"] if integrate == "gated" else [])
    encoders = nn.ModuleDict()
    for name in names:
        receiver = name[3:]
        is_known = share == "same_direction" and name == f"vq_{receiver}"
        twin = f"qv_{receiver}" if is_known else ""
        encoders[name] = encoders[twin] if twin in encoders else make()
    return encoders


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the True positions of the whole batch; zero if there are none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


class SelfAttention(nn.Module):
    """One layer of self-attention over the video (sec. 3.2), `reach` clips either side or all.

    With a reach it is not normalised, as in CMIN.
    """

    def __init__(self, width: int, heads: int, dropout: float, reach: int):
        super().__init__()
        self.reach = reach
        self.project = nn.Linear(width, 3 * width)  # query, key, value
        self.attention = MultiHeadAttention(heads)
        self.out = nn.Linear(width, width)
        self.norm = nn.Identity() if reach else nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, T, D), mask: (B, T)."""
        seen = mask[:, None, None]  # (B, 1, 1, T)
        if self.reach:
            position = torch.arange(x.shape[1], device=x.device)
            near = (position[:, None] - position).abs() <= self.reach
            # Padding looks at itself, because the softmax needs a key.
            seen = near & (seen | ~mask[:, None, :, None])
        attended = self.out(self.attention(*self.project(x).chunk(3, dim=-1), seen))
        return self.norm(x + self.dropout(attended)) * mask[..., None]


class Encoder(nn.Module):
    """Cross-modal encoder (sec. 3.3.2): what each position of `x` finds in `y`, (B, X, D)."""

    def __init__(self, width: int, heads: int, dropout: float, ffn_scale: int, attention: str):
        super().__init__()
        if attention == "soft":
            self.attention: AdditiveAttention | GuidedAttention = AdditiveAttention(width)
        else:
            self.attention = GuidedAttention(width, heads, has_gate=attention == "cga")
        self.norm_attention, self.norm_ffn = nn.LayerNorm(width), nn.LayerNorm(width)
        hidden = ffn_scale * width
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
        """x: (B, X, D), y: (B, Y, D) with their masks."""
        x = self.norm_attention(x + self.dropout(self.attention(x, y, y_mask)))
        x = self.norm_ffn(x + self.dropout(self.ffn(x)))
        return x * x_mask[..., None]


class GuidedAttention(nn.Module):
    """Cross-modal guided attention (sec. 3.3.1): multi-head attention (eq. 4-5) and its gate.

    Gate and content of eq. 6 share their weights and differ by a bias.
    """

    def __init__(self, width: int, heads: int, *, has_gate: bool):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attention = MultiHeadAttention(heads)
        self.out = nn.Linear(width, width)
        self.has_gate = has_gate
        if has_gate:
            self.guide = nn.Linear(width, width, bias=False)
            self.attended = nn.Linear(width, width, bias=False)
            self.gate_bias = nn.Parameter(torch.zeros(width))
            self.content_bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """x: (B, X, D), y: (B, Y, D), y_mask: (B, Y). Returns (B, X, D)."""
        keys, values = self.key_value(y).chunk(2, dim=-1)
        heard = self.out(self.attention(self.query(x), keys, values, y_mask[:, None, None]))
        if not self.has_gate:
            return heard
        joint = self.guide(x) + self.attended(heard)
        return (joint + self.gate_bias).sigmoid() * (joint + self.content_bias)


class AdditiveAttention(nn.Module):
    """Plain soft attention (FIAN-Soft of table 4): additive scores, `y` itself as values."""

    def __init__(self, width: int):
        super().__init__()
        self.of_x = nn.Linear(width, width)
        self.of_y = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """x: (B, S, D), y: (B, S', D), y_mask: (B, S'). Returns what x finds in y, (B, S, D)."""
        return self.weights(x, y, y_mask) @ y

    def weights(self, x: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """(B, X, Y), summing to one over the real positions of `y`."""
        hidden = torch.tanh(self.of_x(x)[:, :, None] + self.of_y(y)[:, None])  # (B, X, Y, D)
        scores = self.score(hidden).squeeze(-1)
        return masked_softmax(scores, y_mask[:, None], dim=2)


class GatedIntegration(nn.Module):
    """Video-enhanced integration (sec. 3.3.3): (B, T, D) a stream -> (B, T, streams * D)."""

    def __init__(self, streams: int, width: int, max_words: int, max_clips: int):
        super().__init__()
        self.lay = nn.ModuleList(nn.Linear(max_words, max_clips) for _ in range(streams))
        self.gate = nn.Linear(streams * width, streams * width)
        self.norm = nn.LayerNorm(streams * width)

    def forward(self, videos: list[Tensor], queries: list[Tensor]) -> Tensor:
        """videos: (B, T, D) each; queries: (B, L, D) each, zero on padding."""
        video = torch.cat(videos, dim=-1)
        clips, words = video.shape[1], queries[0].shape[1]
        laid = []
        for layer, query in zip(self.lay, queries, strict=True):
            # A shorter batch stands at the first positions, as if it were padded with zeros.
            weight, bias = (  # of a linear layer
                layer.weight[:clips, :words],  # type: ignore[index]
                layer.bias[:clips],  # type: ignore[index]
            )
            laid.append(F.linear(query.transpose(1, 2), weight, bias).transpose(1, 2))  # eq. 11
        query = torch.cat(laid, dim=-1)
        return self.norm(video + self.gate(query).sigmoid() * query)  # eq. 13-14


class ContentHead(nn.Module):
    """Content-oriented localisation (sec. 3.4): a convolution as wide as the window scores it.

    candidates: (J, 2) first and last clip, by window and then by position.
    """

    def __init__(self, width: int, windows: tuple[int, ...], rho: float, max_clips: int):
        super().__init__()
        strides = [max(1, round(rho * size)) for size in windows]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, 3, size, stride=stride)  # score, shift of start, shift of end
            for size, stride in zip(windows, strides, strict=True)
        )
        starts = [
            torch.arange(0, max_clips - size + 1, stride)
            for size, stride in zip(windows, strides, strict=True)
        ]
        spans = [
            torch.stack([start, start + size - 1], dim=1)
            for start, size in zip(starts, windows, strict=True)
        ]
        self.candidates: Tensor
        self.register_buffer("candidates", torch.cat(spans).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, max_clips, D). Returns (B, J, 3)."""
        x = x.transpose(1, 2).contiguous()
        return torch.cat([convolve(x) for convolve in self.convolutions], dim=2).transpose(1, 2)


class AnchorHead(nn.Module):
    """Localisation of TGN and CMIN (table 5): every position scores one anchor a window.

    TGN's anchors end at the position and do not move; CMIN's lie around it (`is_centred`) and do.
    candidates: (J, 2), by position and then by window.
    """

    def __init__(self, width: int, windows: tuple[int, ...], max_clips: int, *, is_centred: bool):
        super().__init__()
        self.channels = 3 if is_centred else 1
        self.score = nn.Linear(width, len(windows) * self.channels)
        position = torch.arange(max_clips)[:, None].float()
        before = torch.tensor(windows).float() - 1
        last = position + (before / 2 if is_centred else 0 * before)
        spans = torch.stack([last - before, last], dim=-1)  # (max_clips, windows, 2)
        self.candidates: Tensor
        self.register_buffer("candidates", spans.flatten(0, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, max_clips, D). Returns (B, J, 3), or of one channel."""
        return self.score(x).unflatten(2, (-1, self.channels)).flatten(1, 2)
