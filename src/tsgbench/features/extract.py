"""Videos to clip features: decode ahead in threads, batch clips across videos, pool, store."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

import tsgbench
from tsgbench.errors import UserError
from tsgbench.features.compiling import Network, compiled
from tsgbench.features.durations import check_durations, compare_durations
from tsgbench.features.failures import check_failures
from tsgbench.features.feeding import batches, decode_ahead
from tsgbench.features.memory import ask_for_large_pages
from tsgbench.features.networks import ClipNetwork, find_network, load_checkpoint
from tsgbench.features.pooling import POOLS, average_chunks, chunk_starts
from tsgbench.features.recipe import PRECISIONS, check_recipe, clip_shape, square_side
from tsgbench.features.shards import Finished
from tsgbench.features.store import FeatureWriter, check_name

Item = TypeVar("Item")


def extract(
    videos: dict[str, Path],
    out: Path,
    *,
    recipe: dict,
    identity: str,
    threads: int,
    device: str = "auto",
    checkpoint: Path | None = None,
    durations: dict[str, float] | None = None,
    shards: Sequence[Finished] = (),
    journal: Path | None = None,
) -> dict:
    """Features of `videos` (id to file) in one feature file `out`; see `store` for its layout.

    recipe: an entry of config/features.yaml. identity: digest of what determines the result, kept
    in the file. threads: of the network and of the decoders. checkpoint: the file that the recipe's
    `checkpoint` names; without one the weights are random, and the file says so. A killed run goes
    on where it stopped. durations: seconds of each video as annotated, to be compared with the
    features' (durations.py); None: not to be. shards: what was extracted elsewhere, taken over and
    added to the counts. journal: where to leave a shard of `out`, which is then neither made nor
    judged by its failures.

    Returns facts: videos, clips (through the network, by this run and its shards), rows (written),
    dim, seconds, clips_per_s, resumed, weights, device, batch_clips, compile, shards, durations
    (what the comparison gave, or None) and failed, a list of {video, reason}; more failures, or
    durations that differ, than `max_failed_share` are a `TooManyFailed`.
    """
    if not videos and journal is None:
        raise UserError(f"{out}: no video to extract features from; check the annotations")
    for video in videos:  # before hours of work, not at their end
        check_name(video, f"{out}: video {video!r}")
    recipe = check_recipe(recipe)
    ask_for_large_pages()
    on = torch.device(_device(device))
    network, weights = _build(recipe, checkpoint)
    compute = _prepare(network, recipe, on)
    recipe |= {"compile": compute is not network}  # the file says what was done
    start = time.perf_counter()
    attrs = _attrs(identity, recipe, weights)
    with FeatureWriter(out, attrs, dtype=recipe["dtype"], journal=journal) as writer:
        resumed = len(writer.done & set(videos))
        counts = _take_over(shards, writer)
        tried = {row["video"] for row in counts.failed}
        todo = {name: videos[name] for name in videos if name not in writer.done | tried}
        _run(todo, writer, compute, recipe, on, threads, counts)
        compared = None if journal else _judge(out, counts, writer, recipe, videos, durations)
    seconds = counts.seconds + time.perf_counter() - start
    return {
        "videos": len(writer.done),
        "dim": writer.dim,
        **counts.facts(seconds),
        "resumed": resumed,
        "durations": compared,
        "weights": weights,
        "device": str(on),
        "batch_clips": recipe["batch_clips"],
        "compile": recipe["compile"],
        "shards": len(shards),
    }


def _take_over(shards: Sequence[Finished], writer: FeatureWriter) -> "_Counts":
    """What was extracted elsewhere, counted."""
    counts = _Counts()
    for shard in shards:
        counts.add(shard.facts)
        writer.take(shard.journal)
    return counts


def _judge(
    out: Path,
    counts: "_Counts",
    writer: FeatureWriter,
    recipe: dict,
    videos: dict[str, Path],
    durations: dict[str, float] | None,
) -> dict | None:
    """What the comparison of durations gave; `TooManyFailed` where too many failed or differ."""
    allowed = recipe["max_failed_share"]
    check_failures(out, counts.failed, len(videos), allowed)
    if durations is None:
        return None
    differ = compare_durations(writer.ends_s, durations, recipe["until_s"])
    return check_durations(out, differ, len(writer.done), allowed)


def _prepare(network: ClipNetwork, recipe: dict, device: torch.device) -> Network:
    """The network as it computes: its precision, device and layout; compiled, if the recipe says
    so and it can be."""
    network.set_precision(PRECISIONS[recipe["precision"]])
    # torch's types of `to` lack the argument
    network = network.eval().to(device, memory_format=network.MEMORY_FORMAT)  # type: ignore[call-overload]
    if not recipe["compile"]:
        return network
    batch = (recipe["batch_clips"], *clip_shape(recipe))
    return compiled(network, batch, recipe["taps"], device)


def _attrs(identity: str, recipe: dict, weights: str) -> dict:
    """What the feature file says of itself."""
    return {
        "identity": identity,
        "recipe": recipe,
        "extractor": recipe["extractor"],
        "weights": weights,
        "clip_len": recipe["clip_len"],
        "stride": recipe["stride"],
        "versions": _versions(),
    }


def _build(recipe: dict, checkpoint: Path | None) -> tuple[ClipNetwork, str]:
    """The network and what its weights are: a digest, the seed of random ones, or none."""
    if recipe["checkpoint"] and checkpoint is None:
        raise UserError(
            f"feature recipe: checkpoint: {recipe['checkpoint']!r} is not here; download it first, "
            "or set it to null for random weights"
        )
    kind = find_network(recipe["extractor"])
    settings = recipe["network"]
    try:
        network = kind.for_clips(settings, recipe["clip_len"], square_side(recipe["frames"]))
    except TypeError as error:
        raise UserError(f"feature recipe: network: {error}") from None
    network.check_taps(recipe["taps"])
    if not any(True for _ in network.parameters()):
        return network, "none"
    if checkpoint is None:
        return network, f"random, seed {settings.get('seed', 0)}"
    return network, load_checkpoint(network, checkpoint)


def _workers(device: torch.device, threads: int) -> int:
    """Batches at once. A CPU is kept busy by several, a thread each: splitting one batch over
    threads was several times slower on small networks. A GPU takes one batch after another."""
    return max(1, threads) if device.type == "cpu" else 1


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _versions() -> dict[str, str]:
    tools = {name: metadata.version(name) for name in ("av", "h5py", "numpy", "torch")}
    return {"tsgbench": tsgbench.__version__, **tools}


@dataclass
class _Counts:
    clips: int = 0  # through the network
    rows: int = 0  # written: clips, or chunks of them
    seconds: float = 0.0  # that shards took
    failed: list[dict] = field(default_factory=list)

    def add(self, facts: dict) -> None:
        """What a shard counted."""
        self.clips += facts["clips"]
        self.rows += facts["rows"]
        self.seconds += facts["seconds"]
        known = {row["video"] for row in self.failed}
        self.failed += [row for row in facts["failed"] if row["video"] not in known]

    def facts(self, seconds: float) -> dict:
        """As the extraction states them. seconds: that all of it took."""
        return {
            "seconds": round(seconds, 3),
            "clips": self.clips,
            "rows": self.rows,
            "clips_per_s": round(self.clips / seconds, 1),
            "failed": self.failed,
        }


def _run(
    videos: dict[str, Path],
    writer: FeatureWriter,
    network: Network,
    recipe: dict,
    device: torch.device,
    threads: int,
    counts: _Counts,
) -> None:
    """Decode, compute and write every video; those that cannot be decoded are listed."""
    sink = _Sink(writer, recipe["chunk_s"], counts)
    chunks = decode_ahead(videos, recipe, max(1, threads // 2), counts.failed)
    workers = _workers(device, threads)
    # closing: an error here must end the decoders at once, not when the traceback is forgotten
    with (
        closing(chunks),
        ThreadPoolExecutor(workers, "compute", torch.set_num_threads, (1,)) as pool,
    ):

        def start(batch: np.ndarray | None) -> Future | None:
            return None if batch is None else pool.submit(_compute, network, batch, recipe, device)

        started = (
            (start(batch), pieces) for batch, pieces in batches(chunks, recipe["batch_clips"])
        )
        for vectors, pieces in _look_ahead(started, workers + 1):
            for piece in pieces:
                if len(piece.times):
                    # A piece with clips came with a batch of them
                    mine = vectors.result()[  # type: ignore[union-attr]
                        piece.row : piece.row + len(piece.times)
                    ]
                    sink.add(piece.video, mine, piece.times)
                if piece.is_last:
                    sink.close(piece.video, piece.is_broken)


class _Sink:
    """Where a video's clips go as they come, so that memory does not grow with its length: into
    the file, or with `chunk_s` first into means over that many seconds."""

    def __init__(self, writer: FeatureWriter, chunk_s: float | None, counts: _Counts) -> None:
        self.writer, self.chunk_s, self.counts = writer, chunk_s, counts
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.clips = self.rows = 0  # of the video at hand

    def add(self, video: str, clips: np.ndarray, times: np.ndarray) -> None:
        """The next clips of a video; videos come one after another."""
        self.clips += len(clips)
        if not self.chunk_s:
            return self._write(video, clips, times)
        self.waiting.append((clips, times))
        clips, times = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
        # The chunk of the latest clip may go on; those before it are complete
        is_open = times[:, 0] >= chunk_starts(times, self.chunk_s)[-1]
        self.waiting = [(clips[is_open], times[is_open])]
        if not is_open.all():
            self._average(video, clips[~is_open], times[~is_open])

    def close(self, video: str, is_broken: bool) -> None:
        """The video has no more clips; a broken one leaves nothing behind."""
        if is_broken:
            self.writer.discard(video)
        else:
            for clips, times in self.waiting:
                self._average(video, clips, times)
            self.writer.end(video)
            self.counts.clips += self.clips
            self.counts.rows += self.rows
        self.waiting, self.clips, self.rows = [], 0, 0

    def _average(self, video: str, clips: np.ndarray, times: np.ndarray) -> None:
        # Called with `chunk_s` alone
        self._write(video, *average_chunks(clips, times, self.chunk_s))  # type: ignore[arg-type]

    def _write(self, video: str, clips: np.ndarray, times: np.ndarray) -> None:
        self.writer.append(video, clips, times)
        self.rows += len(clips)


def _look_ahead(items: Iterable[Item], number: int) -> Iterator[Item]:
    """The same items in the same order, each taken from the source `number` items early."""
    waiting: deque[Item] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > number:
            yield waiting.popleft()
    yield from waiting


def _compute(network: Network, batch: np.ndarray, recipe: dict, device: torch.device) -> np.ndarray:
    """(n, T, H, W, 3) uint8 to (n, dim) float32; `UserError` where memory is too small for that."""
    try:
        with torch.inference_mode():
            clips = torch.from_numpy(batch).to(device)
            taps = {name: x.float() for name, x in network(clips, recipe["taps"]).items()}
            return POOLS[recipe["pool"]](taps).cpu().numpy()
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise UserError(
            f"feature recipe: batch_clips: {len(batch)} clips at once do not fit into the memory of"
            f" {device}; set a smaller number, or give the job more memory or fewer threads"
        ) from error
