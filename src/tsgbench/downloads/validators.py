"""Which version of a file a part belongs to, by the server's own ETag or Last-Modified.

Noted beside the part when its first byte comes, sent back as If-Range when it is continued. So a
file that changed between two attempts is fetched anew, and never spliced from two versions.
"""

import json
from http.client import HTTPMessage
from pathlib import Path

from tsgbench.files import write_text


def note_validator(note: Path, address: str, headers: HTTPMessage) -> None:
    """Remember what identifies the version that `address` is now sending, if anything does."""
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    if etag.startswith("W/"):  # a weak tag promises the same meaning, not the same bytes
        etag = ""
    if etag or modified:
        content = {"address": address, "etag": etag, "modified": modified}
        write_text(note, json.dumps(content) + "\n")
    else:
        note.unlink(missing_ok=True)


def read_validator(note: Path, address: str) -> str | None:
    """What to send as If-Range to `address`; None where nothing was noted of this very address."""
    content = _read(note)
    if content.get("address") != address:
        return None
    return content.get("etag") or content.get("modified") or None


def is_other_version(note: Path, headers: HTTPMessage) -> bool:
    """Whether a partial answer names another version than noted (a server without If-Range)."""
    content = _read(note)
    pairs = ((content.get("etag"), "ETag"), (content.get("modified"), "Last-Modified"))
    return any(noted and headers.get(name, noted) != noted for noted, name in pairs)


def _read(note: Path) -> dict:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # a note that a killed run left half-written proves nothing
    return content if isinstance(content, dict) else {}
