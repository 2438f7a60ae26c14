"""The door to the network, and the bar that shows how far a download is."""

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def build_opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https only, so that no redirection leads to anything else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


OPENER = build_opener()


@contextmanager
def show_progress(
    title: str, begin: int, total: int | None, progress: bool
) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the bytes so far; draws on stderr, or nothing at all."""
    if not progress:
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=begin)
        yield lambda done: bar.update(task, completed=done)
