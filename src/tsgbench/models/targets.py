"""Between seconds and the grid of clips: labels for training, moments for decoding.

A video of n real clips has the grid intervals `[i * dur / n, (j + 1) * dur / n)` for spans
`0 <= i <= j < n` of inclusive clip indices. Everything is vectorised over the batch.
"""

import torch
from torch import Tensor

OUTSIDE, BEGIN, INSIDE, END = range(4)  # regions of a video (SeqPAN, sec. 3.1.4)


def index_labels(gt: Tensor, dur: Tensor, counts: Tensor) -> Tensor:
    """The span whose interval has the largest IoU with the moment; the first one on ties.

    gt: (B, 2) seconds; dur: (B,) seconds; counts: (B,) real clips. Returns (B, 2) long.
    Only the grid points on either side of each end can win: moving an end further from the moment
    loses overlap or adds union. So four spans are compared rather than n * n.
    """
    counts = counts[:, None]
    # In clips; double, because ties are common and must fall to the first span.
    start, end = (gt.double() / dur.double()[:, None] * counts).unsqueeze(-1).unbind(1)
    near_start = start.floor().long() + torch.tensor([0, 0, 1, 1], device=gt.device)
    near_end = end.ceil().long() + torch.tensor([-2, -1, -2, -1], device=gt.device)
    near_start = near_start.clamp(min=0).minimum(counts - 1)
    near_end = near_end.clamp(min=0).minimum(counts - 1)
    overlap = (near_end + 1).minimum(end) - near_start.maximum(start)
    union = (near_end + 1 - near_start) + (end - start) - overlap
    iou = overlap.clamp(min=0) / union
    # Rounding must not break a tie, hence the margin.
    iou = iou.masked_fill(near_start > near_end, -1.0)
    best = (iou >= iou.amax(dim=1, keepdim=True) - 1e-9).int().argmax(dim=1, keepdim=True)
    return torch.cat([near_start.gather(1, best), near_end.gather(1, best)], dim=1)


def centred_anchors(clips: int, widths: Tensor) -> Tensor:
    """Candidates of each width around every clip: (T, A, 2) first and last index, inclusive.

    widths: (A,) in clips, not necessarily whole; an anchor may reach beyond the video.
    """
    centre = torch.arange(clips, device=widths.device, dtype=widths.dtype)[:, None]
    reach = (widths - 1) / 2
    return torch.stack([centre - reach, centre + reach], dim=-1)


