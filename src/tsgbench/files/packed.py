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

from tsgbench.files import PACKINGS
from tsgbench.files.access import named, readable

OPENERS: dict[str, Callable[..., Any]] = {
    "gzip": gzip.open,
    "bz2": bz2.open,
    "xz": lzma.open,
}
# What their modules raise for damage; bzip2's has no error of its own
DAMAGED = (lzma.LZMAError, zlib.error, EOFError, OSError)
HEAD_BYTES = max(map(len, PACKINGS))


@contextmanager
def open_packed(path: Path, remedy: str) -> Iterator[io.BufferedReader]:
    """The content, unpacked if its first bytes say that it is packed.

    `UserError` for a damaged archive, with the remedy, and for what the system refuses.
    """
    with named(path), open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    kind = next((kind for magic, kind in PACKINGS.items() if head.startswith(magic)), None)
    if kind is None:
        with named(path), open(path, "rb") as stream:
            yield stream
        return
    with readable(path, DAMAGED, "damaged archive", remedy), OPENERS[kind](path, "rb") as stream:
        yield stream
