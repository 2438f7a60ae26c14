"""Digest of the code behind a result: what counts of a module and of all it imports from here.

A package's files that are no code (templates, style sheets) count with it. Comments, layout,
docstrings, types and the wording of messages do not count (jobs/syntax.py); nor does code that
the module does not import, nor `PLUMBING`. So rewording an error reruns nothing, and editing one
model reruns that model.

Parsing a module and writing its canonical text takes as long as all else that a short job does
before its work, so that what came of it is noted, under the digest of the source and of this code.
"""

import ast
import hashlib
import importlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.files.remembered import note, recall
from tsgbench.jobs.syntax import IDLE_IMPORTS, Syntax
from tsgbench.outside import PACKAGE, load, source_of

KIND = "code"  # of notes

# Modules that cannot shape a result, and why. Neither they nor what they import are digested. Of
# the package they import other plumbing alone, and they compute no number.
PLUMBING = {
    "tsgbench.files.access": "says why a file cannot be got at, and takes locks; reads nothing",
    "tsgbench.jobs.code": "tells what made a result; makes none",
    "tsgbench.training.devices": "picks a processor, which no identity covers; sets no precision",
    "tsgbench.training.slots": "has a job wait for room on a GPU; computes nothing",
    "tsgbench.downloads.manifest": "lists a download's files; what they hold is digested",
    "tsgbench.downloads.unavailable": "lists which videos of a download are missing, and why",
    "tsgbench.errors": "the class of errors, without behaviour",
    "tsgbench.outside": "finds the file of a module, which is digested itself",
    "tsgbench.settings.choices": "refuses a setting, or changes nothing",
    "tsgbench.features.compiling": "compiles a network if the machine can: the same function",
    "tsgbench.features.journal": "gives back the bytes it was given, or refuses by checksum",
    "tsgbench.features.memory": "asks for large pages of memory; computes nothing",
    "tsgbench.files.remembered": "notes what was found out of a source, by its digest",
    "tsgbench.files": "moves bytes: whole or not at all, unpacked, digested; JSON as Python has it",
    "tsgbench.phases": "carries a job's settings and inputs to its phase",
    "tsgbench.jobs.syntax": "tells what made a result; makes none",
    "tsgbench.jobs.records": "writes down what made a result, and refuses any other",
}


@cache
def code_digest(*modules: str) -> str:
    """16 hex digits over the named modules and everything of the package they import.

    modules: dotted names such as `tsgbench.training.trainer`. Imports inside functions count too.
    A module chosen at run time (`importlib`) does not: name it here (see `planning/study.py`).
    """
    names = closure(*modules)
    with_types = any(_seen(name)["reads_types"] for name in names)
    with_docstrings = any(_seen(name)["reads_docstrings"] for name in names)
    combined = hashlib.sha256()
    for name in names:
        digest = _module_digest(name, with_types, with_docstrings)
        combined.update(f"{name}:{digest}\n".encode())
    return combined.hexdigest()[:16]


def closure(*modules: str) -> list[str]:
    """The named modules and every one of the package that they import, anywhere in their text, but
    for `PLUMBING`."""
    collected: set[str] = set()
    for module in modules:
        _collect(module, collected)
    return sorted(collected)


def import_as_digested(*modules: str) -> None:
    """Import the whole closure; `UserError` if a source is no longer what `code_digest` read.

    What is imported later, inside a function, is then the code that was digested, too: an editor
    that saves a file while a job starts would otherwise file the new code under the old identity.
    Plumbing is imported along with what needs it.
    """
    sources = closure(*modules)
    for module in sources:
        if module.partition(".")[0] == PACKAGE:
            importlib.import_module(module)
        else:
            load(module)
    files = {_source(module): _text(module) for module in sources}
    files |= {path: content for module in sources for path, content in _data(module).items()}
    for path, content in files.items():
        if path.read_bytes() != content:
            raise UserError(f"{path}: changed while this job was starting; run snakemake again")


