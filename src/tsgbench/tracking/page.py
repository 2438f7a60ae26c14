"""MLflow's page of a study: its runs as a table of the metrics that its tables print.

MLflow opens an experiment as one of a language model: traces, tokens, and "-" in every column. A
shared view, which is a tag of the experiment, says what to show instead; the address names it.
"""

import json
import os
import socket
import sys
from urllib.parse import quote

from tsgbench.errors import UserError
from tsgbench.tracking.names import TEST, metric_key
from tsgbench.tracking.store import open_store, sqlite_path

VIEW = "tsgbench"
HOST = "127.0.0.1"
SORTED_BY = "R@1,IoU=0.5"  # where the study's tables have it


def share_view(uri: str, study: str, metrics: list[str]) -> str:
    """Save the view of a study's runs in its experiment; returns the address below the server's.

    metrics: columns, by the tables' names.
    """
    client, experiment = open_store(uri, study)
    columns = [_column(name) for name in metrics]
    first = SORTED_BY if SORTED_BY in metrics else metrics[0]
    view = {
        "searchFilter": "",
        "orderByKey": _column(first),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *columns,
            *(f"tags.`{tag}`" for tag in ("dataset", "ablation", "seed", "protocol")),
        ],
        "runsPinned": [],
        "runsHidden": [],
        "runsExpanded": {},
        "groupBy": None,
    }
    client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{VIEW}", json.dumps(view))
    where = f"experiments/{quote(experiment)}/runs"
    return f"#/{where}?workflowType=machine_learning&viewStateShareKey={VIEW}"


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
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    # Its queue of jobs for language models alone is nine processes
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    quiet["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
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
