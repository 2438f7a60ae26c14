"""Files that may be packed by gzip, bzip2 or xz, whatever their names say."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError

OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
HEAD_BYTES = max(map(len, OPENERS))


@contextmanager
def open_packed(path: Path, remedy: str) -> Iterator[io.BufferedReader]:
    """The content, unpacked if its first bytes say that it is packed.

    `UserError` for a damaged archive, with the remedy; what the system refuses is its OSError.
    """
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), open)
    try:
        with opener(path, "rb") as stream:
            yield stream
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise UserError(f"{path}: damaged archive ({error}); {remedy}") from None
    except OSError as error:
        if error.errno is not None or opener is open:  # bzip2 has no error of its own
            raise
        raise UserError(f"{path}: damaged archive ({error}); {remedy}") from None
