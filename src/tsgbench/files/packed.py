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

from tsgbench.files.access import named, readable

OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
# What their modules raise for damage; bzip2's has no error of its own
DAMAGED = (lzma.LZMAError, zlib.error, EOFError, OSError)
HEAD_BYTES = 8


# And what holds no text as it stands
OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
}


def packing(head: bytes) -> str | None:
    """What a file is by its first bytes, such as "packed by gzip"; None if no packing is known."""
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            return what
    opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
    return opener and f"packed by {opener.__module__.replace('lzma', 'xz')}"


@contextmanager
def open_packed(path: Path, remedy: str) -> Iterator[io.BufferedReader]:
    """The content, unpacked if its first bytes say that it is packed.

    `UserError` for a damaged archive, with the remedy, and for what the system refuses.
    """
    with named(path), open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
    if opener is None:
        with named(path), open(path, "rb") as stream:
            yield stream
        return
    with readable(path, DAMAGED, "damaged archive", remedy), opener(path, "rb") as stream:
        yield stream
