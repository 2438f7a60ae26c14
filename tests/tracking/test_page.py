"""MLflow's page of a study: which columns it has, where it is, and what a browser shows of it."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tsgbench.errors import UserError
from tsgbench.tracking.page import VIEW, need_runs, serve, share_view
from tsgbench.tracking.store import create_run, open_store

METRICS = ["R@1,IoU=0.3", "R@1,IoU=0.5", "mIoU"]


@pytest.fixture
def store(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = open_store(uri, "mine")
    for seed in (0, 1):
        run = create_run(client, experiment, f"net/real/full/seed{seed}", {"seed": seed}, 0)
        run.set_final({"R@1,IoU=0.3": 50.0, "R@1,IoU=0.5": 40.25 + seed, "mIoU": 30.0})
        client.set_terminated(run.run_id)
    return uri


def test_the_view_names_the_metrics_of_the_tables_and_sorts_by_the_main_one(store):
    address = share_view(store, "mine", METRICS)
    client, experiment = open_store(store, "mine")
    view = json.loads(client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{VIEW}"])
    logged = client.search_runs([experiment])[0].data
    columns = {f"metrics.`{key}`" for key in logged.metrics}
    assert columns == {name for name in view["selectedColumns"] if name.startswith("metrics.")}
    assert "IoU_0.5" in view["orderByKey"] and view["orderByKey"] in columns
    assert f"experiments/{experiment}/runs" in address and VIEW in address


def test_of_a_server_only_the_address_is_said(capsys):
    serve("http://example.invalid:5000/", "#/experiments/1", 5000)
    assert capsys.readouterr().out == "http://example.invalid:5000/#/experiments/1\n"


def test_a_port_in_use_and_a_store_without_runs_are_said_in_a_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="in use; choose another with --port"):
            serve("sqlite:///x.db", "#/", taken.getsockname()[1])
    with pytest.raises(UserError, match=r"mlflow\.db: no runs yet"):
        need_runs(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
def test_a_browser_shows_the_runs_and_their_metrics(store, tmp_path):
    port, address = _free_port(), share_view(store, "mine", METRICS)
    code = f"from tsgbench.tracking.page import serve; serve({store!r}, {address!r}, {port})"
    server = subprocess.Popen([sys.executable, "-c", code])
    try:
        _wait_for(f"http://127.0.0.1:{port}/", 120)
        text = asyncio.run(_text_of(f"http://127.0.0.1:{port}/{address}", tmp_path, "41.25"))
    finally:
        server.terminate()
        server.wait(30)
    assert "net/real/full/seed1" in text and "test/R_at_1 IoU_0.5" in text and "mIoU" in text
    assert text.index("seed1") < text.index("seed0") and "Token" not in text


async def _text_of(url: str, folder, awaited: str) -> str:
    """The text of a page once it says `awaited`, by Chromium's remote control."""
    import aiohttp

    port = _free_port()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += [f"--remote-debugging-port={port}", f"--user-data-dir={folder / 'browser'}"]
    browser = subprocess.Popen(
        ["chromium", *options, "--window-size=1600,1000", "about:blank"], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/json", 60)
        async with aiohttp.ClientSession() as session:
            pages = await (await session.get(f"http://127.0.0.1:{port}/json")).json()
            page = next(found for found in pages if found["type"] == "page")
            socket = await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
            await socket.send_json({"id": 0, "method": "Page.navigate", "params": {"url": url}})
            text, asked = "", {"expression": "document.body.innerText"}
            for number in range(1, 120):
                await asyncio.sleep(0.5)
                await socket.send_json(
                    {"id": number, "method": "Runtime.evaluate", "params": asked}
                )
                while (answer := await socket.receive_json()).get("id") != number:
                    pass
                text = answer["result"]["result"].get("value", "")
                if awaited in text:
                    break
            return text
    finally:
        browser.terminate()
        browser.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, limit_s: float) -> None:
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer in {limit_s} s")
