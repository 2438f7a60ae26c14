"""The files that make up a catalogue: the shipped ones, the project's own, and those of packages.

A project that is no copy of the repository has its own entries alone, in files of the same names
(`config/models/NAME.yaml`, `config/conventions.yaml`, …); they are added to the shipped ones. An
installed package has `NAME.yaml` beside the module that its entry point NAME names: the entry of a
model, or for a reader `datasets` and `sources`. No name may be given twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tsgbench import outside
from tsgbench.config.reading import parse_yaml
from tsgbench.errors import UserError
from tsgbench.outside import CATALOGUE, HERE, shipped

FEATURE_PARTS = ("clips", "features")


@dataclass(frozen=True)
class Piece:
    """Entries by name that one file adds to a section."""

    section: str
    path: Path
    entries: dict
    module: str = ""  # of an installed package, whose file it is


def files_of(root: Path) -> list[tuple[str, Path]]:
    """Section and path of every file of the catalogue of a project; `installed` for a reader's."""
    base = shipped(root)
    listed: list[tuple[str, Path]] = []
    for layer in [base] if base == root else [base, root]:
        config = layer / "config"
        listed += [("models", path) for path in sorted((config / "models").glob("*.yaml"))]
        paths = [(name, config / f"{name}.yaml") for name in CATALOGUE]
        listed += [(name, path) for name, path in paths if layer == base or path.exists()]
    listed += [("published", path) for path in sorted((base / "published").glob("*.yaml"))]
    for section, room in (("models", "models"), ("installed", "datasets")):
        for name, module in outside.installed(room).items():
            listed.append((section, _beside(module, name, f"{outside.PACKAGE}.{room}")))
    return listed


def _beside(module: str, name: str, group: str) -> Path:
    """The entries of what an installed package adds; `UserError` if module or file is missing."""
    source = outside.source_of(module)
    path = source.parent / f"{name}.yaml"
    for file in (source, path):
        if not file.is_file():
            with outside.blaming(module):
                raise UserError(
                    f"entry point {group}: {name} = {module}: {file}: no such file; add it"
                )
    return path


def read_pieces(root: Path, read: dict[Path, bytes], *, is_measured: bool) -> list[Piece]:
    """The entries of every file, each with the module that it means.

    read: content of `files_of`. is_measured: as of `parse_yaml`.
    """
    pieces = []
    packages = {room: outside.installed(room) for room in ("models", "datasets")}
    for section, path in files_of(root):
        content = parse_yaml(read[path], path, is_measured=is_measured)
        if section == "models":
            module = packages["models"].get(path.stem) if _is_installed(path, root) else None
            entry = _with_module(content, "module", module or path.stem, "models", root)
            pieces.append(Piece(section, path, {path.stem: entry}, module or ""))
        elif section == "published":
            pieces.append(Piece(section, path, {path.stem: content}))
        elif section == "features":
            parts = {part: {} for part in FEATURE_PARTS} | content
            pieces.append(Piece(section, path, parts))
        elif section == "installed":
            reader = packages["datasets"][path.stem]
            datasets = content.get("datasets", {})
            named = {name: {"reader": reader, **entry} for name, entry in datasets.items()}
            pieces.append(Piece("datasets", path, named, reader))
            pieces.append(Piece("sources", path, content.get("sources", {}), reader))
        elif section == "datasets":
            named = {
                name: _with_module(entry, "reader", "", "datasets", root)
                for name, entry in content.items()
            }
            pieces.append(Piece(section, path, named))
        else:
            pieces.append(Piece(section, path, content))
    return pieces


def join_pieces(pieces: Iterable[Piece]) -> dict[str, dict]:
    """Section -> its entries by name; `UserError` names both files where a name is given twice."""
    joined: dict[str, dict] = {name: {} for name in ("models", "published", *CATALOGUE)}
    joined["features"] = {part: {} for part in FEATURE_PARTS}
    origins: dict[tuple[str, str], Path] = {}
    for piece in pieces:
        parts = {piece.section: piece.entries}
        target = joined
        if piece.section == "features":
            parts, target = piece.entries, joined["features"]
        for part, entries in parts.items():
            if not isinstance(entries, dict) or part not in target:
                continue  # refused by the check of its section
            for name, entry in entries.items():
                if prior := origins.get((f"{piece.section}.{part}", name)):
                    with outside.blaming(piece.module):
                        raise UserError(
                            f"{piece.path}: {name}: {prior} has an entry of this name; choose"
                            " another"
                        )
                origins[f"{piece.section}.{part}", name] = piece.path
                target[part][name] = entry
    return joined


def modules_of(found: dict[str, dict]) -> list[str]:
    """Dotted names of the modules from outside that entries name."""
    named = [entry.get("module", "") for entry in found["models"].values()]
    named += [
        entry.get("reader", "") for entry in found["datasets"].values() if isinstance(entry, dict)
    ]
    return sorted({name for name in named if isinstance(name, str) and "." in name})


def _is_installed(path: Path, root: Path) -> bool:
    return path.parent not in (root / "config/models", shipped(root) / "config/models")


def _with_module(entry: dict, key: str, default: str, room: str, root: Path) -> dict:
    """The entry, its module dotted where the project's folder has it."""
    name = entry.get(key, default) if isinstance(entry, dict) else ""
    if not isinstance(name, str) or not name:
        return entry
    if "." in name:
        return {**entry, key: name}
    own = root / room / f"{name}.py"
    if not own.is_file():
        return entry
    ours = HERE / room / f"{name}.py"
    if ours.is_file():
        raise UserError(f"{own}: {name}: {ours} is called so, too; choose another name")
    return {**entry, key: f"study_{room}.{name}"}
