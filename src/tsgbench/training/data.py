"""The data path: queries, clip features and words of a split as padded batches on a device.

Features are resampled once per video and stay resident, so that a batch is a gather: no Python
loop over queries, clips or words. Ablations of the input (`blind`, `mismatched`, `query_shuffled`)
happen here, the same way for every model.

One rule resamples anew for every training batch: `stride_pick` with `offset: random` starts at
another clip each time. It keeps the features as they were extracted, and is a gather as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
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

# Queries are shuffled, then sorted by video length within groups of this many batches: batches of
# equal length waste no padding, and their order stays random.
SORTED_BATCHES = 16
# Of the device's free memory, what resident features may take.
RESIDENT_SHARE = 0.5
# As `resample`: a row stays in the place of the seconds that it stands for
CHUNKS = "chunks"


class GroundingData:
    """One split, ready to be batched.

    inputs: the `inputs` section of a cell's settings (`settings.InputSettings`). with_moments:
    whether batches carry the annotated moments; a weakly supervised model is never given them.
    seed: decides which video or query stands in for another in the `mismatched` and `shuffled`
    ablations. half: whether features that are kept on a GPU, or beside it, are in half precision.
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
    ):
        if wrong := wrong_choice(InputSettings, inputs):
            raise UserError(f"inputs.{wrong}")
        if misfit := misfit_of_inputs(inputs, {}):
            raise UserError(misfit)
        self._max_clips, self._max_words = inputs["max_clips"], inputs["max_words"]
        self.queries = queries  # as read, in the order of every batch's rows
        self.device = device
        names = sorted(set(queries.video_ids))
        place = {name: index for index, name in enumerate(names)}
        own = np.array([place[name] for name in queries.video_ids])
        packed, ends, times = store.read_all(names)
        if inputs["resample"] == CHUNKS:
            durations = queries.durations[np.unique(own, return_index=True)[1]]
            packed, ends = _by_chunk((packed, ends, times), durations, inputs, names, store.path)
        if inputs.get("video", "real") == "zero":
            packed = np.zeros_like(packed)
        # (Q,) clips that the extractor made of each query's own video
        self.source_clips = np.diff(ends)[own]
        clips, counts = _resampled(packed, ends, inputs)
        seen = _video_seen(own, len(names), inputs.get("video", "real"), seed)
        # What each query is shown, its own unless an ablation says otherwise
        self.videos_shown = [names[index] for index in seen]
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
        self.clip_dim = clips.shape[2]
        self._source = _source_clips(packed, ends, inputs, device, half)
        self._clips = _resident(torch.from_numpy(clips), device, half)
        self._counts = torch.from_numpy(counts).to(device)
        self._seen = torch.from_numpy(seen).to(device)
        self._tokens = torch.from_numpy(tokens).to(device)
        self._words = torch.from_numpy(mask.sum(axis=1)).to(device)
        self._durations = torch.from_numpy(queries.durations).float().to(device)
        self._moments = torch.from_numpy(queries.moments).float().to(device)
        self._with_moments = with_moments
        self._windows = None
        if with_moments and inputs["resample"] == "linspace_mean":
            windows = resample.linspace_labels(
                self.source_clips, inputs["max_clips"], queries.moments, queries.durations
            )
            self._windows = torch.from_numpy(windows).to(device)
        # Lengths on the CPU: choosing how far to pad must not wait for the device
        self._lengths = torch.from_numpy(counts[seen])
        self._seen_on_cpu = torch.from_numpy(seen)
        self._word_counts = torch.from_numpy(mask.sum(axis=1))

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
        if order is None or self._source is None:
            video, v_mask = self._sampled_once(rows)
        else:
            video, v_mask = self._source.sample(self._seen_on_cpu[rows], order)
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

    def _sampled_once(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips (B, T, D) of the given queries as resampled at the start, and their mask (B, T)."""
        clips = int(self._lengths[rows].max())
        seen = self._seen[rows.to(self.device, non_blocking=True)]
        v_mask = torch.arange(clips, device=self.device) < self._counts[seen][:, None]
        return self._clips[seen.to(self._clips.device), :clips], v_mask


@dataclass
class _SourceClips:
    """Every video's clips as extracted, to be sampled anew by `stride_pick` from a drawn offset."""

    rows: torch.Tensor  # (N, D), the videos one after another
    firsts: np.ndarray  # (V,) first row of each video
    lengths: np.ndarray  # (V,)
    limits: np.ndarray  # (V,) largest offset
    target: int

    def sample(
        self, videos: torch.Tensor, order: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips (B, T, D), zero on padding, and mask (B, T) of the given videos (CPU long)."""
        drawn = torch.rand(len(videos), generator=order, dtype=torch.float64).numpy()
        videos = videos.numpy()  # type: ignore[assignment]  # the same numbers
        offset = (drawn * (self.limits[videos] + 1)).astype(np.int64)
        starts, stops = resample.stride_pick(self.lengths[videos], self.target, offset=offset)
        real = (stops > starts)[:, : (stops > starts).sum(axis=1).max()]
        index = np.where(real, starts[:, : real.shape[1]] + self.firsts[videos, None], 0)
        device = self.rows.device
        mask = torch.from_numpy(real).to(device)
        clips = self.rows[torch.from_numpy(index).to(device)]
        return clips.masked_fill(~mask[..., None], 0.0), mask


def _source_clips(
    packed: np.ndarray, ends: np.ndarray, inputs: dict[str, Any], device: torch.device, half: bool
) -> _SourceClips | None:
    """What `offset: random` needs; None where nothing can be drawn."""
    if inputs.get("offset", "first") == "first":
        return None
    lengths = np.diff(ends)
    limits = resample.stride_offset_limit(lengths, inputs["max_clips"])
    if not limits.any():  # no video is long enough: sampling once is the same and takes less memory
        return None
    rows = _resident(torch.from_numpy(packed), device, half)
    return _SourceClips(rows, ends[:-1], lengths, limits, inputs["max_clips"])


def _resampled(
    packed: np.ndarray, ends: np.ndarray, inputs: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Every video brought to at most `max_clips`: (V, M, D) float32, padded, and (V,) counts.

    packed: (N, D), the videos one after another; video i has rows `ends[i]:ends[i + 1]`.
    """
    starts, stops = segments(np.diff(ends), inputs)
    counts = (stops > starts).sum(axis=1)
    first = ends[:-1, None]
    real = stops > starts
    clips = resample.segment_mean(
        packed, np.where(real, starts + first, 0), np.where(real, stops + first, 0)
    )
    return np.ascontiguousarray(clips[:, : counts.max()]), counts


def segments(lengths: np.ndarray, inputs: dict[str, Any]) -> resample.Segments:
    """Which source clips each place of the resampled videos is the mean of: (V, M) starts, stops.

    lengths: (V,) source clips. Padding starts and stops at 0, after the real places.
    """
    method, target = inputs["resample"], inputs["max_clips"]
    if method == "round_mean":
        return resample.round_mean(lengths, target, when=inputs["resample_when"])
    if method == CHUNKS and lengths.max() > target:
        raise UserError(
            f"inputs.max_clips: a video has {lengths.max()} chunks, and only {target} are let in;"
            " raise it to as many"
        )
    rules = {
        "linspace_mean": resample.linspace_mean,
        "stride_pick": resample.stride_pick,
        "even_pick": resample.even_pick,
        CHUNKS: resample.keep,
    }
    return rules[method](lengths, target)


def place_times(times: np.ndarray, places: int, inputs: dict[str, Any]) -> np.ndarray:
    """(T, 2) seconds between the first and the last frame behind each place of one video.

    times: (n, 2) seconds of its source clips. places: T, how many of its places are real.
    """
    if inputs["resample"] == CHUNKS:
        starts = np.arange(places) * inputs["chunk_s"]
        return np.stack([starts, starts + inputs["chunk_s"]], axis=1)
    starts, stops = segments(np.array([len(times)]), inputs)
    real = stops[0] > starts[0]
    return np.stack([times[starts[0][real], 0], times[stops[0][real] - 1, 1]], axis=1)


def _by_chunk(
    read: tuple[np.ndarray, np.ndarray, np.ndarray],
    durations: np.ndarray,
    inputs: dict[str, Any],
    names: list[str],
    path: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """`resample.by_chunk` of what was `read` of the videos `names` from `path`: rows, ends."""
    chunk_s = inputs["chunk_s"]
    try:
        return resample.by_chunk(*read, durations, chunk_s)
    except resample.NotChunks as error:
        raise UserError(
            f"{path}: {names[error.video]}: {error}, and resample chunks takes each row for"
            f" one chunk of {chunk_s:g} s; use features of such chunks, or another rule"
        ) from None


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


def _resident(clips: torch.Tensor, device: torch.device, half: bool) -> torch.Tensor:
    """On the device if they fit, otherwise in pinned memory; on a CPU as they are."""
    if device.type != "cuda":
        return clips
    clips = clips.half() if half else clips
    free, _ = torch.cuda.mem_get_info(device)
    if clips.nbytes < RESIDENT_SHARE * free:
        return clips.to(device)
    return clips.pin_memory()
