"""Schemas for editors and docs/settings.md, written from the sections (`tsgbench schemas`)."""

import json
from collections.abc import Iterable
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import Field, TypeAdapter

from tsgbench.config import signatures
from tsgbench.config.reading import need_project, read_yaml
from tsgbench.config.refusals import describe, kind_of
from tsgbench.config.sections import conventions, datasets, features, models, sources
from tsgbench.config.sections.common import Section, as_yaml
from tsgbench.config.sections.study import study_type
from tsgbench.errors import UserError
from tsgbench.outside import shipped
from tsgbench.settings import InputSettings, TrainSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PAGE = "docs/settings.md"
HEAD = """# Settings

<!-- Written by `tsgbench schemas` from src/tsgbench/config/sections, src/tsgbench/settings.py and
the constructors of the models: edit those. -->

What every section of a config file takes. A setting that is none of these is refused by `tsgbench
plan` and `snakemake -n`, in one sentence that names the file, the field, the value and what is
allowed. So is what only shows when settings meet: every model of `config/models` is checked on
every data set with every preset and ablation, every study with its overrides. Checks that passed
are remembered below `$XDG_CACHE_HOME/tsgbench` (or `~/.cache/tsgbench`) by the digest of the files
and of the code that checks.

Files are YAML in UTF-8, with or without a byte order mark. Editors that read JSON schemas find them
in `config/schemas`; those leave out what concerns several fields. "Default" is what holds where a
file says nothing; - where there is none, or the code that reads the section has it.
"""


def known_models(root: Path) -> dict[str, str]:
    """Name -> module of every model of `config/models`."""
    module_of = {}
    for path in sorted((root / "config" / "models").glob("*.yaml")):
        module_of[path.stem] = read_yaml(path).get("module", path.stem)
    return module_of


def write_all(root: Path) -> list[Path]:
    """Write every file that is not as it should be; returns those. `UserError` outside a clone."""
    need_project(root)
    if shipped(root) != root:
        raise UserError(
            f"{root.resolve()}: is no clone of the package's repository, of which these files are;"
            " every command here checks your own files"
        )
    written = []
    for name, text in documents(root).items():
        path = root / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def documents(root: Path) -> dict[str, str]:
    """Path below the project -> the text that it should have."""
    known = known_models(root)
    entries = [models.entry_type(name, module) for name, module in known.items()]
    kinds = {
        "study": study_type(*known.items()),
        "model": Annotated[reduce(or_, entries), Field(discriminator="model")],
        "datasets": datasets.FILE,
        "features": features.FILE,
        "sources": sources.FILE,
        "conventions": conventions.FILE,
    }
    texts = {f"config/schemas/{name}.schema.json": _schema(kind) for name, kind in kinds.items()}
    return texts | {PAGE: _page(known)}


def _schema(kind: Any) -> str:
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    schema = {"$schema": DIALECT, **_without_nulls(adapter.json_schema())}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _without_nulls(schema: Any) -> Any:
    """Without defaults of null, which stand for fields that may be left out."""
    if isinstance(schema, list):
        return [_without_nulls(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_nulls(value)
        for key, value in schema.items()
        if not (key == "default" and value is None)
    }


def _page(known: dict[str, str]) -> str:
    parts = [
        HEAD,
        "## A study (`config/*.yaml`)\n",
        *_section_and_parts(study_type(*known.items())),
    ]
    parts += ["## A model (`config/models/*.yaml`)\n"]
    name, module = next(iter(known.items()))
    parts += [_fields(models.entry_type(name, module))]
    for title, kind in (("inputs", InputSettings), ("train", TrainSettings)):
        parts += [f"### `{title}`\n", _parameters(signatures.of_dataclass(kind))]
    for name, module in known.items():
        signature = models.signature_of(name, module)
        parts += [f"### `model` of {name}\n", _parameters(signature)]
    sections: tuple[tuple[str, type[Section]], ...] = (
        ("Data sets (`config/datasets.yaml`, by name)", datasets.DataSet),
        ("Features (`config/features.yaml`)", features.File),
        ("Sources (`config/sources.yaml`, by name)", sources.Source),
        ("Conventions (`config/conventions.yaml`, by name)", conventions.Convention),
    )
    for title, section in sections:
        parts += [f"## {title}\n", *_section_and_parts(section)]
    return "\n".join(parts)


def _section_and_parts(kind: type[Section]) -> list[str]:
    """Tables of a section and of those below it, but for the models' own, which stand elsewhere."""
    parts, seen, waiting = [_fields(kind)], set(), list(_below(kind))
    while waiting:
        path, section = waiting.pop(0)
        if section in seen or path == "overrides":
            continue
        seen.add(section)
        several = [other for name, other in _below(kind) if name == path]
        which = f" with `{next(iter(section.model_fields))}`" if len(several) > 1 else ""
        parts += [f"### `{path}`{which}\n", _fields(section)]
        waiting += [(f"{path}.{name}", part) for name, part in _below(section)]
    return parts


def _below(kind: type[Section]) -> list[tuple[str, type[Section]]]:
    kinds = []
    for name, field in kind.model_fields.items():
        waiting = [kind_of(field)]
        while waiting:
            part = waiting.pop(0)
            if hasattr(part, "model_fields"):
                kinds.append((name, part))
            elif get_origin(part) is Annotated:
                waiting.append(get_args(part)[0])
            else:
                waiting += [item for item in get_args(part) if not isinstance(item, str)]
    return kinds


def _fields(kind: type[Section]) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        default = "required" if field.is_required() else _value(field.default)
        rows.append((name, describe(kind_of(field)), default, field.description or ""))
    return _table(rows)


def _parameters(signature: signatures.Signature) -> str:
    if not signature.parameters:
        return "It has none.\n"
    return _table(
        (
            item.name,
            describe(as_yaml(item.kind)),
            "required" if item.default is signatures.REQUIRED else _value(item.default),
            item.help,
        )
        for item in signature.parameters
    )


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    lines = ["| field | takes | default | |", "|---|---|---|---|"]
    for name, takes, default, help in rows:
        cells = [f"`{name}`", takes, default, help]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"
