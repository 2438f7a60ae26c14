"""What somebody else's feature files are: layout, names, widths, and what is wrong with them.

Arrays are found by name here, and read by the layouts that the pipeline reads releases with.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.failures import name_by_video
from tsgbench.features.hdf5 import ElsewhereError, find_member
from tsgbench.features.layouts import (
    HDF5_ENDINGS,
    LAYOUTS,
    Unusable,
    hdf5_file,
    names_of,
    open_hdf5,
    open_npz,
)
from tsgbench.features.released import DEFAULTS, as_rows
from tsgbench.features.store import SCHEMA
from tsgbench.files import packing

DEEPEST = 6  # groups within groups
MOST_NAMES = 2_000_000
SAMPLE = 1000  # names that a way of naming is guessed from
# What the public extractors of the field give: a width, where the shapes alone do not tell
WIDTHS = {500, 512, 768, 1024, 1280, 2048, 2304, 2816, 4096}
PICKLES = (".pt", ".pth", ".pkl", ".pickle")
ZIP = b"PK"  # what NumPy's archives are, too
UNPACK = "unpack it, and name what comes of it"


@dataclass(frozen=True)
class Inventory:
    """Where a release has arrays. paths: each by its parts, such as `("v_abc", "c3d_features")`.
    files: as a reader of this layout takes them. others: what is no array of numbers."""

    layout: str
    files: dict[str, Path]
    paths: Sequence[tuple[str, ...]]
    others: int = 0
    ending: str = ""


@dataclass(frozen=True)
class Naming:
    """What a release calls the videos of a data set. found: id -> its name there. key, name: as a
    recipe has them. member: the array within a video's group; members: arrays of that place, by
    how many videos have them."""

    found: dict[str, str]
    key: str = DEFAULTS["key"]
    name: str = DEFAULTS["name"]
    member: str | None = None
    members: dict[str, int] = field(default_factory=dict)
    names: int = 0

    def as_recipe(self, layout: str) -> dict:
        """What of it a recipe must say."""
        stated = {"member": self.member, "key": self.key, "name": self.name}
        return {"layout": layout} | {
            key: value for key, value in stated.items() if value != DEFAULTS[key]
        }


@dataclass(frozen=True)
class Seen:
    """An array: its shape without axes of length 1, and by axis, which lines are all zero or not
    finite: (inside, at the end) and how many."""

    shape: tuple[int, int]
    stored: tuple[int, ...]
    dtype: str
    zero: tuple[tuple[int, int], tuple[int, int]]
    broken: tuple[int, int]


# --- what is there


def take_inventory(path: Path) -> Inventory:
    """The arrays of a file or folder, by name; `UserError` that says what else it is."""
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; name features that are here")
    refuse(path)
    if path.suffix == ".npz":
        return _of_archive({path.name: path})
    if path.suffix == ".npy":
        raise UserError(
            f"{path}: one NumPy array, which says of no row which video it is of; name the folder"
            " of a file per video"
        )
    return _of_hdf5(path)


def refuse(path: Path) -> None:
    """`UserError` for what no reader takes, by its name or its first bytes."""
    if path.suffix.lower() in PICKLES:
        raise UserError(
            f"{path}: a pickle of Python objects (as PyTorch saves them), which can run code when"
            " it is read, so it is not; save its arrays as .npy or HDF5 where you trust it"
        )
    with open(path, "rb") as stream:
        head = stream.read(8)
    said = packing(head)
    if said and not (path.suffix == ".npz" and head.startswith(ZIP)):
        raise UserError(f"{path}: {said}; {UNPACK}")
    if not head:
        raise UserError(f"{path}: empty; get it again")


def _of_folder(folder: Path) -> Inventory:
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    kinds = Counter(path.suffix.lower() for path in files.values())
    if kinds[".npy"]:
        return _of_arrays(files, sum(kinds.values()) - kinds[".npy"])
    if kinds[".npz"]:
        return _of_archive(files)
    hdf5 = [path for path in files.values() if path.name.endswith(HDF5_ENDINGS)]
    if len(hdf5) == 1:
        return take_inventory(hdf5[0])
    if hdf5:
        raise UserError(
            f"{folder}: {len(hdf5)} HDF5 files, and a release is one; name one of them, or join"
            " them into one file, a group per video"
        )
    for path in files.values():
        refuse(path)
    held = ", ".join(f"{count} {kind or 'without ending'}" for kind, count in kinds.most_common(4))
    raise UserError(
        f"{folder}: holds no features that can be read, as HDF5, .npy or .npz ({held or 'no file'})"
    )


def _of_arrays(files: dict[str, Path], others: int) -> Inventory:
    arrays = name_by_video(files, (".npy",))
    paths = [(name,) for name in arrays]
    return Inventory("npy", files, paths, others, ending=".npy")


def _of_archive(files: dict[str, Path]) -> Inventory:
    """One archive of many videos, or archives that hold a video each."""
    archives = name_by_video(files, (".npz",))
    if len(archives) == 1:
        (path,) = archives.values()
        with open_npz(path) as archive:
            return Inventory("npz", {path.name: path}, [(name,) for name in archive.files])
    paths = []
    for name, path in archives.items():
        with open_npz(path) as archive:
            paths += [(name, member) for member in archive.files]
    return Inventory("npz", files, paths, len(files) - len(archives), ending=".npz")


def _of_hdf5(path: Path) -> Inventory:
    if not path.name.endswith(HDF5_ENDINGS) and not h5py.is_hdf5(path):
        raise UserError(
            f"{path}: no features that can be read: neither HDF5 nor NumPy's, by its first bytes"
        )
    with open_hdf5(path) as file:
        with hdf5_file(path):
            schema = file.attrs.get("schema", b"")
        if schema in (SCHEMA, SCHEMA.encode()):
            raise UserError(
                f"{path}: a feature file of tsgbench's own; `tsgbench features FILE` says what it"
                " holds, and no recipe is needed"
            )
        paths, others = [], 0
        with hdf5_file(path):
            for parts, is_array in _walk(path, file, ()):
                paths += [parts] if is_array else []
                others += not is_array
    return Inventory("hdf5", {f"{path.stem}.h5": path}, paths, others)


def _walk(
    path: Path, group: h5py.Group, above: tuple[str, ...], seen: list[int] | None = None
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every data set below a group by the parts of its name, and whether it is an array of
    floating-point numbers."""
    seen = [0] if seen is None else seen
    for name in group:
        seen[0] += 1
        if seen[0] > MOST_NAMES:
            raise UserError(f"{path}: holds more than {MOST_NAMES:,} names; no release is so large")
        try:
            item = find_member(group, name)
        except KeyError:  # a link to nothing, or no array
            continue
        except ElsewhereError as error:
            raise UserError(
                f"{path}: {'/'.join((*above, name))}: {error}; get the release whole"
            ) from None
        if not isinstance(item, h5py.Group):
            yield (*above, name), np.issubdtype(item.dtype, np.floating) and item.ndim > 0
        elif len(above) < DEEPEST:
            yield from _walk(path, item, (*above, name), seen)


