"""What pydantic finds wrong, as one sentence: file, field, value, what is allowed, a near name."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tsgbench.config.sections.common import NAME
from tsgbench.config.wording import did_you_mean, either, show
from tsgbench.errors import UserError

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
BOUNDS = {
    Ge: ("at least", "ge"),
    Gt: ("more than", "gt"),
    Le: ("at most", "le"),
    Lt: ("less than", "lt"),
    MultipleOf: ("a multiple of", "multiple_of"),
}
PATTERNS = {NAME: "a name of lower-case letters, digits and _"}


def check(kind: Any, content: Any, source: str) -> None:
    """`UserError` for the deepest, and so most telling, thing wrong with what `source` holds.

    kind: a section, or what pydantic takes for a type. source: a file, or a file and a field.
    """
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    try:
        adapter.validate_python(content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise UserError(_sentence(details, adapter._type, content, source)) from None


def describe(kind: Any) -> str:
    """What a value of a type may be, in words: `a whole number, at least 1`."""
    kind, limits, pattern = _unwrapped(kind)
    if _is_union(kind):
        return either(list(dict.fromkeys(map(describe, get_args(kind)))))
    if get_origin(kind) is Literal:
        return either([str(choice) for choice in get_args(kind)])
    if kind in (None, type(None)):
        return "null"
    if get_origin(kind) is list:
        return f"a list, each {describe(get_args(kind)[0])}"
    if kind is Any:
        return "any value"
    if get_origin(kind) is dict or _is_section(kind):
        return "a mapping of names to values"
    if pattern:
        return PATTERNS.get(pattern, f"text like {pattern}")
    return ", ".join([WORDS.get(kind, "a value"), *limits])


def _sentence(errors: list[ErrorDetails], kind: Any, content: Any, source: str) -> str:
    placed = [(_path(error, content), error) for error in errors]
    path = max((path for path, _ in placed), key=lambda path: (len(path), *map(str, path)))
    errors_there = [error for other, error in placed if other == path]
    # A misspelt key is unknown and missing at once, and a union has something to say for each part
    order = ("value_error", "extra_forbidden", "missing", "other")
    errors_there.sort(key=lambda error: order.index(_rank(error)))
    error, dotted = errors_there[0], _dotted(path)
    where = f"{source}: {dotted}" if dotted else source
    if _rank(error) == "value_error":
        return f"{where}: {error['ctx']['error']}"
    if _rank(error) == "missing":
        return f"{where}: key {error['loc'][-1]!r} is missing"
    value = content
    for part in path:
        value = value[part]
    kinds = list(_kinds_at(kind, path))
    if _rank(error) == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), list(_kinds_at(kind, path)), where)
    if (error["loc"] and error["loc"][-1] == "[key]") or error["type"] == "invalid_key":
        return _wrong_key(error, kinds, where)
    return _wrong_value(value, kinds, where, error)


def _wrong_value(value: Any, kinds: list, where: str, error: ErrorDetails) -> str:
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    lengths = {"too_short": "min_length", "too_long": "max_length"}
    if error["type"] in lengths:
        few = "at least" if error["type"] == "too_short" else "at most"
        allowed = f"{few} {error['ctx'][lengths[error['type']]]} entries"
    elif error["type"] == "string_too_short":
        allowed = "text that is not empty"
    elif error["type"] == "string_too_long":
        allowed = f"at most {error['ctx']['max_length']} characters"
    else:
        allowed = either(list(dict.fromkeys(map(describe, kinds)))) if kinds else error["msg"]
    said = f"{where}: {show(value)} is not allowed; use {allowed}"
    if isinstance(value, str) and (near := did_you_mean(value, map(str, choices))):
        return f"{said}; {near}"
    if isinstance(value, str) and (number := _as_number(value, kinds)):
        why = f"YAML takes {value} for text" if _is_text(value) else "quotes make it text"
        return f"{said}; {why}, so write {number}"
    return said


def _as_number(text: str, kinds: list) -> str | None:
    """How YAML wants a number that it took for text, such as 1e-4, or that stands in quotes."""
    if not any(_unwrapped(kind)[0] in (int, float) for kind in kinds):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    if not abs(number) < 1e300:  # NaN, too
        return None
    if all(_unwrapped(kind)[0] is not float for kind in kinds):
        return str(int(number)) if number == int(number) else None
    if not _is_text(text):
        return text.strip()
    mantissa, _, power = f"{number:e}".partition("e")
    return f"{float(mantissa)}e{power}"


def _is_text(number: str) -> bool:
    """Whether YAML takes a number for text even without quotes."""
    return isinstance(yaml.safe_load(number), str)


def _unknown_key(key: str, owners: list, where: str) -> str:
    # Of a union it is one that lacks the key
    owners = [kind for kind in owners if _is_section(kind) and key not in kind.model_fields]
    known = list(dict.fromkeys(field for kind in owners for field in kind.model_fields))
    allowed = f"it takes {', '.join(known)}" if known else "it takes none"
    near = did_you_mean(key, known)
    return f"{where}: unknown key {key!r}; {near or allowed}"


def _wrong_key(error: ErrorDetails, kinds: list, where: str) -> str:
    keys = [get_args(kind)[0] for kind in kinds if get_origin(kind) is dict]
    name = error["input"] if error["type"] != "invalid_key" else error["loc"][-1]
    choices = [choice for key in keys if get_origin(key) is Literal for choice in get_args(key)]
    allowed = either([describe(key) for key in keys]) if keys else "text"
    near = did_you_mean(name, choices)
    hint = f"; {near}" if near else ""
    return f"{where}: {show(name)} is not allowed as a key; use {allowed}{hint}"


def _rank(error: ErrorDetails) -> str:
    kinds = ("value_error", "missing", "extra_forbidden")
    return error["type"] if error["type"] in kinds else "other"


def _path(error: ErrorDetails, content: Any) -> tuple:
    """Where in the content it is wrong: pydantic's path without the parts that name types."""
    path, value = [], content
    loc = error["loc"]
    if error["type"] in ("missing", "extra_forbidden", "invalid_key") or loc[-1:] == ("[key]",):
        loc = loc[:-1]  # the place that has it, or lacks it
        if error["loc"][-1:] == ("[key]",):
            loc = loc[:-1]
    for part in loc:
        is_key = isinstance(value, dict) and part in value
        is_index = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_key or is_index:
            path.append(part)
            value = value[part]
    return tuple(path)


