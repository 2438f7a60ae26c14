"""What HDF5 does not do by itself: stay within a file, and survive a full disk.

It follows links into other files, and reads numbers from any file, or a mosaic of files, where a
data set says so: any file of this machine could become features. And where a write fails, it loses
numbers without an exception, or takes the process down when the file is closed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

# Links that lead to links; beyond them lies a circle
MOST_LINKS = 16
# A shape costs nothing to state: so large, it must be stored, if packed as only zeros are
HOLLOW_BYTES = 1 << 30
HOLLOW_TIMES = 500


class ElsewhereError(Exception):
    """What a member is whose content lies in another file."""


class DanglingError(KeyError):
    """A link to what is not in the file."""


def find_member(group: h5py.Group, path: str, links: int = MOST_LINKS) -> h5py.HLObject:
    """What lies at `path` below a group, links within the file followed.

    Raises KeyError if nothing does, and ElsewhereError for what is in another file, which is not
    opened to find out.
    """
    item = group.file["/"] if path.startswith("/") else group
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise KeyError(path)
    for part in parts:
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            raise KeyError(path)
        if isinstance(link, h5py.ExternalLink):
            raise ElsewhereError(f"is a link to another file ({link.filename}), not followed")
        if isinstance(link, h5py.SoftLink):
            if not links:
                raise DanglingError(path)
            try:
                item = find_member(item, link.path, links - 1)
            except KeyError:
                raise DanglingError(path) from None
        else:
            item = item[part]
    if not isinstance(item, h5py.Group | h5py.Dataset):  # a type, which may have a name, too
        raise KeyError(path)
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise ElsewhereError("has its numbers in another file")
    return item


def is_hollow(item: h5py.Dataset) -> bool:
    """Whether a data set would fill the memory with numbers that it does not hold."""
    size = item.nbytes
    return size > HOLLOW_BYTES and size > HOLLOW_TIMES * item.id.get_storage_size()


class _Sink:
    """A file as `h5py.File` takes one, which never tells HDF5 of a failure: the first is kept."""

    def __init__(self, path: Path) -> None:
        self.stream = open(path, "w+b", buffering=0)  # noqa: SIM115 closed by `writable`
        self.error: OSError | None = None
        self.seek, self.tell, self.read = self.stream.seek, self.stream.tell, self.stream.read

    def write(self, data: memoryview) -> int:
        left = memoryview(data).cast("B")
        try:
            while len(left) and self.error is None:
                left = left[self.stream.write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def readinto(self, data: memoryview) -> int:
        whole = memoryview(data).cast("B")
        count = self.stream.readinto(whole)
        whole[count:] = bytes(len(whole) - count)
        return len(whole)

    def truncate(self, size: int) -> int:
        try:
            self.stream.truncate(size)
        except OSError as error:
            self.error = self.error or error
        return size

    def flush(self) -> None:
        """Nothing is held back."""


@contextmanager
def writable(path: Path) -> Iterator[_Sink]:
    """A new file to give to `h5py.File`; what the system refuses is raised when that is closed."""
    sink = _Sink(path)
    try:
        yield sink
    except Exception:
        if sink.error is None:
            raise  # else what HDF5 said comes of it
    finally:
        sink.stream.close()
    if sink.error is not None:
        raise sink.error
