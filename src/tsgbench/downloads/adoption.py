"""Files that a person has already: found in a folder by checksum or name, and linked to.

What is linked to stays somebody else's: nothing is written to it, and a file that is wrong later is
fetched anew beside it. A download that finds such a file in its place takes it as it is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tsgbench.downloads import want
from tsgbench.downloads.archives import is_unpacked
from tsgbench.downloads.folders import link
from tsgbench.downloads.identifiers import wanted_videos
from tsgbench.downloads.parts import plan_pieces
from tsgbench.downloads.transfer import FileSpec, inspect
from tsgbench.errors import UserError
from tsgbench.files import files_below, write_text

Track = Callable[[Sequence[str], str], Iterable[str]]


@dataclass
class Adopted:
    """What was found of one source. linked: where it lies now -> the file that is linked to.
    refused: why a file of the right name was not. by: `checksum` or `name`, whichever it was known
    by. of: files that were looked for."""

    source: str
    of: int = 0
    linked: dict[Path, Path] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    by: str = "checksum"


class _Found:
    """The files below a folder, by name and by size."""

    def __init__(self, folder: Path, destination: Path) -> None:
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.by_size: dict[int, list[Path]] = defaultdict(list)
        for path in files_below(folder, but=destination):  # which is downloaded already
            if path.is_file():
                self.by_name[path.name].append(path)
                self.by_size[path.stat().st_size].append(path)

    def candidates(self, name: str, size: int | None) -> Iterator[Path]:
        """Files that may be it, the likeliest first."""
        sized = self.by_size.get(size, []) if size else []
        yield from dict.fromkeys([*self.by_name.get(name, []), *sized])


def adopt(
    sources: dict[str, dict], names: Iterable[str], folder: Path, destination: Path, *, track: Track
) -> list[Adopted]:
    """Link what of the named sources a folder holds, and is not here yet, below `destination`.

    A file with a stated checksum is found whatever it is called; one without by its name, and its
    checksum is noted as at a first download. Videos are found by their ids, once the annotations
    that name them are here. `UserError` if the folder is none.
    """
    if not folder.is_dir():
        raise UserError(f"--adopt: {folder}: no such folder; name one that holds what you have")
    found = _Found(folder, destination)
    adopted = []
    for name in track(list(names), "looking for sources"):
        source, one = sources[name], Adopted(name)
        if "videos" in source:
            _adopt_videos(source, sources, found, destination, one)
        elif "package" not in source and "folder" not in source:
            _adopt_file(source, found, destination, one)
        if one.of:
            adopted.append(one)
    return adopted


def _adopt_file(source: dict, found: _Found, destination: Path, one: Adopted) -> None:
    """The file of a source; else the pieces that it is joined from."""
    whole = want(source, destination)
    if "unpack" in source:
        into = want({"path": source["unpack"]["into"]}, destination).target
        if is_unpacked(source, into):
            return
    if not whole.target.exists() and not _take(whole, whole.target.name, found, one):
        for piece in plan_pieces(whole, source.get("parts", [])):
            if piece.sha256 and not piece.target.exists():
                _take(piece, piece.target.name, found, one)


def _adopt_videos(
    source: dict, sources: dict[str, dict], found: _Found, destination: Path, one: Adopted
) -> None:
    spec = source["videos"]
    files = {need: want(sources[need], destination).target for need in spec.get("ids_from", [])}
    if missing := [need for need, path in files.items() if not path.is_file()]:
        one.of, one.refused = 1, [f"{missing[0]}, which names its videos, is not here yet"]
        return
    videos = want(source, destination).target
    for video, sha256 in wanted_videos(spec, {k: [path] for k, path in files.items()}).items():
        name = f"{video}{spec['suffix']}"
        if not (videos / name).exists():
            _take(FileSpec(name, videos / name, None, sha256, keeps_record=False), name, found, one)


def _take(wanted: FileSpec, name: str, found: _Found, one: Adopted) -> bool:
    """Link the first file that is the wanted one."""
    one.of, refused = one.of + 1, []
    for path in found.candidates(name, wanted.size if wanted.sha256 else None):
        fault, sha256 = inspect(wanted, path)
        if fault:
            if path.name == name:
                refused.append(f"{path}: {fault}")
            continue
        if wanted.sha256 is None:
            one.by = "name"
            if wanted.keeps_record:
                write_text(wanted.record, f"{sha256}  {wanted.target.name}\n")
        link(path, wanted.target)
        one.linked[wanted.target] = path
        return True
    one.refused += refused
    return False
