"""The data path: queries, clip features and words of a split as padded batches on a device.

Features are resampled once per video (`arrays`), so that a batch is a gather: no Python loop over
queries, clips or words. Ablations of the input (`blind`, `mismatched`, `query_shuffled`) happen
here, the same way for every model.

One rule resamples anew for every training batch: `stride_pick` with `offset: random` starts at
another clip each time. It gathers from the features as they were extracted.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.features import resample
from tsgbench.features.store import FeatureStore
from tsgbench.models.base import Batch
from tsgbench.settings import InputSettings, misfit_of_inputs, wrong_choice
from tsgbench.text import WordTable, encode
from tsgbench.training.arrays import Arrays, Shared, make_arrays

# Queries are shuffled, then sorted by video length within groups of this many batches: batches of
# equal length waste no padding, and their order stays random.
SORTED_BATCHES = 16
# Of the device's free memory, what resident features may take.
RESIDENT_SHARE = 0.5
MOVED_AT_ONCE = 1 << 14  # rows, on their way to a device


class GroundingData:
    """One split, ready to be batched.

    inputs: the `inputs` section of a cell's settings (`settings.InputSettings`). with_moments:
    whether batches carry the annotated moments; a weakly supervised model is never given them.
    seed: decides which video or query stands in for another in the `mismatched` and `shuffled`
    ablations. half: whether features that are kept on a GPU, or beside it, are in half precision.
    shared: where the clips of all videos are kept for other cells, too; without it, this split has
    its own in memory.
    """

    def __init__(
        self,
        queries: Queries,
        store: FeatureStore,
        words: WordTable,
        inputs: dict[str, Any],
        *,
        with_moments: bool,
        seed: int,
        device: torch.device,
        half: bool = False,
        shared: Shared | None = None,
    ):
        if wrong := wrong_choice(InputSettings, inputs):
            raise UserError(f"inputs.{wrong}")
        if misfit := misfit_of_inputs(inputs, {}):
            raise UserError(misfit)
        self._max_clips, self._max_words = inputs["max_clips"], inputs["max_words"]
        self.queries = queries  # as read, in the order of every batch's rows
        self.device = device
        self._read_clips(store, inputs, seed, shared, half)
        self._read_words(words, inputs, seed)
        self._durations = torch.from_numpy(queries.durations).float().to(device)
        self._moments = torch.from_numpy(queries.moments).float().to(device)
        self._with_moments = with_moments
        self._windows = None
        if with_moments and inputs["resample"] == "linspace_mean":
            windows = resample.linspace_labels(
                self.source_clips, inputs["max_clips"], queries.moments, queries.durations
            )
            self._windows = torch.from_numpy(windows).to(device)

    def _read_clips(
        self,
        store: FeatureStore,
        inputs: dict[str, Any],
        seed: int,
        shared: Shared | None,
        half: bool,
    ) -> None:
        names = sorted(set(self.queries.video_ids))
        row_of = {name: row for row, name in enumerate(names)}
        own = np.array([row_of[name] for name in self.queries.video_ids])
        video = inputs.get("video", "real")
        how = {"device": self.device, "half": half, "is_blind": video == "zero"}
        if shared:
            arrays = shared.resampled(store, inputs)
        else:
            arrays = make_arrays(store, names, inputs, self._durations_of_videos)
        self._clips = _Clips(arrays, names, **how)
        # (Q,) clips that the extractor made of each query's own video
        self.source_clips = self._clips.sources[own]
        seen = _video_seen(own, len(names), video, seed)
        # What each query is shown, its own unless an ablation says otherwise
        self.videos_shown = [names[index] for index in seen]
        self.clip_dim = store.dim
        # Lengths on the CPU: choosing how far to pad must not wait for the device
        self._lengths = torch.from_numpy(self._clips.counts[seen])
        self._seen_on_cpu = torch.from_numpy(seen)
        self._seen = self._seen_on_cpu.to(self.device)
        self._source = None
        if inputs.get("offset", "first") == "random":
            limits = resample.stride_offset_limit(self._clips.sources, self._max_clips)
            if limits.any():  # else no video is long enough, and sampling once is the same
                rows = shared.source(store) if shared else make_arrays(store, names, {}, dict)
                self._source = _SourceClips(_Clips(rows, names, **how), limits, self._max_clips)

    def _durations_of_videos(self) -> dict[str, float]:
        pairs = zip(self.queries.video_ids, self.queries.durations.tolist(), strict=True)
        return dict(pairs)

    def _read_words(self, words: WordTable, inputs: dict[str, Any], seed: int) -> None:
        queries = self.queries
        self.sentences_shown = queries.sentences
        tokens, mask = encode(
            queries.sentences,
            words,
            tokenizer=inputs["tokenizer"],
            oov=inputs["oov"],
            max_words=inputs["max_words"],
        )
        if inputs.get("query", "real") == "shuffled":
            other = _derangement(len(queries), seed)
            tokens, mask = tokens[other], mask[other]
            self.sentences_shown = [queries.sentences[index] for index in other]
        self._tokens = torch.from_numpy(tokens).to(self.device)
        self._word_counts = torch.from_numpy(mask.sum(axis=1))
        self._words = self._word_counts.to(self.device)

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def tokens(self) -> torch.Tensor:
        """(Q, L) rows of the word table, 0 on padding, as the model sees the queries."""
        return self._tokens

    def batches(self, size: int, order: torch.Generator) -> Iterator[Batch]:
        """All queries once, in an order drawn from `order`, in batches of similar length.

        Everything random about a batch is drawn from `order`: with its state saved, a training that
        was interrupted sees the very batches of one that was not.
        """
        shuffled = torch.randperm(len(self), generator=order)
        groups = shuffled.split(size * SORTED_BATCHES)
        chunks = [
            chunk
            for group in groups
            for chunk in group[self._lengths[group].argsort(stable=True)].split(size)
        ]
        for index in torch.randperm(len(chunks), generator=order).tolist():
            yield self.batch(chunks[index], with_moments=self._with_moments, order=order)

    def batches_in_order(self, size: int) -> Iterator[tuple[np.ndarray, Batch]]:
        """Rows and batch, in the order of the queries, without moments: for prediction."""
        for rows in torch.arange(len(self)).split(size):
            yield rows.numpy(), self.batch(rows, with_moments=False)

    def batches_of_one_shape(self, size: int) -> Iterator[tuple[np.ndarray, Batch]]:
        """As `batches_in_order`, each batch of `size` queries, `max_clips` and `max_words`.

        The last one repeats its last query: a batch may have more rows than are named. Kernels are
        chosen by shape and round each in their way, so that in batches of other shapes a query's
        numbers would depend on which others share its batch.
        """
        for rows in torch.arange(len(self)).split(size):
            filled = torch.cat([rows, rows[-1:].expand(size - len(rows))])
            batch = self.batch(filled, with_moments=False)
            yield rows.numpy(), batch.padded(self._max_clips, self._max_words)

    def batch(
        self, rows: torch.Tensor, *, with_moments: bool, order: torch.Generator | None = None
    ) -> Batch:
        """The given queries (CPU long tensor), padded to the longest among them.

        order: with `offset: random`, decides where the sampling of each video starts; without it,
        and without that input, sampling starts at the first clip.
        """
        words = int(self._word_counts[rows].max())
        videos = self._seen_on_cpu[rows].numpy()
        if order is None or self._source is None:
            video, v_mask = self._sampled_once(videos)
        else:
            video, v_mask = self._source.sample(videos, order)
        rows = rows.to(self.device, non_blocking=True)
        return Batch(
            video=video.to(self.device, non_blocking=True).float(),
            v_mask=v_mask.to(self.device, non_blocking=True),
            tokens=self._tokens[rows, :words],
            q_mask=torch.arange(words, device=self.device) < self._words[rows][:, None],
            dur=self._durations[rows],
            video_idx=self._seen[rows],
            gt=self._moments[rows] if with_moments else None,
            windows=self._windows[rows] if with_moments and self._windows is not None else None,
        )

    def _sampled_once(self, videos: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips (B, T, D) of the given videos as resampled at the start, and their mask (B, T)."""
        counts = self._clips.counts[videos, None]
        index = np.arange(counts.max())
        real = index < counts
        return self._clips.take(videos, np.where(real, index, 0), real), torch.from_numpy(real)


