"""Fixtures for the tests of downloads."""

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from download_server import BODY, SHA256, Handler

from tsgbench.downloads import fetch


@pytest.fixture
def server(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.plans, running.requests = {}, []
        running.released = threading.Event()
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path) -> Callable[..., dict]:
    """Fetch `raw/file.bin`, or another `path`, from the names given, in order."""

    def run(
        *names: str,
        mirror: str | None = None,
        timeout_s: float = 2,
        longest_wait_s: float = 5,
        **source,
    ) -> dict:
        entry = {"bytes": len(BODY), "sha256": SHA256} | source
        entry = {key: value for key, value in entry.items() if value is not None}
        entry = (
            {"path": "raw/file.bin"} | entry | {"urls": [f"{server.url}/{name}" for name in names]}
        )
        return fetch(
            entry,
            tmp_path / "data",
            mirror=mirror,
            progress=False,
            attempts=3,
            backoff_s=0.001,
            timeout_s=timeout_s,
            longest_wait_s=longest_wait_s,
        )

    return run


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "data/raw/file.bin"


@pytest.fixture
def part(target) -> Path:
    return target.with_name("file.bin.part")
