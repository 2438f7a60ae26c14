"""Clips of videos as models get them, made once and mapped by every cell of the machine.

The cells of a study read few different things: some features, brought to a number of positions by
some rule. Whichever cell comes first makes a file of it under `scratch/`, while others that need it
wait; all of them map it, read-only, so that it is in memory once and is read where it is used.
`resample` lists the rules. `offset: random` draws other source clips for each batch, so that a
training with it maps those as well.

Such a file is no result, but features in another order: what they hold, the rule and the code are
its identity. It is made again where that has changed, or where it is gone.
"""

import logging
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features import resample
from tsgbench.features.store import FeatureStore
from tsgbench.files import DAMAGED_ARRAYS, atomic_path, digest, locked
from tsgbench.files.access import named
from tsgbench.jobs.code import code_digest
from tsgbench.jobs.records import Record

log = logging.getLogger(__name__)

SCHEMA = "tsgbench-arrays-1"
FOLDER = Path("scratch/arrays")  # may be deleted at any time
# As `resample`: a row stays in the place of the seconds that it stands for
CHUNKS = "chunks"
# Of a cell's inputs, what decides where its clips come from, beside `resample` and `max_clips`
OF_RULE = {"round_mean": "resample_when", CHUNKS: "chunk_s"}
READ_AT_ONCE = 64 << 20  # bytes of source clips, of videos with so many:
USUAL_CLIPS = 512

Inputs = dict[str, Any]
Durations = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Arrays:
    """Rows of many videos, one after another: `ends[i]:ends[i + 1]` are video i's.

    names: of the V videos. rows: (N, D) float32. ends: (V + 1,). sources: (V,) source clips of each
    video. path: the file that `rows` are mapped from, and sums: (V,) the CRC-32 of each video's
    rows there; None for what was made in memory.
    """

    names: list[str]
    rows: np.ndarray
    ends: np.ndarray
    sources: np.ndarray
    path: Path | None = None
    sums: np.ndarray | None = None
    _checked: set[int] = field(default_factory=set)

    @property
    def counts(self) -> np.ndarray:
        """(V,) rows of each video."""
        return np.diff(self.ends)

    def take(self, videos: np.ndarray, index: np.ndarray, real: np.ndarray) -> np.ndarray:
        """(B, T, D) rows `index` (B, T) of videos (B,), zero where not `real` (B, T).

        `UserError` if the file no longer holds what was written there.
        """
        self.check(videos)
        rows = self.rows.take(np.where(real, self.ends[videos, None] + index, 0), axis=0)
        rows[~real] = 0
        return rows

    def check(self, videos: np.ndarray) -> None:
        """Compare the checksums of videos that this process has not looked at yet."""
        if self.sums is None:
            return
        for video in set(videos.tolist()) - self._checked:
            sum_now = zlib.crc32(self.rows[self.ends[video] : self.ends[video + 1]].data)
            if sum_now != self.sums[video]:
                raise UserError(
                    f"{self.path}: damaged (video {self.names[video]!r} has another checksum);"
                    " delete it and run again, it is made anew from the features"
                )
            self._checked.add(video)


@dataclass(frozen=True)
class Shared:
    """Where the arrays of some features are kept, for every process that reads the same ones.

    folder: of these features alone. content: the digest of what they hold. durations: seconds of
    their videos.
    """

    folder: Path
    content: str
    durations: Durations

    @classmethod
    def of(cls, root: Path, features: Record, durations: Durations) -> "Shared":
        """features: their record, whose folder has the name of the data set."""
        path = features.path
        return cls(root / path.parent.name / path.stem, features.digest, durations)

    def resampled(self, store: FeatureStore, inputs: Inputs) -> Arrays:
        """All videos of the file by the rule of a cell's inputs."""
        more = OF_RULE.get(inputs["resample"])
        names = ("resample", "max_clips", *([more] if more else []))
        return self._open(store, {name: inputs[name] for name in names})

    def source(self, store: FeatureStore) -> Arrays:
        """All videos of the file as extracted."""
        return self._open(store, {})

    def _open(self, store: FeatureStore, rule: Inputs) -> Arrays:
        """Mapped from the file, which is made first unless it is there."""
        name = "-".join(str(value) for value in rule.values()) or "source"
        path = self.folder / f"{name}.npz"
        identity = digest([SCHEMA, self.content, rule, code_digest(__name__)])
        mapped = _map(path, identity)
        if mapped is None:
            with named(path), locked(path.with_suffix(".lock"), "", patience_s=math.inf):
                # Unless another process made it while this one waited
                mapped = _map(path, identity)
                if mapped is None:
                    _write(path, identity, _make(store, None, rule, self.durations))
                    mapped = _map(path, identity)
        assert mapped is not None, "written just now"
        return mapped


