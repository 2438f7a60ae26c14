"""A source that comes as an archive and is used unpacked."""

import logging
from collections.abc import Callable
from pathlib import Path

from tsgbench.downloads import fetch, want
from tsgbench.downloads.manifest import MANIFEST, missing_files, read_manifest, write_manifest
from tsgbench.errors import UserError
from tsgbench.files import UNPACKED_BYTES, read_json, sha256_file, unpack, write_json

log = logging.getLogger(__name__)

# Written with the folder: of which archive it is. Another checksum or choice in the config, and the
# folder is made anew.
STAMP = "unpacked.json"


def fetch_unpacked(source: dict, destination: Path, *, how: dict) -> dict:
    """Fetch an archive and unpack it into the folder `unpack.into`; facts as of `fetch`.

    The folder appears whole, with its manifest, or not at all. The archive is then deleted unless
    `unpack.keep` is set. The facts name the folder's manifest, or its one file if it holds but one.
    how: keyword arguments of `fetch`.
    """
    spec = source["unpack"]
    folder = want({"path": spec["into"]}, destination).target
    facts = {"path": source["path"], "excerpt": False, "substitute": False, "tried": []}
    origin, archive = "present", ""
    if not is_unpacked(source, folder):
        facts = fetch(source, destination, **how)
        (got,) = facts["files"]
        origin, archive = got["from"], got["sha256"]
        path = destination / got["path"]
        unpack(
            path,
            folder,
            members=spec.get("members", ["*"]),
            max_bytes=spec.get("max_bytes", UNPACKED_BYTES),
            finish=_finish(source, archive),
        )
        log.info("%s: unpacked into %s", path, folder)
        if not spec.get("keep", False):
            path.unlink()
    entries = read_manifest(folder / MANIFEST)
    facts["archive_sha256"] = archive or read_json(folder / STAMP)["sha256"]
    facts["unpacked"] = {
        "files": len(entries),
        "bytes": sum(entry.bytes for entry in entries.values()),
    }
    facts["files"] = [_describe_folder(destination, folder, origin)]
    return facts


def is_unpacked(source: dict, folder: Path) -> bool:
    """Whether the folder is there, of the archive that the config states, and complete by sizes."""
    try:
        stamp = read_json(folder / STAMP)
        return stamp == _stamp(source, stamp["sha256"]) and not missing_files(folder / MANIFEST)
    except (UserError, OSError, KeyError, TypeError):
        return False  # not there, or spoilt by hand: it is made anew


def _describe_folder(destination: Path, folder: Path, origin: str) -> dict:
    entries = read_manifest(folder / MANIFEST)
    if len(entries) > 1:
        return describe_manifest(destination, folder, origin)
    ((name, entry),) = entries.items()
    path = (folder / name).relative_to(destination).as_posix()
    return {"path": path, "bytes": entry.bytes, "sha256": entry.sha256, "from": origin}


def describe_manifest(destination: Path, folder: Path, origin: str) -> dict:
    """The facts' entry of a folder's manifest."""
    path = folder / MANIFEST
    return {
        "path": path.relative_to(destination).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
        "from": origin,
    }


def _stamp(source: dict, sha256: str) -> dict:
    members = source["unpack"].get("members", ["*"])
    return {"sha256": source.get("sha256") or sha256, "members": members}


def _finish(source: dict, sha256: str) -> Callable[[Path], None]:
    def finish(staging: Path) -> None:
        files = [path for path in staging.rglob("*") if path.is_file()]
        names = [path.relative_to(staging).as_posix() for path in files]
        if clash := {STAMP, MANIFEST} & set(names):
            raise UserError(
                f"{source['path']}: holds a {min(clash)} of its own; choose other members in"
                " config/sources.yaml"
            )
        write_manifest(staging, names)
        write_json(staging / STAMP, _stamp(source, sha256))

    return finish
