"""Tracking, against a real SQLite store. The cells are invented (tests/invented.py)."""

import json
import logging
import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from invented import METRICS, make_old_store, write_cell
from tsgbench import tracking
from tsgbench.tracking import CellTracker, flatten, metric_key, metric_name, record_tags, sync

CELL = "seqpan/shapes/full/seed0"
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_override(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """A store with its schema made: creating one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("store")
    sync([], study="unused", uri=tracking.default_uri(folder))
    return folder / "mlflow.db"


@pytest.fixture
def uri(tmp_path, empty_store) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    return tracking.default_uri(tmp_path)


def read_all(uri: str, study: str = "demo") -> list:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    return list(client.search_runs([experiment.experiment_id]))


def read_runs(uri: str, study: str = "demo") -> list:
    """Those of cells."""
    return [run for run in read_all(uri, study) if "seeds" not in run.data.tags]


def read_means(uri: str) -> dict:
    """Those of systems, over seeds: by name."""
    return {run.info.run_name: run for run in read_all(uri) if "seeds" in run.data.tags}


def read_steps(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    return sorted((m.step, m.value) for m in MlflowClient(uri).get_metric_history(run_id, key))


def read_artifacts(uri: str, run_id: str) -> set[str]:
    from mlflow import MlflowClient

    return {item.path for item in MlflowClient(uri).list_artifacts(run_id)}


def start(folder: Path, uri: str) -> CellTracker:
    record = json.loads((folder / "run.json").read_text())
    return CellTracker.start(
        cell=record["key"],
        study="demo",
        settings=record["settings"],
        tags=record_tags(record),
        uri=uri,
        folder=folder,
    )


def test_importing_tracking_is_light():
    code = (
        "import sys, tsgbench.tracking;"
        "print([m for m in ('mlflow', 'torch', 'pandas', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name", [*METRICS, "R@1,IoU=0.1", "val/R@5,IoU=0.7", "loss", "loss/span", "lr"]
)
def test_metric_names_survive_the_round_trip(name):
    from mlflow.utils.validation import _validate_metric_name

    key = metric_key(name)
    _validate_metric_name(key)
    assert metric_name(key) == name


def test_metric_keys_differ_and_are_accepted_whatever_the_name():
    from mlflow.utils.validation import _validate_metric_name

    assert len({metric_key(name) for name in METRICS}) == len(METRICS)
    assert metric_key("R@1,IoU=0.5") == "R_at_1 IoU_0.5"
    _validate_metric_name(metric_key("odd: (name) 100%"))


def test_settings_become_flat_parameters():
    settings = {
        "model": "seqpan",
        "model_settings": {"width": 32},
        "train": {"lr": 0.1, "steps": [1, 2], "extra": {}},
        "note": "x" * 900,
    }
    assert flatten(settings) == {
        "model.name": "seqpan",
        "model.width": "32",
        "train.lr": "0.1",
        "train.steps": "[1, 2]",
        "train.extra": "{}",
        "note": "x" * 500,
    }


def test_a_training_is_logged_live(tmp_path, uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    folder = write_cell(tmp_path, base=None)
    tracker = start(folder, uri)
    wait_for_machine(tracker, uri)
    for epoch in (1, 2, 3):
        tracker.log_epoch(epoch, {"loss": 3 / epoch, "val/R@1,IoU=0.5": 10.0 * epoch})
    tracker.finish(folder, "FINISHED")
    assert tracker.problem is None
    [run] = read_runs(uri)
    assert run.info.run_id == tracker.run_id
    assert (run.info.run_name, run.info.status) == (CELL, "FINISHED")
    assert run.data.params["train.lr"] == "0.001"
    assert run.data.params["model.width"] == "32"
    assert run.data.tags["features_digest"] == "fd" * 8
    assert run.data.tags["data_digest"] == "ad" * 8
    assert run.data.tags["seed"] == "0"
    assert run.data.tags["git_commit"] == "d" * 40
    assert read_steps(uri, tracker.run_id, "val/R_at_1 IoU_0.5") == [
        (1, 10.0),
        (2, 20.0),
        (3, 30.0),
    ]
    expected = {"config.yaml", "history.csv", "predictions.parquet", "checkpoint.pt"}
    assert read_artifacts(uri, tracker.run_id) == expected
    assert (tmp_path / "mlartifacts" / "demo" / tracker.run_id).is_dir()
    used = run.data.metrics
    assert 0 <= used["system/cpu_utilization_percentage"] <= 100
    assert used["system/system_memory_usage_megabytes"] > 0


def wait_for_machine(tracker: CellTracker, uri: str, limit_s: float = 60) -> None:
    """Until the run has the first numbers of the machine."""
    from mlflow import MlflowClient

    ends = time.monotonic() + limit_s
    while time.monotonic() < ends and tracker.problem is None:
        if tracker.run_id:
            metrics = MlflowClient(uri).get_run(tracker.run_id).data.metrics
            if any(name.startswith("system/") for name in metrics):
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing of the machine in {limit_s} s: {tracker.problem}")


def test_the_machine_is_watched_unless_switched_off(tmp_path, uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    tracker = start(write_cell(tmp_path, base=None), uri)
    for epoch in range(1, 4):
        tracker.log_epoch(epoch, {"loss": 1.0})
        time.sleep(0.2)
    tracker.finish(None)
    [run] = read_runs(uri)
    assert tracker.problem is None and "loss/total" in run.data.metrics
    assert not any(name.startswith("system/") for name in run.data.metrics)


def test_training_does_not_wait_for_tracking(tmp_path, uri):
    folder = write_cell(tmp_path)
    began = time.perf_counter()
    tracker = start(folder, uri)
    tracker.log_epoch(1, {"loss": 1.0})
    waited = time.perf_counter() - began
    tracker.finish(folder)
    assert waited < 0.5


def test_sync_completes_a_live_run_with_the_evaluation(tmp_path, uri):
    folder = write_cell(tmp_path, base=None)
    tracker = start(folder, uri)
    tracker.log_epoch(1, {"loss": 3.0})  # the store was lost after the first epoch
    tracker.finish(folder)
    [row] = sync([folder], study="demo", uri=uri)
    assert (row["status"], row["reason"]) == ("pending", "no metrics.json: not evaluated yet")
    write_cell(tmp_path, base=70.0)
    [row] = sync([folder], study="demo", uri=uri)
    assert row == {"cell": CELL, "run_id": tracker.run_id, "status": "logged", "reason": ""}
    [run] = read_runs(uri)
    assert read_steps(uri, tracker.run_id, "loss/total") == [(1, 3.0), (2, 1.5), (3, 1.0)]
    finals = {metric_name(key): value for key, value in run.data.metrics.items()}
    assert {name: finals[f"test/{name}"] for name in METRICS} == {
        **{f"R@1,IoU={t}": v for t, v in (("0.3", 70.0), ("0.5", 50.0), ("0.7", 30.0))},
        **{f"R@5,IoU={t}": v for t, v in (("0.3", 78.0), ("0.5", 68.0), ("0.7", 58.0))},
        "mIoU": 55.0,
    }
    assert run.data.tags["protocol"] == "default" and run.data.tags["convention"] == "seconds"
    assert {"metrics.json", "run.json"} <= read_artifacts(uri, tracker.run_id)


def test_sync_makes_missing_runs_and_repeats_without_effect(tmp_path, uri):
    cells = [write_cell(tmp_path, f"seqpan/shapes/full/seed{s}", base=70.0 + s) for s in (0, 1)]
    first = sync(cells, study="demo", uri=uri)
    before = {run.info.run_id: run.data.to_dictionary() for run in read_runs(uri)}
    rows_before = count_rows(uri)
    again = sync(cells, study="demo", uri=uri)
    assert [row["status"] for row in first] == ["logged", "logged"]
    assert again == first
    assert {run.info.run_id: run.data.to_dictionary() for run in read_runs(uri)} == before
    assert count_rows(uri) == rows_before
    run = read_runs(uri)[0]
    assert run.info.status == "FINISHED"
    # By the record, whatever a pull made of file times
    ended = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert (run.info.start_time, run.info.end_time) == (1000 * (ended - 12), 1000 * ended)


AGAIN = """
import json, sys
from pathlib import Path
from tsgbench.tracking import sync
rows = sync([Path(cell) for cell in sys.argv[2:]], study="demo", uri=sys.argv[1], glances=True)
print(json.dumps([rows, "mlflow" in sys.modules]))
"""


def test_what_is_logged_already_is_seen_without_mlflow(tmp_path, uri):
    cells = [write_cell(tmp_path, f"seqpan/shapes/full/seed{s}", base=70.0 + s) for s in (0, 1)]

    def sync_anew() -> list:
        words = [sys.executable, "-c", AGAIN, uri, *map(str, cells)]
        return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)

    first = sync(cells, study="demo", uri=uri)
    assert sync_anew() == [first, False]
    other = write_cell(tmp_path, "seqpan/shapes/full/seed1", base=60.0)
    assert other == cells[1]
    rows, imported = sync_anew()
    assert imported and [row["status"] for row in rows] == ["logged", "logged"]
    assert sync_anew() == [rows, False]


def count_rows(uri: str) -> dict[str, int]:
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        return {
            table: database.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("runs", "metrics", "params", "tags")
        }


def test_last_best_and_test_values_are_told_apart(tmp_path, uri):
    """The invented training scores 10, 20 and 30, and its record kept the second epoch."""
    folder = write_cell(tmp_path, base=70.0)
    [row] = sync([folder], study="demo", uri=uri)
    [run] = read_runs(uri)
    assert run.data.metrics["val/mIoU"] == 30.0
    assert read_steps(uri, row["run_id"], "best/mIoU") == [(2, 20.0)]
    assert run.data.metrics["test/mIoU"] == 55.0


def test_losses_can_stand_beside_each_other_as_files():
    """MLflow keeps a metric of a folder's name as that folder's file, where it keeps files."""
    keys = {metric_key(name) for name in ("loss", "loss/span", "val/mIoU", "test/mIoU", "lr")}
    assert not any(other.startswith(f"{key}/") for key in keys for other in keys)


@pytest.mark.parametrize("old", ["left behind", "gone"])
def test_a_moved_project_keeps_its_artifacts_with_it(tmp_path, empty_store, caplog, old):
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(empty_store, first / "mlflow.db")
    # In another process: MLflow remembers, while one lives, where the artifacts of a run are
    arguments = {"study": "demo", "uri": tracking.default_uri(first)}
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=sync, args=([write_cell(first)],), kwargs=arguments)
    process.start()
    process.join()
    second = tmp_path / "second"
    shutil.copytree(first, second)
    if old == "gone":
        shutil.rmtree(first)
    before = files_below(first)
    folder = write_cell(second, base=60.0)
    fresh = write_cell(second, "seqpan/shapes/full/seed1")
    with caplog.at_level(logging.WARNING, logger="tsgbench"):
        for _ in range(2):
            rows = sync([folder, fresh], study="demo", uri=tracking.default_uri(second))
    assert [one["status"] for one in rows] == ["logged", "logged"]
    assert len(read_runs(tracking.default_uri(second))) == 2
    assert files_below(first) == before
    for one in rows:
        assert (second / "mlartifacts/demo" / one["run_id"] / "artifacts/run.json").exists()
        assert "run.json" in read_artifacts(tracking.default_uri(second), one["run_id"])
    [said] = [r.getMessage() for r in caplog.records if "moved or copied" in r.getMessage()]
    assert str(first / "mlartifacts") in said and "\n" not in said


def files_below(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_project_may_have_any_name(tmp_path, empty_store, monkeypatch):
    project = tmp_path / "odd?a=1%41 #é;" / "x"
    project.mkdir(parents=True)
    shutil.copy(empty_store, project / "mlflow.db")
    monkeypatch.chdir(project)
    [row] = sync([write_cell(project)], study="demo", uri=tracking.default_uri(project))
    assert (row["status"], row["reason"]) == ("logged", "")
    assert "run.json" in read_artifacts("sqlite:///mlflow.db", row["run_id"])
    assert [path.name for path in tmp_path.iterdir()] == ["odd?a=1%41 #é;"]
    monkeypatch.chdir(tmp_path.parent)
    [row] = sync([write_cell(project)], study="demo", uri=tracking.default_uri(project))
    assert row["status"] == "pending" and "run in that folder, or rename it" in row["reason"]


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///nowhere/mlruns"])
def test_a_store_of_files_is_refused_in_a_sentence(tmp_path, uri, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [row] = sync([write_cell(tmp_path)], study="demo", uri=uri)
    assert row["reason"] == (
        f"tracking off: MLFLOW_TRACKING_URI: {uri}: a folder of files, which MLflow no longer keeps"
        " up; name a database (sqlite:///mlflow.db) or a server"
    )
    assert not (tmp_path / "mlruns").exists()


def test_a_new_evaluation_replaces_the_final_metrics(tmp_path, uri):
    folder = write_cell(tmp_path, base=70.0)
    sync([folder], study="demo", uri=uri)
    write_cell(tmp_path, base=60.0)
    sync([folder], study="demo", uri=uri)
    [run] = read_runs(uri)
    assert run.data.metrics["test/R_at_1 IoU_0.3"] == 60.0


def test_undefined_metrics_are_left_out(tmp_path, uri):
    folder = write_cell(tmp_path, metrics={"R@1,IoU=0.5": 10.0, "R@5,IoU=0.5": None})
    assert sync([folder], study="demo", uri=uri)[0]["status"] == "logged"
    [run] = read_runs(uri)
    assert "test/R_at_1 IoU_0.5" in run.data.metrics
    assert "test/R_at_5 IoU_0.5" not in run.data.metrics


def test_other_settings_make_another_run_and_mark_the_old_one(tmp_path, uri):
    folder = write_cell(tmp_path, lr=0.001)
    [old] = sync([folder], study="demo", uri=uri)
    write_cell(tmp_path, lr=0.01)
    [new] = sync([folder], study="demo", uri=uri)
    assert marks(uri) == {old["run_id"]: "true", new["run_id"]: "false"}
    write_cell(tmp_path, lr=0.001)  # back again: the old run is the current one
    [back] = sync([folder], study="demo", uri=uri)
    assert back["run_id"] == old["run_id"]
    assert marks(uri) == {old["run_id"]: "false", new["run_id"]: "true"}


def marks(uri: str) -> dict[str, str]:
    return {run.info.run_id: run.data.tags["superseded"] for run in read_runs(uri)}


def test_the_seeds_of_a_system_have_a_parent_with_mean_and_spread(tmp_path, uri):
    bases = {0: 70.0, 1: 71.0, 2: 75.0}
    cells = [write_cell(tmp_path, f"seqpan/shapes/full/seed{s}", base=b) for s, b in bases.items()]
    alone = write_cell(tmp_path, "seqpan/shapes/blind/seed0", base=40.0)
    sync([*cells[:2], alone], study="demo", uri=uri)
    first = read_means(uri)
    assert first["seqpan/shapes/full"].data.tags["seeds"] == "0 1"
    sync(cells, study="demo", uri=uri)  # a third seed joins them
    means = read_means(uri)
    assert set(means) == {"seqpan/shapes/full", "seqpan/shapes/blind"}
    full, blind = means["seqpan/shapes/full"], means["seqpan/shapes/blind"]
    assert full.info.run_id == first["seqpan/shapes/full"].info.run_id
    assert full.data.metrics["test/R_at_1 IoU_0.3"] == pytest.approx(72.0)
    assert full.data.metrics["std/test/R_at_1 IoU_0.3"] == pytest.approx(7.0**0.5)
    assert full.data.metrics["best/mIoU"] == 20.0 and full.info.status == "FINISHED"
    assert (full.data.tags["seeds"], full.data.tags["dataset"]) == ("0 1 2", "shapes")
    assert "std/test/mIoU" not in blind.data.metrics  # one seed says nothing of the spread
    parents = {run.info.run_name: run.data.tags["mlflow.parentRunId"] for run in read_runs(uri)}
    assert parents == {f"seqpan/shapes/full/seed{s}": full.info.run_id for s in bases} | {
        "seqpan/shapes/blind/seed0": blind.info.run_id
    }


def test_a_mean_is_of_current_runs_alone(tmp_path, uri):
    folder = write_cell(tmp_path, base=70.0, lr=0.001)
    sync([folder], study="demo", uri=uri)
    write_cell(tmp_path, base=30.0, lr=0.01)  # other settings, other results
    sync([folder], study="demo", uri=uri)
    [mean] = read_means(uri).values()
    assert mean.data.metrics["test/R_at_1 IoU_0.3"] == 30.0


def test_what_is_not_evaluated_has_no_mean(tmp_path, uri):
    sync([write_cell(tmp_path, base=None)], study="demo", uri=uri)
    assert read_means(uri) == {}


def test_a_run_names_the_data_it_read_and_says_what_it_is(tmp_path, uri):
    folder = write_cell(tmp_path)
    for _ in range(2):
        sync([folder], study="demo", uri=uri)
        (folder / "metrics.json").write_text((folder / "metrics.json").read_text() + " ")
    [run] = read_runs(uri)
    read = {
        found.tags[0].value: (found.dataset.name, found.dataset.digest)
        for found in run.inputs.dataset_inputs
    }
    assert len(run.inputs.dataset_inputs) == 3
    assert read["features"] == ("features", "fd" * 8)
    note = run.data.tags["mlflow.note.content"]
    assert "**seqpan** on **shapes**" in note and "epoch 2 of 3" in note and "400 queries" in note


def test_metrics_of_another_run_are_not_logged(tmp_path, uri):
    folder = write_cell(tmp_path, lr=0.01)
    stale = (folder / "metrics.json").read_text()
    write_cell(tmp_path, lr=0.001)
    (folder / "metrics.json").write_text(stale)
    [row] = sync([folder], study="demo", uri=uri)
    assert row["status"] == "pending"
    assert "another run" in row["reason"]
    [run] = read_runs(uri)
    assert "test/mIoU" not in run.data.metrics
    assert "metrics.json" not in read_artifacts(uri, row["run_id"])


def test_broken_and_missing_cells_do_not_stop_the_others(tmp_path, uri):
    good = write_cell(tmp_path)
    broken = write_cell(tmp_path, "seqpan/shapes/full/seed1")
    (broken / "history.csv").write_text("epoch,loss\n1,oops\n")
    missing = tmp_path / "seqpan/shapes/full/seed2"
    rows = sync([broken, missing, good], study="demo", uri=uri)
    assert [row["status"] for row in rows] == ["pending", "pending", "logged"]
    assert "history.csv, line 2" in rows[0]["reason"]
    assert rows[1]["cell"] == "seqpan/shapes/full/seed2"


def test_a_killed_training_continues_its_run(tmp_path, uri):
    folder = write_cell(tmp_path, base=None)
    killed = start(folder, uri)
    killed.log_epoch(1, {"loss": 3.0})
    killed.log_epoch(2, {"loss": 1.5})
    killed.finish(folder, "FAILED")
    assert read_artifacts(uri, killed.run_id) == set()
    resumed = start(folder, uri)
    resumed.log_epoch(2, {"loss": 1.5})  # again, from the checkpoint of epoch 1
    resumed.log_epoch(3, {"loss": 1.0})
    resumed.finish(folder)
    [run] = read_runs(uri)
    assert run.info.status == "FINISHED"
    assert read_steps(uri, run.info.run_id, "loss/total") == [(1, 3.0), (2, 1.5), (3, 1.0)]


def test_an_unreachable_store_is_a_warning_and_sync_catches_up(tmp_path, uri, caplog):
    folder = write_cell(tmp_path)
    with caplog.at_level(logging.WARNING, logger="tsgbench"):
        tracker = start(folder, UNREACHABLE)
        tracker.log_epoch(1, {"loss": 1.0})
        tracker.finish(folder)
        tracker.log_epoch(2, {"loss": 1.0})
    warnings = [r.getMessage() for r in caplog.records if r.name.startswith("tsgbench")]
    assert len(warnings) == 1
    assert "tracking off" in warnings[0]
    assert str(folder) in warnings[0]
    assert tracker.run_id is None
    [row] = sync([folder], study="demo", uri=UNREACHABLE)
    assert (row["cell"], row["status"]) == (CELL, "pending")
    assert "tracking off" in row["reason"]
    [row] = sync([folder], study="demo", uri=uri)
    assert row["status"] == "logged"


def test_a_store_that_hangs_does_not_hold_up_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("tsgbench.tracking.live.open_store", lambda *_: time.sleep(5))
    tracker = start(write_cell(tmp_path), "sqlite:///unused.db")
    began = time.perf_counter()
    tracker.finish(tmp_path, timeout_s=0.2)
    assert time.perf_counter() - began < 2
    assert "did not answer" in tracker.problem


def test_tracking_can_be_switched_off(tmp_path):
    folder = write_cell(tmp_path)
    tracker = start(folder, None)
    tracker.log_epoch(1, {"loss": 1.0})
    tracker.finish(folder)
    assert (tracker.run_id, tracker.problem) == (None, None)


def test_the_environment_overrides_the_store(tmp_path, uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    [row] = sync([write_cell(tmp_path)], study="demo", uri=UNREACHABLE)
    assert row["status"] == "logged"


def test_a_store_of_an_older_mlflow_is_upgraded_and_a_copy_kept(tmp_path):
    make_old_store(tmp_path / "mlflow.db")
    uri = tracking.default_uri(tmp_path)
    [row] = sync([write_cell(tmp_path)], study="demo", uri=uri)
    assert row["status"] == "logged"
    assert (tmp_path / "mlflow.db.before-upgrade").exists()


def _train(root: Path, seed: int, uri: str, gate) -> None:
    folder = write_cell(root, f"seqpan/shapes/full/seed{seed}")
    gate.wait()
    tracker = start(folder, uri)
    for epoch in range(1, 31):
        tracker.log_epoch(epoch, {"loss": 1 / epoch, "lr": 0.1})
    tracker.finish(folder, timeout_s=120)
    (root / f"problem{seed}").write_text(tracker.problem or "")


@pytest.mark.slow
def test_eight_trainings_start_at_once_on_a_fresh_store(tmp_path):
    uri = tracking.default_uri(tmp_path)
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(8)
    jobs = [context.Process(target=_train, args=(tmp_path, s, uri, gate)) for s in range(8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(180)
    assert [(tmp_path / f"problem{seed}").read_text() for seed in range(8)] == [""] * 8
    runs = read_runs(uri)
    assert sorted(run.info.run_name for run in runs) == [
        f"seqpan/shapes/full/seed{seed}" for seed in range(8)
    ]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert len(read_steps(uri, run.info.run_id, "loss/total")) == 30


def test_tables_that_share_a_cell_log_it_once(tmp_path, uri):
    """Their jobs may run at the same moment."""
    folder = write_cell(tmp_path / "cells", CELL)
    arguments = {"study": "demo", "uri": uri}
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=sync, args=([folder],), kwargs=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert len(read_runs(uri)) == 1