def make_arrays(
    store: FeatureStore, names: list[str], inputs: Inputs, durations: Durations
) -> Arrays:
    """The named videos by the rule of a cell's inputs, or as extracted for {}; in memory."""
    parts = list(_make(store, names, inputs, durations))
    counts = np.concatenate([part.counts for part in parts])
    return Arrays(
        names,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([part.sources for part in parts]),
    )


def _make(
    store: FeatureStore, names: list[str] | None, rule: Inputs, durations: Durations
) -> Iterator[Arrays]:
    """Some videos after others, so that no more of them are held at once.

    names: None: all that can be had. rule: empty for source clips as they are.
    """
    is_chunked = rule.get("resample") == CHUNKS
    known = durations() if is_chunked else {}
    if names is None:
        names = [name for name in store.video_ids if not is_chunked or name in known]
    at_once = max(1, READ_AT_ONCE // (4 * store.dim * USUAL_CLIPS))
    for start in range(0, len(names), at_once):
        some = names[start : start + at_once]
        packed, ends, times = store.read_all(some)
        if is_chunked:
            durations_s = np.array([known[name] for name in some])
            packed, ends = _by_chunk((packed, ends, times), durations_s, rule, some, store.path)
        sources = np.diff(ends)
        if rule:
            starts, stops = segments(sources, rule)
            real, first = stops > starts, ends[:-1, None]
            packed = resample.segment_mean(packed, (starts + first)[real], (stops + first)[real])
            ends = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
        yield Arrays(some, packed, ends, sources)


def _by_chunk(
    read: tuple[np.ndarray, np.ndarray, np.ndarray],
    durations: np.ndarray,
    rule: Inputs,
    names: list[str],
    path: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """`resample.by_chunk` of what was `read` of the videos `names` from `path`: rows, ends."""
    chunk_s = rule["chunk_s"]
    try:
        return resample.by_chunk(*read, durations, chunk_s)
    except resample.NotChunks as error:
        raise UserError(
            f"{path}: {names[error.video]}: {error}, and resample chunks takes each row for one"
            f" chunk of {chunk_s:g} s; use features of such chunks, or another rule"
        ) from None


def segments(lengths: np.ndarray, inputs: Inputs) -> resample.Segments:
    """The source clips that each position of resampled videos is the mean of: (V, M) starts, stops.

    lengths: (V,) source clips. Padding starts and stops at 0, after the real positions.
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


def position_times(times: np.ndarray, count: int, inputs: Inputs) -> np.ndarray:
    """(T, 2) seconds between the first and the last frame behind each position of one video.

    times: (n, 2) seconds of its source clips. count: T, how many of its positions are real.
    """
    if inputs["resample"] == CHUNKS:
        starts = np.arange(count) * inputs["chunk_s"]
        return np.stack([starts, starts + inputs["chunk_s"]], axis=1)
    starts, stops = segments(np.array([len(times)]), inputs)
    real = stops[0] > starts[0]
    return np.stack([times[starts[0][real], 0], times[stops[0][real] - 1, 1]], axis=1)


def _write(path: Path, identity: str, parts: Iterator[Arrays]) -> None:
    """Make the file of rows and then, naming it, the index. What the index no longer names goes."""
    file = _file_of_rows(path, identity)
    log.info("%s: making it, for all cells that read these clips so", file)
    names: list[str] = []
    counts, sources, sums = [], [], []
    with atomic_path(file) as temporary, open(temporary, "wb") as stream:
        for part in parts:
            stream.write(part.rows.data)
            names += part.names
            counts.append(part.counts)
            sources.append(part.sources)
            sums += [zlib.crc32(part.rows[a:b].data) for a, b in pairwise(part.ends)]
            dim = part.rows.shape[1]
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            identity=np.array(identity),
            names=np.array(names),
            dim=np.array(dim),
            ends=np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
            sources=np.concatenate(sources),
            sums=np.array(sums, np.uint32),
        )
    for old in path.parent.glob(f"{path.stem}.*.rows"):
        if old != file:
            old.unlink(missing_ok=True)  # those who have it mapped keep it


def _map(path: Path, identity: str) -> Arrays | None:
    """The index, and the rows as a map of their file; None where one of them is missing, damaged
    or of another identity."""
    file = _file_of_rows(path, identity)
    if not (path.exists() and file.exists()):
        return None
    try:
        with np.load(path) as index:
            if str(index["identity"]) != identity:
                return None
            names = index["names"].tolist()
            shape = (int(index["ends"][-1]), int(index["dim"]))
            parts = {name: index[name] for name in ("ends", "sources", "sums")}
        if file.stat().st_size != 4 * math.prod(shape):
            raise ValueError("its rows are not as many as it says")
    except DAMAGED_ARRAYS as error:
        log.warning("%s: damaged (%s); it is made anew", path, error)
        return None
    mapped = np.memmap(file, np.float32, "r", shape=shape)
    return Arrays(names, np.asarray(mapped), path=file, **parts)


def _file_of_rows(index: Path, identity: str) -> Path:
    return index.with_name(f"{index.stem}.{identity}.rows")
