"""A source that is a folder of this machine: its files are linked to, and listed by checksum.

A link and not a second name for the same file (a hard link): what is done to a name here, such as
the write protection of DVC's cache, must not reach a file that is somebody else's.
"""

import os
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

from tsgbench.downloads import want
from tsgbench.downloads.archives import describe_manifest
from tsgbench.downloads.manifest import MANIFEST, missing_files, write_manifest
from tsgbench.errors import UserError
from tsgbench.files import sha256_file
from tsgbench.files.access import named

INCOMING = ".incoming"


def fetch_folder(source: dict, destination: Path) -> dict:
    """Link the files of a source's `folder` into its `path`, with a manifest; facts as of
    `downloads.fetch`. `UserError` if they are not the files that its checksum states."""
    spec, target = source["folder"], want(source, destination).target
    origin = "present"
    if not is_whole(source, target):
        origin = "folder"
        staging = target.with_name(target.name + INCOMING)
        shutil.rmtree(staging, ignore_errors=True)
        members = members_of(Path(spec["at"]).expanduser(), spec["members"])
        for name, path in members.items():
            _link(path, staging / name)
        write_manifest(staging, members)
        sha256 = sha256_file(staging / MANIFEST)
        if sha256 != spec["sha256"]:
            shutil.rmtree(staging)
            raise UserError(
                f"{spec['at']}: its {len(members)} files are not those that config/sources.yaml"
                f" states (SHA-256 of their list {sha256}, not {spec['sha256']}); get those, or"
                " state the new ones, as `tsgbench features --like` prints them"
            )
        if target.exists():
            shutil.rmtree(target)
        os.replace(staging, target)
    return {
        "path": source["path"],
        "excerpt": False,
        "substitute": False,
        "files": [describe_manifest(destination, target, origin)],
        "tried": [],
    }


def is_whole(source: dict, folder: Path) -> bool:
    """Whether the folder is there, with the list that the config states, and complete by sizes."""
    path = folder / MANIFEST
    if not path.is_file() or sha256_file(path) != source["folder"]["sha256"]:
        return False
    return not missing_files(path)


def members_of(folder: Path, patterns: list[str]) -> dict[str, Path]:
    """Files below a folder whose names fit one of the patterns, by relative name, sorted."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; mend `folder.at` in config/sources.yaml")
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != MANIFEST
        and any(fnmatchcase(path.name, pattern) for pattern in patterns)
    }
    if not files:
        raise UserError(f"{folder}: holds no file called {' or '.join(patterns)}; name another")
    return files


def _link(path: Path, target: Path) -> None:
    """Let `target` be a link to a file; whole or not at all."""
    with named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        link = target.with_name(f".{target.name}.{os.getpid()}.link")
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.abspath(path))
        os.replace(link, target)