def _collect(module: str, closure: set[str]) -> None:
    if module in closure or module in PLUMBING:
        return
    closure.add(module)
    for imported in _imports(module):
        _collect(imported, closure)


@cache
def _seen(module: str) -> dict[str, Any]:
    """Of a module, `imports`, `reads_types`, `reads_docstrings`, as `Syntax` has them, and `texts`:
    digests of its canonical text, by what is in it."""
    facts: dict[str, Any] | None = recall(KIND, _key(module))
    if facts is None:
        syntax = _syntax(module)
        facts = {
            "imports": sorted(syntax.imports),
            "reads_types": syntax.reads_types,
            "reads_docstrings": syntax.reads_docstrings,
            "texts": {},
        }
    return facts


@cache
def _key(module: str) -> str:
    return hashlib.sha256(_reader() + _text(module)).hexdigest()[:32]


@cache
def _reader() -> bytes:
    """What decides how a text is read: this code and this Python."""
    hashed = hashlib.sha256(sys.version.encode())
    for name in (__name__, Syntax.__module__):
        hashed.update(Path(sys.modules[name].__file__ or "").read_bytes())
    return hashed.digest()


@cache
def _syntax(module: str) -> Syntax:
    path = _source(module)
    try:
        return Syntax(ast.parse(_text(module)), _is_idle)
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from None


def _is_idle(module: str) -> bool:
    return module in IDLE_IMPORTS or module in PLUMBING


@cache
def _text(module: str) -> bytes:
    return _source(module).read_bytes()


def data_files(package: str | Path) -> list[Path]:
    """The files of a package that are no code, sorted: all that lie beside its `__init__.py`, but
    for what editors leave there. A module that needs one imports the package, which reads them.

    package: its `__file__`.
    """
    files = []
    for path in Path(package).parent.iterdir():
        is_leftover = path.name.startswith(".") or path.name.endswith("~")
        if path.is_file() and path.suffix not in (".py", ".pyc") and not is_leftover:
            files.append(path)
    return sorted(files)


@cache
def _data(module: str) -> dict[Path, bytes]:
    """What lies beside a package's text and is no code, by path; nothing for other modules."""
    source = _source(module)
    if source.name != "__init__.py":
        return {}
    return {path: path.read_bytes() for path in data_files(source)}


def _source(module: str) -> Path:
    return source_of(module)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """The modules that `module` imports, anywhere in its text: of this package, and of its own."""
    own = {PACKAGE, module.partition(".")[0]}
    resolved = (_resolve(name, module) for name in _seen(module)["imports"])
    names = {name for name in resolved if name.partition(".")[0] in own and "." in name}
    # `from package import name`: the name may itself be a module
    return tuple(sorted(name for name in names if _source(name).exists()))


def _resolve(name: str, importer: str) -> str:
    """An imported name, relative ones (`.layers`) as seen from their importer."""
    bare = name.lstrip(".")
    if bare == name:
        return name
    parts = importer.split(".")
    if _source(importer).name != "__init__.py":
        parts.pop()
    level = len(name) - len(bare)
    return ".".join([*parts[: len(parts) - level + 1], bare])


@cache
def _module_digest(module: str, with_types: bool, with_docstrings: bool) -> str:
    data = _data(module)
    if data:
        text = _syntax(module).text(with_types=with_types, with_docstrings=with_docstrings)
        digest = hashlib.sha256(text.encode())
        for path, content in data.items():
            digest.update(f"\n{path.name}:{hashlib.sha256(content).hexdigest()}".encode())
        return digest.hexdigest()
    texts, variant = _seen(module)["texts"], f"types {with_types}, docstrings {with_docstrings}"
    if variant not in texts:
        text = _syntax(module).text(with_types=with_types, with_docstrings=with_docstrings)
        texts[variant] = hashlib.sha256(text.encode()).hexdigest()
        note(KIND, _key(module), _seen(module))
    return str(texts[variant])
