"""Baselines without trainable parameters: one looks for cuts in the video, one reads the sentence,
the others look at neither.

What they score is what a data set gives away, and so what a model must beat.
"""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tsgbench.datasets.moments import iou
from tsgbench.datasets.queries import Queries
from tsgbench.models.base import Batch, Grounder, register
from tsgbench.settings import Count, NotNegative, Positive, Size
from tsgbench.text import WordTable
from tsgbench.text.words import UNK


class Baseline(Grounder):
    """Decodes moments given as shares of the video's duration.

    seed: of the draws; None takes PyTorch's global seed, that is, the cell's. Draws follow one
    another from batch to batch: the same model built again gives the same moments for the same
    batches in the same order.
    """

    def __init__(self, clip_dim: int, words: WordTable, *, seed: Count | None = None):
        super().__init__()
        # On the CPU, so that every device draws the same moments.
        seed = torch.initial_seed() if seed is None else seed
        self.generator = torch.Generator().manual_seed(seed)

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) start and end in [0, 1], double, best first, NaN (last) if absent.

        K is at most k, or as many as the baseline has.
        """
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: what is answered is drawn or counted in `decode`."""
        return {}

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """No loss: there is nothing to train."""
        return {}

    def decode(self, outputs: dict[str, Tensor], batch: Batch, k: int | None = None) -> Tensor:
        """(B, K, 3). The scores only keep the order: 1, then evenly down."""
        dur = batch.dur[:, None, None]
        shares = self.shares(batch, k).to(dur.device)
        moments = (shares * dur).to(dur.dtype).clamp(min=0).minimum(dur)
        # Rounding to single precision may make a short moment empty.
        before = torch.nextafter(moments[..., 1], torch.zeros_like(moments[..., 1]))
        start = torch.minimum(moments[..., 0], before)
        score = 1 - torch.arange(shares.shape[1], device=dur.device) / shares.shape[1]
        score = score.to(dur.dtype).expand_as(start).masked_fill(start.isnan(), torch.nan)
        return torch.stack([start, moments[..., 1], score], dim=-1)


