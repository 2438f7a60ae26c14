"""Fetch the sources of a study: mirror first, then the upstream addresses in order.

A file appears under its name only when its size and SHA-256 are right. What has arrived of it waits
in `<name>.part`, so that a broken download, or a killed one, goes on where it stopped. One module
per concern: transfer (one file, one address), parts (joined files), archives (unpacked folders),
collection (videos by id list), packages (files of an installed Python package), folders (of this
machine), manifest (the list of a folder's files).
"""

import logging
import urllib.parse
from pathlib import Path, PurePosixPath
from typing import Any

from tsgbench.downloads.identifiers import addresses_of, read_list
from tsgbench.downloads.parts import fetch_parts
from tsgbench.downloads.transfer import (
    DownloadRefusedError,
    FileSpec,
    RetryPolicy,
    inspect,
    transfer_file,
)
from tsgbench.errors import UserError
from tsgbench.files import digest

log = logging.getLogger(__name__)


def obtain(
    name: str,
    sources: dict[str, dict],
    destination: str | Path,
    *,
    mirror: str | None,
    progress: bool,
    ready: dict[str, list[Path]] | None = None,
    **patience: Any,
) -> dict:
    """Bring the source `name`, of whichever form its entry has, below the folder `destination`.

    sources: all of config/sources.yaml, for those whose files this one `needs`. ready: source ->
    its files, where another job has fetched them already. patience: as of `fetch`. Returns facts as
    `fetch` does; a source that is a folder lists its manifest as its file. `UserError` for a mirror
    that is a folder and not there: what it has must not come from elsewhere unnoticed.
    """
    if mirror and (folder := mirror_folder(mirror)) and not folder.is_dir():
        raise UserError(
            f"mirror: {mirror}: there is no such folder; correct `mirror:` in the study or"
            " TSGBENCH_MIRROR, or leave it out to download from upstream"
        )
    source = sources[name]
    how = {"mirror": mirror, "progress": progress, **patience}
    if "videos" in source:
        from tsgbench.downloads.collection import collect

        return collect(name, sources, Path(destination), ready=ready or {}, how=how)
    if "package" in source:
        from tsgbench.downloads.packages import fetch_packaged

        return fetch_packaged(source, Path(destination), _manner(progress, **patience), mirror)
    if "folder" in source:
        from tsgbench.downloads.folders import fetch_folder

        return fetch_folder(source, Path(destination))
    if "unpack" in source:
        from tsgbench.downloads.archives import fetch_unpacked

        return fetch_unpacked(source, Path(destination), how=how)
    return fetch(source, destination, **how)


def content_key(source: dict) -> object:
    """What decides the bytes of a source, as JSON: its identity in a plan.

    A file is its checksum where one is known, so that moving it to another URL changes nothing.
    """
    if "videos" in source:
        manners = ("pause_s", "max_failed_share", "page", "spares")
        asked = {key: value for key, value in source["videos"].items() if key not in manners}
        if "listed_in" in asked:  # checksums say what the files are, wherever they come from
            asked = {
                "suffix": asked["suffix"],
                "list": digest(read_list(Path(asked["listed_in"]))),
            }
        return {"path": source["path"], "videos": asked}
    if "package" in source:
        spec = source["package"]
        members = {entry["member"]: entry["sha256"] for entry in spec["members"]}
        return {"package": spec["name"], "version": spec["version"], "members": members}
    if "folder" in source:
        return {"folder": source["folder"]["sha256"]}
    parts = source.get("parts", [])
    known = source.get("sha256") or source.get("urls") or source.get("page")
    known = known or [part.get("sha256") or part["urls"] for part in parts]
    if "unpack" not in source:
        return known
    return {"archive": known, "members": source["unpack"].get("members", ["*"])}


