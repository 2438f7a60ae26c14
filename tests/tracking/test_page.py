"""MLflow's page of a study: which columns it has, where it is, and what a browser shows of it."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys

import pytest

from browser import free_port, open_browser, wait_for
from invented import write_cell
from tsgbench.errors import UserError
from tsgbench.tracking import sync
from tsgbench.tracking.page import VIEW, compare, need_runs, serve, share_view
from tsgbench.tracking.seeds import average_seeds
from tsgbench.tracking.store import create_run, open_store

GROUPS = ["net/real/full", "net/real/blind"]
CHARTS = r"Means over seeds.*test/R_at_1 IoU_0\.3.*test/R_at_1 IoU_0\.5"
MADE = r"Logged models \(1\).*seqpan-shapes-full-seed0"
METRICS = ["R@1,IoU=0.3", "R@1,IoU=0.5", "mIoU"]


@pytest.fixture
def store(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = open_store(uri, "mine")
    for seed in (0, 1):
        for ablation, found in {"full": 40.25, "blind": 12.0}.items():
            tags = {"seed": seed, "dataset": "real"}
            run = create_run(client, experiment, f"net/real/{ablation}/seed{seed}", tags, 0)
            run.set_final({"R@1,IoU=0.3": 50.0, "R@1,IoU=0.5": found + seed, "mIoU": 30.0})
            client.set_terminated(run.run_id)
    average_seeds(client, experiment, GROUPS)
    return uri


def test_the_view_names_the_metrics_of_the_tables_and_sorts_by_the_main_one(store):
    address = share_view(store, "mine", METRICS)
    client, experiment = open_store(store, "mine")
    view = json.loads(client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{VIEW}"])
    shown = client.search_runs([experiment], view["searchFilter"])
    assert {run.info.run_name for run in shown} == set(GROUPS)
    tested = (key for key in shown[0].data.metrics if key.startswith("test/"))
    columns = {f"metrics.`{key}`" for key in tested}
    assert columns == {name for name in view["selectedColumns"] if name.startswith("metrics.")}
    assert "IoU_0.5" in view["orderByKey"] and view["orderByKey"] in columns
    assert f"experiments/{experiment}/runs" in address and VIEW in address


def test_systems_are_compared_by_their_means(store):
    lacking = ["net/real/other", "net/real/full"]
    with pytest.raises(UserError, match="no mean of net/real/other; `tsgbench track"):
        compare(store, "mine", lacking, METRICS)
    address = compare(store, "mine", GROUPS, METRICS)
    name = address.partition("viewStateShareKey=")[2].partition("&")[0]
    client, experiment = open_store(store, "mine")
    view = json.loads(client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{name}"])
    found = client.search_runs([experiment], view["searchFilter"])
    assert {run.info.run_name for run in found} == set(GROUPS)
    assert view["compareRunCharts"][1]["metricKey"] == "test/R_at_1 IoU_0.5"
    assert address.endswith("compareRunsMode=CHART")


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
def test_a_browser_shows_systems_by_mean_and_their_comparison(store, tmp_path):
    [row] = sync([write_cell(tmp_path)], study="mine", uri=store)
    _, experiment = open_store(store, "mine")
    trained = f"#/experiments/{experiment}/runs/{row['run_id']}?workflowType=machine_learning"
    port = free_port()
    addresses = [
        share_view(store, "mine", METRICS),
        compare(store, "mine", GROUPS, METRICS),
        trained,
    ]
    code = f"from tsgbench.tracking.page import serve; serve({store!r}, {addresses[0]!r}, {port})"
    server = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for(f"http://127.0.0.1:{port}/", 120)
        urls = [f"http://127.0.0.1:{port}/{address}" for address in addresses]
        listed = asyncio.run(_text_of(urls[0], tmp_path / "list", "40.75"))
        compared = asyncio.run(_text_of(urls[1], tmp_path / "comparison", CHARTS))
        run = asyncio.run(_text_of(urls[2], tmp_path / "run", MADE))
    finally:
        server.terminate()
        server.wait(30)
    assert listed.index("net/real/full") < listed.index("net/real/blind")
    assert "test/R_at_1 IoU_0.5" in listed and "mIoU" in listed and "Token" not in listed
    assert "seed0" not in listed
    assert re.search(CHARTS, compared, re.DOTALL)
    assert re.search(MADE, run, re.DOTALL)


async def _text_of(url: str, folder, awaited: str) -> str:
    """The text of a page once it has what is awaited."""
    async with open_browser(folder) as page:
        await page.open(url)
        pattern = json.dumps(awaited)
        await page.until(f"new RegExp({pattern}, 's').test(document.body?.innerText ?? '')")
        return await page.value("document.body.innerText")
