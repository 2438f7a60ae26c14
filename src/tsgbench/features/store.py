"""Clip features of many videos in one HDF5 file, with their times and their origin.

Layout (`SCHEMA`):
    /videos/{video_id}/clips    (n, dim) float32 or float16, checksummed
    /videos/{video_id}/times_s  (n, 2) float64, start and end of each clip in seconds, checksummed
    /arrays/{name}              what is needed to make such features again (a PCA, say), checksummed
    root attributes             schema, dim, and at least `REQUIRED`: who made the file, from what
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.hdf5 import is_hollow, writable
from tsgbench.features.journal import JOURNAL, journal_of, pack, scan
from tsgbench.files import atomic_path, is_utf8
from tsgbench.files.access import named, try_lock, why

log = logging.getLogger(__name__)

SCHEMA = "tsgbench-features-1"
REQUIRED = ("identity", "recipe", "extractor", "weights", "clip_len", "stride", "versions")
CHUNK_BYTES = 1 << 20
FORMAT = ("v110", "v110")  # of HDF5
AS_JSON = ("recipe", "versions")  # attributes that HDF5 keeps as JSON text


# What makes feature files
STEP = "snakemake --cores 8 phase_features, or tsgbench extract for one's own videos"


def check_name(video_id: str, where: str) -> None:
    """`UserError` if a feature file cannot hold a video of this name."""
    if "/" in video_id or video_id in ("", ".", "..") or "\0" in video_id:
        raise UserError(f"{where}: cannot be a name in an HDF5 file; rename the video")
    if not is_utf8(video_id):
        raise UserError(f"{where}: its name is not UTF-8, as a feature file's are; rename it")


class FeatureWriter:
    """Writes a feature file video by video, and survives being killed at any moment.

    Videos go to a journal, `{path}.partial`: checksummed records, only ever appended, so that
    kill -9 costs the video in hand and no more (an HDF5 file open for writing can be lost whole).
    The end of the `with` block turns the journal into the HDF5 file, which appears complete or not
    at all; after an error the journal stays. A journal of other attributes is thrown away with a
    warning. `done` holds the videos written so far, by this run and by killed ones. A long video
    may come in parts, one video after another: parts of one that was never ended do not count.

    attrs: JSON-like, at least `REQUIRED`. dtype: "float32" or "float16", on disk. arrays: stored
    beside the videos, under /arrays. journal: where to leave the journal of a shard, which makes no
    feature file: another writer takes it over.
    """

    def __init__(
        self,
        path: str | Path,
        attrs: dict,
        *,
        dtype: str = "float32",
        arrays: dict[str, np.ndarray] | None = None,
        journal: Path | None = None,
    ) -> None:
        missing = [name for name in REQUIRED if name not in attrs]
        if missing:
            raise ValueError(f"feature attributes lack {', '.join(missing)}")
        if dtype not in ("float32", "float16"):
            raise UserError(f"{path}: dtype: {dtype!r} is wrong; give float32 or float16")
        self.path = Path(path)
        self.is_shard = journal is not None
        self.partial = journal or journal_of(self.path)
        self.attrs = json.loads(json.dumps(attrs))
        self.dtype = dtype
        self.arrays = arrays or {}
        self.done: set[str] = set()
        self.dim: int | None = None  # numbers per clip, once there is a video
        self._open: str | None = None  # the video whose parts are being written
        self._ends_s: dict[str, float] = {}

    @property
    def ends_s(self) -> dict[str, float]:
        """When the last row of each video in `done` ends, in seconds."""
        return {video: self._ends_s[video] for video in self.done}

    def __enter__(self) -> "FeatureWriter":
        with named(self.partial):
            self.partial.parent.mkdir(parents=True, exist_ok=True)
            self._journal = open(self.partial, "a+b")
        if not try_lock(self._journal, self.partial):
            self._journal.close()
            raise UserError(f"{self.partial}: another process is writing it; wait for it")
        self._resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and not self.is_shard:
                self._finish()
                self.partial.unlink()
        finally:
            self._journal.close()

    def write(self, video_id: str, clips: np.ndarray, times: np.ndarray) -> None:
        """Add one video. clips: (n, dim). times: (n, 2) seconds. NaN and infinity are refused."""
        self.append(video_id, clips, times)
        self.end(video_id)

    def append(self, video_id: str, clips: np.ndarray, times: np.ndarray) -> None:
        """Add the next clips of a video, which `end` finishes and `discard` takes back."""
        where = f"{self.path}: video {video_id!r}"
        if self._open not in (None, video_id):
            raise ValueError(f"{where}: comes before the end of {self._open!r}")
        check_name(video_id, where)
        if video_id in self.done:
            raise ValueError(f"{where}: written twice")
        if clips.ndim != 2 or not len(clips) or times.shape != (len(clips), 2):
            raise ValueError(f"{where}: clips {clips.shape} and times {times.shape} do not fit")
        if self.dim not in (None, clips.shape[1]):
            raise ValueError(f"{where}: has {clips.shape[1]} numbers per clip, others {self.dim}")
        with np.errstate(over="ignore"):  # float16 overflows to infinity, refused next
            stored = np.ascontiguousarray(clips, dtype=self.dtype)
        if not np.isfinite(stored).all():
            raise UserError(
                f"{where}: extractor {self.attrs['extractor']} gave NaN or infinite features (as "
                f"{self.dtype}); check its checkpoint and normalisation, or store float32"
            )
        if self.dtype == "float16" and (clips.any(axis=1) & ~stored.any(axis=1)).any():
            raise UserError(
                f"{where}: numbers of extractor {self.attrs['extractor']} are too small for"
                f" {self.dtype}, in which a row would be all zeros; store float32"
            )
        head = {"video": video_id, "shape": clips.shape}
        self._append(head, stored.tobytes() + times.astype(np.float64).tobytes())
        self.dim, self._open = clips.shape[1], video_id
        self._note_end(video_id, times)

    def end(self, video_id: str) -> None:
        """The video has all its clips; from now on it survives whatever happens."""
        if self._open != video_id:
            raise ValueError(f"{self.path}: video {video_id!r}: ends without a clip")
        self._append({"end": video_id}, b"")
        self.done.add(video_id)
        self._open, self._safe = None, self._journal.tell()

    def discard(self, video_id: str) -> None:
        """Take back the parts of a video that turned out to be broken, if there are any."""
        if self._open == video_id:
            self._journal.truncate(self._safe)
            self._journal.seek(0, os.SEEK_END)
            self._open = None
            del self._ends_s[video_id]

    def take(self, journal: Path) -> None:
        """Add the finished videos of a shard's journal; of one made with other settings, none."""
        with named(journal), open(journal, "rb") as stream:
            records = scan(stream)
            if next(records, (None,))[0] != self._title:
                log.warning("%s: made with other settings; its videos are extracted anew", journal)
                return
            parts: list[tuple[dict, bytes]] = []
            for head, body, _ in records:
                parts.append((head, body))
                if "end" in head:
                    self._take_video(head["end"], parts)
                    parts = []

    def ended_in(self, journal: Path) -> set[str]:
        """The finished videos of a journal that `take` would add; of one that is missing, none."""
        if not journal.is_file():
            return set()
        with named(journal), open(journal, "rb") as stream:
            records = scan(stream)
            if next(records, (None,))[0] != self._title:
                return set()
            return {head["end"] for head, _, _ in records if "end" in head}

    def _take_video(self, video_id: str, parts: list[tuple[dict, bytes]]) -> None:
        if video_id in self.done:
            return
        for head, body in parts:
            self._append(head, body)
            if "shape" in head:
                self.dim = head["shape"][1]
                self._note_end(video_id, self._unpack(body, *head["shape"])[1])
        self.done.add(video_id)
        self._safe = self._journal.tell()

    @property
    def _title(self) -> dict:
        """The first record of a journal: what must be equal for another one to go on."""
        return {"schema": SCHEMA, "attrs": self.attrs, "dtype": self.dtype, "journal": JOURNAL}

    def _note_end(self, video_id: str, times: np.ndarray) -> None:
        self._ends_s[video_id] = max(float(times[:, 1].max()), self._ends_s.get(video_id, 0.0))

    def _resume(self) -> None:
        """Take over the videos of a killed run, and cut off what it was writing when it died."""
        title = self._title
        self._safe, dim = 0, None
        for head, body, record_end in scan(self._journal):
            if self._safe == 0 and head != title:
                log.warning("%s: made with other settings; starting over", self.partial)
                break
            if "shape" in head:
                dim = head["shape"][1]
                self._note_end(head["video"], self._unpack(body, *head["shape"])[1])
                continue
            if "end" in head:
                self.done.add(head["end"])
                self.dim = dim
            self._safe = record_end
        self._journal.truncate(self._safe)
        self._journal.seek(0, os.SEEK_END)
        if self._safe == 0:
            self._append(title, b"")
            self._safe = self._journal.tell()

    def _append(self, head: dict, body: bytes) -> None:
        try:
            self._journal.write(pack(head, body))
            self._journal.flush()
        except OSError as error:
            raise UserError(
                f"{why(self.partial, error) or error}: finished videos are kept"
            ) from error

    def _finish(self) -> None:
        if not self.done:
            raise UserError(f"{self.path}: no video to store; check the list of videos")
        if self._open:
            raise ValueError(f"{self.path}: video {self._open!r} was never ended")
        counts = self._count_clips()
        with (
            atomic_path(self.path) as temporary,
            writable(temporary) as stream,
            # A format of HDF5 whose headers, names and attributes have checksums, too
            h5py.File(stream, "w", libver=FORMAT, rdcc_nbytes=8 * CHUNK_BYTES) as file,
        ):
            for name, value in {"schema": SCHEMA, "dim": self.dim, **self.attrs}.items():
                text = json.dumps(value) if name in AS_JSON else value
                # Of a fixed length, a text is in the header; of any other, it has no checksum
                file.attrs[name] = np.bytes_(text.encode()) if isinstance(text, str) else text
            for name, array in self.arrays.items():
                _store_array(file.require_group("arrays"), name, np.asarray(array))
            file.create_group("videos")
            video, sets, filled = None, None, 0
            for head, body, _ in scan(self._journal):
                if "shape" not in head:
                    continue
                if head["video"] != video:
                    video, filled = head["video"], 0
                    sets = self._create(file, video, counts[video])
                filled = self._fill(sets, body, filled, head["shape"][0])  # type: ignore[arg-type]

    def _count_clips(self) -> dict[str, int]:
        """Clips of each video in the journal, which may stand there in parts."""
        counts: dict[str, int] = {}
        for head, _, _ in scan(self._journal):
            if "shape" in head:
                counts[head["video"]] = counts.get(head["video"], 0) + head["shape"][0]
        return counts

    # That `dim` is known once there is a video, no type says
    def _create(self, file: h5py.File, video: str, total: int) -> dict[str, h5py.Dataset]:
        """Room for a video's `total` clips and their times."""
        sets, group = {}, file["videos"].create_group(video)
        for name, dtype, columns in (("clips", self.dtype, self.dim), ("times_s", np.float64, 2)):
            # a checksum needs chunks; about a megabyte each
            rows = max(1, min(total, CHUNK_BYTES // (np.dtype(dtype).itemsize * columns)))  # type: ignore[operator]
            sets[name] = group.create_dataset(
                name,
                shape=(total, columns),
                dtype=dtype,
                chunks=(rows, columns),
                fletcher32=True,
            )
        return sets

    def _fill(self, sets: dict[str, h5py.Dataset], body: bytes, start: int, n: int) -> int:
        """One record's `n` clips into their place; returns where the next ones go."""
        clips, times = self._unpack(body, n, self.dim)  # type: ignore[arg-type]
        sets["clips"][start : start + n] = clips
        sets["times_s"][start : start + n] = times
        return start + n

    def _unpack(self, body: bytes, n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
        """Clips (n, dim) and times (n, 2) of one record of the journal."""
        clips = np.frombuffer(body, dtype=self.dtype, count=n * dim).reshape(n, dim)
        return clips, np.frombuffer(body, dtype=np.float64, offset=clips.nbytes).reshape(n, 2)


class FeatureStore:
    """Reads a feature file. Use as a context manager, or call `close`.

    attrs: the root attributes (recipe and versions as dicts). dim: numbers per clip. video_ids: in
    the file's order. A missing, damaged or foreign file is a `UserError`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(
                f"{path}: is a folder, and not a feature file of tsgbench"
                if self.path.is_dir()
                else f"{path}: no such feature file; run the features step first ({STEP})"
            )
        self._is_ours = False  # until its schema says so
        with self._explained():
            self._file = h5py.File(self.path, "r")
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        with self._explained():
            schema = _plain(self._file.attrs.get("schema"))
            if schema != SCHEMA:
                is_old = isinstance(schema, str) and schema.startswith(SCHEMA.rstrip("0123456789"))
                raise UserError(
                    f"{self.path}: a feature file of another version ({schema}, not {SCHEMA}); run"
                    f" the features step again ({STEP})"
                    if is_old
                    else f"{self.path}: not a feature file of tsgbench, though an HDF5 file"
                )
            self._is_ours = True
            self.attrs = {name: _plain(value) for name, value in self._file.attrs.items()}
            for name in AS_JSON:
                self.attrs[name] = json.loads(self.attrs[name])
            missing = [name for name in (*REQUIRED, "dim") if name not in self.attrs]
            if missing:
                raise KeyError(f"no {', '.join(missing)}")
            self.dim = int(self.attrs["dim"])
            self._videos = self._own(self._file, "videos")
            self.video_ids = list(self._videos)
            self._known = frozenset(self.video_ids)  # asking HDF5 would open what a link leads to

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read any more."""
        self._file.close()

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._known

    def read(self, video_id: str) -> tuple[np.ndarray, np.ndarray]:
        """One video: clips (n, dim) float32 and times (n, 2) float64 seconds."""
        clips, _, times = self.read_all([video_id])
        return clips, times

    def read_all(self, video_ids: Iterable[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Many videos, packed one after another in the given order.

        Returns clips (N, dim) float32, offsets (videos + 1,) int64 and times (N, 2) float64: video
        i has rows `offsets[i]:offsets[i + 1]`.
        """
        with self._explained():
            groups = [self._group(video_id) for video_id in video_ids]
            stored = [(self._own(one, "clips"), self._own(one, "times_s")) for one in groups]
            counts = [self._count(group, *pair) for group, pair in zip(groups, stored, strict=True)]
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            clips = np.empty((offsets[-1], self.dim), dtype=np.float32)
            times = np.empty((offsets[-1], 2), dtype=np.float64)
            for row, (clip_set, time_set) in enumerate(stored):
                rows = np.s_[offsets[row] : offsets[row + 1]]
                _read_into(clips[rows], clip_set)
                _read_into(times[rows], time_set)
        return clips, offsets, times

    def arrays(self) -> dict[str, np.ndarray]:
        """What the file holds beside the videos (/arrays)."""
        with self._explained():
            if "arrays" not in list(self._file):
                return {}
            group = self._own(self._file, "arrays")
            return {name: self._own(group, name)[()] for name in group}

    def _group(self, video_id: str) -> h5py.Group:
        if video_id not in self._known:
            raise UserError(
                f"{self.path}: video {video_id!r} is not in it; extract its features, or check that"
                " annotations and features are of the same data set"
            )
        return self._own(self._videos, video_id)

    def _own(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """A member, which in a feature file is no link, and has its numbers in the file itself."""
        if group.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD:
            item = group[name]
            if isinstance(item, h5py.Group):
                return item
            if not (item.is_virtual or item.external or is_hollow(item)):
                return item
        raise UserError(
            f"{self.path}: {name} is a link, or its numbers are not in the file; get or make the"
            " file whole"
        )

    def _count(self, group: h5py.Group, clips: h5py.Dataset, times: h5py.Dataset) -> int:
        if clips.shape[1:] != (self.dim,) or times.shape != (len(clips), 2) or not len(clips):
            raise ValueError(f"{group.name}: clips {clips.shape}, times {times.shape}")
        return len(clips)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """HDF5's many ways to say that a file cannot be got at, is damaged or is none, as one
        sentence. Only what is ours and fails its checksums is worth deleting."""
        try:
            yield
        except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            if isinstance(error, OSError) and (fault := why(self.path, error)):
                raise fault from error
            if self._is_ours and isinstance(error, OSError):
                said = f"damaged ({error}); delete it and run the features step again ({STEP})"
            elif self._is_ours:
                said = (
                    f"not as a feature file is written ({error}); run the features step again"
                    f" ({STEP})"
                )
            elif _is_hdf5(self.path):
                said = f"an HDF5 file that is damaged or cut off ({error}); get or make it again"
            else:
                said = "not a feature file of tsgbench, which are HDF5"
            raise UserError(f"{self.path}: {said}") from error


def _plain(value: Any) -> Any:
    """An attribute as Python has it."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def _store_array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """An array with a checksum: of its chunks, or as part of its header, where a number stands."""
    if array.ndim:
        chunks = tuple(max(1, size) for size in array.shape)
        group.create_dataset(name, data=array, chunks=chunks, fletcher32=True)
        return
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.COMPACT)
    layout.set_obj_track_times(False)  # equal features are equal files
    kind, space = h5py.h5t.py_create(array.dtype, logical=True), h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5d.create(group.id, name.encode(), kind, space, layout).write(space, space, array)


def _is_hdf5(path: Path) -> bool:
    """By its first bytes, which `h5py.is_hdf5` looks for in a file that it can open."""
    with open(path, "rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _read_into(rows: np.ndarray, stored: h5py.Dataset) -> None:
    """All of a data set into contiguous `rows`. NumPy widens float16 twice as fast as HDF5, and
    a whole data set needs no selection, which would cost as much as reading a short video."""
    same = rows if stored.dtype == rows.dtype else np.empty(rows.shape, stored.dtype)
    stored.id.read(h5py.h5s.ALL, h5py.h5s.ALL, same)
    if same is not rows:
        rows[:] = same
