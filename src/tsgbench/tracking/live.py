"""Tracking during a training: in the background, and never in its way."""

import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.tracking.store import Run, create_run, open_store, resolve_uri, search

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

MADE_BY_TRAINING = ("history.csv", "predictions.parquet", "checkpoint.pt")
FLUSH_S = 1.0
FINISH_S = 30.0
STOPPED_S = 5.0


class CellTracker:
    """Follows one training from a background thread; training never waits for it, nor fails.

    Whatever goes wrong is logged once as a warning; the cell's files stay, and `sync` logs them
    later. A run of the same identity that was left unfinished (a killed job) is continued.
    """

    def __init__(self, cell: str, folder: Path | None = None):
        self.cell, self.folder = cell, folder
        self.run_id: str | None = None
        self.problem: str | None = None
        self._upload: Path | None = None
        self._todo: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def start(
        cls,
        *,
        cell: str,
        study: str,
        settings: dict,
        tags: dict,
        uri: str | None,
        folder: str | Path | None = None,
    ) -> "CellTracker":
        """Begin the run `cell` in the experiment `study`; returns at once.

        settings: the cell's resolved settings. tags: at least `identity`; see `record_tags`.
        uri: the store (`MLFLOW_TRACKING_URI` overrides), or None for no tracking at all.
        folder: where the cell's files will be, for the warning.
        """
        tracker = cls(cell, Path(folder) if folder else None)
        if uri is not None:
            tracker._thread = threading.Thread(
                target=tracker._work,
                args=(resolve_uri(uri), study, settings, dict(tags)),
                name=f"tracking {cell}",
                daemon=True,
            )
            tracker._thread.start()
        return tracker

    def log_epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Queue the metrics of one epoch."""
        self._todo.put((int(epoch), int(time.time() * 1000), dict(values)))

    def finish(
        self,
        folder: str | Path | None = None,
        status: str = "FINISHED",
        timeout_s: float | None = None,
    ) -> None:
        """Close the run (FINISHED, FAILED or KILLED), after uploading what the training made.

        folder: holds the history, predictions and checkpoint; None, or another status than
        FINISHED, uploads nothing (the folder may still hold an older training's files).
        Waits at most `timeout_s` (30 s, 5 s for a training that was stopped); what is not done by
        then is left to `sync`, and so are `run.json` and `metrics.json`, which are written later.
        """
        self._upload = Path(folder) if folder and status == "FINISHED" else None
        self._todo.put(status)
        if self._thread is None:
            return
        if timeout_s is None:
            timeout_s = FINISH_S if status == "FINISHED" else STOPPED_S
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._give_up(f"the store did not answer within {timeout_s:.0f} s")

    def _work(self, uri: str, study: str, settings: dict, tags: dict) -> None:
        try:
            client, experiment = open_store(uri, study)
            run = self._open_run(client, experiment, {"study": study, **tags})
            self.run_id = run.run_id
            run.log_params(settings)
            status = None
            with _watching_machine(client, run.run_id):
                while status is None:
                    points, status = self._collect()
                    run.log_points(points)
            if self._upload:
                run.log_artifacts(self._upload, MADE_BY_TRAINING, settings)
            client.set_terminated(run.run_id, status=status)
        except Exception as error:  # training must go on, whatever a store or a network may raise
            self._give_up(first_line(error))

    def _open_run(self, client: "MlflowClient", experiment: str, tags: dict) -> Run:
        if tags.get("identity"):
            for run in search(client, experiment, f"tags.identity = '{tags['identity']}'"):
                if run.info.status != "FINISHED":
                    client.update_run(run.info.run_id, status="RUNNING")
                    return Run(client, run.info.run_id)
        return create_run(client, experiment, self.cell, tags, int(time.time() * 1000))

    def _collect(self) -> tuple[list, str | None]:
        """Wait for something to log, then gather what comes within a moment into one batch."""
        points: list[tuple] = []
        until = None
        while True:
            try:
                item = self._todo.get(timeout=until and max(0.0, until - time.monotonic()))
            except queue.Empty:
                return points, None
            if isinstance(item, str):
                return points, item
            points.append(item)
            until = until or time.monotonic() + FLUSH_S

    def _give_up(self, reason: str) -> None:
        if self.problem is None:
            self.problem = reason
            where = self.folder or f"the folder of {self.cell}"
            log.warning(
                "tracking off: %s; metrics stay in %s; `tsgbench track` logs them later",
                reason,
                where,
            )


@contextmanager
def _watching_machine(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Have MLflow log what of the machine is in use, as `system/…`, every ten seconds.

    `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false` switches it off; of GPUs it knows by
    `nvidia-ml-py`. It is no part of a result, and what a lost store misses of it is not made up.
    """
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        yield
        return
    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=client.tracking_uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def first_line(error: Exception) -> str:
    """What an error says in a line: a sentence of ours whole, of others the kind and the start."""
    if isinstance(error, UserError):  # a sentence already
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
