"""Why a file that is there cannot be got at: called by its name, which is not damage.

A lock, a permission or a network file system that lost a handle says nothing about what a file
holds, and a message that advises to delete the file would destroy it.
"""

import errno
import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from tsgbench.errors import UserError

log = logging.getLogger(__name__)

FREE = "free some space and run again"
NAMES = {errno.EAGAIN: "locked", errno.ENOSPC: "the disk is full"}
REMEDIES = {
    errno.EACCES: "ask its owner for access, or look at the rights of its folder",
    errno.EPERM: "it belongs to somebody else; ask its owner",
    errno.EAGAIN: "another process, such as a notebook, has it open; close it there",
    errno.EBUSY: "another process has it; wait for that one",
    errno.EIO: "the disk or the network failed, not the file; run again when it is back",
    errno.ESTALE: "the network file system lost sight of it; run again",
    errno.EROFS: "write elsewhere, or mount it for writing",
    errno.ENOSPC: FREE,
    errno.EDQUOT: FREE,
    errno.EFBIG: "the file system, or a limit (`ulimit -f`), allows no larger file",
    errno.EMFILE: "raise the limit (`ulimit -n`), or use fewer threads",
    errno.ENFILE: "run less at once on this machine",
    errno.ENOLCK: "the file system gives no lock; run again, or keep the project elsewhere",
    errno.ENOENT: "look whether it was moved",
    errno.EEXIST: "a file stands where a folder is needed; move it away",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "shorten it",
    errno.ELOOP: "its links lead in a circle",
    errno.ETIMEDOUT: "the network file system does not answer; run again when it does",
    errno.ENOTCONN: "mount its file system again",
}
# What fails a write, whichever file is being read beside it
WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE)
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
# HDF5 hides the number in its text
NUMBER = re.compile(r"errno = (\d+)")


class Inaccessible(UserError):
    """A file cannot be got at just now; nothing is known of what it holds."""


def why(path: str | Path | None, error: OSError) -> Inaccessible | None:
    """What the operating system said about `path`, in one sentence.

    None if it was not the operating system: libraries raise `OSError` for damaged files, too.
    """
    said = NUMBER.search(str(error))
    number = error.errno or (int(said[1]) if said else None)
    if number in (None, errno.EINVAL):  # the latter comes of damage, too
        return None
    remedy = REMEDIES.get(number, "look at the disk, and run again")
    name = "" if path is None else f"{path}: "
    return Inaccessible(f"{name}{NAMES.get(number) or os.strerror(number).lower()}; {remedy}")


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """What the operating system refuses in the block, as a sentence about `path`."""
    try:
        yield
    except OSError as error:
        if fault := why(path, error):
            raise fault from error
        raise


@contextmanager
def readable(
    path: str | Path, errors: tuple[type[Exception], ...], what: str, remedy: str
) -> Iterator[None]:
    """What libraries raise in the block for another or a damaged file, as a sentence: what it is
    or is not, their own words, and the remedy. What the operating system refuses is named."""
    try:
        yield
    except errors as error:
        if isinstance(error, OSError) and (fault := why(path, error)):
            raise fault from None
        raise UserError(f"{path}: {what} ({error}); {remedy}") from None


def try_lock(stream: IO, path: str | Path, *, wait: bool = False) -> bool:
    """Lock an open file for this process alone; False if another has it.

    A file system without locks (Lustre as often mounted) is warned of once, and gone on with. wait:
    until the other process lets go.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise why(path, error) or error from error
        _warn_of_no_locks(str(Path(path).parent))
    return True


@cache
def _warn_of_no_locks(folder: str) -> None:
    log.warning("%s: its file system has no locks; let one process at a time write there", folder)
