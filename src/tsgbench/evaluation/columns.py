"""Columns of Parquet files from texts and numbers, and numbers from columns, without pandas.

pyarrow's own conversions import pandas to ask whether it has been handed something of its: half a
second of every job that scores or predicts.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

# What reading a Parquet file raises that is damaged, or has other columns
DAMAGED_TABLE = (OSError, pa.ArrowException, KeyError, ValueError)


def texts(values: Iterable[str]) -> pa.Array:
    """A column of texts."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    parts = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), parts)


def numbers(values: np.ndarray) -> pa.Array:
    """A column of (N,) numbers, of the array's own type; NaN is a number."""
    kind = pa.from_numpy_dtype(values.dtype)
    parts = [None, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(kind, len(values), parts)


def read_numbers(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) numbers of a column, read-only; an `ArrowException` if one is missing or none is."""
    return np.from_dlpack(column.combine_chunks())
