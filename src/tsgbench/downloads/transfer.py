"""Bring one file from one address: resume, retry, verify, move into place."""

import errno
import http.client
import logging
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

from tsgbench.downloads.connection import OPENER, RedirectRefusedError, show_progress
from tsgbench.downloads.formats import find_format_fault
from tsgbench.downloads.validators import is_other_version, note_validator, read_validator
from tsgbench.errors import UserError
from tsgbench.files import CHUNK_BYTES, sha256_file, write_text

log = logging.getLogger(__name__)

SCHEMES = ("http", "https", "file")
RETRIED_STATUS = (408, 425, 429, 500, 502, 503, 504)


class DownloadRefusedError(Exception):
    """An address will not give the file. is_final: nor will it tomorrow."""

    def __init__(self, reason: str, *, is_final: bool = True):
        super().__init__(reason)
        self.is_final = is_final


class Interrupted(Exception):
    """An attempt failed; another one may succeed, `wait_s` seconds later at the earliest."""

    def __init__(self, reason: str, wait_s: float = 0.0):
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass
class FileSpec:
    """One file: where it goes and what it must be. size and sha256 are None where unknown."""

    path: str
    target: Path
    size: int | None
    sha256: str | None
    tried: list[str] = field(default_factory=list)
    keeps_record: bool = True  # False for one of thousands: their manifest holds the checksums

    @property
    def part(self) -> Path:
        """What has arrived so far."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def note(self) -> Path:
        """Which version of the file the part belongs to (validators.py)."""
        return self.target.with_name(self.target.name + ".part.json")

    def discard_part(self) -> None:
        """Forget what has come so far, and what is noted of it."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    @property
    def record(self) -> Path:
        """Checksum noted at the first download of a source that states none."""
        return self.target.with_name(self.target.name + ".sha256")


@dataclass(frozen=True)
class RetryPolicy:
    """How patiently to ask, and whether to show it."""

    progress: bool
    attempts: int
    backoff_s: float
    timeout_s: float
    longest_wait_s: float = 300.0  # a server that asks for more patience (Retry-After) is passed by


def transfer_file(wanted: FileSpec, address: str, how: RetryPolicy) -> str:
    """Ask one address until the file is there; its SHA-256. Raises DownloadRefusedError."""
    with _disk_errors(wanted):
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
    failures, most = 0, size_of(wanted.part)
    while True:
        wait_s = 0.0
        _prepare_part(wanted, address)
        resumed = size_of(wanted.part) > 0
        try:
            _receive(wanted, address, how)
            return _install(wanted, address)
        except Interrupted as reason:
            # An attempt that brought new bytes is progress, not a failure: a 2 GB file over a
            # connection that drops every 100 MB still arrives.
            failures = 0 if size_of(wanted.part) > most else failures + 1
            most = max(most, size_of(wanted.part))
            if failures >= how.attempts:
                raise DownloadRefusedError(
                    f"{reason} ({how.attempts} attempts)", is_final=False
                ) from None
            wait_s = reason.wait_s
            if wait_s > how.longest_wait_s:
                raise DownloadRefusedError(
                    f"{reason}, asks for {wait_s:.0f} s of patience", is_final=False
                ) from None
            log.warning("%s: %s; trying again", address, reason)
        except DownloadRefusedError:
            # A part of unknown origin may spoil a good file: start once from nothing.
            if not resumed or wanted.part.exists():
                raise
            log.warning("%s: the resumed file is wrong; starting again", address)
        time.sleep(max(wait_s, how.backoff_s * 2 ** max(0, failures - 1)))


def _prepare_part(wanted: FileSpec, address: str) -> None:
    # Only a known checksum, or the server's word that it is still the same version, can show that
    # the pieces fit together.
    provable = wanted.sha256 is not None or read_validator(wanted.note, address) is not None
    if not provable or (wanted.size is not None and size_of(wanted.part) > wanted.size):
        wanted.discard_part()


def _receive(wanted: FileSpec, address: str, how: RetryPolicy) -> None:
    """Bring the part file to its full length. Raises Interrupted or DownloadRefusedError."""
    if wanted.part.exists() and size_of(wanted.part) == wanted.size:
        return
    try:
        scheme = urllib.parse.urlsplit(address).scheme
    except ValueError as error:
        raise DownloadRefusedError(f"not a valid address ({error})") from None
    if scheme not in SCHEMES:
        raise DownloadRefusedError(f"scheme {scheme!r} is not one of {', '.join(SCHEMES)}")
    if scheme == "file":
        _copy_local(wanted, address, how)
    else:
        _receive_http(wanted, address, how)


def _copy_local(wanted: FileSpec, address: str, how: RetryPolicy) -> None:
    path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(address).path))
    if not path.is_file():
        raise DownloadRefusedError("no such file")
    try:
        with open(path, "rb") as stream:
            _append(wanted, stream.read, 0, path.stat().st_size, how)
    except OSError as error:
        raise DownloadRefusedError(f"cannot be read ({error.strerror})") from None


