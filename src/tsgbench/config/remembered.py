"""Checks that passed, by the digest of all that they read, so that equal files are checked once.

Only success is remembered, and under a key that every input of the check goes into: the content of
the files, the source of this package (signatures are settings, and so is the checking code) and the
versions of Python and of pydantic. What changes is therefore checked again.
"""

import hashlib
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tsgbench.files.remembered import note, recall

KIND = "checked"


def key_of(*parts: bytes) -> str:
    """32 hex digits over the parts and over what checks them."""
    hashed = hashlib.sha256(_checker())
    for part in parts:
        hashed.update(f"{len(part)}:".encode() + part)
    return hashed.hexdigest()[:32]


def is_remembered(key: str) -> bool:
    """Whether what the key stands for has passed its check."""
    return recall(KIND, key) is not None


def remember(key: str) -> None:
    """Note that it has. Where nothing can be written, it is checked the next time, too."""
    note(KIND, key, True)


@cache
def _checker() -> bytes:
    hashed = hashlib.sha256(f"{sys.version} {version('pydantic')}".encode())
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        hashed.update(f"{path.relative_to(root)}:{len(content)}:".encode() + content)
    return hashed.digest()
