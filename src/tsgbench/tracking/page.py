"""MLflow's page of a study: its runs as a table of the metrics that its tables print.

MLflow opens an experiment as one of a language model: traces, tokens, and "-" in every column. A
shared view, which is a tag of the experiment, says what to show instead; the address names it.
"""

import json
import os
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from tsgbench.errors import UserError
from tsgbench.files import digest
from tsgbench.tracking.names import TEST, metric_key
from tsgbench.tracking.store import open_store, search, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "tsgbench"
HOST = "127.0.0.1"
SORTED_BY = "R@1,IoU=0.5"  # where the study's tables have it


def share_view(uri: str, study: str, metrics: list[str]) -> str:
    """Save the view of a study's systems in its experiment; returns the address below the server's.

    It has a row per system, the mean over its seeds (seeds.py), whose page names their runs.
    metrics: columns, by the tables' names.
    """
    client, experiment = open_store(uri, study)
    condition = "tags.superseded = 'false' and tags.seeds LIKE '%'"
    return _share(client, experiment, VIEW, _view(condition, metrics))


def compare(uri: str, study: str, groups: list[str], metrics: list[str]) -> str:
    """Save a view that sets some systems side by side; returns the address below the server's.

    groups: `model/dataset/ablation`. metrics: bars, by the tables' names. `UserError` if MLflow
    lacks one of them.
    """
    client, experiment = open_store(uri, study)
    runs = {
        run.data.tags.get("cell"): run.info.run_id
        for run in search(client, experiment, "tags.superseded = 'false'")
    }
    if lacking := [group for group in groups if group not in runs]:
        raise UserError(
            f"MLflow has no mean of {', '.join(lacking)}; `tsgbench track` logs what is trained and"
            " evaluated"
        )
    chosen = ", ".join(f"'{runs[group]}'" for group in groups)
    view = _view(f"attributes.run_id IN ({chosen})", metrics)
    name = f"{VIEW}-{digest(groups)}"
    return f"{_share(client, experiment, name, view)}&compareRunsMode=CHART"


def _view(condition: str, metrics: list[str]) -> dict:
    """MLflow's state of the page: which runs, which columns, which charts."""
    first = SORTED_BY if SORTED_BY in metrics else metrics[0]
    return {
        "searchFilter": condition,
        "orderByKey": _column(first),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *map(_column, metrics),
            *(f"tags.`{tag}`" for tag in ("dataset", "ablation", "seeds", "protocol")),
        ],
        "runsPinned": [],
        "runsHidden": [],
        "runsExpanded": {},
        "groupBy": None,
        "compareRunSections": [
            {"uuid": VIEW, "name": "Means over seeds", "display": True, "isReordered": False}
        ],
        "compareRunCharts": [_bars(name) for name in metrics],
        "isAccordionReordered": True,  # else MLflow sorts its own sections before this one
    }


def _bars(metric: str) -> dict:
    return {
        "uuid": f"{VIEW} {metric}",
        "type": "BAR",
        "metricKey": metric_key(TEST + metric),
        "runsCountToCompare": 20,
        "metricSectionId": VIEW,
        "deleted": False,
        "isGenerated": False,
    }


def _share(client: "MlflowClient", experiment: str, name: str, view: dict) -> str:
    client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{name}", json.dumps(view))
    where = f"experiments/{quote(experiment)}/runs"
    return f"#/{where}?workflowType=machine_learning&viewStateShareKey={name}"


def serve(uri: str, address: str, port: int) -> None:
    """Say where the page is and, unless the store is a server's already, serve it until stopped."""
    if uri.startswith(("http://", "https://")):
        print(f"{uri.rstrip('/')}/{address}")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UserError(f"port {port} is in use; choose another with --port") from None
    print(f"In some seconds: http://{HOST}:{port}/{address}\nCtrl-C stops the server.", flush=True)
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    # Its queue of jobs for language models alone is nine processes
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    quiet["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    quiet["MLFLOW_BACKEND_STORE_URI"] = uri  # not in the command, which others of the machine see
    os.execve(sys.executable, command, {**os.environ, **quiet})  # Ctrl-C is the server's then


def need_runs(uri: str) -> None:
    """`UserError` where the embedded store is not there yet."""
    path = sqlite_path(uri)
    if path and not path.exists():
        raise UserError(
            f"{path}: no runs yet; log what is trained with `tsgbench track`, or train first:"
            " snakemake --cores 8 phase_cells"
        )


def _column(metric: str) -> str:
    return f"metrics.`{metric_key(TEST + metric)}`"
