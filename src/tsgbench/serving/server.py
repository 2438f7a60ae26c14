"""Serves the page on this machine alone, until it is stopped, and then deletes what was sent."""

import logging
import os
import signal
import socket
import sys
import tempfile
import webbrowser
from pathlib import Path

from werkzeug.serving import make_server

from tsgbench.errors import UserError
from tsgbench.serving.app import HOSTS, build_app
from tsgbench.serving.desk import Desk, Offered
from tsgbench.serving.shelf import Shelf, Video

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    cells: list[Offered],
    known: list[Video],
    *,
    folder: Path | None,
    port: int,
    max_bytes: int,
    threads: int,
    opens: bool,
    title: str,
    is_demo: bool,
) -> None:
    """Blocks until Ctrl-C or a signal to end. See `Shelf`, `Desk` and `build_app`.

    port: 0 for any that is free. opens: in a browser, too.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line per request
    for end in ENDS:
        signal.signal(end, _end)
    with (
        listen(port) as listening,
        tempfile.TemporaryDirectory(prefix="tsgbench-demo-", ignore_cleanup_errors=True) as own,
    ):
        port = listening.getsockname()[1]
        shelf = Shelf(known, folder, Path(own), max_bytes=max_bytes)
        desk = Desk(cells, Path(own), threads=threads)
        app = build_app(shelf, desk, port=port, title=title, is_demo=is_demo)
        server = make_server(HOSTS[0], port, app, threaded=True, fd=listening.fileno())
        address = f"http://{HOSTS[0]}:{port}/"
        print(f"The page is at {address}\nCtrl-C ends it and deletes uploads.", flush=True)
        if opens:
            webbrowser.open(address)
        server.serve_forever()  # until KeyboardInterrupt, which it takes for the end
    if desk.is_busy:  # else Python would wait for the extraction's own threads
        sys.stdout.flush()
        os._exit(0)


def _end(*_: object) -> None:
    """Once: a second signal must not keep uploads from being deleted."""
    for end in ENDS:
        signal.signal(end, signal.SIG_IGN)
    raise KeyboardInterrupt


def listen(port: int) -> socket.socket:
    """A socket of the loopback address; `UserError` where the port is not to be had."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOSTS[0], port))
    except OSError as error:
        listening.close()
        raise UserError(
            f"--port: {port} cannot be had ({error.strerror}); choose another"
        ) from None
    except OverflowError:
        listening.close()
        raise UserError(f"--port: {port} is not between 0 and 65535; choose another") from None
    listening.listen()
    return listening