class _Clips:
    """Rows of some videos of the arrays, by the videos' indices among `names`, to be gathered.

    On a GPU if all of them fit, from the first batch on; else from where the arrays are.
    is_blind: zeros in the place of every row, of which none is read.
    """

    def __init__(
        self, arrays: Arrays, names: list[str], *, device: torch.device, half: bool, is_blind: bool
    ) -> None:
        known = {name: index for index, name in enumerate(arrays.names)}
        self._arrays, self._videos = arrays, np.array([known[name] for name in names])
        self.counts = arrays.counts[self._videos]  # (V,) rows
        self.sources = arrays.sources[self._videos]  # (V,) clips that the extractor made
        self._firsts = np.cumsum(self.counts) - self.counts  # (V,) where they are on the device
        self._device, self._half, self._is_blind = device, half and device.type == "cuda", is_blind

    def take(self, videos: np.ndarray, index: np.ndarray, real: np.ndarray) -> torch.Tensor:
        """(B, T, D) rows `index` (B, T) of videos (B,), zero where not `real` (B, T)."""
        if self._is_blind:
            return torch.zeros(*real.shape, self._arrays.rows.shape[1], device=self._device)
        if self._resident is None:
            clips = torch.from_numpy(self._arrays.take(self._videos[videos], index, real))
            return clips.half() if self._half else clips
        rows = torch.from_numpy(self._firsts[videos, None] + index).to(self._device)
        mask = torch.from_numpy(real).to(self._device)
        return self._resident[rows].masked_fill(~mask[..., None], 0.0)

    @cached_property
    def _resident(self) -> torch.Tensor | None:
        """All rows on the GPU, if there is one and they fit into its free memory."""
        if self._device.type != "cuda":
            return None
        numbers = int(self.counts.sum()) * self._arrays.rows.shape[1]
        free, _ = torch.cuda.mem_get_info(self._device)
        if (2 if self._half else 4) * numbers >= RESIDENT_SHARE * free:
            return None
        return self._moved()

    def _moved(self) -> torch.Tensor:
        """(N, D) all rows of these videos, one video after another, on the device."""
        video = np.repeat(np.arange(len(self.counts)), self.counts)
        within = np.arange(len(video)) - self._firsts[video]
        dtype = torch.half if self._half else torch.float
        shape = (len(video), self._arrays.rows.shape[1])
        rows = torch.empty(shape, dtype=dtype, device=self._device)
        for start in range(0, len(video), MOVED_AT_ONCE):
            part = np.s_[start : start + MOVED_AT_ONCE]
            real = np.ones((len(video[part]), 1), bool)
            read = self._arrays.take(self._videos[video[part]], within[part, None], real)
            rows[part] = torch.from_numpy(read[:, 0]).to(self._device)
        return rows


