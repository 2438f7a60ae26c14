"""Features that others released, brought into a feature file as they are, with a time axis.

The numbers are not touched. What a release does not say is which seconds a row stands for: the
recipe states it (`times`), and the file says that it came from the recipe.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tsgbench
from tsgbench.errors import UserError
from tsgbench.features.durations import check_durations, compare_durations
from tsgbench.features.failures import check_failures
from tsgbench.features.layouts import ABSENT, LAYOUTS, Reader, Unusable
from tsgbench.features.store import FeatureWriter

DEFAULTS: dict[str, Any] = {
    "member": None,
    "key": "(.+)",
    "name": "{key}",
    "transposed": False,
    "drop_zero_rows": False,
    "dtype": "float32",
    "max_failed_share": 0.0,
}
ALL_OF_IT = "equal"  # as `times`


def convert(
    files: dict[str, Path],
    durations: dict[str, float],
    out: Path,
    *,
    recipe: dict,
    identity: str,
    vectors: Sequence[Path] = (),
    are_exact: bool = True,
) -> dict:
    """Features of the videos of `durations` (id to seconds), from released `files`, in `out`.

    files: every file of the release, by name. recipe: the `released` section of an entry of
    config/features.yaml: layout (`hdf5`: one file, an array a video by its id, or in a group of
    that name the array `member`; `npy`: a file a video; `npz`: one file, an array a video, or a
    file a video with the array `member`; `captions`: a file of texts a video, which become rows
    with the help of `vectors`, files of word vectors), key and name (what the release calls a
    video, see `names_of`), transposed (arrays are (dim, rows)), times (see `row_times`),
    drop_zero_rows (rows of zeros at the end stand for time beyond the video), dtype,
    max_failed_share. are_exact: whether the durations are the videos' own, with which rows of
    stated length are compared.
    Returns facts: videos, rows, dim, dropped_zero_rows, unused (videos of the release that nobody
    asked for), durations (what the comparison gave, see durations.py; None: nothing to compare) and
    failed, a list of {video, reason}: lacking, of no row, or of too many for the duration.
    More of those than max_failed_share, and any NaN or infinity, are a `UserError`.
    """
    recipe = DEFAULTS | recipe
    if recipe["layout"] not in LAYOUTS:
        raise UserError(
            f"feature recipe: released: layout: {recipe['layout']!r} is unknown; one of"
            f" {', '.join(LAYOUTS)}"
        )
    with (
        LAYOUTS[recipe["layout"]](files, recipe, vectors) as (read, names),
        FeatureWriter(out, _attrs(identity, recipe), dtype=recipe["dtype"]) as writer,
    ):
        rows, zeros, failed = _write_all(read, durations, writer, recipe, _Widths(out))
        allowed = recipe["max_failed_share"]
        check_failures(out, failed, len(durations), allowed, _hint(failed, names))
        compared = None
        if are_exact and recipe["times"] != ALL_OF_IT:
            differ = compare_durations(writer.ends_s, durations)
            compared = check_durations(out, differ, len(writer.done), allowed)
    return {
        "videos": len(writer.done),
        "rows": rows,
        "dim": writer.dim,
        "dropped_zero_rows": zeros,
        "unused": len(names) - len(writer.done),
        "durations": compared,
        "failed": failed,
    }


def _attrs(identity: str, recipe: dict) -> dict:
    """What the feature file says of itself."""
    return {
        "identity": identity,
        "recipe": {"released": recipe},
        "extractor": "released",
        "weights": "as released",
        "clip_len": 0,  # unknown: the times are the recipe's
        "stride": 0,
        "versions": {"tsgbench": tsgbench.__version__, "numpy": np.__version__},
    }


def _write_all(
    read: Reader,
    durations: dict[str, float],
    writer: FeatureWriter,
    recipe: dict,
    widths: "_Widths",
) -> tuple[int, int, list[dict]]:
    """Write the rows of every video that is not there yet: rows written, rows of zeros dropped,
    and {video, reason} of those that cannot be used."""
    rows, zeros, failed = 0, 0, []
    for video, duration_s in sorted(durations.items()):
        if video in writer.done:
            continue
        try:
            array = checked(*read(video), transposed=recipe["transposed"])
            array, dropped = _without_zeros(array, recipe["drop_zero_rows"])
            widths.check(video, array.shape, writer.dim)
            times = row_times(len(array), duration_s, recipe["times"])
        except Unusable as error:
            failed.append({"video": video, "reason": str(error)})
            continue
        writer.write(video, array, times)
        rows, zeros = rows + len(array), zeros + dropped
    return rows, zeros, failed


def row_times(rows: int, duration_s: float, times: Any) -> np.ndarray:
    """(rows, 2) seconds that each row stands for.

    times: `equal` (the rows divide the video into equal parts, as the code that reads these
    releases takes them to), {chunk_s: c} (row k stands for [k c, (k + 1) c), the last one ends with
    the video) or {fps, clip_len, stride} (windows of frames).
    """
    if times == ALL_OF_IT:
        edges = np.linspace(0, duration_s, rows + 1)
        return np.stack([edges[:-1], edges[1:]], axis=1)
    if set(times) == {"chunk_s"}:
        step = length = times["chunk_s"]
    elif set(times) == {"fps", "clip_len", "stride"}:
        step, length = times["stride"] / times["fps"], times["clip_len"] / times["fps"]
    else:
        raise UserError(
            f"feature recipe: released: times: {times!r} is wrong; give equal, {{chunk_s}} or"
            " {fps, clip_len, stride}"
        )
    starts = np.arange(rows) * step
    # A window's length of grace: annotated durations are rounded
    if starts[-1] >= duration_s + length:
        raise Unusable(
            f"its {rows} rows, at the stated {step:.3g} s each, last {starts[-1] + length:.1f} s,"
            f" and the video {duration_s:.1f} s: other features, or another rate, than stated"
        )
    ends = np.minimum(starts + length, np.maximum(duration_s, starts + step))
    return np.stack([starts, ends], axis=1)


def _hint(failed: list[dict], names: Collection[str]) -> str:
    """One name asked for and one that is there, if any: a prefix or a suffix is seen at once."""
    lacking = [row["video"] for row in failed if row["reason"] == ABSENT]
    if not lacking or not names:
        return ""
    asked = lacking[0]
    there = next((name for name in names if asked in name or name in asked), next(iter(names)))
    return f" (asked for {asked!r}; there is {there!r})"


class _Widths:
    """Sees that all rows of a release have one width, by the first video's."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.first: tuple[str, tuple[int, ...]] | None = None

    def check(self, video: str, shape: tuple[int, ...], width: int | None) -> None:
        """width: that of the file so far, which may be a killed run's."""
        if width in (None, shape[1]):
            self.first = self.first or (video, shape)
            return
        name, other = self.first or ("others", ("n", width))
        shapes = f"{name} has shape ({other[0]}, {other[1]}) and {video} {shape}"
        turned = " (transposed?)" if other[0] == shape[0] else " (one transposed?)"
        raise UserError(
            f"{self.out}: as released, {shapes}, and rows of one width are needed:"
            f" (rows, width){turned}; turn the arrays, or take features of one kind"
        )


