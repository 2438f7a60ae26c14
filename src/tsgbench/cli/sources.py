"""What of the sources is here, what is missing, how large, from where: `tsgbench sources`."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from tsgbench.downloads import want
from tsgbench.downloads.adoption import Adopted
from tsgbench.downloads.archives import is_unpacked
from tsgbench.downloads.folders import is_whole
from tsgbench.downloads.identifiers import as_list, wanted_videos
from tsgbench.downloads.manifest import MANIFEST, read_manifest
from tsgbench.downloads.packages import lacking, wanted_members
from tsgbench.downloads.parts import plan_pieces
from tsgbench.downloads.reachability import Answer, read_answers
from tsgbench.downloads.transfer import FileSpec, size_of
from tsgbench.downloads.unavailable import UNAVAILABLE, read_losses
from tsgbench.errors import UserError
from tsgbench.files import sha256_file

# A listing must answer at once: larger files are judged by their size
MAX_HASHED_BYTES = 32 << 20
SHOWN = 3  # files of a source that `--adopt` did not take


@dataclass(frozen=True)
class Status:
    """One source as found on disk. Sizes in bytes; `expected` is None where nobody states it.

    is_local: its files are copied or linked to on this machine, from a package or a folder.
    """

    name: str
    kind: str
    state: str  # present | partly | missing | wrong
    here: int
    expected: int | None
    note: str
    path: str
    origin: str
    licence: str
    purpose: str
    is_local: bool
    addresses: list[Answer] = field(default_factory=list)  # when they were last asked, if ever
    alternates: list[dict] = field(default_factory=list)

    @property
    def to_fetch(self) -> int | None:
        """Bytes that a network has still to bring; None if nobody states them."""
        if self.is_local or self.state == "present":
            return 0
        return None if self.expected is None else max(0, self.expected - self.here)


def list_sources(
    sources: dict[str, dict], destination: Path, names: Iterable[str] | None = None
) -> list[Status]:
    """The state of every source, or of the named ones with what they need, in the config's order.

    Reads sizes, manifests and the checksums of small files below `destination`; asks no server.
    """
    chosen = sources if names is None else close_over_needs(sources, names)
    answers = read_answers(destination)
    return [
        replace(
            inspect_source(name, sources, destination),
            addresses=[answer for answer in answers if answer.source == name],
            alternates=_alternates(sources[name]),
        )
        for name in sources
        if name in chosen
    ]


def _alternates(source: dict) -> list[dict]:
    """What is noted of a source's addresses and of its parts', each note once."""
    entries = [source, *source.get("parts", [])]
    noted = [one for entry in entries for one in entry.get("alternates", [])]
    return list({one["note"]: one for one in reversed(noted)}.values())[::-1]


def close_over_needs(sources: dict[str, dict], names: Iterable[str]) -> set[str]:
    """The named sources and, transitively, those whose files they need or fall back on."""
    chosen: set[str] = set()
    rest = list(names)
    while rest:
        name = rest.pop()
        if name not in chosen:
            chosen.add(name)
            spares = sources[name].get("videos", {}).get("spares", [])
            rest += [*sources[name].get("needs", []), *spares]
    return chosen


def total(statuses: list[Status], destination: Path) -> dict:
    """Bytes here, bytes still to fetch as far as sizes are known, and the free disk."""
    to_fetch = [status.to_fetch for status in statuses]
    return {
        "sources": len(statuses),
        "present": sum(status.state == "present" for status in statuses),
        "bytes_here": sum(status.here for status in statuses),
        "bytes_to_fetch": sum(size for size in to_fetch if size is not None),
        "unknown_sizes": to_fetch.count(None),
        "bytes_free": shutil.disk_usage(_nearest(destination)).free,
    }


def inspect_source(name: str, sources: dict[str, dict], destination: Path) -> Status:
    """The state of one source."""
    source = sources[name]
    if "videos" in source:
        state, here, note = _inspect_videos(source, sources, destination)
    elif "package" in source:
        state, here, note = _inspect_packaged(source, destination)
    elif "folder" in source:
        state, here, note = _inspect_folder(source, destination)
    elif "unpack" in source:
        state, here, note = _inspect_unpacked(source, destination)
    else:
        state, here, note = _inspect_file(source, destination)
    return Status(
        name=name,
        kind=source["kind"],
        state=state,
        here=here,
        expected=_expected(source, state, here),
        note=note,
        path=source["path"],
        origin=_origin(source),
        licence=source["licence"],
        purpose=source["purpose"],
        is_local="package" in source or "folder" in source,
    )


def render(statuses: list[Status], totals: dict) -> str:
    """The listing as text: two lines a source, by kind, and the totals."""
    lines = []
    for kind in dict.fromkeys(status.kind for status in statuses):
        lines.append(f"{kind}:")
        for status in (status for status in statuses if status.kind == kind):
            expected = "?" if status.expected is None else as_size(status.expected)
            sizes = f"{as_size(status.here)} of {expected}"
            note = f"  ({status.note})" if status.note else ""
            lines.append(f"  {status.state:8}{status.name:36} {sizes:22}{status.origin}{note}")
            lines.append(f"          {status.purpose} [{status.licence}]")
            if status.state != "present":
                lines += [f"          {said}" for said in _say_addresses(status)]
    unknown = totals["unknown_sizes"]
    lines.append(
        f"{totals['present']} of {totals['sources']} sources present;"
        f" {as_size(totals['bytes_here'])} here, {as_size(totals['bytes_to_fetch'])} to fetch"
        + (f" and {unknown} of unknown size" if unknown else "")
        + f"; {as_size(totals['bytes_free'])} of disk free"
    )
    return "\n".join(lines)


def _say_addresses(status: Status) -> list[str]:
    """What was found of its addresses, if they were asked, and what is noted of them."""
    said = []
    if status.addresses:
        states = Counter(answer.state for answer in status.addresses)
        counted = ", ".join(f"{number} {state}" for state, number in states.items())
        days = sorted({answer.date for answer in status.addresses})
        said.append(f"addresses asked {' to '.join(dict.fromkeys((days[0], days[-1])))}: {counted}")
    return said + [f"reported: {one['note']}" for one in status.alternates]


def as_adopted(adopted: list[Adopted], folder: Path, *, as_json: bool) -> str:
    """What `sources --adopt` found: a line a source, and what of the right name was refused."""
    if as_json:
        listed = [
            {
                **asdict(one),
                "linked": {str(here): str(there) for here, there in one.linked.items()},
            }
            for one in adopted
        ]
        return json.dumps({"folder": str(folder), "sources": listed}, indent=2)
    lines = []
    for one in adopted:
        if one.linked:
            what = str(next(iter(one.linked.values()))) if one.of == 1 else f"{one.of:,} files"
            many = f"{len(one.linked):,} of " if one.of > 1 else ""
            lines.append(f"  {one.source:36} {many}{what}  (by {one.by})")
        shown = one.refused[:SHOWN]
        more = len(one.refused) - len(shown)
        lines += [f"  {one.source:36} not taken: {said}" for said in shown]
        lines += [f"  {one.source:36} and {more:,} more not taken"] if more else []
    count = sum(bool(one.linked) for one in adopted)
    lacking = sum(not one.linked for one in adopted)
    lines.append(
        f"{count} sources found in {folder}, and linked to; {lacking} others that are not here were"
        " not. `tsgbench sources` lists all"
    )
    return "\n".join(lines)


def as_json(statuses: list[Status], totals: dict) -> dict:
    """The listing for programs."""
    return {"sources": [asdict(status) for status in statuses], "totals": totals}


def _inspect_file(source: dict, destination: Path) -> tuple[str, int, str]:
    whole = want(source, destination)
    if whole.target.is_file():
        fault = _fault(whole)
        return "wrong" if fault else "present", size_of(whole.target), fault or ""
    for entry in source.get("substitutes", []):
        substitute = want(entry, destination)
        if substitute.target.is_file() and not _fault(substitute):
            return "present", size_of(substitute.target), f"substitute: {entry['purpose']}"
    excerpts = [want(entry, destination) for entry in source.get("excerpts", [])]
    here = [excerpt for excerpt in excerpts if excerpt.target.is_file()]
    if here:
        size = sum(size_of(excerpt.target) for excerpt in here)
        return "partly", size, f"{len(here)} of {len(excerpts)} excerpts"
    begun = size_of(whole.part)
    for piece in plan_pieces(whole, source.get("parts", [])):
        begun += size_of(piece.target) + size_of(piece.part)
    return ("partly", begun, "download begun") if begun else ("missing", 0, "")


def _inspect_unpacked(source: dict, destination: Path) -> tuple[str, int, str]:
    folder = want({"path": source["unpack"]["into"]}, destination).target
    if is_unpacked(source, folder):
        entries = read_manifest(folder / MANIFEST)
        size = sum(entry.bytes for entry in entries.values())
        return "present", size, f"{len(entries):,} files unpacked"
    if folder.is_dir():
        return "wrong", 0, "the folder is incomplete or of another archive"
    state, here, note = _inspect_file(source, destination)
    return ("partly", here, "not unpacked yet") if state == "present" else (state, here, note)


def _inspect_folder(source: dict, destination: Path) -> tuple[str, int, str]:
    folder = want(source, destination).target
    if not folder.exists():
        return "missing", 0, ""
    if not is_whole(source, folder):
        return "wrong", 0, "the folder is incomplete or of other files"
    entries = read_manifest(folder / MANIFEST)
    return "present", sum(one.bytes for one in entries.values()), f"{len(entries):,} files linked"


def _inspect_packaged(source: dict, destination: Path) -> tuple[str, int, str]:
    wanted = wanted_members(source, destination).values()
    here = [one for one in wanted if one.target.is_file()]
    size = sum(size_of(one.target) for one in here)
    if faults := [f"{one.path}: {fault}" for one in here if (fault := _fault(one))]:
        return "wrong", size, faults[0]
    if len(here) == len(wanted):
        return "present", size, ""
    note = lacking(source["package"]) or "the package is installed"
    return "partly" if here else "missing", size, note


def _inspect_videos(source: dict, sources: dict, destination: Path) -> tuple[str, int, str]:
    folder, spec = want(source, destination).target, source["videos"]
    files = {
        path.name.removesuffix(spec["suffix"]): path.stat().st_size
        for path in (folder.iterdir() if folder.is_dir() else [])
        if path.name.endswith(spec["suffix"]) and path.is_file()
    }
    size = sum(files.values())
    try:
        ids = _read_wanted(spec, sources, destination)
        losses = read_losses(folder / UNAVAILABLE)
    except UserError as error:
        return "wrong", size, str(error)
    if ids is None:
        note = f"{len(files):,} videos; how many are wanted is not known before the annotations are"
        return "partly" if files else "missing", size, note
    here = ids & set(files)
    gone = {video for video, loss in losses.items() if loss.is_final} & (ids - here)
    note = f"{len(here):,} of {len(ids):,} videos, {len(gone):,} no longer available"
    if len(here) + len(gone) == len(ids) and here:
        return "present", size, note
    return "partly" if here else "missing", size, note


def _read_wanted(spec: dict, sources: dict, destination: Path) -> set[str] | None:
    """The ids that the annotation files name; None while one of the files is missing."""
    files: dict[str, list[Path]] = {}
    for name in spec.get("ids_from", []):
        entries = [sources[name], *sources[name].get("substitutes", [])]
        paths = [want(entry, destination).target for entry in entries]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            return None
        files[name] = [path]
    return set(wanted_videos(spec, files))


def _fault(wanted: FileSpec) -> str | None:
    size = size_of(wanted.target)
    if wanted.size is not None and size != wanted.size:
        return f"{size:,} bytes, expected {wanted.size:,}"
    if wanted.sha256 and size <= MAX_HASHED_BYTES and sha256_file(wanted.target) != wanted.sha256:
        return "wrong SHA-256"
    return None


def _expected(source: dict, state: str, here: int) -> int | None:
    if state == "present":
        return here
    stated = source.get("bytes") or source.get("about_bytes")
    parts = source.get("parts") or source.get("package", {}).get("members", [])
    pieces = [part.get("bytes") for part in parts]
    return stated or (sum(pieces) if pieces and all(pieces) else None)


def _origin(source: dict) -> str:
    if package := source.get("package"):
        return f"package {package['name']} {package['version']}"
    if folder := source.get("folder"):
        return f"folder {folder['at']}"
    spec = source.get("videos", {})
    if spec.get("by") == "page" or not (spec or "urls" in source or "parts" in source):
        return f"by hand, {source['page']}"
    addresses = as_list(spec["url"]) if spec else source.get("urls") or source["parts"][0]["urls"]
    hosts = dict.fromkeys(urlsplit(address).netloc for address in addresses)
    via = " through yt-dlp" if spec.get("by") == "yt_dlp" else ""
    return ", ".join(hosts) + via


def _nearest(path: Path) -> Path:
    """The folder itself, or the closest one above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def as_size(count: int) -> str:
    """Bytes as a listing says them: `1.5 GB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
