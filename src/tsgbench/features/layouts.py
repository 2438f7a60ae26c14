"""How features that others released are laid out, and the array that each holds of a video.

A layout finds arrays and judges none of them (released.py does).
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

import h5py
import numpy as np
from numpy.lib.npyio import NpzFile

from tsgbench.errors import UserError
from tsgbench.features.captions import read_captions
from tsgbench.features.failures import VIDEO_ENDINGS, name_by_video
from tsgbench.features.hdf5 import (
    HOLLOW_BYTES,
    HOLLOW_TIMES,
    DanglingError,
    ElsewhereError,
    find_member,
    is_hollow,
)
from tsgbench.files import DAMAGED_ARRAYS
from tsgbench.files.access import readable

HDF5_ENDINGS = (".h5", ".hdf5")
ABSENT = "is not in the release"
# What h5py raises for files that are damaged, or are none of its own
DAMAGED_HDF5 = (OSError, RuntimeError, ValueError, TypeError, MemoryError)
Found = TypeVar("Found")


class Unusable(Exception):
    """Why a video of a release cannot be used; it is listed, and the next one is read."""


def names_of(video: str, recipe: dict) -> Iterator[str]:
    """What a release may call a video, the likeliest first.

    key: pattern of an id, whose group is the release's name for it; name: that name with what the
    release puts before and behind, `{key}` in its place. Ids may end like files, and so may a
    release's names: TACoS's do in either.
    """
    for alias in dict.fromkeys((video, Path(video).stem, *(video + end for end in VIDEO_ENDINGS))):
        if match := re.fullmatch(recipe["key"], alias):
            yield recipe["name"].replace("{key}", match[1])


# A video's array as stored, and where that is
Reader = Callable[[str], tuple[np.ndarray, str]]


@contextmanager
def _hdf5(
    files: dict[str, Path],
    recipe: dict,
    vectors: Sequence[Path],  # noqa: ARG001 (for captions, which become rows by them)
) -> Iterator[tuple[Reader, Collection[str]]]:
    """One HDF5 file. Yields the function that reads a video's array, and the videos' names."""
    hdf5 = [path for name, path in files.items() if name.endswith(HDF5_ENDINGS)]
    if len(hdf5) != 1:
        raise UserError(
            f"feature recipe: released: layout: hdf5 needs one file, and the source has"
            f" {len(hdf5)} that end in {' or '.join(HDF5_ENDINGS)}; mend the source's `unpack`"
        )
    path, member = hdf5[0], recipe["member"]

    def read(video: str) -> tuple[np.ndarray, str]:
        for name in names_of(video, recipe):
            where = f"{path}: {name}"
            with suppress(KeyError), _explained(where), hdf5_file(path):
                item = find_member(file, name)
                break
        else:
            raise Unusable(ABSENT)
        with hdf5_file(path):
            if isinstance(item, h5py.Group):
                item = _choose(item, member, where)
            if is_hollow(item):
                raise UserError(
                    f"{where}: states a shape of {item.shape}, of which its file holds next to"
                    " nothing; get the file again"
                )
            if item.shape is None:  # HDF5 can say that there is nothing
                raise Unusable("has no row in the release")
            return item[()], where

    with open_hdf5(path) as file:
        with hdf5_file(path):
            names = _list_names(file, recipe["name"])
        yield read, names


def open_hdf5(path: Path) -> h5py.File:
    """An HDF5 file to read; `UserError` if it is none."""
    with hdf5_file(path):
        return h5py.File(path, "r")


def hdf5_file(path: Path) -> AbstractContextManager[None]:
    """What h5py says of files that are none of its own, or are damaged, in one sentence. A name
    that is not there stays a KeyError."""
    return readable(path, DAMAGED_HDF5, "not an HDF5 file, or damaged", "get it again")


def _list_names(file: h5py.File, template: str) -> list[str]:
    """What lies where the videos' arrays or groups do."""
    folder = PurePosixPath(template).parent.as_posix()
    if folder == ".":
        return list(file)
    try:
        return list(find_member(file, folder))
    except (KeyError, ElsewhereError, TypeError):
        raise UserError(
            f"{file.filename}: has no group {folder!r}, which the recipe's released: name says"
        ) from None


