"""Atomic writes, digests and safe unpacking: nothing half-written, nothing outside its folder."""

import gzip
import hashlib
import io
import json
import logging
import lzma
import os
import posixpath
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import time
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tsgbench.errors import UserError
from tsgbench.files.access import WRITING, Inaccessible, named, try_lock, why

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
BETWEEN_TRIES_S = 0.05  # for a lock
# What an archive may unpack to, where its source states no other limit: beyond it lies a bomb
UNPACKED_BYTES = 64 << 30
UNPACKED_FILES = 1_000_000
# What may be read at once to learn of members: a tar's entry and what it says of it, a zip's list
TAR_ENTRY_BYTES = 64 << 10
ZIP_LIST_BYTES = 128 << 20

# What files are packed by, and what else is no text, by their first bytes
PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
ARCHIVES = {b"PK\x03\x04": "a zip archive", b"\x28\xb5\x2f\xfd": "packed by zstd"}

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
# And what NumPy raises for files of arrays that are, or are none
DAMAGED_ARRAYS = (
    *DAMAGED,
    OSError,
    ValueError,
    KeyError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place only if the block succeeds.

    A killed or failing block leaves the old file as it was, never a truncated result; the `.tmp`
    file of a killed one goes when another process of that machine writes to the folder. What the
    operating system refuses is a `UserError` naming the file.
    """
    path = Path(path)
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        prefix = f".{path.name}.{_machine()}-{os.getpid()}."
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".tmp")
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
        # A failed write names no file; what else the block opened has a name of its own
        is_ours = str(temporary) in (error.filename, error.filename2)
        if (is_ours or (error.filename is None and error.errno in WRITING)) and (
            fault := why(path, error)
        ):
            raise fault from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@cache
def _sweep(folder: Path) -> None:
    """Remove what killed processes of this machine left in a folder; once a process."""
    theirs = re.compile(rf"\..+\.{_machine()}-(\d+)\.\w+\.tmp")
    with suppress(OSError):  # a folder that is not ours to tidy
        with os.scandir(folder) as entries:
            left = [(entry.path, theirs.fullmatch(entry.name)) for entry in entries]
        for name, match in left:
            if match and not _is_alive(int(match[1])):
                Path(name).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@cache
def _machine() -> str:
    """Tells where a process number means the same: this boot of this machine, or this container."""
    facts = [os.uname().nodename]
    with suppress(OSError):
        facts.append(os.readlink("/proc/self/ns/pid"))
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    return digest(facts)[:6]


def check_outputs(paths: Sequence[Path], *, force: bool, inputs: Sequence[Path] = ()) -> None:
    """`UserError`, before any work, for a file that is there already, or a folder that is not.

    inputs: what is read, which is not written over even with `force`: it may be all there is.
    """
    for path in paths:
        if path.exists():
            if any(one.exists() and path.samefile(one) for one in inputs):
                raise UserError(f"{path}: is what is read here; name another file to write")
            if not force:
                raise UserError(f"{path}: is there already; name another file, or say --force")
        if not path.parent.is_dir():
            raise UserError(f"{path}: its folder is not there; make it first")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object) -> None:
    """Write indented JSON with a final newline, atomically. NaN is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_utf8(path: str | Path) -> str:
    """The text of a file, without the byte order mark that some editors put in front.

    `UserError` if it is not UTF-8; an `OSError` if it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        # Any line's end becomes "\n", as of text files
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        refuse_packed(path, content)
        raise UserError(
            f"{path}: not UTF-8 text ({error}); save it as UTF-8, or get it again"
        ) from None


def read_json(path: str | Path) -> Any:
    """Read JSON, whatever it holds; `UserError` if the file is missing or malformed."""
    try:
        with named(path):
            return json.loads(read_utf8(path))
    except Inaccessible as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise UserError(f"{path}: no such file; name it to snakemake, which makes it") from None
    except (ValueError, RecursionError) as error:  # the former of numbers without end, too
        raise UserError(
            f"{path}: not valid JSON ({error}); get it again, or make it again"
        ) from None


def digest(content: object) -> str:
    """16 hex digits that identify a JSON-like value, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RepeatedError(ValueError):
    """A name stands twice in one JSON object."""


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, as `object_pairs_hook`. `RepeatedError` for a name that stands in it twice: a
    parser alone would keep the last and forget the others."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedError(f"{printable(twice)[:80]}: stands twice in one object")
    return content


def packing(head: bytes) -> str | None:
    """What a file is by its first bytes, such as "packed by gzip"; None if no packing is known."""
    named = {magic: f"packed by {kind}" for magic, kind in PACKINGS.items()} | ARCHIVES
    return next((what for magic, what in named.items() if head.startswith(magic)), None)


def refuse_packed(path: str | Path, content: bytes) -> None:
    """`UserError` if what should be text is packed: to save that as UTF-8 would help nobody."""
    if what := packing(content):
        raise UserError(f"{path}: {what}; unpack it, or export a workbook as CSV")


def to_number(text: str | bytes | float) -> float:
    """`float`, but for `1_0`, which is a number to Python alone; `ValueError` for that, too."""
    if "_" in repr(text):
        raise ValueError(f"could not convert string to float: {text!r}")
    return float(text)


def is_utf8(name: str) -> bool:
    """Whether a file's name, or a text of a JSON file, can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""The text with half characters and control codes escaped, as `\ud83d` or `\x1b`: fit for a
    message or a list."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(
    archive: str | Path,
    folder: str | Path,
    *,
    members: Sequence[str] = ("*",),
    max_bytes: int = UNPACKED_BYTES,
    finish: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Unpack a zip or tar archive into `folder`; return the files made, sorted.

    members: patterns (as in a shell, `*` also matches `/`) of the files to take. max_bytes: what
    they may hold altogether; an archive that announces more is refused. finish: called with the
    folder before it gets its name, to write files of its own there.

    Members that would leave the folder, links, devices, sparse files and names that come twice are
    refused with a `UserError` before anything is written; the folder appears whole or not at all.
    """
    archive, folder = Path(archive), Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that what a killed run left there is found and removed
    staging = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        write = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
        choice = _Choice(archive, staging, tuple(members), max_bytes)
        write(archive, staging, choice)
        choice.check_written()
        if finish:
            finish(staging)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    except DAMAGED as error:
        raise UserError(f"{archive}: damaged archive ({error}); download it again") from error
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise UserError(f"{folder}: the disk is full; free some space and run again") from error
        if error.errno in (None, 22):  # bz2 and zip report damage so
            raise UserError(f"{archive}: damaged archive ({error}); download it again") from error
        raise why(error.filename or archive, error) or error from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


class _Choice:
    """Which members of an archive are taken; refuses the archive for what must not be."""

    def __init__(self, archive: Path, staging: Path, patterns: tuple[str, ...], max_bytes: int):
        self.archive, self.staging = archive, staging.resolve()
        self.patterns, self.max_bytes = patterns, max_bytes
        self.names: set[str] = set()
        self.folders: set[str] = set()
        self.bytes = 0

    def takes(self, name: str, kind: str, size: int) -> bool:
        """Whether to write a member. kind: "file", "folder" or "other". size: bytes, announced."""
        if size < 0:  # would send a reader back to what it has read
            raise UserError(f"{self.archive}: damaged archive (a size below 0); download it again")
        if kind == "folder" or not any(fnmatchcase(name, pattern) for pattern in self.patterns):
            return False  # folders come with their files
        said = printable(name)
        if kind == "other":
            raise UserError(f"{self.archive}: refused, it holds a link or device ({said})")
        is_inside = "\0" not in name and (self.staging / name).resolve().is_relative_to(
            self.staging
        )
        if not is_inside:
            raise UserError(f"{self.archive}: refused, a member leaves its folder ({said})")
        plain = posixpath.normpath(name)
        if plain in self.names:
            raise UserError(f"{self.archive}: refused, it holds {said} twice")
        if ".." in PurePosixPath(name).parts:  # programs differ in what this names
            raise UserError(f"{self.archive}: refused, a name in it leads through .. ({said})")
        self.names.add(plain)
        self.folders.update(str(parent) for parent in PurePosixPath(plain).parents)
        self.bytes += size
        if self.bytes > self.max_bytes or len(self.names) > UNPACKED_FILES:
            raise UserError(
                f"{self.archive}: refused, it unpacks to more than {self.max_bytes:,} bytes or"
                f" {UNPACKED_FILES:,} files; if that is right, raise the source's max_bytes"
            )
        return True

    def check(self) -> None:
        """Refuse an archive that gives nothing, contradicts itself or does not fit the disk."""
        self._warn_of_doubles()
        if not self.names:
            wanted = ", ".join(self.patterns)
            raise UserError(f"{self.archive}: holds no file that matches {wanted}")
        if clash := self.names & self.folders:
            name = printable(min(clash))
            raise UserError(f"{self.archive}: refused, {name} is both a file and a folder in it")
        free = shutil.disk_usage(self.staging).free
        if self.bytes > free:
            raise UserError(
                f"{self.archive}: unpacks to {self.bytes / 1e6:,.0f} MB, the disk has"
                f" {free / 1e6:,.0f} MB; free some space and run again"
            )

    def _warn_of_doubles(self) -> None:
        """Say that names differ by capital letters, or by how an accent is spelt, alone."""
        if pair := self._find_alike():
            log.warning("%s: %s and %s are one file on some disks", self.archive, *pair)

    def check_written(self) -> None:
        """Refuse an archive of which one file took the place of another, on such a disk."""
        written = sum(path.is_file() for path in self.staging.rglob("*"))
        if written < len(self.names):
            pair = " and ".join(self._find_alike() or ("some names",))
            raise UserError(
                f"{self.archive}: {pair} are one file on this disk; keep"
                f" {self.staging.parent} on one that tells them apart"
            )

    def _find_alike(self) -> tuple[str, str] | None:
        alike: dict[str, str] = {}
        for name in sorted(self.names):
            folded = unicodedata.normalize("NFC", name.casefold())
            if folded in alike:
                return printable(alike[folded]), printable(name)
            alike[folded] = name
        return None


class _Limited:
    """A stream of which no more than `left` bytes are read, whatever an archive announces."""

    def __init__(self, stream: IO[bytes], left: int, refusal: str) -> None:
        self.stream, self.left, self.refusal = stream, left, refusal
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise UserError(self.refusal)
        self.left -= size
        return self.stream.read(size)


class _Tar(tarfile.TarFile):
    """A tar whose entries take little memory: names, attributes and lists of holes have no limit
    but the archive's, which unpacks to a thousand times its size."""

    def next(self) -> tarfile.TarInfo | None:
        whole: Any = self.fileobj
        refusal = (
            f"{self.name!s}: refused, an entry of its list takes over {TAR_ENTRY_BYTES:,} bytes"
        )
        self.fileobj = _Limited(whole, TAR_ENTRY_BYTES, refusal)  # type: ignore[assignment]
        try:
            member = super().next()
        finally:
            self.fileobj = whole
        if member is None:  # which is also said of an entry that cannot be read
            whole.seek(self.offset)
            if whole.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("its list breaks off")
        return member


class _ZipStream(io.BufferedReader):
    """A zip whose list takes little memory: it is read at once, as long as it says it is."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > ZIP_LIST_BYTES:
            raise UserError(
                f"{self.name}: refused, its list of members takes over {ZIP_LIST_BYTES:,} bytes"
            )
        return super().read(size)


def _write_member(path: Path, content: IO[bytes] | None) -> None:
    """Write a plain file of an archive. Not `extractall`, which is safe for a tar by a filter
    alone, and Python 3.11 had none at first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as written:
        shutil.copyfileobj(content or io.BytesIO(), written)


def _unpack_zip(archive: Path, staging: Path, choice: _Choice) -> None:
    with _ZipStream(io.FileIO(archive)) as stream, zipfile.ZipFile(stream) as opened:
        chosen = []
        for member in opened.infolist():
            form = stat.S_IFMT(member.external_attr >> 16)
            # Programs that know no Unix leave the form out
            kind = "file" if form in (0, stat.S_IFREG) else "other"
            kind = "folder" if member.is_dir() else kind
            if choice.takes(member.filename, kind, member.file_size):
                chosen.append(member)
        choice.check()
        for member in chosen:
            with opened.open(member) as content:
                _write_member(staging / member.filename, content)


def _unpack_tar(archive: Path, staging: Path, choice: _Choice) -> None:
    try:
        opened = _Tar.open(archive)
    except tarfile.ReadError:
        message = f"{archive}: neither a zip nor a tar archive; download it again"
        raise UserError(message) from None
    with opened:
        chosen = []
        while member := opened.next():  # so that a bomb is refused before it is read to its end
            kind = "file" if member.isfile() else "folder" if member.isdir() else "other"
            kind = "other" if member.issparse() else kind
            if choice.takes(member.name, kind, member.size):
                member.pax_headers, member.linkname = {}, ""  # of no use, and of any length
                chosen.append(member)
            opened.members.clear()  # type: ignore[attr-defined]  # public, but in no stub
        choice.check()
        for member in chosen:
            _write_member(staging / member.name, opened.extractfile(member))


def files_below(folder: Path, but: Path | None = None) -> Iterator[Path]:
    """Whatever lies below a folder and is not a folder, sorted within each. Links are followed, and
    a folder that they reach twice, or in a circle, is looked into once.

    but: a folder that is left out. What cannot be looked into is warned of.
    """
    seen = set() if but is None else {os.path.realpath(but)}
    for within, folders, names in os.walk(folder, onerror=_warn_of_folder, followlinks=True):
        if (real := os.path.realpath(within)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(within, name) for name in sorted(names))


def _warn_of_folder(error: OSError) -> None:
    log.warning("%s: cannot be looked into (%s)", error.filename, error)


@contextmanager
def locked(path: Path, remedy: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold `path` exclusively against other processes; freed by the kernel if we are killed.

    `UserError`, which ends with `remedy`, if another process still holds it after `patience_s`. A
    file system without locks is used without.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as stream:
        until = time.monotonic() + patience_s
        while not try_lock(stream, path):
            if time.monotonic() >= until:
                waited = f" for {patience_s:.0f} s" if patience_s else ""
                raise UserError(f"{path}: held by another process{waited}; {remedy}")
            time.sleep(BETWEEN_TRIES_S)
        yield
