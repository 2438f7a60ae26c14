"""What was found out before, by the digest of all that went into it, so that it is done once.

Below `$XDG_CACHE_HOME/tsgbench` or `~/.cache/tsgbench`, outside the project, whose folder may
belong to somebody else. A note that is missing, damaged or not to be read or written is no error:
what it would say is found out again.
"""

import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tsgbench.files import digest

CACHE_VARIABLE = "XDG_CACHE_HOME"
MOST = 4000  # notes of a kind; the oldest go


def recall(kind: str, key: str) -> Any | None:
    """The note of this key, None if there is none.

    kind: a folder's name. key: hex digits, into which everything goes that the note depends on.
    """
    folder = _folder(kind)
    if folder is None:
        return None
    try:
        noted = json.loads((folder / key).read_text(encoding="utf-8"))
        return noted["note"] if noted["digest"] == digest(noted["note"]) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def note(kind: str, key: str, content: Any) -> None:
    """Keep what JSON can hold, but None."""
    folder = _folder(kind)
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
        written = folder / f".{key}.{os.getpid()}"  # whole or not at all; a lost one is no loss
        written.write_text(json.dumps({"digest": digest(content), "note": content}))
        os.replace(written, folder / key)


def _folder(kind: str) -> Path | None:
    """None without a home."""
    try:
        root = os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(root) / "tsgbench" / kind


@cache
def _prune(folder: Path) -> None:
    """Once a process."""
    kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in kept[:-MOST]:
        path.unlink(missing_ok=True)
