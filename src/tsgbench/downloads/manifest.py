"""The list of a folder's files, for sources of thousands: their record names this one file.

`manifest.csv` has one row a file: name relative to the folder, bytes, SHA-256; sorted, and without
dates, so that the same files give the same manifest wherever they were fetched.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import is_utf8, sha256_file, write_text
from tsgbench.jobs.records import Record

MANIFEST = "manifest.csv"
FIELDS = ("name", "bytes", "sha256")


@dataclass(frozen=True)
class Entry:
    """One file of a folder."""

    bytes: int
    sha256: str


def write_manifest(folder: Path, names: Iterable[str]) -> dict[str, Entry]:
    """List the named files of `folder` in its manifest, in the place of an older one.

    A file keeps the checksum of the older manifest if it still has the bytes stated there: hashing
    hundreds of gigabytes again whenever one video is added would take an hour.
    """
    known = read_manifest(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    entries = {}
    for name in sorted(names):
        if not is_utf8(name):
            raise UserError(f"{folder}: {name!a}: its name is not UTF-8; rename the file")
        size = (folder / name).stat().st_size
        old = known.get(name)
        if old is not None and old.bytes == size:
            entries[name] = old
        else:
            entries[name] = Entry(size, sha256_file(folder / name))
    write_text(folder / MANIFEST, as_text(entries))
    return entries


def as_text(entries: dict[str, Entry]) -> str:
    """A manifest's text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows((name, entries[name].bytes, entries[name].sha256) for name in sorted(entries))
    return text.getvalue()


def read_manifest(path: Path) -> dict[str, Entry]:
    """Name -> entry; `UserError` if the file is not a manifest."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        return {row["name"]: Entry(int(row["bytes"]), row["sha256"]) for row in rows}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: not a manifest of name, bytes, sha256 ({error}); move it away and run again"
        ) from None


def missing_files(path: Path) -> list[str]:
    """Names in a manifest whose files are gone or have another size."""
    return [
        name
        for name, entry in read_manifest(path).items()
        if not (path.parent / name).is_file() or (path.parent / name).stat().st_size != entry.bytes
    ]


def _job(record: Record) -> str:
    return f"{record.content.get('phase', 'download')} {record.content.get('key', '…')}"


def files_of(record: Record) -> dict[str, Path]:
    """Every file of a download, by name relative to the record: what its manifests list, too.

    `UserError` if a listed file is missing or has another size.
    """
    listed: dict[str, Path] = {}
    for name, path in record.files().items():
        if path.name != MANIFEST:
            listed[name] = path
            continue
        if lost := missing_files(path):
            raise UserError(
                f"{path.parent / lost[0]}: missing or changed, as {len(lost)} of the files in"
                f" {path}; run `tsgbench job {_job(record)}` with your --study: it gets what is"
                " missing"
            )
        parent = Path(name).parent
        listed |= {
            (parent / entry).as_posix(): path.parent / entry for entry in read_manifest(path)
        }
    return listed
