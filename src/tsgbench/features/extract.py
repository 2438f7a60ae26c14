"""Videos to clip features: decode ahead in threads, batch clips across videos, pool, store.

Several recipes can be extracted together, so that each video is decoded once.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
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
from tsgbench.features.feeding import Batch, batches, decode_ahead, view_of
from tsgbench.features.memory import ask_for_large_pages
from tsgbench.features.networks import ClipNetwork, find_network, load_checkpoint
from tsgbench.features.pooling import POOLS, average_chunks, chunk_starts
from tsgbench.features.recipe import PRECISIONS, check_recipe, clip_shape, square_side
from tsgbench.features.shards import Finished
from tsgbench.features.store import FeatureWriter, check_name

Item = TypeVar("Item")


@dataclass(frozen=True)
class Wanted:
    """Features to be made in one feature file `out`.

    recipe: an entry of config/features.yaml. identity: digest of what determines the result, kept
    in the file. checkpoint: the file that the recipe's `checkpoint` names; without one the weights
    are random, and the file says so. journal: where to leave a shard of `out`, which is then
    neither made nor judged by its failures. known: journals whose videos the shard may lack.
    """

    out: Path
    recipe: dict
    identity: str
    checkpoint: Path | None = None
    journal: Path | None = None
    known: Sequence[Path] = ()


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
) -> dict:
    """Features of `videos` (id to file) in one feature file `out`; see `store` for its layout.

    recipe, identity, checkpoint: as of `Wanted`. threads: of the network and of the decoders. A
    killed run goes on where it stopped. durations: seconds of each video as annotated, to be
    compared with the features' (durations.py); None: not to be. shards: what was extracted
    elsewhere, taken over and added to the counts.

    Returns facts: videos, clips (through the network, by this run and its shards), rows (written),
    dim, seconds, clips_per_s, resumed, weights, device, batch_clips, compile, shards, together (how
    many recipes at most shared its videos, and its seconds), durations (what the comparison gave,
    or None) and failed, a list of {video, reason}; more failures, or durations that differ, than
    `max_failed_share` are a `TooManyFailed`.
    """
    if not videos:
        raise UserError(f"{out}: no video to extract features from; check the annotations")
    on = torch.device(_device(device))
    (work,) = _start([Wanted(out, recipe, identity, checkpoint)], videos, on)
    start = time.perf_counter()
    with work.writer as writer:
        resumed = len(writer.done & set(videos)) + _take_over(shards, work)
        tried = {row["video"] for row in work.counts.failed}
        _run(videos, [work], [videos.keys() - writer.done - tried], on, threads)
        compared = _judge(out, work.counts, writer, work.recipe, videos, durations)
    facts = work.facts(time.perf_counter() - start)
    made = [shard for shard in shards if shard.facts is not None]
    return facts | {"resumed": resumed, "durations": compared, "shards": len(made)}


def extract_shard(
    videos: dict[str, Path], wanted: Sequence[Wanted], *, threads: int, device: str = "auto"
) -> list[dict]:
    """A shard of each of several feature files, of the same `videos`, which are decoded once.

    All networks are in memory at once. What goes wrong with one recipe ends all; a video that
    cannot be decoded is listed in the facts of each. Returns the facts of each, as of `extract`.
    """
    on = torch.device(_device(device))
    works = _start(wanted, videos, on)
    start = time.perf_counter()
    with ExitStack() as writers:
        todo, resumed = [], []
        for work, each in zip(works, wanted, strict=True):
            writer = writers.enter_context(work.writer)
            resumed.append(len(writer.done & set(videos)))
            others = [path for path in each.known if path != each.journal]
            todo.append(videos.keys() - writer.done.union(*map(writer.ended_in, others)))
        _run(videos, works, todo, on, threads)
    seconds = time.perf_counter() - start
    return [
        work.facts(seconds) | {"resumed": number, "durations": None, "shards": 0}
        for work, number in zip(works, resumed, strict=True)
    ]


def _take_over(shards: Sequence[Finished], work: "_Work") -> int:
    """What was extracted elsewhere, counted; returns how many videos are of shards that did not
    end."""
    resumed = 0
    for shard in shards:
        before = len(work.writer.done)
        work.writer.take(shard.journal)
        if shard.facts is None:
            resumed += len(work.writer.done) - before
        else:
            work.counts.add(shard.facts)
    return resumed


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


@dataclass
class _Work:
    """What one recipe's extraction holds. compute: the network as it computes."""

    recipe: dict
    weights: str
    compute: Network
    device: torch.device
    writer: FeatureWriter
    counts: "_Counts"

    def facts(self, seconds: float) -> dict:
        """What was counted. seconds: that this run took."""
        return {
            "videos": len(self.writer.done),
            "dim": self.writer.dim,
            **self.counts.facts(self.counts.seconds + seconds),
            "weights": self.weights,
            "device": str(self.device),
            "batch_clips": self.recipe["batch_clips"],
            "compile": self.recipe["compile"],
        }


