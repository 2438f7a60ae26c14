"""The data path: queries, clip features and words of a split as padded batches on a device.

Features are resampled once per video and stay resident, so that a batch is a gather: no Python
loop over queries, clips or words. Ablations of the input (`blind`, `mismatched`, `query_shuffled`)
happen here, the same way for every model.
"""

from collections.abc import Iterator

import numpy as np
import torch

from tsgbench import resample
from tsgbench.datasets.table import Queries
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore
from tsgbench.models.base import Batch
from tsgbench.text import WordTable, encode

# Queries are shuffled, then sorted by video length within groups of this many batches: batches of
# equal length waste no padding, and their order stays random.
SORTED_BATCHES = 16
# Of the device's free memory, what resident features may take.
RESIDENT_SHARE = 0.5


class GroundingData:
    """One split, ready to be batched.

    inputs: the `inputs` section of a cell's settings (tokenizer, oov, max_words, max_clips,
    resample, resample_when, video, query). with_moments: whether batches carry the annotated
    moments; a weakly supervised model is never given them. seed: decides which video or query
    stands in for another in the `mismatched` and `shuffled` ablations.
    """

    def __init__(
        self,
        queries: Queries,
        store: FeatureStore,
        words: WordTable,
        inputs: dict,
        *,
        with_moments: bool,
        seed: int,
        device: torch.device,
    ):
        self.queries = queries
        self.device = device
        names = sorted(set(queries.video_ids))
        place = {name: index for index, name in enumerate(names)}
        own = np.array([place[name] for name in queries.video_ids])
        clips, counts = _resampled(store, names, inputs)
        seen = _video_seen(own, len(names), inputs.get("video", "real"), seed)
        if inputs.get("video", "real") == "zero":
            clips = np.zeros_like(clips)
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
        self.clip_dim = clips.shape[2]
        self._clips = _resident(torch.from_numpy(clips), device)
        self._counts = torch.from_numpy(counts).to(device)
        self._seen = torch.from_numpy(seen).to(device)
        self._tokens = torch.from_numpy(tokens).to(device)
        self._words = torch.from_numpy(mask.sum(axis=1)).to(device)
        self._durations = torch.from_numpy(queries.durations).float().to(device)
        self._moments = torch.from_numpy(queries.moments).float().to(device)
        self._with_moments = with_moments
        # Lengths on the CPU: choosing how far to pad must not wait for the device
        self._lengths = torch.from_numpy(counts[seen])
        self._word_counts = torch.from_numpy(mask.sum(axis=1))

    def __len__(self) -> int:
        return len(self.queries)

    def batches(self, size: int, order: torch.Generator) -> Iterator[Batch]:
        """All queries once, in an order drawn from `order`, in batches of similar length."""
        shuffled = torch.randperm(len(self), generator=order)
        groups = shuffled.split(size * SORTED_BATCHES)
        chunks = [
            chunk
            for group in groups
            for chunk in group[self._lengths[group].argsort(stable=True)].split(size)
        ]
        for index in torch.randperm(len(chunks), generator=order).tolist():
            yield self.batch(chunks[index], with_moments=self._with_moments)

    def batches_in_order(self, size: int) -> Iterator[tuple[np.ndarray, Batch]]:
        """Rows and batch, in the order of the queries, without moments: for prediction."""
        for rows in torch.arange(len(self)).split(size):
            yield rows.numpy(), self.batch(rows, with_moments=False)

    def batch(self, rows: torch.Tensor, *, with_moments: bool) -> Batch:
        """The given queries (CPU long tensor), padded to the longest among them."""
        clips, words = int(self._lengths[rows].max()), int(self._word_counts[rows].max())
        rows = rows.to(self.device, non_blocking=True)
        seen = self._seen[rows]
        video = self._clips[seen.to(self._clips.device), :clips]
        return Batch(
            video=video.to(self.device, non_blocking=True).float(),
            v_mask=torch.arange(clips, device=self.device) < self._counts[seen][:, None],
            tokens=self._tokens[rows, :words],
            q_mask=torch.arange(words, device=self.device) < self._words[rows][:, None],
            dur=self._durations[rows],
            video_idx=seen,
            gt=self._moments[rows] if with_moments else None,
        )


def _resampled(
    store: FeatureStore, names: list[str], inputs: dict
) -> tuple[np.ndarray, np.ndarray]:
    """Every video brought to at most `max_clips`: (V, M, D) float32, padded, and (V,) counts."""
    packed, offsets, _ = store.read_all(names)
    lengths = np.diff(offsets)
    method, target = inputs["resample"], inputs["max_clips"]
    if method == "round_mean":
        starts, stops = resample.round_mean(lengths, target, when=inputs["resample_when"])
    elif method == "linspace_mean":
        starts, stops = resample.linspace_mean(lengths, target)
    elif method == "stride_pick":
        starts, stops = resample.stride_pick(lengths, target)
    else:
        raise UserError(
            f"inputs.resample: unknown method {method!r}; use round_mean, linspace_mean or"
            " stride_pick"
        )
    counts = (stops > starts).sum(axis=1)
    first = offsets[:-1, None]
    real = stops > starts
    clips = resample.segment_mean(
        packed, np.where(real, starts + first, 0), np.where(real, stops + first, 0)
    )
    return np.ascontiguousarray(clips[:, : counts.max()]), counts


def _video_seen(own: np.ndarray, videos: int, mode: str, seed: int) -> np.ndarray:
    """The video each query is shown: its own, or in `mismatched` always another one."""
    if mode in ("real", "zero"):
        return own
    if mode == "mismatched":
        return _derangement(videos, seed)[own]
    raise UserError(f"inputs.video: unknown mode {mode!r}; use real, zero or mismatched")


def _derangement(count: int, seed: int) -> np.ndarray:
    """A permutation without fixed point: each item gets the next one in a random circle."""
    if count < 2:
        raise UserError("inputs: a mismatched or shuffled input needs at least two to choose from")
    circle = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, dtype=np.int64)
    other[circle] = np.roll(circle, 1)
    return other


def _resident(clips: torch.Tensor, device: torch.device) -> torch.Tensor:
    """On the device if they fit, in half precision there; otherwise in pinned memory."""
    if device.type != "cuda":
        return clips
    half = clips.half()
    free, _ = torch.cuda.mem_get_info(device)
    if half.nbytes < RESIDENT_SHARE * free:
        return half.to(device)
    return half.pin_memory()