def _receive_http(wanted: FileSpec, address: str, how: RetryPolicy) -> None:
    begin = size_of(wanted.part)
    headers = {"User-Agent": "tsgbench", "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
        if validator := read_validator(wanted.note, address):
            headers["If-Range"] = validator
    try:
        request = urllib.request.Request(address, headers=headers)
        with OPENER.open(request, timeout=how.timeout_s) as response:
            begin, total = _agree(wanted, response, begin)
            if begin == 0:
                with _disk_errors(wanted):
                    wanted.discard_part()
                    note_validator(wanted.note, address, response.headers)
            # read1: what has come counts at once, so that a drop loses none of it
            _append(wanted, response.read1, begin, total, how)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            wanted.discard_part()
        if error.code in (*RETRIED_STATUS, 416):
            wait_s = _seconds_until(error.headers.get("Retry-After", ""))
            raise Interrupted(f"HTTP {error.code}", wait_s) from None
        led = ", a redirection that is not followed" if error.code // 100 == 3 else ""
        raise DownloadRefusedError(f"HTTP {error.code}{led}") from None
    except RedirectRefusedError as error:
        raise DownloadRefusedError(str(error)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(str(getattr(error, "reason", error)) or type(error).__name__) from None
    except ValueError as error:
        raise DownloadRefusedError(f"not a valid address ({error})") from None


def _seconds_until(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for: a number, or a date; 0 if it is neither."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _agree(
    wanted: FileSpec, response: http.client.HTTPResponse, begin: int
) -> tuple[int, int | None]:
    """Where the body starts and how long the whole file is, by the response's own account."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadRefusedError("the server sends it encoded")
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    if response.status == 206:
        first, _, total_text = response.headers.get("Content-Range", "").rpartition("/")
        if not first.startswith(f"bytes {begin}-"):
            wanted.discard_part()
            raise Interrupted("the server answers with another range than asked for")
        if is_other_version(wanted.note, response.headers):
            wanted.discard_part()
            raise Interrupted("the file changed since its first bytes came")
        total = int(total_text) if total_text.isdigit() else None
    else:
        begin = 0  # the server ignores ranges: it sends all of it again
    if wanted.size is not None and total is not None and total != wanted.size:
        raise DownloadRefusedError(f"announces {total} bytes, expected {wanted.size}")
    return begin, wanted.size if total is None else total


def _append(
    wanted: FileSpec, read: Callable[[int], bytes], begin: int, total: int | None, how: RetryPolicy
) -> None:
    """Write a body behind the first `begin` bytes of the part; `total` is where it must end."""
    if total is not None:
        _check_space(wanted, total - begin)
    done = begin
    with _disk_errors(wanted):
        part = open(wanted.part, "r+b" if begin else "wb")  # noqa: SIM115 closed below
    try:
        part.seek(begin)
        with show_progress(wanted.path, begin, total, how.progress) as show:
            while chunk := read(CHUNK_BYTES):
                done += len(chunk)
                if total is not None and done > total:
                    break
                with _disk_errors(wanted):
                    part.write(chunk)
                    part.flush()
                show(done)
    finally:
        with _disk_errors(wanted):
            part.close()
    if total is not None and done > total:
        wanted.discard_part()
        raise DownloadRefusedError(f"sends more than the expected {total} bytes")
    if total is not None and done < total:
        raise Interrupted(f"the connection ended after {done} of {total} bytes")


def _install(wanted: FileSpec, address: str) -> str:
    """Verify the part and move it into place; its SHA-256. Raises DownloadRefusedError if wrong."""
    fault, sha256 = inspect(wanted, wanted.part)
    if fault:
        wanted.discard_part()
        raise DownloadRefusedError(fault)
    with _disk_errors(wanted):
        with open(wanted.part, "rb+") as stream:
            os.fsync(stream.fileno())
        if wanted.sha256 is None and wanted.keeps_record:
            write_text(wanted.record, f"{sha256}  {wanted.target.name}\n")
        os.replace(wanted.part, wanted.target)
        wanted.note.unlink(missing_ok=True)
    log.info("%s: fetched from %s", wanted.path, address)
    return sha256


def inspect(wanted: FileSpec, path: Path) -> tuple[str | None, str]:
    """What is wrong with a file (None: nothing), and its SHA-256 ('' if its size is wrong)."""
    size = size_of(path)
    if wanted.size is not None and size != wanted.size:
        return f"{size} bytes, expected {wanted.size}", ""
    if size == 0:
        return "empty", ""
    if wanted.sha256 is None and (fault := find_format_fault(path, wanted.target.name)):
        return fault, ""
    sha256 = sha256_file(path)
    if wanted.sha256 is not None and sha256 != wanted.sha256:
        stated = wanted.record if wanted.record.is_file() else "config/sources.yaml"
        return f"wrong SHA-256 {sha256}, expected {wanted.sha256} ({stated})", sha256
    return None, sha256


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _check_space(wanted: FileSpec, needed: int) -> None:
    free = shutil.disk_usage(wanted.part.parent).free
    if needed > free:
        raise UserError(
            f"{wanted.target}: needs {needed / 1e6:,.0f} MB, the disk has {free / 1e6:,.0f} MB;"
            " free some space and run again"
        )


@contextmanager
def _disk_errors(wanted: FileSpec) -> Iterator[None]:
    """A local write error is the user's to mend; it must not look like a network error."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = "the disk is full" if full else f"cannot be written ({error.strerror})"
        remedy = "free some space" if full else "check the folder"
        raise UserError(
            f"{wanted.target}: {cause}; {remedy} and run again, the download will go on where it"
            " stopped"
        ) from error
