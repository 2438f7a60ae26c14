"""Whether a file is what its name says: a login or warning page must not pass for a data set."""

import re
from collections.abc import Callable
from pathlib import Path

PAGE = re.compile(rb"\s*<(!doctype\s+html|html|head|body|script|\?xml)", re.IGNORECASE)
# The first box of an MP4, MOV or M4V file; those without `ftyp` come from old QuickTime writers
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
HEAD_BYTES = 512


def _starts(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


ZIP = _starts(b"PK\x03\x04", b"PK\x05\x06")
# torch.save writes a zip since 1.6, a pickle before; both count as weights
WEIGHTS = _starts(b"PK\x03\x04", b"\x80")
GZIP = _starts(b"\x1f\x8b")
HDF5 = _starts(b"\x89HDF\r\n\x1a\n")
FORMATS: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    ".zip": ("zip", ZIP),
    ".gz": ("gzip", GZIP),
    ".tgz": ("gzip", GZIP),
    ".tar": ("tar", lambda head: head[257:262] == b"ustar"),
    ".h5": ("HDF5", HDF5),
    ".hdf5": ("HDF5", HDF5),
    ".npy": ("NumPy", _starts(b"\x93NUMPY")),
    ".json": ("JSON", lambda head: head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")),
    ".mp4": ("MP4", lambda head: head[4:8] in MP4_BOXES),
    ".avi": ("AVI", lambda head: head[:4] == b"RIFF" and head[8:11] == b"AVI"),
    ".pt": ("weights", WEIGHTS),
    ".pth": ("weights", WEIGHTS),
    ".pickle": ("pickle", WEIGHTS),
}


def find_format_fault(path: Path, name: str) -> str | None:
    """Why the bytes at `path` cannot be the file called `name`; None if they may be.

    Looks at the first bytes: those a format demands where the suffix of `name` is known, and for
    any name whether a web page came instead of a file.
    """
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    if PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "a web page (a login, a warning or an error) instead of the file"
    title, fits = FORMATS.get(Path(name).suffix.lower(), ("", None))
    if fits and not fits(head):
        return f"not a {title} file"
    return None
