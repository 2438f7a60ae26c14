"""Word vectors as an array: a `.npy` of their rows and a `.parquet` of their words, row by row.

Only the rows of the words asked for are read: the array is mapped into memory, not loaded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import DAMAGED_ARRAYS
from tsgbench.files.access import readable

ARRAY, INDEX = ".npy", ".parquet"


def pair_up(files: Sequence[str | Path]) -> list[tuple[Path, Path | None]]:
    """Each file of vectors with the index of its rows, None for a text, which has its own words."""
    paths = [Path(file) for file in files]
    pairs: list[tuple[Path, Path | None]] = []
    for path in paths:
        if path.suffix == INDEX:
            continue
        beside = [other for other in paths if other.suffix == INDEX and other.parent == path.parent]
        if path.suffix == ARRAY and len(beside) != 1:
            raise UserError(
                f"{path}: needs one {INDEX} file of its words beside it, not {len(beside)};"
                " download its source again"
            )
        pairs.append((path, beside[0] if path.suffix == ARRAY else None))
    return pairs


def read_array(path: Path, index: Path, words: set[str]) -> tuple[list[str], np.ndarray]:
    """Read the vectors of `words` from an (R, dim) array whose R words `index` lists in order.

    Returns the N words found, in file order, and (N, dim) float32; the first of repeated rows
    counts. `UserError` if either file is damaged, or they do not fit each other.
    """
    listed, rows = _find_rows(index, words)
    with readable(path, DAMAGED_ARRAYS, "not a NumPy array", "download it again"):
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    if table.ndim != 2 or table.dtype.kind != "f" or len(table) != listed:
        raise UserError(
            f"{path}: has shape {table.shape} of {table.dtype}, and {index.name} lists {listed}"
            " words; give one row of numbers per word"
        )
    vectors = np.asarray(table[list(rows.values())], dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise UserError(f"{path}: a number is not finite; download it again")
    return list(rows), vectors


def _find_rows(index: Path, words: set[str]) -> tuple[int, dict[str, int]]:
    """How many words the index lists, and the first row of each wanted one."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    damaged = (OSError, pa.ArrowException, ValueError)
    with readable(index, damaged, "not a Parquet file", "download it again"):
        table = pq.ParquetFile(index).read()
    if table.num_columns != 1 or not pa.types.is_string(table.schema.types[0]):
        raise UserError(f"{index}: should have one column, of words; download it again")
    column = table.column(0)
    wanted = pa.array(sorted(words), pa.string())
    rows = pc.indices_nonzero(pc.is_in(column, value_set=wanted))
    row_of: dict[str, int] = {}
    for word, row in zip(column.take(rows).to_pylist(), rows.to_pylist(), strict=True):
        row_of.setdefault(word, row)
    return table.num_rows, row_of
