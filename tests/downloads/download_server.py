"""A local server that drops, lies, corrupts and refuses; shared by the tests of downloads."""

import hashlib
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

BODY = bytes(range(256)) * 4096  # 1 MiB: too long for one socket buffer to hide a drop
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers a path by the next of its planned behaviours; the last one stays."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.reply("HEAD")

    def do_GET(self):
        self.reply(self.headers.get("Range"))

    def reply(self, noted: str | None) -> None:
        name = self.path.split("?")[0].lstrip("/")
        self.server.requests.append((name, noted))
        plan = self.server.plans.get(name, [missing])
        behave = plan.pop(0) if len(plan) > 1 else plan[0]
        self.close_connection = True
        behave(self)

    def begin(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match.group(1)) if match else 0

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(
    body: bytes,
    *,
    ranges: bool = True,
    stop_after: int | None = None,
    etag: str = "",
    modified: str = "",
    heeds_if_range: bool = True,
) -> Callable:
    """A sound server of `body`, with ranges or without; `stop_after` bytes it hangs up.

    etag, modified: what it says of the version; a range of another one (If-Range) it refuses by
    sending the whole, unless it does not heed.
    """

    def behave(handler: Handler) -> None:
        begin = handler.begin() if ranges else 0
        asked = handler.headers.get("If-Range")
        if heeds_if_range and asked is not None and asked not in (etag, modified):
            begin = 0
        headers = {"Content-Length": str(len(body) - begin)}
        headers |= {"ETag": etag, "Last-Modified": modified}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        sent = body[begin:][:stop_after]
        handler.answer(206 if begin else 200, sent, **headers)

    return behave


def status(code: int, **headers: str) -> Callable:
    return lambda handler: handler.answer(code, b"no", **headers)


def plain(body: bytes, content_length: str) -> Callable:
    """Send `body` under any Content-Length ('' for none: the body ends with the connection)."""
    return lambda handler: handler.answer(200, body, **{"Content-Length": content_length})


missing = status(404)