def _choose(group: h5py.Group, member: str | None, where: str) -> h5py.Dataset:
    """The array of a video's group that the recipe names."""
    try:
        with _explained(f"{where}/{member}"):
            item = find_member(group, member or "")
    except KeyError:
        item = group
    if not isinstance(item, h5py.Group):
        return item
    if item != group:
        raise UserError(
            f"{where}: {member} holds {sorted(item)}; name one as the recipe's released:"
            f" member, {member}/…"
        )
    lacking = f", not {member!r}" if member else ", and the recipe names none of it"
    raise UserError(
        f"{where}: holds {sorted(item)}{lacking}; name one as the recipe's released: member"
    )


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Links to nothing cost their video; what lies in another file is refused."""
    try:
        yield
    except DanglingError:
        raise Unusable("is a link to what is not in the release") from None
    except ElsewhereError as error:
        raise UserError(f"{where}: {error}; get the release whole") from None


@contextmanager
def _npy(
    files: dict[str, Path],
    recipe: dict,
    vectors: Sequence[Path],  # noqa: ARG001 (as the other layouts are called)
) -> Iterator[tuple[Reader, Collection[str]]]:
    """A NumPy file a video, anywhere in the release, named by the video."""
    paths = _files_by_video(files, ".npy")

    def read(video: str) -> tuple[np.ndarray, str]:
        path = _pick(paths, video, recipe)
        with _numpy_file(path):
            return np.load(path, allow_pickle=False), str(path)

    yield read, paths.keys()


@contextmanager
def _npz(
    files: dict[str, Path],
    recipe: dict,
    vectors: Sequence[Path],  # noqa: ARG001
) -> Iterator[tuple[Reader, Collection[str]]]:
    """One archive of arrays by video; with a `member`, an archive a video that has it."""
    paths = _files_by_video(files, ".npz")
    if member := recipe["member"]:

        def read_member(video: str) -> tuple[np.ndarray, str]:
            path = _pick(paths, video, recipe)
            with open_npz(path) as archive:
                if member not in archive.files:
                    raise UserError(
                        f"{path}: holds {sorted(archive.files)}, not {member!r}; name one as the"
                        " recipe's released: member"
                    )
                return read_array(archive, member, path), f"{path}: {member}"

        yield read_member, paths.keys()
        return
    if len(paths) != 1:
        raise UserError(
            "feature recipe: released: layout: npz needs one file, and the source has"
            f" {len(paths)}; for a file a video, name the array in each as `member`"
        )
    (path,) = paths.values()
    with open_npz(path) as archive:
        arrays = {name: name for name in archive.files}

        def read(video: str) -> tuple[np.ndarray, str]:
            name = _pick(arrays, video, recipe)
            return read_array(archive, name, path), f"{path}: {name}"

        yield read, arrays.keys()


def _files_by_video(files: dict[str, Path], ending: str) -> dict[str, Path]:
    paths = name_by_video(files, (ending,))
    if not paths:
        layout = ending.lstrip(".")
        raise UserError(
            f"feature recipe: released: layout: {layout}, but the source has no {ending} file"
        )
    return paths


def _pick(found: Mapping[str, Found], video: str, recipe: dict) -> Found:
    """What a release has of a video, by the first of its names that is there."""
    for name in names_of(video, recipe):
        if name in found:
            return found[name]
    raise Unusable(ABSENT)


def _numpy_file(path: Path) -> AbstractContextManager[None]:
    """What NumPy says of files that are none of its own, or are damaged, in one sentence."""
    return readable(path, DAMAGED_ARRAYS, "not a NumPy file of plain numbers", "get it again")


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """A NumPy archive to read; `UserError` if it is none."""
    with _numpy_file(path):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ValueError("one array, not an archive of them")
    with archive:
        yield archive


def read_array(archive: NpzFile, name: str, path: Path) -> np.ndarray:
    """An array of an archive, unless it would fill the memory with what the file hardly holds."""
    with _numpy_file(path):
        packed = archive.zip
        assert packed is not None  # while it is open
        stored = packed.getinfo(name if name in packed.namelist() else f"{name}.npy")
        size = stored.file_size
        if size > HOLLOW_BYTES and size > HOLLOW_TIMES * stored.compress_size:
            raise ValueError(f"{name} unpacks from {stored.compress_size:,} bytes to {size:,}")
        return archive[name]


@contextmanager
def _captions(
    files: dict[str, Path], recipe: dict, vectors: Sequence[Path]
) -> Iterator[tuple[Reader, Collection[str]]]:
    with read_captions(files, recipe, vectors) as (find, names):

        def read(video: str) -> tuple[np.ndarray, str]:
            rows = find(video)
            if rows is None:
                raise Unusable(ABSENT)
            return rows, video

        yield read, names


# How a release is laid out: (its files, the recipe, files of word vectors) -> reader of a video
LAYOUTS = {"hdf5": _hdf5, "npy": _npy, "npz": _npz, "captions": _captions}
