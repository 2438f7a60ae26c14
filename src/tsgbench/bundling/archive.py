"""A zip whose bytes follow from what it holds: members sorted, without times, owners or modes."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tsgbench.bundling.contents import File
from tsgbench.errors import UserError
from tsgbench.files import CHUNK_BYTES, atomic_path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state
READABLE = 0o644 << 16
UNIX = 3


def write_archive(path: Path, files: Iterable[File], texts: Mapping[str, str]) -> None:
    """Write an archive, whole or not at all. texts: path in the archive -> what is written there.

    `UserError` if a file is no longer what its digest says.
    """
    packed = {file.path: file for file in files if file.is_packed}
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for name in sorted([*packed, *texts]):
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, UNIX
            member.external_attr = READABLE
            if name in texts:
                archive.writestr(member, texts[name].encode())
            else:
                _copy(archive, member, packed[name])


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: File) -> None:
    member.file_size = file.bytes  # so that a large one gets the form that holds it
    read = hashlib.sha256()
    with open(file.location, "rb") as stream, archive.open(member, "w") as target:
        while chunk := stream.read(CHUNK_BYTES):
            read.update(chunk)
            target.write(chunk)
    if read.hexdigest() != file.sha256:
        raise UserError(
            f"{file.location}: changed while it was packed, or differs from its manifest;"
            " `tsgbench verify` looks again"
        )
