"""The database of a store: how its file is made whole, and how one on a server is locked.

The embedded store's file is created and upgraded as a whole, or left as it was.
MLflow builds its tables in dozens of steps. A process that dies in between would leave a file that
no later one can open, so all of that is done to a private copy, which then takes the store's place
in one step. A store that holds anything is never overwritten: older ones are kept beside it.
"""

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tsgbench.errors import UserError

log = logging.getLogger(__name__)

# Where MLflow keeps locations of artifacts
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)
PATIENCE_S = 60.0  # for another process that holds the store


@dataclass(frozen=True)
class Seen:
    """What a store says of a run."""

    run_id: str
    status: str
    tags: dict[str, str]


def make_ready(database: Path) -> None:
    """Create the store, or bring it to the schema of the installed MLflow; call under a lock.

    `UserError` if it is of a newer MLflow, or holds something else.
    """
    found, newest, known = _read_schema(database), *_schemas()
    if found == newest:
        return
    if found is None:
        if _tables(database):
            _set_aside_if_empty(database)
        _replace(database, None)
    elif found in known:
        kept = _free_name(database, "before-upgrade")
        _replace(database, kept)
        log.warning("%s: made by an older MLflow; upgraded, the old one is %s", database, kept)
    else:
        raise UserError(
            f"{database}: made by a newer MLflow (schema {found}); install that one, or move the"
            " file away and `tsgbench track` makes a new one"
        )


def bring_artifacts_along(database: Path, name: str) -> None:
    """Artifacts of a store lie in the folder `name` beside it; call under a lock.

    MLflow's are absolute: a project that was moved or copied would write into the old one.
    """
    here = f"{(database.parent / name).as_uri()}/"
    moved: set[str] = set()
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as opened, opened:
        for table, column in LOCATIONS:
            for (location,) in opened.execute(f"select distinct {column} from {table}").fetchall():
                before, found, rest = (location or "").rpartition(f"/{name}/")
                if not found or not before.startswith("file:") or location.startswith(here):
                    continue
                opened.execute(
                    f"update {table} set {column} = ? where {column} = ?", (here + rest, location)
                )
                moved.add(f"{before}/{name}")
    if moved:
        log.warning(
            "%s: moved or copied; its artifacts are in %s, no longer in %s",
            database,
            here,
            ", ".join(sorted(moved)),
        )


def read_runs(database: Path, study: str) -> list[Seen]:
    """The live runs of a study, newest first, without MLflow; none where the file has no tables."""
    if not {"experiments", "runs", "tags"} <= _tables(database):
        return []
    rows = _query(
        database,
        "select run_uuid, status, key, value from runs"
        " join experiments using (experiment_id) join tags using (run_uuid)"
        " where experiments.name = ? and runs.lifecycle_stage = 'active' order by start_time desc",
        study,
    )
    found: dict[str, Seen] = {}
    for run_id, status, key, value in rows:
        found.setdefault(run_id, Seen(run_id, status, {})).tags[key] = value
    return list(found.values())


@contextmanager
def locked_on_server(uri: str, name: str) -> Iterator[None]:
    """Context in which no other process, of any machine, has the lock `name` of a PostgreSQL
    database; it ends with the connection, whatever becomes of the process.

    `UserError` without a driver.
    """
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    except ModuleNotFoundError as error:
        raise UserError(
            f"MLFLOW_TRACKING_URI: names a PostgreSQL database, whose driver is not installed"
            f" ({error}): pip install 'tsgbench[postgresql]'"
        ) from None
    key = int.from_bytes(hashlib.sha256(f"tsgbench {name}".encode()).digest()[:8], signed=True)
    # Else the connection would wait in a transaction, and what it saw could not be cleaned up
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text(f"set lock_timeout = '{PATIENCE_S:.0f}s'"))
        connection.execute(sqlalchemy.text("select pg_advisory_lock(:key)"), {"key": key})
        yield


def _replace(database: Path, kept: Path | None) -> None:
    """Make or upgrade a private copy, keep the old file under `kept`, and take its place."""
    copy = database.with_name(f"{database.name}.unfinished")
    _delete(copy)  # of a process that died
    try:
        if kept:
            _copy(database, copy)
            _copy(database, kept)
        _upgrade(copy)
        with open(copy, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(copy, database)
    except BaseException:
        _delete(copy)
        raise


def _upgrade(database: Path) -> None:
    """Bring a file, perhaps an empty one, to MLflow's newest schema."""
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables, _upgrade_db

    is_new = not database.exists()
    address = sqlalchemy.URL.create("sqlite", database=str(database))  # whatever its characters
    engine = sqlalchemy.create_engine(address)
    try:
        (_initialize_tables if is_new else _upgrade_db)(engine)  # type: ignore[no-untyped-call]  # MLflow's
    finally:
        engine.dispose()


def _schemas() -> tuple[str, set[str]]:
    """The newest schema that the installed MLflow knows, and all that it can upgrade from."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    script = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    [newest] = script.get_heads()
    return newest, {revision.revision for revision in script.walk_revisions()}


def _read_schema(database: Path) -> str | None:
    """The schema of a store; None for a file that is not there, empty, or was never finished."""
    if "alembic_version" not in _tables(database):
        return None
    row = _query(database, "select version_num from alembic_version")
    return row[0][0] if row else None


def _tables(database: Path) -> set[str]:
    if not database.exists():
        return set()
    return {name for (name,) in _query(database, "select name from sqlite_master")}


def _query(database: Path, statement: str, *values: str) -> list[tuple]:
    try:
        with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as opened:
            return opened.execute(statement, values).fetchall()
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{database}: cannot be read as an SQLite file ({error}); if it is damaged, move it"
            " away, and `tsgbench track` makes a new one"
        ) from None


def _set_aside_if_empty(database: Path) -> None:
    """Move away a store whose making was interrupted; `UserError` if it holds runs after all."""
    if "runs" in _tables(database) and _query(database, "select count(*) from runs") != [(0,)]:
        raise UserError(
            f"{database}: holds runs, but no schema that MLflow knows; move it away, and"
            " `tsgbench track` makes a new one"
        )
    aside = _free_name(database, "unfinished-store")
    os.rename(database, aside)
    log.warning("%s: its making was interrupted, and it holds no run; moved to %s", database, aside)


def _free_name(database: Path, what: str) -> Path:
    """`mlflow.db.WHAT`, or `.WHAT-2`, ...: a name that nothing has."""
    number, path = 1, database.with_name(f"{database.name}.{what}")
    while path.exists():
        number += 1
        path = database.with_name(f"{database.name}.{what}-{number}")
    return path


def _copy(database: Path, target: Path) -> None:
    """A consistent copy, whoever else writes."""
    partial = target.with_name(f"{target.name}.partial")
    _delete(partial)
    with (
        closing(sqlite3.connect(database, timeout=PATIENCE_S)) as source,
        closing(sqlite3.connect(partial)) as copy,
    ):
        source.backup(copy)
    os.replace(partial, target)


def _delete(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-journal")):
        name.unlink(missing_ok=True)
