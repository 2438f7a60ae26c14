"""The embedded store's file: whole or not there, whenever a process dies, and never overwritten."""

import multiprocessing
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from invented import make_old_store
from tsgbench import tracking
from tsgbench.errors import UserError
from tsgbench.tracking import database
from tsgbench.tracking.store import open_store


def execute(path: Path, statement: str) -> list:
    with closing(sqlite3.connect(path)) as opened, opened:
        return opened.execute(statement).fetchall()


def schema(path: Path) -> str:
    return execute(path, "select version_num from alembic_version")[0][0]


def _die_before(path: Path, name: str) -> None:
    """Make the store ready in this process, but die as `os.NAME` or a function is called."""
    holder = database if hasattr(database, name) else os
    setattr(holder, name, lambda *_: os._exit(9))
    database.make_ready(path)


def killed(path: Path, name: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_die_before, args=(path, name))
    process.start()
    process.join()
    assert process.exitcode == 9


def opens(path: Path) -> bool:
    client, experiment = open_store(tracking.default_uri(path.parent), "study")
    return client.get_experiment(experiment).name == "study"


def litter(folder: Path) -> list[str]:
    allowed = ("mlflow.db", "mlflow.db.lock", "mlflow.db.before-upgrade")
    return [path.name for path in folder.iterdir() if path.name not in allowed]


@pytest.mark.parametrize(
    "name",
    ["fsync", *(pytest.param(name, marks=pytest.mark.slow) for name in ("_upgrade", "replace"))],
)
def test_a_store_whose_maker_died_is_made_by_the_next(tmp_path, name):
    path = tmp_path / "mlflow.db"
    killed(path, name)
    assert not path.exists()
    assert opens(path) and not litter(tmp_path)


def test_an_upgrade_that_died_leaves_the_old_store_and_no_copy_is_overwritten(tmp_path):
    path = tmp_path / "mlflow.db"
    make_old_store(path)
    old = schema(path)
    execute(
        path,
        "insert into experiments (experiment_id, name, lifecycle_stage)"
        " values (7, 'kept', 'active')",
    )
    before = path.read_bytes()
    killed(path, "fsync")
    assert path.read_bytes() == before and schema(path) == old
    kept = tmp_path / "mlflow.db.before-upgrade"
    assert schema(kept) == old
    assert opens(path) and schema(path) != old
    assert execute(path, "select name from experiments where experiment_id = 7") == [("kept",)]
    assert schema(tmp_path / "mlflow.db.before-upgrade-2") == old


def test_what_mlflow_itself_left_unfinished_is_set_aside(tmp_path, caplog):
    path = tmp_path / "mlflow.db"
    execute(path, "create table runs (run_uuid text)")
    assert opens(path) and "its making was interrupted" in caplog.text
    assert execute(tmp_path / "mlflow.db.unfinished-store", "select * from runs") == []


@pytest.fixture(scope="module")
def used(tmp_path_factory) -> bytes:
    """A store with one run, that an empty file became."""
    path = tmp_path_factory.mktemp("used") / "mlflow.db"
    path.touch()
    client, experiment = open_store(tracking.default_uri(path.parent), "study")
    client.create_run(experiment)
    client._tracking_client.store.engine.dispose()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: execute(path, "update alembic_version set version_num = 'future'"), "newer"),
        (lambda path: execute(path, "drop table alembic_version"), "holds runs"),
        (lambda path: path.write_bytes(b"no database at all" * 100), "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_named_and_left_alone(tmp_path, used, spoil, said):
    path = tmp_path / "mlflow.db"
    path.write_bytes(used)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=said):
        open_store(tracking.default_uri(tmp_path), "study")
    assert path.read_bytes() == before and not litter(tmp_path)
