"""How far a verb is, on stderr where that is a terminal."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Sequence[Item], doing: str) -> Iterable[Item]:
    """The same items, with a bar that says what is done to them."""
    return of_total(doing)(items, len(items))


def of_total(doing: str) -> Callable[[Iterable[Item], int], Iterable[Item]]:
    """The same of items that come one by one, with how many they will be."""
    from rich.console import Console
    from rich.progress import track

    console, hidden = Console(stderr=True), not sys.stderr.isatty()
    return lambda items, total: track(items, doing, total, console=console, disable=hidden)