def _dotted(path: tuple) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _kinds_at(kind: Any, path: tuple) -> Iterator[Any]:
    """Every type that a value at the path may have, unions taken apart."""
    bare, _, _ = _unwrapped(kind)
    if _is_union(bare):
        for part in get_args(bare):
            yield from _kinds_at(part, path)
    elif not path:
        yield kind if get_origin(bare) is None and not _is_section(bare) else bare
    elif _is_section(bare):
        if path[0] in bare.model_fields:
            yield from _kinds_at(kind_of(bare.model_fields[path[0]]), path[1:])
    elif get_origin(bare) is dict:
        yield from _kinds_at(get_args(bare)[1], path[1:])
    elif get_origin(bare) is list:
        yield from _kinds_at(get_args(bare)[0], path[1:])


def kind_of(field: FieldInfo) -> Any:
    """The type of a field, with what bounds it."""
    if not field.metadata:
        return field.annotation
    return Annotated[field.annotation, *field.metadata]


def _unwrapped(kind: Any) -> tuple[Any, list[str], str | None]:
    """A type without its annotations; its bounds in words; the pattern of its text."""
    limits, pattern = [], None
    while get_origin(kind) is Annotated:
        kind, *metadata = get_args(kind)
        parts = [
            part
            for item in metadata
            for part in (item.metadata if isinstance(item, FieldInfo) else [item])
        ]
        for part in parts:
            if type(part) in BOUNDS:
                words, attribute = BOUNDS[type(part)]
                limits.append(f"{words} {getattr(part, attribute)}")
            pattern = getattr(part, "pattern", None) or pattern
    return kind, limits, pattern


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
