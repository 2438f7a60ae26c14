"""The MLflow store and its runs. What touches MLflow is in this file and `database.py`."""

import json
import logging
import os
import re
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.files import locked
from tsgbench.tracking.database import (
    PATIENCE_S,
    Seen,
    bring_artifacts_along,
    locked_on_server,
    make_ready,
    read_runs,
)
from tsgbench.tracking.names import TEST, flatten, metric_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

BATCH_PARAMS = 100
BATCH_METRICS = 1000
DIGEST_LENGTH = 36  # of a data set, at most
ARTIFACTS = "mlartifacts"  # folder beside an SQLite store
POSTGRESQL = "postgresql"  # begins the address of such a database, whatever its driver
LATER = "`tsgbench track` logs what is missing once it is gone"  # where the store is locked


def default_uri(project: str | Path) -> str:
    """The embedded store of a project folder; `MLFLOW_TRACKING_URI` takes its place."""
    return f"sqlite:///{Path(project).resolve() / 'mlflow.db'}"


def resolve_uri(uri: str) -> str:
    """`MLFLOW_TRACKING_URI` where set, else `uri`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or uri


def public_uri(uri: str) -> str:
    """The store without a password, for records and pages that others read."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", uri)


def _prepare_environment() -> None:
    """Before MLflow is imported: no telemetry, no chatter, an absent server answers soon, and a
    training's use of the machine is logged."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
    }.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)


def alone(uri: str) -> AbstractContextManager[None]:
    """Context in which no other process is that compares an SQLite or PostgreSQL store with cells.

    Tables share cells: of two at once, both would find a cell without a run, and make one.
    """
    return _held(uri, "sync.lock")


def _held(uri: str, name: str) -> AbstractContextManager[None]:
    """Context of one process at a time, where the store can be locked: a server's cannot."""
    database = sqlite_path(uri)
    if database:
        return locked(database.with_name(f"{database.name}.{name}"), LATER, PATIENCE_S)
    if uri.startswith(POSTGRESQL):
        return locked_on_server(uri, name)
    return nullcontext()


def open_store(uri: str, study: str) -> tuple["MlflowClient", str]:
    """Connect to `uri`; returns (MlflowClient, id of the study's experiment).

    An SQLite store is created, and brought to MLflow's current schema, under a file lock, so that
    any number of first users may start at once; so is a PostgreSQL database, whose tables MLflow
    makes, under a lock of its own. Artifacts go to `mlartifacts` beside the file, or here.
    """
    _prepare_environment()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _refuse_folder(uri)
    artifacts: str | None = None
    guard = _held(uri, "lock")
    database = sqlite_path(uri)
    if database or uri.startswith(POSTGRESQL):
        home = database.parent if database else Path.cwd()
        artifacts = (home / ARTIFACTS / metric_key(study)).as_uri()
    if database:
        uri = _address(database)
    with guard:
        if database:
            make_ready(database)
            bring_artifacts_along(database, ARTIFACTS)
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(study)
        if experiment is None:
            try:
                return client, client.create_experiment(study, artifact_location=artifacts)
            except MlflowException:  # another process was first, on a server we cannot lock
                experiment = client.get_experiment_by_name(study)
                if experiment is None:
                    raise
    return client, experiment.experiment_id


def peek(uri: str, study: str) -> list[Seen] | None:
    """The live runs of a study in an SQLite store, newest first, without MLflow, whose import takes
    longer than a table; None of another store, and of one that is not there."""
    database = sqlite_path(uri)
    if database is None or not database.exists():
        return None
    with _held(uri, "lock"):
        bring_artifacts_along(database, ARTIFACTS)
        return read_runs(database, study)


def _refuse_folder(uri: str) -> None:
    """MLflow once kept runs in folders of files, and no longer does."""
    if "://" not in uri or uri.startswith("file:"):
        raise UserError(
            f"MLFLOW_TRACKING_URI: {uri}: a folder of files, which MLflow no longer keeps up; name"
            " a database (sqlite:///mlflow.db) or a server"
        )


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite store, absolute; None for any other store."""
    if not uri.startswith("sqlite:///"):
        return None
    # A question mark begins options, but not in the name of a folder
    return Path(re.sub(r"\?[^/]*$", "", uri.removeprefix("sqlite:///"))).resolve()


def _address(database: Path) -> str:
    """The store as MLflow must be told: relative, where a folder's name would end the address."""
    path = str(database)
    if "?" in path:
        path = os.path.relpath(database)
    if "?" in path:
        raise UserError(
            f"{database}: MLflow cannot address a file in a folder with `?` in its name; run in"
            " that folder, or rename it"
        )
    # SQLite's own patience of 5 s is short for many writers on a slow disk
    return f"sqlite:///{path}?timeout=60"


@dataclass(frozen=True)
class Input:
    """Data that a run read: as what, its name, the digest of its files, its record's path."""

    role: str
    name: str
    digest: str
    record: str


