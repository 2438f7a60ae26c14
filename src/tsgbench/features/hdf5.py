"""Members of an HDF5 file that lie in the file itself.

HDF5 follows links into other files, and reads numbers from any file, or a mosaic of files, where a
data set says so: any file of this machine could become features.
"""

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
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise ElsewhereError("has its numbers in another file")
    return item


def is_hollow(item: h5py.Dataset) -> bool:
    """Whether a data set would fill the memory with numbers that it does not hold."""
    size = item.nbytes
    return size > HOLLOW_BYTES and size > HOLLOW_TIMES * item.id.get_storage_size()