@register("whole_video")
class WholeVideo(Baseline):
    """From the first second to the last; one candidate per query."""

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, 1, 2): 0 and 1."""
        return torch.tensor([0.0, 1.0], dtype=torch.float64).expand(len(batch.dur), 1, 2)


@register("prior")
class Prior(Baseline):
    """Moments of the training split, drawn at random and scaled to the video's duration.

    draws: moments per query; suppression leaves the first few that lie apart.
    """

    def __init__(
        self, clip_dim: int, words: WordTable, *, draws: Size = 100, seed: Count | None = None
    ):
        super().__init__(clip_dim, words, seed=seed)
        self.draws = draws
        self.moments: Tensor
        self.register_buffer("moments", torch.empty(0, 2, dtype=torch.float64))

    def fit(self, queries: Queries, tokens: Tensor) -> None:
        """Remember every training moment as shares of its video's duration."""
        shares = queries.moments / queries.durations[:, None]
        self.moments = torch.as_tensor(shares, dtype=torch.float64, device=self.moments.device)

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) training moments drawn for each query, K being `k` or `draws`."""
        if not len(self.moments):
            raise RuntimeError("prior: no training moments; call fit or load a state first")
        shape = (len(batch.dur), self.draws if k is None else k)
        drawn = torch.randint(len(self.moments), shape, generator=self.generator)
        return self.moments[drawn.to(self.moments.device)]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # As many moments as were saved, not as the buffer of a fresh model holds.
        saved = state_dict.get(prefix + "moments")
        if saved is not None:
            self.moments = self.moments.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class GridPrior(Baseline):
    """Shared by baselines whose answers are the spans of a grid, as those that count training
    moments on it.

    grid: cells of the grid; a span is a run of cells, so there are grid (grid + 1) / 2. step_s:
    seconds per cell; None makes a cell a share 1 / grid of the video's duration instead.
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        grid: Size = 20,
        step_s: Positive | None = None,
        seed: Count | None = None,
    ):
        super().__init__(clip_dim, words, seed=seed)
        self.grid, self.step_s = grid, step_s
        # (S, 2) edges of every span in cells: short ones first, so that ties go to them
        spans = [(start, start + size) for size in range(1, grid + 1) for start in range(grid)]
        spans = [span for span in spans if span[1] <= grid]
        self.spans: Tensor
        self.register_buffer("spans", torch.tensor(spans, dtype=torch.float64), persistent=False)

    def counted(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """The span nearest to every training moment, of all annotators where there are several.

        Returns the query (N,) and the span (N,) of each.
        """
        marked = queries.annotators or list(queries.moments[:, None])
        rows = np.repeat(np.arange(len(queries)), [len(moments) for moments in marked])
        cell_s = queries.durations / self.grid if self.step_s is None else self.step_s
        cells = np.concatenate(marked) / np.broadcast_to(cell_s, len(queries))[rows, None]
        starts = np.clip(np.rint(cells[:, 0]), 0, self.grid - 1).astype(np.int64)
        ends = np.clip(np.rint(cells[:, 1]), starts + 1, self.grid).astype(np.int64)
        position = np.zeros((self.grid + 1, self.grid + 1), dtype=np.int64)
        edges = self.spans.cpu().numpy().astype(np.int64)
        position[edges[:, 0], edges[:, 1]] = np.arange(len(edges))
        return rows, position[starts, ends]

    def in_video(self, ranking: Tensor, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) shares of the first k, or all, of the spans that fit the video.

        ranking: (B, S) positions in `spans`.
        """
        spans = self.spans[ranking]  # (B, S, 2)
        if self.step_s is None:
            return spans[:, :k] / self.grid
        shares = spans * self.step_s / batch.dur.double().to(spans.device)[:, None, None]
        fits = shares[..., 1] <= 1 + 1e-6
        # A video shorter than a cell: all of it
        shares[~fits.any(dim=1), 0] = torch.tensor([0.0, 1.0], dtype=shares.dtype)
        fits[:, 0] |= ~fits.any(dim=1)
        order = (~fits).int().argsort(dim=1, stable=True)[:, :k]
        shares = shares.masked_fill(~fits[..., None], torch.nan)
        return shares.gather(1, order[..., None].expand(-1, -1, 2))


@register("random")
class Random(GridPrior):
    """Both ends drawn uniformly from the video; or, with a grid, its spans in random order, for
    protocols that rank a few fixed spans.

    draws: moments per query, where they are not all the spans of a grid.
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        draws: Size = 100,
        grid: Size | None = None,
        step_s: Positive | None = None,
        seed: Count | None = None,
    ):
        super().__init__(clip_dim, words, grid=grid or 1, step_s=step_s, seed=seed)
        self.draws = None if grid else draws

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) drawn anew for each query, K being `k` or `draws`; or the spans that fit."""
        queries = len(batch.dur)
        if self.draws is None:
            drawn = torch.rand((queries, len(self.spans)), generator=self.generator)
            return self.in_video(drawn.argsort(dim=1).to(self.spans.device), batch, k)
        # 1 - [0, 1) is (0, 1]: no moment ends at zero.
        shape = (queries, self.draws if k is None else k, 2)
        drawn = 1 - torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return drawn.sort(dim=-1).values


@register("prior_frequency")
class FrequencyPrior(GridPrior):
    """The training split's spans of a grid, most frequent first: the same for every query."""

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        grid: Size = 20,
        step_s: Positive | None = None,
        seed: Count | None = None,
    ):
        super().__init__(clip_dim, words, grid=grid, step_s=step_s, seed=seed)
        self.ranking: Tensor
        self.register_buffer("ranking", torch.full((len(self.spans),), -1))

    def fit(self, queries: Queries, tokens: Tensor) -> None:
        """Count the training moments; of equal counts, the shorter and earlier span is first."""
        _, spans = self.counted(queries)
        counts = np.bincount(spans, minlength=len(self.spans))
        self.ranking.copy_(torch.from_numpy(np.argsort(-counts, kind="stable")))

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) the spans that fit the video, most frequent first."""
        if self.ranking[0] < 0:
            raise RuntimeError("prior_frequency: call fit or load a state first")
        return self.in_video(self.ranking.expand(len(batch.dur), -1), batch, k)


@register("prior_action")
class ActionPrior(GridPrior):
    """The training moments of the one word of the query that tells most about them.

    Needs no tagger: what an action word is, the training split says. Every word is judged by what
    is to be expected if the best single span is given for all training queries with it; a query is
    answered by its word with the highest, with spans in order of that expectation.

    judge: what is expected, `iou` the mean IoU or `share` the share of queries with that very span
    (for protocols that rank a few fixed spans). min_count: training queries that a word must have
    to take part; a query without such a word is answered by the counts of all. smoothing: a word's
    counts are mixed with so many queries' worth of the counts of all words, so that chance
    agreement of few queries does not win.
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        grid: Size = 20,
        step_s: Positive | None = None,
        judge: Literal["iou", "share"] = "iou",
        min_count: Size = 10,
        smoothing: NotNegative = 10.0,
        seed: Count | None = None,
    ):
        super().__init__(clip_dim, words, grid=grid, step_s=step_s, seed=seed)
        self.judge, self.min_count, self.smoothing = judge, min_count, smoothing
        # Row 0, the padding's, is of all queries
        shape = (len(words.words), len(self.spans))
        self.rankings: Tensor
        self.register_buffer("rankings", torch.full(shape, -1, dtype=torch.int16))
        self.expected: Tensor
        self.register_buffer("expected", torch.full(shape[:1], -1.0, dtype=torch.float64))

    def fit(self, queries: Queries, tokens: Tensor) -> None:
        """Judge every word of the training queries."""
        marked, spans = self.counted(queries)
        counts, sizes = self._counts_by_word(marked, spans, tokens.cpu().numpy())
        edges = self.spans.cpu().numpy()
        pairs = iou(edges[:, None], edges[None]) if self.judge == "iou" else np.eye(len(edges))
        overall = np.bincount(spans, minlength=len(edges)) / len(spans)
        shares = counts + self.smoothing * overall
        shares[0] = overall
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)  # unseen words: zeros
        expected = shares @ pairs  # (V, S) of each span
        is_judged = sizes >= self.min_count
        is_judged[[0, UNK]] = True, False
        rankings = np.argsort(-expected, axis=1, kind="stable").astype(np.int16)
        self.rankings.copy_(torch.from_numpy(rankings))
        best = np.where(is_judged, expected.max(axis=1), -1.0)
        self.expected.copy_(torch.from_numpy(best))

    def _counts_by_word(
        self, marked: np.ndarray, spans: np.ndarray, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Counts (V, S) of the spans of each word's queries, and its number of queries (V,)."""
        words, total = len(self.expected), len(self.spans)
        rows, columns = np.nonzero(tokens)
        # A word that a query has twice counts once
        pairs = np.unique(rows * words + tokens[rows, columns])
        rows, word_of = pairs // words, pairs % words
        sizes = np.bincount(word_of, minlength=words)
        # Every (query, word) meets the moments of its query: those are consecutive in `marked`
        first = np.searchsorted(marked, rows)
        many = np.searchsorted(marked, rows, side="right") - first
        each = np.repeat(first - np.concatenate([[0], many.cumsum()[:-1]]), many)
        each += np.arange(many.sum())
        cells = np.repeat(word_of, many) * total + spans[each]
        counts = np.bincount(cells, minlength=words * total).reshape(words, total)
        return counts.astype(np.float64), sizes

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) the spans that fit the video, in the order of the word that tells most."""
        if self.rankings[0, 0] < 0:
            raise RuntimeError("prior_action: call fit or load a state first")
        tokens = batch.tokens.to(self.expected.device)
        known = self.expected[tokens].masked_fill(tokens == 0, -1.0)  # (B, L)
        best, column = known.max(dim=1)
        words = tokens.gather(1, column[:, None])[:, 0].masked_fill(best < 0, 0)
        return self.in_video(self.rankings[words].long(), batch, k)


@register("cuts")
class Cuts(GridPrior):
    """The video's shots, one of them for each query: what visible cuts alone give away.

    Cuts are where neighbouring clips differ most (mean absolute difference of their features: of
    pixels, if the features are thumbnails). A video gets as many shots as training moments of mean
    length fit into it, none shorter than the shortest training moment. The clips must be of equal
    length, back to back and not resampled: then a cut between two of them has an exact time.

    choose: which shot comes first, drawn by `chance`, or by `prior` the one that is nearest to
    most training moments on the grid of `GridPrior`. The sentence is never read.
    """

    def __init__(
        self,
        clip_dim: int,
        words: WordTable,
        *,
        choose: Literal["chance", "prior"] = "chance",
        grid: int = 20,
        seed: int | None = None,
    ):
        super().__init__(clip_dim, words, grid=grid, seed=seed)
        self.choose = choose
        self.counts: Tensor
        self.register_buffer("counts", torch.zeros(len(self.spans), dtype=torch.float64))
        # Of the training moments, in seconds; 0 until they are known
        self.mean_s: Tensor
        self.register_buffer("mean_s", torch.zeros((), dtype=torch.float64))
        self.shortest_s: Tensor
        self.register_buffer("shortest_s", torch.zeros((), dtype=torch.float64))

    def fit(self, queries: Queries, tokens: Tensor) -> None:
        """Remember how long training moments are and where they lie."""
        _, spans = self.counted(queries)
        self.counts.copy_(torch.from_numpy(np.bincount(spans, minlength=len(self.spans))))
        lengths = queries.moments[:, 1] - queries.moments[:, 0]
        self.mean_s.fill_(lengths.mean())
        self.shortest_s.fill_(lengths.min())

    def shares(self, batch: Batch, k: int | None) -> Tensor:
        """(B, K, 2) shots as shares of the duration, in the order of the choice."""
        if not self.mean_s:
            raise RuntimeError("cuts: call fit or load a state first")
        edges = self.edges(batch)
        shots = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)  # (B, K, 2)
        is_shot = shots[..., 1] > shots[..., 0]
        if self.choose == "prior":
            value = self.counts[self._nearest(shots)]
        else:
            value = torch.rand(is_shot.shape, generator=self.generator, dtype=torch.float64)
            value = value.to(shots.device)
        order = value.masked_fill(~is_shot, -1).argsort(dim=1, descending=True, stable=True)
        shots = shots.masked_fill(~is_shot[..., None], torch.nan)
        return shots.gather(1, order[:, :k, None].expand(-1, -1, 2))

    def edges(self, batch: Batch) -> Tensor:
        """(B, K + 1) where shots begin and end, ascending shares of the duration; 1 is repeated
        where a video has fewer shots than another."""
        change = (batch.video[:, 1:] - batch.video[:, :-1]).abs().mean(dim=-1)  # (B, T - 1)
        clips = batch.v_mask.sum(dim=1, keepdim=True).double()  # (B, 1)
        position = torch.arange(1, change.shape[1] + 1, device=change.device).double()
        positions = position / clips  # (B, T - 1)
        apart = (self.shortest_s / batch.dur.double())[:, None]
        # A hair less, so that a shot of exactly the shortest length passes
        apart = apart - 1e-6
        is_open = (positions >= apart) & (positions <= 1 - apart) & (position < clips)
        wanted = (batch.dur.double() / self.mean_s).round().long() - 1
        cuts = []
        for number in range(max(0, int(wanted.max()))):
            value, at = change.masked_fill(~is_open, -1).max(dim=1)
            is_cut = (value >= 0) & (number < wanted)
            cut = positions.gather(1, at[:, None])
            cuts.append(torch.where(is_cut[:, None], cut, 1.0))
            is_open &= (positions - cut).abs() >= apart
        ends = torch.ones_like(clips)
        return torch.cat([torch.zeros_like(clips), *cuts, ends], dim=1).sort(dim=1).values

    def _nearest(self, shots: Tensor) -> Tensor:
        """(B, K) the position in `spans` of the span nearest to each shot."""
        cells = (shots * self.grid).round().long()
        starts = cells[..., 0].clamp(0, self.grid - 1)
        sizes = (cells[..., 1].clamp(max=self.grid) - starts).clamp(min=1)
        # Spans stand by size, then by start; there are grid - size + 1 of a size
        return (sizes - 1) * self.grid - (sizes - 1) * (sizes - 2) // 2 + starts