def index_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of spans of inclusive indices, (..., 2) each (`idx1` of the CMIN lineage)."""
    start, end = torch.minimum(a, b)[..., 0], torch.maximum(a, b)[..., 1]
    overlap = torch.minimum(a, b)[..., 1] - torch.maximum(a, b)[..., 0] + 1
    return overlap.clamp(min=0) / (end - start + 1)


def boundary_targets(index: Tensor, counts: Tensor, clips: int, *, soft: bool) -> Tensor:
    """Target distribution of one boundary over the clips.

    index: (B,) clip of the boundary. Returns (B, clips): one-hot, or (SeqPAN, public code) 0.5 on
    the clip and 0.25 on each neighbour, where a missing neighbour's share stays on the clip.
    """
    distance = torch.arange(clips, device=index.device) - index[:, None]
    if not soft:
        return (distance == 0).float()
    missing = (index == 0).float() + (index == counts - 1).float()
    peak = (0.5 + 0.25 * missing)[:, None]
    is_neighbour = (distance.abs() == 1) & (distance + index[:, None] < counts[:, None])
    return torch.where(distance == 0, peak, 0.25 * is_neighbour)


def region_labels(span: Tensor, counts: Tensor, clips: int, extension: int) -> Tensor:
    """Region of each clip, (B, clips) long: OUTSIDE, BEGIN, INSIDE or END (sec. 3.1.4).

    span: (B, 2) clips of the boundaries; counts: (B,) real clips. Each boundary is extended by
    `extension` clips either side; where the regions would meet, BEGIN gives way, and a moment of
    one clip has only END (public code; the paper says "several neighboring frames").
    """
    position = torch.arange(clips, device=span.device)
    start, end = span[:, :1], span[:, 1:]
    last = counts[:, None] - 1
    begin_from, begin_to = (start - extension).clamp(min=0), (start + extension).minimum(last)
    end_from, end_to = (end - extension).clamp(min=0), (end + extension).minimum(last)
    begin_to = torch.where(begin_to >= end_from, start.maximum(end_from - 1), begin_to)
    labels = INSIDE * ((position > begin_to) & (position < end_from)).long()
    labels = labels.masked_fill((position >= begin_from) & (position <= begin_to), BEGIN)
    return labels.masked_fill((position >= end_from) & (position <= end_to), END)


def foreground_labels(span: Tensor, clips: int) -> Tensor:
    """(B, clips) bool, True from the first to the last clip of the moment."""
    position = torch.arange(clips, device=span.device)
    return (position >= span[:, :1]) & (position <= span[:, 1:])


def best_first(scores: Tensor, k: int | None) -> tuple[Tensor, Tensor]:
    """The k highest scores, or all of them: (B, at most k), and their positions, long.

    scores: (B, N), -inf where there is no candidate: those come last. Equal scores keep the order
    of their positions, so that the first of k are the first of all (`topk` breaks ties at will).
    """
    if k == 1:
        best, position = scores.max(dim=1, keepdim=True)  # the first on ties, and far less to do
    else:
        best, position = scores.sort(dim=1, descending=True, stable=True)
    return best[:, :k], position[:, :k]


def top_spans(start: Tensor, end: Tensor, k: int | None) -> tuple[Tensor, Tensor]:
    """The k best spans by joint probability, or all, of those that end no earlier than they start.

    start, end: (B, T) log-probabilities, -inf on padding. Returns scores in probability and spans
    as `top_cells` does.
    """
    scores, spans = top_cells((start[:, :, None] + end[:, None, :]).float(), k)
    return scores.exp(), spans


def top_cells(scores: Tensor, k: int | None) -> tuple[Tensor, Tensor]:
    """The k best spans of a square of scores, or all of its spans.

    scores: (B, T, T), first clip by last clip, -inf where there is no span; what lies below the
    diagonal is never looked at. Returns (B, K) scores, best first, NaN where there is no span, K at
    most k and T (T + 1) / 2; and (B, K, 2) long, 0 there.
    """
    first, last = torch.triu_indices(*scores.shape[1:], device=scores.device)
    best, position = best_first(scores[:, first, last], k)
    absent = best.isneginf()
    spans = torch.stack([first[position], last[position]], dim=-1).masked_fill(absent[..., None], 0)
    return best.masked_fill(absent, torch.nan), spans


def span_moments(spans: Tensor, scores: Tensor, dur: Tensor, counts: Tensor) -> Tensor:
    """Spans as ranked moments: (B, k, 3) start_s, end_s, score; NaN where the score is."""
    edges = spans + torch.tensor([0, 1], device=spans.device)
    seconds = edges * (dur / counts)[:, None, None]
    seconds = seconds.minimum(dur[:, None, None])
    moments = torch.cat([seconds, scores.to(seconds.dtype)[..., None]], dim=-1)
    return moments.masked_fill(scores.isnan()[..., None], torch.nan)


def clip_spans(spans: Tensor, counts: Tensor) -> Tensor:
    """Regressed spans (B, K, 2) brought into the video: [0, counts - 1], in clips.

    Where the end comes before the start, both become their mean (IA-Net's public code).
    """
    last = (counts[:, None, None] - 1).to(spans.dtype)
    spans = spans.clamp(min=0).minimum(last)
    is_inverted = spans[..., :1] > spans[..., 1:]
    return torch.where(is_inverted, spans.mean(dim=-1, keepdim=True), spans)
