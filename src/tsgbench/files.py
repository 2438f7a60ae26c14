"""Atomic writes, digests and safe unpacking: nothing half-written, nothing outside its folder."""

import gzip
import hashlib
import json
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsgbench.errors import UserError

CHUNK_BYTES = 1 << 20

# What the standard library raises for archives that are damaged, encrypted or of an unknown kind.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only if the block succeeds.

    A killed or failing block leaves the old file as it was (and at most a `.tmp` file, never a
    truncated result). `OSError` from a full disk is reported as a `UserError` naming the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; results are meant to be shared like any other file
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise UserError(f"{path}: the disk is full; free some space and run again") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object) -> None:
    """Write indented JSON with a final newline, atomically. NaN is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> object:
    """Read JSON; `UserError` if the file is missing or malformed."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the pipeline step that makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def digest(content: object) -> str:
    """16 hex digits that identify a JSON-like value, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(archive: str | Path, folder: str | Path) -> list[Path]:
    """Unpack a zip or tar archive into `folder`; return the files made, sorted.

    Members that would leave the folder, links and devices are refused with a `UserError` before
    anything is written; the folder appears whole or not at all.
    """
    archive, folder = Path(archive), Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, staging)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, staging)
        else:
            raise UserError(f"{archive}: neither a zip nor a tar archive; download it again")
        if folder.exists():
            shutil.rmtree(folder)
        staging.chmod(0o755)
        os.replace(staging, folder)
    except DAMAGED as error:
        raise UserError(f"{archive}: damaged archive ({error}); download it again") from error
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise UserError(f"{folder}: the disk is full; free some space and run again") from error
        if error.errno in (None, 22):  # bz2 and zip report damage so
            raise UserError(f"{archive}: damaged archive ({error}); download it again") from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _unpack_zip(archive: Path, staging: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(f"{archive}: refused, it holds a link ({member.filename})")
            _check_inside(archive, staging, member.filename)
        opened.extractall(staging)


def _unpack_tar(archive: Path, staging: Path) -> None:
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            if not (member.isfile() or member.isdir()):
                raise UserError(f"{archive}: refused, it holds a link or device ({member.name})")
            _check_inside(archive, staging, member.name)
        opened.extractall(staging, filter="data")


def _check_inside(archive: Path, staging: Path, name: str) -> None:
    if not (staging / name).resolve().is_relative_to(staging.resolve()):
        raise UserError(f"{archive}: refused, a member leaves its folder ({name})")
