"""Settings that stand in signatures, read from the source: nothing is imported, torch least of all.

The keyword arguments of a model's constructor are its settings; their annotations are plain types,
`Literal` and the names of `tsgbench.settings`. Extractors and readers of annotations have theirs
the same way. Help is what the docstring says after `name:`, or `name, other:`.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_type_hints

from tsgbench import settings
from tsgbench.config.wording import did_you_mean
from tsgbench.errors import UserError
from tsgbench.outside import module_of, source_of

KNOWN = {
    **{name: kind for name, kind in vars(settings).items() if not name.startswith("_")},
    **{kind.__name__: kind for kind in (int, float, str, bool, tuple, list, dict)},
    "Sequence": Sequence,
    "Literal": Literal,
}
REQUIRED = ...


@dataclass(frozen=True)
class Parameter:
    """One setting. default: `REQUIRED`, or a value, which may be unknown (None) for constants."""

    name: str
    kind: Any
    default: Any
    help: str = ""


@dataclass(frozen=True)
class Signature:
    """The settings of a constructor or function, and what does not fit together among them."""

    parameters: tuple[Parameter, ...]
    conflicts: settings.Conflicts = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """By name; see `Parameter`."""
        return {item.name: item.default for item in self.parameters}


def of_dataclass(kind: type) -> Signature:
    """The fields of a dataclass, such as `TrainSettings`."""
    kinds = get_type_hints(kind, include_extras=True)
    names = [item.name for item in fields(kind)]
    said = helps(kind.__doc__ or "", names)
    return Signature(
        tuple(
            Parameter(
                item.name,
                kinds[item.name],
                REQUIRED if item.default is MISSING else item.default,
                said.get(item.name, ""),
            )
            for item in fields(kind)
        )
    )


@cache
def of_registered(folder: str, module: str, name: str, *, strict: bool = True) -> Signature:
    """The constructor of the class that `folder/module.py`, or a dotted module, calls `name`.

    strict: an annotation that says nothing of the value is a `UserError`, else anything goes.
    """
    path = source_of(module_of(folder, module))
    classes = {node.name: node for node in _tree(path).body if isinstance(node, ast.ClassDef)}
    labels = {name: _registered_as(node) for name, node in classes.items()}
    registered = {label: classes[name] for name, label in labels.items() if label}
    if name not in registered:
        hint = did_you_mean(name, registered) or f"it registers {', '.join(registered) or 'none'}"
        raise UserError(f"{path}: registers no {name!r}; {hint}")
    line = [registered[name]]
    _refuse_stranger(registered[name], classes, path, folder)
    while base := next(_bases_in(classes, line[-1]), None):
        line.append(base)
    text = "\n".join(ast.get_docstring(node) or "" for node in line)
    for node in line:
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                parameters = _parameters(item, path, text, strict)
                return Signature(parameters, _conflicts(line))
    return Signature((), _conflicts(line))


@cache
def of_function(folder: str, module: str, name: str) -> Signature:
    """The keyword-only arguments of a function of `folder/module.py`, or of a dotted module."""
    path = source_of(module_of(folder, module))
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return Signature(_parameters(node, path, ast.get_docstring(node) or "", False))
    raise UserError(f"{path}: has no function {name!r}; define it there")


def helps(text: str, names: Sequence[str]) -> dict[str, str]:
    """What a docstring says of each of the names, where it says `name:` or `name, other:`."""
    text = " ".join(text.split())
    listed = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    if not listed:
        return {}
    parts = re.split(rf"(?<![\w`.])((?:(?:{listed}), )*(?:{listed})): ", text)
    said: dict[str, str] = {}
    for group, words in zip(parts[1::2], parts[2::2], strict=True):
        for name in group.split(", "):
            said.setdefault(name, words.strip().rstrip(".;"))
    return said


def _tree(path: Path) -> ast.Module:
    try:
        return _parsed(path)
    except FileNotFoundError:
        near = did_you_mean(path.stem, [other.stem for other in path.parent.glob("*.py")])
        raise UserError(f"{path}: no such module; {near or 'add it'}") from None
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from None


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _registered_as(node: ast.ClassDef) -> str | None:
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "register":
            return ast.literal_eval(call.args[0])
    return None


def _bases_in(classes: dict[str, ast.ClassDef], node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            yield classes[base.id]


def _refuse_stranger(node: ast.ClassDef, classes: dict, path: Path, folder: str) -> None:
    """`UserError` for a model whose class is seen to be something else; what it imports is not."""
    while base := next(_bases_in(classes, node), None):
        node = base
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    if folder == "models" and not set(bases) - {"Module", "object"}:
        raise UserError(
            f"{path}, line {node.lineno}: {node.name} is no Grounder; write class"
            f" {node.name}(Grounder)"
        )


def _conflicts(line: list[ast.ClassDef]) -> settings.Conflicts:
    for node in line:
        for item in node.body:
            if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "CONFLICTS":
                return ast.literal_eval(item.value)
    return ()


def _parameters(
    function: ast.FunctionDef, path: Path, text: str, strict: bool
) -> tuple[Parameter, ...]:
    arguments = function.args
    said = helps(text, [argument.arg for argument in arguments.kwonlyargs])
    return tuple(
        Parameter(
            argument.arg,
            _kind(argument, path, strict),
            REQUIRED if default is None else _literal(default),
            said.get(argument.arg, ""),
        )
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    )


def _kind(argument: ast.arg, path: Path, strict: bool) -> Any:
    """The type that an annotation of our own source stands for."""
    if argument.annotation is not None:
        with suppress(NameError, TypeError, AttributeError):
            code = compile(ast.Expression(argument.annotation), str(path), "eval")
            return eval(code, {"__builtins__": {}}, KNOWN)
    if not strict:
        return Any
    raise UserError(
        f"{path}, line {argument.lineno}: {argument.arg}: settings are annotated with int,"
        " float, str, bool, Literal, Sequence, tuple and the names of tsgbench/settings.py, so"
        " that they can be checked"
    )


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
