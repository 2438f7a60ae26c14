"""Videos to clip features: decode ahead in threads, batch clips across videos, pool, store."""

import itertools
import logging
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

import tsgbench
from tsgbench.errors import UserError
from tsgbench.features.c3d import C3D
from tsgbench.features.i3d import I3D
from tsgbench.features.networks import ClipNetwork, load_checkpoint
from tsgbench.features.pooling import POOLS
from tsgbench.features.store import FeatureWriter
from tsgbench.video import read_clips

log = logging.getLogger(__name__)

NETWORKS: dict[str, type[ClipNetwork]] = {"c3d": C3D, "i3d": I3D}
CHUNKS_AHEAD = 4  # decoded chunks that wait for the network, per video
DEFAULTS = {
    "checkpoint": None,
    "network": {},
    "clip_len": 16,
    "stride": 8,
    "fps": None,
    "batch_clips": 16,
    "dtype": "float32",
    "max_failed_share": 0.0,
}
KNOWN = {*DEFAULTS, "extractor", "frames", "taps", "pool", "reduce"}


def extract(
    videos: dict[str, Path],
    out: Path,
    *,
    recipe: dict,
    identity: str,
    threads: int,
    device: str = "auto",
    checkpoint: Path | None = None,
) -> dict:
    """Features of `videos` (id to file) in one feature file `out`; see `store` for its layout.

    recipe: an entry of config/features.yaml. identity: digest of what determines the result, kept
    in the file. threads: of the network and of the decoders. checkpoint: the file that the recipe's
    `checkpoint` names; without one the weights are random, and the file says so. A killed run goes
    on where it stopped. Returns facts: videos, clips, dim, seconds, clips_per_s, resumed and
    failed, a list of {video, reason}; more failures than `max_failed_share` are a `UserError`.
    """
    if not videos:
        raise UserError(f"{out}: no video to extract features from; check the annotations")
    recipe = check_recipe(recipe)
    place = torch.device(_device(device))
    network, weights = _build(recipe, checkpoint)
    network = network.eval().to(place, memory_format=torch.channels_last_3d)
    attrs = {
        "identity": identity,
        "recipe": recipe,
        "extractor": recipe["extractor"],
        "weights": weights,
        "clip_len": recipe["clip_len"],
        "stride": recipe["stride"],
        "versions": _versions(),
    }
    start = time.perf_counter()
    with FeatureWriter(out, attrs, dtype=recipe["dtype"]) as writer, _threads(threads):
        resumed = len(writer.done & set(videos))
        todo = {name: path for name, path in videos.items() if name not in writer.done}
        counts = _run(todo, writer, network, recipe, place, decoders=max(1, threads - 1))
        _check_failures(out, counts.failed, len(videos), recipe["max_failed_share"])
    seconds = time.perf_counter() - start
    return {
        "videos": len(writer.done),
        "clips": counts.clips,
        "dim": writer.dim,
        "seconds": round(seconds, 3),
        "clips_per_s": round(counts.clips / seconds, 1),
        "resumed": resumed,
        "failed": counts.failed,
        "weights": weights,
        "device": str(place),
    }


def check_recipe(recipe: dict) -> dict:
    """The recipe with defaults filled in; `UserError` names what is wrong with it."""
    unknown = sorted(set(recipe) - KNOWN)
    if unknown:
        raise UserError(f"feature recipe: unknown key {unknown[0]!r}; it takes {sorted(KNOWN)}")
    for name in ("extractor", "frames", "taps", "pool"):
        if name not in recipe:
            raise UserError(f"feature recipe: {name}: is missing")
    for name, table in (("extractor", NETWORKS), ("pool", POOLS)):
        if recipe[name] not in table:
            raise UserError(
                f"feature recipe: {name}: {recipe[name]!r} is unknown; one of {', '.join(table)}"
            )
    frames = recipe["frames"]
    if (
        not isinstance(frames, dict)
        or not set(frames) <= {"resize", "short_side", "crop"}
        or (("resize" in frames) == ("short_side" in frames))
    ):
        raise UserError(
            f"feature recipe: frames: {frames!r} is wrong; give {{resize: [height, width]}} or "
            "{short_side: pixels}, and perhaps crop: pixels"
        )
    return DEFAULTS | recipe