# --- what the videos are called


def match_names(inventory: Inventory, ids: Collection[str]) -> Naming:
    """The way of naming by which a release has the most of a data set's videos; of equals, the
    plainest."""
    best = Naming({})
    for depth in range(max(map(len, inventory.paths), default=0)):
        folders: dict[tuple[str, ...], dict[str, list[str]]] = {}
        for parts in inventory.paths:
            if len(parts) > depth:
                videos = folders.setdefault(parts[:depth], {})
                videos.setdefault(parts[depth], []).append("/".join(parts[depth + 1 :]))
        for above, videos in sorted(folders.items(), key=lambda pair: -len(pair[1]))[:3]:
            if len(videos) <= len(best.found):
                break
            naming = _match(above, videos, ids)
            if len(naming.found) > len(best.found):
                best = naming
    return best


def _match(above: tuple[str, ...], videos: dict[str, list[str]], ids: Collection[str]) -> Naming:
    """videos: what stands at one place of a release -> the arrays below."""
    folder_of: dict[str, str] = {}
    best: dict[str, str] = {}
    for recipe in _guesses(videos, ids):
        names = ((video, names_of(video, recipe)) for video in ids)
        here = (
            (video, next((one for one in asked if one in videos), None)) for video, asked in names
        )
        tried = {video: name for video, name in here if name is not None}
        if len(tried) > len(folder_of):
            folder_of, best = tried, recipe
    if not folder_of:
        return Naming({})
    members = Counter(member for name in folder_of.values() for member in videos[name])
    chosen = min(members, key=lambda member: (-members[member], member))
    folder = "".join(f"{part}/" for part in above)
    return Naming(
        found={video: folder + name for video, name in folder_of.items()},
        key=best["key"],
        name=folder + best["name"],
        member=chosen or None,
        members={member: count for member, count in members.items() if member},
        names=len(videos),
    )


