"""Chromium without a window, by its remote control, and what it is to look at."""

import asyncio
import base64
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

OPTIONS = (
    "--headless=new",
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)
BY_A_PERSON = {"awaitPromise": True, "userGesture": True}  # without a gesture, nothing plays


class Page:
    """The one tab of a browser. said: errors of its console and requests outside of loopback."""

    def __init__(self, control) -> None:
        self.control, self.number, self.said = control, 0, []

    async def send(self, method: str, **params: Any) -> dict:
        """One command of the DevTools protocol, and its result."""
        self.number += 1
        await self.control.send_json({"id": self.number, "method": method, "params": params})
        while (answer := await self.control.receive_json()).get("id") != self.number:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _note(self, event: dict) -> None:
        params = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.said.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("http://127.0.0.1:", "data:")):
                self.said.append(url)

    async def open(self, url: str) -> None:
        for domain in ("Log", "Runtime", "Network", "Page"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives."""
        result = await self.send("Runtime.evaluate", expression=expression, **BY_A_PERSON)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, limit_s: float = 60) -> None:
        """Wait for an expression to be true."""
        ends = time.monotonic() + limit_s
        while not await self.value(f"!!({expression})"):
            if time.monotonic() > ends:
                text = await self.value("location.href + '\\n' + document.body?.innerText")
                raise AssertionError(f"not in {limit_s} s: {expression}\n{self.said}\n{text}")
            await asyncio.sleep(0.2)

    async def resize(self, width: int, height: int) -> None:
        facts = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setDeviceMetricsOverride", **facts)

    async def screenshot(self, path: Path) -> None:
        """The whole page, as PNG."""
        taken = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


@asynccontextmanager
async def open_browser(folder: Path, size: tuple[int, int] = (1600, 1000)) -> AsyncIterator[Page]:
    """folder: for its profile."""
    import aiohttp

    port = free_port()
    options = [*OPTIONS, f"--remote-debugging-port={port}", f"--user-data-dir={folder}"]
    options += [f"--window-size={size[0]},{size[1]}", "about:blank"]
    browser = subprocess.Popen(["chromium", *options], stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/json", 60)
        async with aiohttp.ClientSession() as session:
            pages = await (await session.get(f"http://127.0.0.1:{port}/json")).json()
            page = next(found for found in pages if found["type"] == "page")
            yield Page(await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0))
    finally:
        browser.terminate()
        browser.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, limit_s: float) -> None:
    """Until something is served there."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer in {limit_s} s")