def _build(recipe: dict, checkpoint: Path | None) -> tuple[ClipNetwork, str]:
    """The network and what its weights are: a digest, or the seed of random ones."""
    if recipe["checkpoint"] and checkpoint is None:
        raise UserError(
            f"feature recipe: checkpoint: {recipe['checkpoint']!r} is not here; download it first, "
            "or set it to null for random weights"
        )
    settings = dict(recipe["network"])
    if recipe["extractor"] == "c3d":
        settings |= {"size": _input_size(recipe["frames"]), "clip_len": recipe["clip_len"]}
    try:
        network = NETWORKS[recipe["extractor"]](**settings)
    except TypeError as error:
        raise UserError(f"feature recipe: network: {error}") from None
    network.check_taps(recipe["taps"])
    if checkpoint is None:
        return network, f"random, seed {settings.get('seed', 0)}"
    return network, load_checkpoint(network, checkpoint)


def _input_size(frames: dict) -> int:
    """Side of the square that the network sees; C3D's fc6 depends on it."""
    side = frames.get("crop") or frames.get("resize")
    if isinstance(side, list | tuple) and side[0] == side[1]:
        side = side[0]
    if not isinstance(side, int):
        raise UserError("feature recipe: frames: C3D needs square pictures; add crop: pixels")
    return side


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _versions() -> dict[str, str]:
    tools = {name: metadata.version(name) for name in ("av", "h5py", "numpy", "torch")}
    return {"tsgbench": tsgbench.__version__, **tools}


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, number))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class _Counts:
    clips: int = 0
    failed: list[dict] = field(default_factory=list)


def _run(
    videos: dict[str, Path],
    writer: FeatureWriter,
    network: ClipNetwork,
    recipe: dict,
    device: torch.device,
    decoders: int,
) -> _Counts:
    """Decode, compute and write every video; those that cannot be decoded are listed."""
    counts = _Counts()
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    chunks = _decode_ahead(videos, recipe, decoders, counts.failed)
    for batch, pieces in _batches(chunks, recipe["batch_clips"]):
        vectors = None if batch is None else _compute(network, batch, recipe, device)
        for piece in pieces:
            if len(piece.times):
                mine = vectors[piece.row : piece.row + len(piece.times)]
                parts.setdefault(piece.video, []).append((mine, piece.times))
            if piece.is_broken:
                parts.pop(piece.video, None)
            elif piece.is_last:
                clips, times = (
                    np.concatenate(p) for p in zip(*parts.pop(piece.video), strict=True)
                )
                writer.write(piece.video, clips, times)
                counts.clips += len(clips)
    return counts


def _compute(
    network: ClipNetwork, batch: np.ndarray, recipe: dict, device: torch.device
) -> np.ndarray:
    """(n, T, H, W, 3) uint8 to (n, dim) float32."""
    with torch.inference_mode():
        clips = torch.from_numpy(batch).to(device)
        return POOLS[recipe["pool"]](network(clips, recipe["taps"])).float().cpu().numpy()


@dataclass
class _Chunk:
    """Some clips of one video, in order; its last chunk, which may be empty, closes it."""

    video: str
    clips: np.ndarray | None
    times: np.ndarray
    is_last: bool = False
    is_broken: bool = False
    row: int = 0  # in the batch