class _SourceClips:
    """Every video's clips as extracted, to be sampled anew by `stride_pick` from a drawn offset.

    limits: (V,) largest offset of each video. target: how many clips it is brought to.
    """

    def __init__(self, clips: _Clips, limits: np.ndarray, target: int) -> None:
        self.clips, self.limits, self.target = clips, limits, target

    def sample(
        self, videos: np.ndarray, order: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips (B, T, D), zero on padding, and mask (B, T) of the given videos (B,)."""
        drawn = torch.rand(len(videos), generator=order, dtype=torch.float64).numpy()
        offset = (drawn * (self.limits[videos] + 1)).astype(np.int64)
        starts, stops = resample.stride_pick(self.clips.counts[videos], self.target, offset=offset)
        real = (stops > starts)[:, : (stops > starts).sum(axis=1).max()]
        index = np.where(real, starts[:, : real.shape[1]], 0)
        return self.clips.take(videos, index, real), torch.from_numpy(real)


def _video_seen(own: np.ndarray, videos: int, mode: str, seed: int) -> np.ndarray:
    """The video each query is shown: its own, or in `mismatched` always another one."""
    return _derangement(videos, seed)[own] if mode == "mismatched" else own


def _derangement(count: int, seed: int) -> np.ndarray:
    """A permutation without fixed point: each item gets the next one in a random circle."""
    if count < 2:
        raise UserError("inputs: a mismatched or shuffled input needs at least two to choose from")
    circle = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, dtype=np.int64)
    other[circle] = np.roll(circle, 1)
    return other