def _without_zeros(array: np.ndarray, drop: bool) -> tuple[np.ndarray, int]:
    """The rows up to the last that is not all zeros, and how many came after it."""
    if not drop:
        return array, 0
    used = np.flatnonzero(array.any(axis=1))  # some: `checked` has looked
    kept = int(used[-1]) + 1
    return array[:kept], len(array) - kept


def as_rows(array: np.ndarray, where: str) -> np.ndarray:
    """A matrix, without axes of length 1 that some releases keep."""
    shape = array.shape
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{where}: holds {array.dtype}, not floating-point features")
    if array.ndim > 2:
        array = array.reshape([size for size in shape if size != 1])
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise UserError(f"{where}: has shape {shape}; rows of numbers are needed: (n, dim)")
    return array


def checked(array: np.ndarray, where: str, *, transposed: bool) -> np.ndarray:
    """(n, dim): what a release holds of a video, turned if need be; no NaN, no infinity."""
    array = as_rows(array, where)
    array = array.T if transposed else array
    if not len(array):
        raise Unusable("has no row in the release")
    if not array.any():
        raise Unusable("has nothing but zeros in the release")
    if not np.isfinite(array).all():
        raise UserError(
            f"{where}: holds NaN or infinity, so it is damaged or not features; get the file again"
        )
    return array