class Run:
    """One MLflow run, logged idempotently: what is there already is not logged again."""

    def __init__(self, client: "MlflowClient", run_id: str):
        self.client, self.run_id = client, run_id
        run = client.get_run(run_id)
        data = run.data
        read = run.inputs.dataset_inputs if run.inputs else []
        self._inputs = {(known.dataset.name, known.dataset.digest) for known in read}
        self.models = models_of(run)
        self.tags, self.params = dict(data.tags), dict(data.params)
        self._old_keys = set(data.metrics)
        self._steps: dict[str, set[int]] = {}

    def log_params(self, settings: dict) -> None:
        """Log the settings, flattened; those that are there already stay as they are."""
        from mlflow.entities import Param

        new = [Param(k, v) for k, v in flatten(settings).items() if k not in self.params]
        for first in range(0, len(new), BATCH_PARAMS):
            self.client.log_batch(self.run_id, params=new[first : first + BATCH_PARAMS])
        self.params.update({param.key: param.value for param in new})

    def log_tags(self, tags: dict) -> None:
        """Set the tags that are new or changed; None is no tag."""
        from mlflow.entities import RunTag

        text = {name: str(value) for name, value in tags.items() if value is not None}
        new = [RunTag(k, v) for k, v in text.items() if self.tags.get(k) != v]
        if new:
            self.client.log_batch(self.run_id, tags=new)
        self.tags.update(text)

    def log_points(self, points: list[tuple[int, int, dict[str, float]]]) -> None:
        """points: (step, time in ms, {name: value}); steps already logged are skipped."""
        from mlflow.entities import Metric

        new = []
        for step, time_ms, values in points:
            for name, value in values.items():
                steps = self._known_steps(metric_key(name))
                if step not in steps:
                    steps.add(step)
                    new.append(Metric(metric_key(name), float(value), time_ms, step))
        for first in range(0, len(new), BATCH_METRICS):
            self.client.log_batch(self.run_id, metrics=new[first : first + BATCH_METRICS])

    def set_final(self, metrics: dict[str, float | None]) -> None:
        """The table's numbers, of the test split, as `test/METRIC`; undefined are left out."""
        self.set_values(
            {metric_key(TEST + name): float(v) for name, v in metrics.items() if v is not None}
        )

    def set_values(self, values: dict[str, float]) -> None:
        """Metrics by their names in MLflow, without epochs; the latest counts."""
        from mlflow.entities import Metric

        logged = self.client.get_run(self.run_id).data.metrics
        # MLflow shows the latest of a step: a second evaluation must carry a later time
        now_ms = int(time.time() * 1000)
        new = [Metric(k, v, now_ms, 0) for k, v in values.items() if logged.get(k) != v]
        for first in range(0, len(new), BATCH_METRICS):
            self.client.log_batch(self.run_id, metrics=new[first : first + BATCH_METRICS])

    def log_inputs(self, inputs: list["Input"]) -> None:
        """What the run read, as MLflow's data sets; those that are there already stay."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        new = [
            DatasetInput(
                Dataset(
                    name=found.name,
                    digest=found.digest[:DIGEST_LENGTH],
                    source_type="local",
                    source=json.dumps({"uri": found.record}),
                ),
                [InputTag("mlflow.data.context", found.role)],
            )
            for found in inputs
            if (found.name, found.digest[:DIGEST_LENGTH]) not in self._inputs
        ]
        if new:
            self.client.log_inputs(self.run_id, datasets=new)
        self._inputs |= {(one.dataset.name, one.dataset.digest) for one in new}

    def log_artifacts(self, folder: Path, names: Iterable[str], settings: dict) -> None:
        """Upload those of the cell's files that are there, and its settings."""
        import yaml

        self.client.log_text(
            self.run_id,
            yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
            "config.yaml",
        )
        for path in (folder / name for name in names):
            if path.exists():
                self.client.log_artifact(self.run_id, str(path))
        self.log_tags({"folder": str(folder)})

    def _known_steps(self, key: str) -> set[int]:
        if key not in self._steps:
            old = self.client.get_metric_history(self.run_id, key) if key in self._old_keys else []
            self._steps[key] = {metric.step for metric in old}
        return self._steps[key]


def models_of(run: "MlflowRun") -> list[str]:
    """Ids of the logged models that the run made."""
    return [made.model_id for made in run.outputs.model_outputs] if run.outputs else []


def create_run(
    client: "MlflowClient", experiment: str, cell: str, tags: dict, start_ms: int
) -> Run:
    """A new run of a cell. start_ms: milliseconds since 1970."""
    tags = {"cell": cell, "superseded": "false", **tags}
    text = {name: str(value) for name, value in tags.items() if value is not None}
    run = client.create_run(experiment, start_time=start_ms, tags=text, run_name=cell)
    return Run(client, run.info.run_id)


def search(client: "MlflowClient", experiment: str, condition: str = "") -> list["MlflowRun"]:
    """Every live run of the experiment that meets the condition, newest first."""
    runs: list[MlflowRun] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], condition, order_by=["attributes.start_time DESC"], page_token=token
        )
        runs.extend(page)
        token = page.token
        if not token:
            return runs
