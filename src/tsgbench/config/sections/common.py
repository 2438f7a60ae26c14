"""Terms that several sections share."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, get_args, get_origin

from annotated_types import MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from tsgbench.config.signatures import Parameter

NAME = "^[a-z0-9_]+$"


class Section(BaseModel):
    """A mapping of known keys. Strict: no text for a number, no true for 1, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _no_repeats(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} stands twice; remove one")
    return values


def _has_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
    if groups < 1:
        raise ValueError(f"{pattern!r} has no group; put what is the video's name into (...)")
    return pattern


Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, MinLen(1)]
Key = Annotated[str, AfterValidator(_has_group)]  # pattern of a video's id
Unique = AfterValidator(_no_repeats)
_UNIQUE_ITEMS = Field(json_schema_extra={"uniqueItems": True})
Names = Annotated[list[Name], MinLen(1), Unique, _UNIQUE_ITEMS]


def as_section(
    name: str, parameters: Iterable[Parameter], *, partial: bool = False, doc: str = ""
) -> type[Section]:
    """Settings of a signature as a section. partial: of a difference, where none is required."""
    fields: dict[str, Any] = {}
    for item in parameters:
        kind = as_yaml(item.kind)
        default = None if partial else item.default
        fields[item.name] = (kind, Field(default, description=item.help or None))
    return create_model(name, __base__=Section, __doc__=doc or None, **fields)


def left_out(help: str) -> Any:
    """The default of a key that may be left out, and then changes nothing: None, which no type
    names, since a null that is written is refused."""
    return Field(None, description=help)


def optional(kind: Any, help: str) -> Any:
    """A field that may be left out, as `create_model` takes it."""
    return (kind, left_out(help))


def required(kind: Any, help: str) -> Any:
    """A field that must be given, as `create_model` takes it."""
    return (kind, Field(description=help))


def by_name(kind: Any) -> Any:
    """A mapping of names to a type that is made at run time."""
    return dict[Name, kind]


def as_yaml(kind: Any) -> Any:
    """The type that YAML has for it: lists in the place of tuples and other sequences."""
    if get_origin(kind) in (tuple, Sequence):
        item = get_args(kind)[0]
        return Annotated[list[item], MinLen(1)]  # type: ignore[valid-type]  # made at run time
    return kind
