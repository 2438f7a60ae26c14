"""Digest of the code behind a result: the syntax of a module and of all it imports from here.

Comments, blank lines, docstrings and type-free layout do not count; nor does code that the module
does not import. So editing a comment reruns nothing, and editing one model reruns that model.
"""

import ast
import hashlib
import importlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tsgbench.errors import UserError

PACKAGE = "tsgbench"


@cache
def code_digest(*modules: str) -> str:
    """16 hex digits over the named modules and everything of the package they import.

    modules: dotted names such as `tsgbench.training`. Imports inside functions count too. A module
    chosen at run time (`importlib`) does not: name it here (see `study.py`).
    """
    combined = hashlib.sha256()
    for module in closure(*modules):
        combined.update(f"{module}:{_module_digest(module)}\n".encode())
    return combined.hexdigest()[:16]


def closure(*modules: str) -> list[str]:
    """The named modules and every one of the package that they import, anywhere in their text."""
    found: set[str] = set()
    for module in modules:
        _collect(module, found)
    return sorted(found)


def import_as_digested(*modules: str) -> None:
    """Import the whole closure; `UserError` if a source is no longer what `code_digest` read.

    What is imported later, inside a function, is then the code that was digested, too: an editor
    that saves a file while a job starts would otherwise file the new code under the old identity.
    """
    sources = closure(*modules)
    for module in sources:
        importlib.import_module(module)
    for module in sources:
        path = _source(module)
        if path.read_bytes() != _text(module):
            raise UserError(f"{path}: changed while this job was starting; run snakemake again")


def _collect(module: str, closure: set[str]) -> None:
    if module in closure:
        return
    closure.add(module)
    for imported in _imports(module):
        _collect(imported, closure)


@cache
def _tree(module: str) -> ast.Module:
    path = _source(module)
    try:
        return ast.parse(_text(module))
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from None


@cache
def _text(module: str) -> bytes:
    return _source(module).read_bytes()


def _source(module: str) -> Path:
    # From the package's own folder: finding a spec would import the parent packages.
    root = Path(find_spec(PACKAGE).origin).parent
    path = root.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(module: str) -> tuple[str, ...]:
    """The package's own modules that `module` imports, anywhere in its text."""
    found = set()
    for node in ast.walk(_tree(module)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from package import name`: the name may itself be a module
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == PACKAGE and name != PACKAGE and _source(name).exists():
                found.add(name)
    return tuple(sorted(found))


@cache
def _module_digest(module: str) -> str:
    return hashlib.sha256(_canonical(_tree(module)).encode()).hexdigest()


def _canonical(node: object) -> str:
    """Text of a syntax tree that is the same under every supported Python version.

    Empty and absent fields are left out, because versions differ in which of them they list.
    """
    if isinstance(node, ast.AST):
        parts = []
        for name, value in ast.iter_fields(node):
            if name in ("type_comment", "kind", "ctx", "type_ignores"):
                continue
            if name == "body" and isinstance(value, list):
                value = _without_docstring(value)
            if value is None or value == []:
                continue
            parts.append(f"{name}={_canonical(value)}")
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return "[" + ",".join(_canonical(item) for item in node) + "]"
    return repr(node)


def _without_docstring(body: list) -> list:
    first = body[0] if body else None
    is_docstring = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if is_docstring else body
