"""A file that its host gives in pieces: fetch every piece, join them in order."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from tsgbench.downloads.identifiers import addresses_of
from tsgbench.downloads.transfer import DownloadRefusedError, FileSpec, inspect, size_of
from tsgbench.errors import UserError
from tsgbench.files import CHUNK_BYTES, atomic_path, write_text

log = logging.getLogger(__name__)

# (wanted, addresses) -> facts of the piece, or None with the reasons in `wanted.tried`
Fetch = Callable[[FileSpec, list[str]], dict | None]


def plan_pieces(whole: FileSpec, parts: list[dict]) -> list[FileSpec]:
    """The pieces of a file, `name.parts/00` and so on, each resumed and verified by itself."""
    folder = whole.target.with_name(whole.target.name + ".parts")
    return [
        FileSpec(
            f"{whole.path}.parts/{index:02}",
            folder / f"{index:02}",
            part.get("bytes"),
            part.get("sha256") or _noted(folder / f"{index:02}.sha256"),
        )
        for index, part in enumerate(parts)
    ]


def fetch_parts(whole: FileSpec, parts: list[dict], fetch: Fetch) -> str | None:
    """Fetch the pieces that are not there, join them into `whole`; its SHA-256.

    parts: entries with `urls`, optional `bytes` and `sha256`, in the order of the bytes. Returns
    None with the reasons in `whole.tried` if a piece could not be had (the others stay for the next
    time) or if what the pieces make is not the file.
    """
    pieces = plan_pieces(whole, parts)
    for piece, part in zip(pieces, parts, strict=True):
        if piece.target.is_file() and inspect(piece, piece.target)[0] is None:
            continue
        if not fetch(piece, addresses_of(part)):
            whole.tried += piece.tried
            return None
    sha256 = None
    try:
        sha256 = _join(whole, pieces)
        log.info("%s: joined from %d parts", whole.path, len(pieces))
    except DownloadRefusedError as reason:
        whole.tried.append(f"{whole.path}, joined from {len(pieces)} parts: {reason}")
    # Joined, the pieces are not needed; making a wrong file, they must not be used again
    shutil.rmtree(pieces[0].target.parent)
    return sha256


def _join(whole: FileSpec, pieces: list[FileSpec]) -> str:
    needed = sum(size_of(piece.target) for piece in pieces)
    free = shutil.disk_usage(whole.target.parent).free
    if needed > free:
        raise UserError(
            f"{whole.target}: joining its parts needs {needed / 1e6:,.0f} MB, the disk has"
            f" {free / 1e6:,.0f} MB; free some space and run again"
        )
    with atomic_path(whole.target) as joined:
        with open(joined, "wb") as stream:
            for piece in pieces:
                with open(piece.target, "rb") as part:
                    shutil.copyfileobj(part, stream, CHUNK_BYTES)
        fault, sha256 = inspect(whole, joined)
        if fault:
            raise DownloadRefusedError(fault)
        if whole.sha256 is None:
            write_text(whole.record, f"{sha256}  {whole.target.name}\n")
    return sha256


def _noted(record: Path) -> str | None:
    """Checksum noted when a piece came, so that one damaged since is fetched again."""
    return record.read_text(encoding="utf-8").split()[0] if record.is_file() else None
