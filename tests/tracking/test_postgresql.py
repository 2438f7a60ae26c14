"""Runs in a real PostgreSQL, started for the test; skipped where its server or driver is not."""

import glob
import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from invented import write_cell
from tsgbench.errors import UserError
from tsgbench.tracking import CellTracker, public_uri, record_tags, sync
from tsgbench.tracking.database import locked_on_server
from tsgbench.tracking.history import read_history
from tsgbench.tracking.store import open_store, search

SEEDS = range(8)
PASSWORD = "not%2Fa%20secret"  # any will do


def find_programs() -> Path | None:
    """Debian keeps them out of the PATH, by version."""
    found = [shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))]
    return next((Path(path).parent for path in reversed(found) if path), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an empty database of a server of our own, by its socket: no port is taken."""
    pytest.importorskip("psycopg2", reason="no driver: pip install 'tsgbench[postgresql]'")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path must be short
    data = folder / "data"
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    try:
        if user:
            shutil.chown(folder, user)
        _run(user, programs / "initdb", "-A", "trust", "-U", "tsgbench", "-D", data)
        log = folder / "log"
        _run(user, programs / "pg_ctl", "-w", "-D", data, "-l", log, "-o", options, "start")
        try:
            _run(user, programs / "createdb", "-h", folder, "-U", "tsgbench", "runs")
            yield f"postgresql://tsgbench:{PASSWORD}@/runs?host={folder}"
        finally:
            _run(user, programs / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _run(user: str | None, *words: object) -> None:
    # To a file: a server that stays would hold a pipe open
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            list(map(str, words)), user=user, cwd="/", stdout=said, stderr=subprocess.STDOUT
        )
        said.seek(0)
        assert done.returncode == 0, said.read().decode()


def _train(root: Path, seed: int, uri: str, gate) -> None:
    os.chdir(root)
    folder = write_cell(root, f"seqpan/shapes/full/seed{seed}", epochs=30)
    settings = record_of(folder)["settings"]
    gate.wait()
    tracker = CellTracker.start(
        cell=f"seqpan/shapes/full/seed{seed}",
        study="demo",
        settings=settings,
        tags=record_tags(record_of(folder)),
        uri=uri,
        folder=folder,
    )
    for epoch, values in read_history(folder / "history.csv"):
        tracker.log_epoch(epoch, values)
    tracker.finish(folder, timeout_s=240)
    (root / f"problem{seed}").write_text(tracker.problem or "")


def record_of(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def _sync(root: Path, uri: str) -> None:
    os.chdir(root)
    rows = sync([root / f"seqpan/shapes/full/seed{seed}" for seed in SEEDS], study="demo", uri=uri)
    assert [row["status"] for row in rows] == ["logged"] * len(SEEDS), rows


@pytest.mark.slow
def test_eight_cells_log_at_once_into_an_empty_database(server, tmp_path, monkeypatch):
    """The first of them makes the tables; tables printed at once then log no cell twice."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(len(SEEDS))
    together([context.Process(target=_train, args=(tmp_path, s, server, gate)) for s in SEEDS])
    assert [(tmp_path / f"problem{seed}").read_text() for seed in SEEDS] == [""] * len(SEEDS)
    client, experiment = open_store(server, "demo")
    runs = search(client, experiment)
    assert sorted(run.data.tags["seed"] for run in runs) == sorted(map(str, SEEDS))
    for run in runs:
        assert run.info.status == "FINISHED"
        steps = [one.step for one in client.get_metric_history(run.info.run_id, "loss/total")]
        assert sorted(steps) == list(range(1, 31))

    client.delete_run(runs[0].info.run_id)  # so that both find a cell without a run
    together([context.Process(target=_sync, args=(tmp_path, server)) for _ in range(2)])
    runs = search(client, experiment)
    [mean] = [run for run in runs if "seeds" in run.data.tags]
    assert mean.data.tags["seeds"] == " ".join(map(str, SEEDS))
    assert mean.data.metrics["test/mIoU"] == 55.0
    assert len(runs) == len(SEEDS) + 1
    found = client.search_logged_models([experiment])
    assert len(found) == len(SEEDS) and {model.status for model in found} == {"READY"}
    artifacts = tmp_path / "mlartifacts" / "demo"
    seeds = [run.info.run_id for run in runs if run is not mean]
    assert all((artifacts / run_id / "artifacts/run.json").exists() for run_id in seeds)


def together(processes: list) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_a_driver_that_is_not_there_is_said_in_a_sentence():
    with (
        pytest.raises(UserError, match=r"driver is not installed .*'tsgbench\[postgresql\]'"),
        locked_on_server("postgresql+pg8000://x/y", "lock"),
    ):
        pass


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql://me:se%40cret@db:5432/runs", "postgresql://me:***@db:5432/runs"),
        ("postgresql://me@db/runs", "postgresql://me@db/runs"),
        ("http://me:secret@mlflow.example:5000", "http://me:***@mlflow.example:5000"),
        ("http://mlflow.example:5000/a@b", "http://mlflow.example:5000/a@b"),
        ("sqlite:////data/a:b@c/mlflow.db", "sqlite:////data/a:b@c/mlflow.db"),
    ],
)
def test_a_password_stays_out_of_what_others_read(uri, said):
    assert public_uri(uri) == said
