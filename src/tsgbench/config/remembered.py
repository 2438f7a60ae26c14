"""Checks that passed, by the digest of all that they read, so that equal files are checked once.

Only success is remembered, and under a key that every input of the check goes into: the content of
the files, the source of this package (signatures are settings, and so is the checking code) and the
versions of Python and of pydantic. What changes is therefore checked again.
"""

import hashlib
import os
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

CACHE_VARIABLE = "XDG_CACHE_HOME"
MOST = 500  # files of no bytes; the oldest go


def key_of(*parts: bytes) -> str:
    """32 hex digits over the parts and over what checks them."""
    found = hashlib.sha256(_checker())
    for part in parts:
        found.update(f"{len(part)}:".encode() + part)
    return found.hexdigest()[:32]


def is_remembered(key: str) -> bool:
    """Whether what the key stands for has passed its check."""
    folder = _folder()
    try:
        return folder is not None and (folder / key).exists()
    except OSError:  # somebody else's cache
        return False


def remember(key: str) -> None:
    """Note that it has. Where nothing can be written, it is checked the next time, too."""
    folder = _folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MOST]:
            path.unlink(missing_ok=True)
        (folder / key).touch()
    except OSError:
        return


def _folder() -> Path | None:
    """Outside the project, whose folder may belong to somebody else; None without a home."""
    try:
        root = os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(root) / "tsgbench" / "checked"


@cache
def _checker() -> bytes:
    found = hashlib.sha256(f"{sys.version} {version('pydantic')}".encode())
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root)}:{len(content)}:".encode() + content)
    return found.digest()
