"""Fetch the source files of a study: mirror first, then the upstream addresses in order.

A file appears under its name only when its size and SHA-256 are right. What has arrived of it waits
in `<name>.part`, so that a broken download, or a killed one, goes on where it stopped.
"""

import logging
import urllib.parse
from pathlib import Path, PurePosixPath

from tsgbench.downloads.transfer import Manner, Refused, Wanted, inspect, transfer_file
from tsgbench.errors import UserError

log = logging.getLogger(__name__)


def fetch(
    source: dict,
    destination: str | Path,
    *,
    mirror: str | None,
    progress: bool,
    attempts: int = 4,
    backoff_s: float = 1.0,
    timeout_s: float = 30.0,
) -> dict:
    """Bring one source below the folder `destination`, at its own relative `path`.

    source: an entry of config/sources.yaml: `path`, `urls`, optional `bytes`, `sha256` and
    `excerpts` (files that hold part of its rows, taken where a mirror has all of them and not the
    whole file). mirror: a folder or a base URL with the same relative paths. A correct file that is
    already there is kept. attempts: in a row without a new byte, per address.
    Returns `{"path", "excerpt": bool, "files": [{"path", "bytes", "sha256", "from"}], "tried":
    [...]}`: the files to read, below `destination` (`from`: "present" for kept ones, "mirror", or
    the URL), and why each address before them failed. `UserError` if none gives the right file.
    """
    destination = Path(destination)
    how = Manner(progress, attempts, backoff_s, timeout_s)
    whole = _want(source, destination)
    excerpts = [_want(entry, destination) for entry in source.get("excerpts", [])]
    kept = _keep([whole])
    if kept:
        return _facts(source, False, kept, [])
    if excerpts and (kept := _keep(excerpts)):
        return _facts(source, True, kept, whole.tried)
    if mirror:
        if found := _fetch_from(whole, [_join(mirror, whole.path)], how, "mirror"):
            return _facts(source, False, [found], whole.tried)
        parts = [
            _fetch_from(entry, [_join(mirror, entry.path)], how, "mirror") for entry in excerpts
        ]
        if parts and all(parts):
            return _facts(source, True, parts, whole.tried)
        whole.tried += [reason for entry in excerpts for reason in entry.tried]
    if found := _fetch_from(whole, source.get("urls", []), how):
        return _facts(source, False, [found], whole.tried)
    raise UserError(
        f"{whole.path}: could not be fetched ({'; '.join(whole.tried) or 'it has no URL'}); set"
        f" `mirror:` or TSGBENCH_MIRROR to a folder or URL that has it, or place it at"
        f" {whole.target}"
    )


def _want(entry: dict, destination: Path) -> Wanted:
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(f"config/sources.yaml: path: {entry['path']!r} must be a relative path")
    wanted = Wanted(str(path), destination / path, entry.get("bytes"), entry.get("sha256"))
    if wanted.sha256 is None and wanted.record.is_file():
        wanted.sha256 = wanted.record.read_text(encoding="utf-8").split()[0]
    return wanted


def _keep(files: list[Wanted]) -> list[dict] | None:
    """Facts of the files if all of them are already there and right."""
    facts = []
    for wanted in files:
        if not wanted.target.is_file():
            return None
        fault, sha256 = inspect(wanted, wanted.target)
        if fault:
            wanted.tried.append(f"{wanted.target}: {fault}")
            return None
        facts.append(_describe(wanted, sha256, "present"))
    return facts


def _fetch_from(wanted: Wanted, addresses: list[str], how: Manner, origin: str = "") -> dict | None:
    """Try the addresses in order; facts of the file, or None with the reasons in `tried`."""
    for address in addresses:
        try:
            sha256 = transfer_file(wanted, address, how)
        except Refused as reason:
            log.info("%s: %s", address, reason)
            wanted.tried.append(f"{address}: {reason}")
            continue
        return _describe(wanted, sha256, origin or address)
    return None


def _describe(wanted: Wanted, sha256: str, origin: str) -> dict:
    size = wanted.target.stat().st_size
    return {"path": wanted.path, "bytes": size, "sha256": sha256, "from": origin}


def _facts(source: dict, excerpt: bool, files: list[dict], tried: list[str]) -> dict:
    return {"path": source["path"], "excerpt": excerpt, "files": files, "tried": list(tried)}


def _join(mirror: str, path: str) -> str:
    """Address of a relative path in a mirror, which is a folder or a base URL."""
    if "://" not in mirror:
        mirror = Path(mirror).expanduser().resolve().as_uri()
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(path)}"