def _guesses(names: Collection[str], ids: Collection[str]) -> Iterator[dict[str, str]]:
    """Ways of naming, as recipes have them, the plainest first: the ids themselves, then what the
    names put before and behind them, then the same of ids without the beginning that all share.
    What no name looked at holds is no guess."""
    looked_at = _sample(sorted(names))
    for key in _keys(ids):
        matches = (re.fullmatch(key, video) for video in ids)
        cores = {match[1] for match in matches if match}
        cores |= {core.rpartition(".")[0] for core in cores}
        counted = Counter(
            f"{name[:start]}{{key}}{name[stop:]}"
            for name in looked_at
            for start in range(len(name))
            for stop in range(start + 1, len(name) + 1)
            if name[start:stop] in cores
        )
        if counted:
            yield {"key": key, "name": DEFAULTS["name"]}
        yield from ({"key": key, "name": template} for template, _ in counted.most_common(3))


def _keys(ids: Collection[str]) -> list[str]:
    """Patterns of ids: whole, and without a beginning such as `v_` that all of them share."""
    first, last = min(ids), max(ids)
    length = next(
        (n for n, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), 0
    )
    shared = re.match(r".*[^A-Za-z0-9]", first[:length])
    return [DEFAULTS["key"]] + ([f"{re.escape(shared[0])}(.+)"] if shared else [])


def _sample(names: list[str]) -> list[str]:
    return names[:: max(1, len(names) // SAMPLE)]


# --- what the arrays are like


def look(
    inventory: Inventory,
    recipe: dict,
    videos: Iterable[str],
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> dict[str, Seen]:
    """The array of each of the videos, read by the recipe; those that hold none are left out."""
    seen = {}
    with LAYOUTS[inventory.layout](inventory.files, DEFAULTS | recipe, ()) as (read, _):
        for video in progress(videos):
            try:
                array, where = read(video)
            except Unusable:
                continue
            except MemoryError:
                raise UserError(
                    f"{video}: its array does not fit into memory; no video's features are so large"
                ) from None
            seen[video] = _see(array, as_rows(array, where))
    return seen


def _see(stored: np.ndarray, array: np.ndarray) -> Seen:
    used, finite = array != 0, np.isfinite(array)
    return Seen(
        shape=(array.shape[0], array.shape[1]),
        stored=stored.shape,
        dtype=str(stored.dtype),
        zero=(_count_zeros(used.any(axis=1)), _count_zeros(used.any(axis=0))),
        broken=(int((~finite.all(axis=1)).sum()), int((~finite.all(axis=0)).sum())),
    )


def _count_zeros(is_used: np.ndarray) -> tuple[int, int]:
    """Lines of zeros before the last that is not, and behind it."""
    used = np.flatnonzero(is_used)
    behind = len(is_used) - (int(used[-1]) + 1 if len(used) else 0)
    return int(len(is_used) - len(used) - behind), int(behind)


def is_transposed(seen: Collection[Seen]) -> tuple[bool, str]:
    """Whether the arrays are (width, rows), and how that is known."""
    sizes = [{one.shape[axis] for one in seen} for axis in (0, 1)]
    if len(sizes[0]) > 1 == len(sizes[1]):
        return False, "the number of rows differs from video to video, the width does not"
    if len(sizes[1]) > 1 == len(sizes[0]):
        return True, "the second number differs from video to video, the first does not"
    if len(sizes[0]) > 1:
        raise UserError(_two_widths(seen))
    (rows,), (width,) = sizes
    if (rows in WIDTHS) != (width in WIDTHS):
        return rows in WIDTHS, f"{rows if rows in WIDTHS else width} is a width that networks have"
    return False, "not to be told from the shapes, which are all alike"


def _two_widths(seen: Collection[Seen]) -> str:
    shapes = Counter(one.shape for one in seen).most_common(3)
    said = ", ".join(f"{count} of {shape}" for shape, count in shapes)
    return (
        f"arrays of neither one width nor one number of rows ({said}); take features of one kind,"
        " or name another member"
    )


def fit_rate(rows: dict[str, int], durations: dict[str, float]) -> dict[str, Any]:
    """Seconds between rows that the annotated durations imply: `step_s` of the median video, from
    and to which nine in ten videos lie, and `fixed_rows`, where all have as many."""
    videos = [video for video, count in rows.items() if count]
    steps = np.array([durations[video] / rows[video] for video in videos])
    low, middle, high = np.quantile(steps, [0.05, 0.5, 0.95]).tolist()
    counts = {rows[video] for video in videos}
    fixed = counts.pop() if len(counts) == 1 and len(videos) > 1 else None
    return {"step_s": middle, "from_s": low, "to_s": high, "fixed_rows": fixed}
