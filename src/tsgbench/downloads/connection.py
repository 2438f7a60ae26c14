"""The door to the network, and the bar that shows how far a download is."""

import ipaddress
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPMessage, HTTPResponse
from typing import IO, Any

# Attribute of a request: whether it, or one that led to it, has reached a host of the internet
BY_INTERNET = "came_by_internet"
# Attribute of a request: the codes of the redirections that led to it, where somebody asks for them
LED_BY = "led_by"


class RedirectRefusedError(Exception):
    """A redirection that is not followed, and why."""


def is_local(address: str) -> bool:
    """Whether an IP address is of this machine or its network: no address of the internet."""
    return not ipaddress.ip_address(address).is_global


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows a redirection, but never from https to anything weaker."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        fp.close()  # or its body would be read whole, however long
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        old, aim = (urllib.parse.urlsplit(url).scheme for url in (req.full_url, newurl))
        if old == "https" != aim:
            raise RedirectRefusedError(f"redirects from https to {aim}")
        if new is not None:
            new.method = req.get_method()  # or what asks for no body would be sent one
            setattr(new, BY_INTERNET, getattr(req, BY_INTERNET, False))
            if (codes := getattr(req, LED_BY, None)) is not None:
                codes.append(code)
                setattr(new, LED_BY, codes)
        return new


class _Watched(urllib.request.AbstractHTTPHandler):
    """A handler whose connections see whom they reach, before anything is asked there.

    A host of the internet must not lead to what only this machine can reach; one of the own
    network, such as a mirror, may. What counts is the address reached: what a name means can change
    meanwhile. Behind a proxy, which does the reaching, an address in the place of the name counts.
    """

    def do_open(self, http_class: Any, req: urllib.request.Request, **options: Any) -> HTTPResponse:
        """Ask as the base class does, by a connection that looks where it leads."""
        came_by_internet = getattr(req, BY_INTERNET, False)
        plain = urllib.request.Request(req.full_url)

        class Connection(http_class):  # type: ignore[misc]  # HTTP or HTTPS
            def connect(self) -> None:
                super().connect()
                reached = self.sock.getpeername()[0]
                if req.host != plain.host:
                    reached = urllib.parse.urlsplit(req.full_url).hostname
                try:
                    at_home = is_local(reached)
                except ValueError:  # a name
                    at_home = reached == "localhost"
                if at_home and came_by_internet:
                    self.close()
                    raise RedirectRefusedError(
                        f"redirects from the internet to {reached}, an address of the own network"
                    )
                setattr(req, BY_INTERNET, came_by_internet or not at_home)

        return super().do_open(Connection, req, **options)


class _Http(_Watched, urllib.request.HTTPHandler):
    pass


class _Https(_Watched, urllib.request.HTTPSHandler):
    pass


def build_opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https only, so that no redirection leads to anything else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        _Http,
        _Https,
        urllib.request.HTTPDefaultErrorHandler,
        _Redirections,
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