def _batches(
    chunks: Iterable[_Chunk], size: int
) -> Iterator[tuple[np.ndarray | None, list[_Chunk]]]:
    """Regroup chunks of any length into batches of exactly `size` clips, zeros behind the last.

    A fixed size keeps a clip's numbers the same to the bit whichever clips share its batch, so a
    resumed run gives the same file. Yields the batch and the pieces of videos in it, in order
    (None: no clips are left, only videos to close).
    """
    batch, pieces, filled = None, [], 0
    for chunk in chunks:
        taken, length = 0, len(chunk.times)
        while length - taken > 0:
            if batch is None:
                batch = np.zeros((size, *chunk.clips.shape[1:]), dtype=np.uint8)
            part = slice(taken, min(taken + size - filled, length))
            n = part.stop - part.start
            batch[filled : filled + n] = chunk.clips[part]
            pieces.append(_Chunk(chunk.video, None, chunk.times[part], row=filled))
            filled, taken = filled + n, part.stop
            if filled == size:
                yield batch, pieces
                batch, pieces, filled = None, [], 0
        if chunk.is_last:
            pieces.append(_Chunk(chunk.video, None, chunk.times[:0], True, chunk.is_broken))
    if pieces:
        yield batch, pieces


def _decode_ahead(
    videos: dict[str, Path], recipe: dict, decoders: int, failed: list[dict]
) -> Iterator[_Chunk]:
    """Chunks of all videos, in order, decoded in threads while the caller computes.

    A few videos are open at a time, each with a few chunks waiting, so memory depends neither on
    the number of videos nor on their length. A video that cannot be decoded is added to `failed`.
    """
    stop = threading.Event()
    names = iter(videos)
    ahead: deque[tuple[str, queue.Queue]] = deque()

    with ThreadPoolExecutor(decoders, "decode") as pool, _progress(len(videos)) as advance:

        def start_next() -> None:
            for name in itertools.islice(names, 1):
                box = queue.Queue(maxsize=CHUNKS_AHEAD)
                pool.submit(_decode, videos[name], recipe, box, stop)
                ahead.append((name, box))

        try:
            for _ in range(decoders + 2):
                start_next()
            while ahead:
                name, box = ahead.popleft()
                yield from _drain(name, box, failed)
                advance()
                start_next()
        finally:
            stop.set()  # the caller gave up: let the decoders end


def _drain(name: str, box: queue.Queue, failed: list[dict]) -> Iterator[_Chunk]:
    no_times = np.empty((0, 2))
    while (item := box.get()) is not None:
        if isinstance(item, UserError):
            failed.append({"video": name, "reason": str(item)})
            log.warning("%s: left out: %s", name, item)
            yield _Chunk(name, None, no_times, is_last=True, is_broken=True)
            return
        if isinstance(item, BaseException):
            raise item
        yield _Chunk(name, *item)
    yield _Chunk(name, None, no_times, is_last=True)


def _decode(path: Path, recipe: dict, box: queue.Queue, stop: threading.Event) -> None:
    """Fill `box` with (clips, times), then None; or with the error that ended it."""

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return box.put(item, timeout=0.1)
            except queue.Full:
                continue

    frames = recipe["frames"]
    try:
        chunks = read_clips(
            path,
            size=frames["short_side"] if "short_side" in frames else _pair(frames["resize"]),
            keep_aspect="short_side" in frames,
            crop=frames.get("crop"),
            clip_len=recipe["clip_len"],
            stride=recipe["stride"],
            fps=recipe["fps"],
            chunk_clips=recipe["batch_clips"],
        )
        for chunk in chunks:
            put(chunk)
            if stop.is_set():
                return
        put(None)
    except Exception as error:  # handed over: raised or recorded by the thread that reads the box
        put(error)


def _pair(size: int | list[int]) -> int | tuple[int, int]:
    return size if isinstance(size, int) else (size[0], size[1])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr where that is a terminal; yields the function that advances it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("extracting", total=total)
        yield lambda: bar.advance(task)


def _check_failures(out: Path, failed: list[dict], videos: int, allowed: float) -> None:
    if len(failed) > allowed * videos:
        raise UserError(
            f"{out}: {len(failed)} of {videos} videos failed, the first: {failed[0]['reason']}; mend "
            "them, or raise max_failed_share in the recipe: finished videos are kept"
        )