def fetch(
    source: dict,
    destination: str | Path,
    *,
    mirror: str | None,
    progress: bool,
    **patience: Any,
) -> dict:
    """Bring one file below the folder `destination`, at its own relative `path`.

    source: an entry of config/sources.yaml: `path`, `urls` or `parts` (pieces to join), optional
    `bytes`, `sha256`, `excerpts` (files that together hold part of its rows) and `substitutes`
    (files that each stand for the whole), both taken where a mirror has them and not the file
    itself. mirror: a folder or a base URL with the same relative paths. A correct file that is
    already there is kept. patience: `attempts` in a row without a new byte, per address (4),
    `backoff_s` (1), `timeout_s` (30), and `longest_wait_s`, which a server may ask for in
    Retry-After (300).
    Returns `{"path", "excerpt": bool, "substitute": bool, "files": [{"path", "bytes", "sha256",
    "from"}], "tried": [...]}`: the files to read, below `destination` (`from`: "present" for kept
    ones, "mirror", or the URL), and why each address before them failed. `UserError` if none gives
    the right file.
    """
    destination = Path(destination)
    how = _manner(progress, **patience)
    whole = want(source, destination)
    stand_ins = [("excerpt", [want(entry, destination) for entry in source.get("excerpts", [])])]
    stand_ins += [
        ("substitute", [want(entry, destination)]) for entry in source.get("substitutes", [])
    ]
    stand_ins = [(kind, files) for kind, files in stand_ins if files]
    if kept := keep([whole]):
        return _facts(source, "", kept, [])
    for kind, files in stand_ins:
        if kept := keep(files):
            return _facts(source, kind, kept, whole.tried)
    if mirror:
        if facts := fetch_from(whole, [join_address(mirror, whole.path)], how, "mirror"):
            return _facts(source, "", [facts], whole.tried)
        for kind, files in stand_ins:
            brought = [
                fetch_from(wanted, [join_address(mirror, wanted.path)], how, "mirror")
                for wanted in files
            ]
            complete = [one for one in brought if one is not None]
            if len(complete) == len(files):
                return _facts(source, kind, complete, whole.tried)
            whole.tried += [reason for wanted in files for reason in wanted.tried]
    if facts := _fetch_upstream(whole, source, how):
        return _facts(source, "", [facts], whole.tried)
    page = f" by hand, from {source['page']}" if "page" in source else ""
    raise UserError(
        f"{whole.path}: could not be fetched ({'; '.join(whole.tried) or 'it has no URL'}); set"
        f" `mirror:` or TSGBENCH_MIRROR to a folder or URL that has it, or place it{page} at"
        f" {whole.target}"
    )


def _manner(
    progress: bool,
    attempts: int = 4,
    backoff_s: float = 1.0,
    timeout_s: float = 30.0,
    longest_wait_s: float = 300.0,
) -> RetryPolicy:
    return RetryPolicy(progress, attempts, backoff_s, timeout_s, longest_wait_s)


def want(entry: dict, destination: Path) -> FileSpec:
    """The file that an entry describes; a checksum noted at its first download counts as stated."""
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(f"config/sources.yaml: path: {entry['path']!r} must be a relative path")
    wanted = FileSpec(str(path), destination / path, entry.get("bytes"), entry.get("sha256"))
    if wanted.sha256 is None and wanted.record.is_file():
        wanted.sha256 = wanted.record.read_text(encoding="utf-8").split()[0]
    return wanted


def _fetch_upstream(whole: FileSpec, source: dict, how: RetryPolicy) -> dict | None:
    if facts := fetch_from(whole, addresses_of(source), how):
        return facts
    parts = source.get("parts", [])
    if parts and (
        sha256 := fetch_parts(whole, parts, lambda piece, urls: fetch_from(piece, urls, how))
    ):
        return _describe(whole, sha256, f"{len(parts)} parts of {parts[0]['urls'][0]}")
    return None


def keep(files: list[FileSpec]) -> list[dict] | None:
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


def fetch_from(
    wanted: FileSpec, addresses: list[str], how: RetryPolicy, origin: str = ""
) -> dict | None:
    """Try the addresses in order; facts of the file, or None with the reasons in `tried`."""
    for address in addresses:
        try:
            sha256 = transfer_file(wanted, address, how)
        except DownloadRefusedError as reason:
            log.info("%s: %s", address, reason)
            wanted.tried.append(f"{address}: {reason}")
            continue
        return _describe(wanted, sha256, origin or address)
    return None


def _describe(wanted: FileSpec, sha256: str, origin: str) -> dict:
    size = wanted.target.stat().st_size
    return {"path": wanted.path, "bytes": size, "sha256": sha256, "from": origin}


def _facts(source: dict, kind: str, files: list[dict], tried: list[str]) -> dict:
    return {
        "path": source["path"],
        "excerpt": kind == "excerpt",
        "substitute": kind == "substitute",
        "files": files,
        "tried": list(tried),
    }


def mirror_folder(mirror: str) -> Path | None:
    """The folder that a mirror is; None of a base URL."""
    return None if "://" in mirror else Path(mirror).expanduser()


def join_address(mirror: str, path: str) -> str:
    """Address of a relative path in a mirror, which is a folder or a base URL."""
    if folder := mirror_folder(mirror):
        mirror = folder.resolve().as_uri()
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(path)}"
