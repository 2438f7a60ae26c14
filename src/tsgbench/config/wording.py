"""How a refusal shows a value and what it suggests in its place."""

import difflib
from collections.abc import Iterable

LONGEST = 60  # characters of a value


def show(value: object) -> str:
    """A value as its YAML file has it, cut short."""
    named = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return named[value]
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def did_you_mean(name: object, known: Iterable[str]) -> str | None:
    """`did you mean 'full'?` where one of the known names is near, else None."""
    close = difflib.get_close_matches(str(name), [str(item) for item in known], n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else None


def hint_at(name: object, known: Iterable[str]) -> str:
    """The near name, or all of them."""
    known = list(known)
    listed = ", ".join(sorted(map(str, known))) or "nothing"
    return did_you_mean(name, known) or f"known: {listed}"


def either(words: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