def _start(wanted: Sequence[Wanted], videos: dict[str, Path], device: torch.device) -> list[_Work]:
    """All that is needed, before the first video; `UserError` for what is wrong with a recipe."""
    for video in videos:  # before hours of work, not at their end
        check_name(video, f"{wanted[0].out}: video {video!r}")
    ask_for_large_pages()
    works = []
    for each in wanted:
        try:
            recipe = check_recipe(each.recipe)
            network, weights = _build(recipe, each.checkpoint)
        except UserError as error:
            raise (UserError(f"{each.out.stem}: {error}") if len(wanted) > 1 else error) from None
        compute = _prepare(network, recipe, device)
        recipe |= {"compile": compute is not network}  # the file says what was done
        attrs = _attrs(each.identity, recipe, weights)
        writer = FeatureWriter(each.out, attrs, dtype=recipe["dtype"], journal=each.journal)
        counts = _Counts(together=len(wanted))
        works.append(_Work(recipe, weights, compute, device, writer, counts))
    return works


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
    together: int = 1  # recipes that shared the videos
    failed: list[dict] = field(default_factory=list)

    def add(self, facts: dict) -> None:
        """What a shard counted."""
        self.clips += facts["clips"]
        self.rows += facts["rows"]
        self.seconds += facts["seconds"]
        self.together = max(self.together, facts["together"])
        known = {row["video"] for row in self.failed}
        self.failed += [row for row in facts["failed"] if row["video"] not in known]

    def facts(self, seconds: float) -> dict:
        """As the extraction states them. seconds: that all of it took."""
        return {
            "seconds": round(seconds, 3),
            "clips": self.clips,
            "rows": self.rows,
            "clips_per_s": round(self.clips / seconds, 1),
            "together": self.together,
            "failed": self.failed,
        }


def _run(
    videos: dict[str, Path],
    works: Sequence[_Work],
    todo: Sequence[Iterable[str]],
    device: torch.device,
    threads: int,
) -> None:
    """Decode, compute and write every video; those that cannot be decoded are listed.

    todo: of each of `works`, the videos that it needs."""
    sinks = [_Sink(work.writer, work.recipe["chunk_s"], work.counts) for work in works]
    views = [view_of(work.recipe) for work in works]
    chunks = decode_ahead(videos, todo, views, max(1, threads // 2))
    workers = _workers(device, threads)
    # closing: an error here must end the decoders at once, not when the traceback is forgotten
    with (
        closing(chunks),
        ThreadPoolExecutor(workers, "compute", torch.set_num_threads, (1,)) as pool,
    ):

        def start(batch: Batch) -> Future | None:
            work, clips = works[batch.view], batch.clips
            batch.clips = None  # not to be kept until its turn comes
            if clips is None:
                return None
            return pool.submit(_compute, work.compute, clips, work.recipe, device)

        sizes = [work.recipe["batch_clips"] for work in works]
        started = ((start(batch), batch) for batch in batches(chunks, sizes))
        for vectors, batch in _look_ahead(started, workers + 1):
            sink = sinks[batch.view]
            for piece in batch.pieces:
                if len(piece.times):
                    # A piece with clips came with a batch of them
                    mine = vectors.result()[  # type: ignore[union-attr]
                        piece.row : piece.row + len(piece.times)
                    ]
                    sink.add(piece.video, mine, piece.times)
                if piece.is_last:
                    sink.close(piece.video, piece.failure)


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

    def close(self, video: str, failure: str | None) -> None:
        """The video has no more clips; one that failed leaves nothing behind but the reason."""
        if failure is not None:
            self.counts.failed.append({"video": video, "reason": failure})
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
