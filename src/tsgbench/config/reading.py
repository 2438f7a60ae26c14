"""YAML files as people save them: one mapping in UTF-8, of bounded size; all else is one sentence.

A parser that composes nested nodes by calling itself dies without a message on a file that is
nested without end, and a few lines of aliases stand for more values than any memory holds. So the
stream of events, which needs neither, is measured first.
"""

import codecs
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tsgbench.errors import UserError

# libyaml's parser where PyYAML was built with it: ten times as fast, and every command reads these
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_VALUES = 200_000  # ten times what all our files hold together
DEEPEST = 50
WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; `UserError` names the file and, where there is one, the line at fault.

    UTF-8, with or without a byte order mark.
    """
    return parse_yaml(read_bytes(path), path)


def need_project(root: Path = Path()) -> None:
    """`UserError` that says where a project is expected, if `root` is none."""
    marks = ["config/datasets.yaml", "config/features.yaml", "config/sources.yaml", "Snakefile"]
    if any((root / mark).exists() for mark in marks):
        return
    here = root.resolve()
    above = next((folder for folder in here.parents if (folder / marks[0]).exists()), None)
    where = f"go to {above}" if above else "go to the folder that holds Snakefile and config"
    raise UserError(f"{here}: no project of tsgbench (no {marks[0]}); {where}, and run it there")


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a config file; `UserError` if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name the YAML file in it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def parse_yaml(content: bytes, path: str | Path, *, is_measured: bool = False) -> dict:
    """The mapping that the bytes of `path` hold; as `read_yaml`.

    is_measured: these very bytes were read before, and need not be scanned for size and repeats.
    """
    text = _decode(content, path)
    try:
        if not is_measured:
            _measure(text, path)
        loaded = yaml.load(text, Loader=SAFE_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else f"{path}"
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise UserError(f"{where}: not valid YAML ({reason})") from None
    except ValueError as error:  # of what looks like a date and is none
        raise UserError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(loaded, dict):
        kind = {type(None): "nothing", list: "a list"}.get(type(loaded), "a single value")
        raise UserError(f"{path}: holds {kind}, and should hold a mapping of names to values")
    return loaded


def _decode(content: bytes, path: str | Path) -> str:
    for mark, name in WIDE.items():
        if content.startswith(mark):
            raise UserError(f"{path}: is {name} text; save it as UTF-8")
    if b"\0" in content:
        raise UserError(f"{path}: holds NUL bytes, as UTF-16 text or no text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}, line {line}: is not UTF-8 text (byte 0x{content[error.start]:02x}); save it"
            " as UTF-8"
        ) from None


@dataclass
class _Open:
    """A mapping or list whose end the scan has not met. values: in it so far, aliases unfolded."""

    anchor: str | None
    is_mapping: bool
    values: int = 1
    children: int = 0
    keys: set[str] = field(default_factory=set)


def _measure(text: str, path: str | Path) -> None:
    """Refuse a document that is too deep or too large, contains itself, or names a key twice."""
    held: dict[str, int] = {}  # anchor -> values that it stands for
    opened: list[_Open] = []
    for event in yaml.parse(text, Loader=SAFE_LOADER):
        where = f"{path}, line {event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            opened.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(opened) > DEEPEST:
                raise UserError(f"{where}: nested more than {DEEPEST} deep; unfold it")
            continue
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            closed = opened.pop()
            anchor, values = closed.anchor, closed.values
        elif isinstance(event, yaml.ScalarEvent):
            anchor, values = event.anchor, 1
            _note_key(opened, event.value, where)
        elif isinstance(event, yaml.AliasEvent):
            if any(event.anchor == item.anchor for item in opened):
                raise UserError(f"{where}: *{event.anchor} contains itself; write it out")
            anchor, values = None, held.get(event.anchor or "", 1)
        else:
            continue
        if values > MOST_VALUES:
            raise UserError(f"{where}: aliases stand for more than {MOST_VALUES:,} values")
        if anchor:
            held[anchor] = values
        if opened:
            opened[-1].values += values
            opened[-1].children += 1


def _note_key(opened: list[_Open], name: str, where: str) -> None:
    """YAML lets the last of two equal keys win, silently."""
    if not opened or not opened[-1].is_mapping or opened[-1].children % 2:
        return
    if name in opened[-1].keys and name != "<<":
        raise UserError(f"{where}: key {name!r} stands twice in one mapping; remove one")
    opened[-1].keys.add(name)
