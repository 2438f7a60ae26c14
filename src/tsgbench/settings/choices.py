"""Refusal of a choice that a type does not list."""

from collections.abc import Mapping
from typing import Literal, get_args, get_origin, get_type_hints


def wrong_choice(known: object, values: Mapping) -> str | None:
    """The first of the values that is none of its `Literal`, in words, or None.

    known: what has annotations, a class or a constructor. For callers whose settings no study has
    checked, where a wrong choice would be taken for another; types and bounds are the study's to
    check (`config/`).
    """
    kinds = get_type_hints(known)
    for name, value in values.items():
        choices = [
            choice
            for kind in (kinds.get(name), *get_args(kinds.get(name)))
            if get_origin(kind) is Literal
            for choice in get_args(kind)
        ]
        if choices and value is not None and value not in choices:
            return f"{name}: {value!r} is not one of {', '.join(choices)}"
    return None
