"""Building HTML so that text is always escaped: only what `element` made counts as markup."""

import os
from html import escape
from pathlib import Path

VOID = ("img", "meta", "br")


class Markup(str):
    """Text that is HTML already."""


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """`<name attributes>children</name>`; children that are not `Markup` are escaped.

    Attributes that are None or False are left out, True has no value; `cls` is `class`, and `_`
    in a name becomes `-`.
    """
    told = "".join(
        f" {_attribute(key)}" + ("" if value is True else f'="{escape(str(value), quote=True)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """Children one after another, those that are no markup escaped; None is nothing."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(str(child))
            for child in children
            if child is not None
        )
    )


def _attribute(key: str) -> str:
    return {"cls": "class"}.get(key, key).replace("_", "-")


def link_to_file(path: str, folder: Path | str | None, text: str | None = None) -> Markup:
    """A file's name, linked relative to the page's folder where that is known."""
    shown = element("code", text or path)
    if folder is None:
        return shown
    return element("a", shown, href=Path(os.path.relpath(path, folder)).as_posix())
