"""Trained cells as logged models of MLflow. The cells are invented (tests/invented.py)."""

import json
import multiprocessing
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from invented import write_cell
from tsgbench import tracking
from tsgbench.tracking import models, replay, sync
from tsgbench.tracking.store import open_store, search

CELL = "seqpan/shapes/full/seed0"


@pytest.fixture(autouse=True)
def no_override(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def read_models(uri: str) -> list:
    client, experiment = open_store(uri, "demo")
    return list(client.search_logged_models([experiment]))


def read_run(uri: str, run_id: str):
    client, _ = open_store(uri, "demo")
    return client.get_run(run_id)


def log(folder: Path, uri: str) -> str:
    [row] = sync([folder], study="demo", uri=uri)
    assert row["run_id"], row
    return row["run_id"]


@pytest.mark.parametrize(
    ("inputs", "phases", "said"),
    [
        ({"video": "zero"}, {}, "inputs.video: zero: this cell is not shown the video"),
        ({"video": "mismatched"}, {}, "not shown the video"),
        ({"query": "shuffled"}, {}, "not shown the query"),
        ({}, {"features": "blank"}, "blank features: this cell never saw a video"),
        ({}, {"features": "reduce", "clips": "released"}, "their extractor is not here"),
        ({}, {"features": "reduce", "clips": "extract"}, None),
        ({}, {}, None),  # pulled without its data
    ],
)
def test_a_model_says_how_it_is_asked_or_why_it_is_not(tmp_path, inputs, phases, said):
    folder = write_cell(tmp_path / "results/cells", CELL)
    record = json.loads((folder / "run.json").read_text())
    record["settings"]["inputs"] |= inputs
    reads = {"clips": {"record": "data/clips.json", "identity": "a", "digest": "b"}}
    for role, phase in phases.items():
        path = tmp_path / f"data/{role}.json"
        path.parent.mkdir(exist_ok=True)
        content = record | {"phase": phase, "inputs": reads if phase == "reduce" else {}}
        content["digest"] = "d" * 16
        path.write_text(json.dumps(content))
    note = models._describe(folder, record, record["outputs"]["checkpoint.pt"], [])
    command = f'tsgbench ground VIDEO.mp4 "a sentence" --cell {folder}'
    assert (command in note) == (said is None)
    assert said is None or (said in note and "name a cell" in note)


def numbers(model) -> dict[str, float]:
    latest = sorted(model.metrics, key=lambda metric: metric.timestamp)
    return {metric.key: metric.value for metric in latest}


@pytest.mark.slow
def test_a_cell_is_one_logged_model_whatever_is_logged_when(tmp_path, monkeypatch):
    """From its training over evaluations to other settings and back, by one store."""
    uri = tracking.default_uri(tmp_path)
    folder = write_cell(tmp_path, CELL, base=None)
    run_id = log(folder, uri)
    [model] = read_models(uri)
    assert (model.source_run_id, model.status, model.model_type) == (run_id, "READY", models.KIND)
    assert model.params["train.lr"] == "0.001"
    assert model.tags["recipe"] == "c3d_random_stats_w16s8_pca128"
    assert model.tags["checkpoint_sha256"] == "0" * 64 and model.tags["cell"] == CELL
    assert f"--cell {folder}" in model.tags["mlflow.note.content"]
    assert "`data/features.json`, digest `fdfdfdfdfdfdfdfd`" in model.tags["mlflow.note.content"]
    assert not any(name.startswith("test/") for name in numbers(model))

    write_cell(tmp_path, CELL, base=70.0)
    log(folder, uri)
    history = _history(uri, run_id)
    log(folder, uri)
    [model] = read_models(uri)
    assert numbers(model)["test/mIoU"] == 55.0 and numbers(model)["best/mIoU"] == 20.0
    assert not any(name.startswith(("val/", "loss")) for name in numbers(model))
    tested = [metric for metric in model.metrics if metric.key.startswith("test/")]
    assert {(one.dataset_name, one.dataset_digest) for one in tested} == {("annotations", "ad" * 8)}
    [named] = read_run(uri, run_id).outputs.model_outputs
    assert (named.model_id, named.step) == (model.model_id, 2)
    assert _history(uri, run_id) == history and len(history) == 1

    write_cell(tmp_path, CELL, base=60.0)  # evaluated anew
    log(folder, uri)
    [model] = read_models(uri)
    assert numbers(model)["test/mIoU"] == 45.0

    write_cell(tmp_path, CELL, lr=0.01)
    other = log(folder, uri)
    assert _marks(uri) == {run_id: "true", other: "false"}
    write_cell(tmp_path, CELL, lr=0.001)
    log(folder, uri)
    assert _marks(uri) == {run_id: "false", other: "true"}

    # A process that died between making a model and naming it leaves nothing double
    monkeypatch.setattr(replay, "LOGGED", replay.LOGGED + 1)
    monkeypatch.setattr(models, "_name_as_output", _die)
    fresh = write_cell(tmp_path, "seqpan/shapes/full/seed1")
    [row] = sync([fresh], study="demo", uri=uri)
    assert row["status"] == "pending" and "died" in row["reason"]
    monkeypatch.undo()
    log(fresh, uri)
    [made] = [model for model in read_models(uri) if model.tags["cell"].endswith("seed1")]
    assert [one.model_id for one in read_run(uri, made.source_run_id).outputs.model_outputs] == [
        made.model_id
    ]


def _die(*_) -> None:
    raise RuntimeError("died")


def _history(uri: str, run_id: str) -> list[tuple]:
    client, _ = open_store(uri, "demo")
    found = client.get_metric_history(run_id, "test/mIoU")
    return [(one.value, one.timestamp, one.step) for one in found]


def _marks(uri: str) -> dict[str, str]:
    return {model.source_run_id: model.tags["superseded"] for model in read_models(uri)}


@pytest.mark.slow
def test_runs_of_before_get_their_models_and_a_moved_project_keeps_them(tmp_path, monkeypatch):
    first = tmp_path / "first"
    first.mkdir()
    baseline = write_cell(first, "prior/shapes/full/seed0")
    record = json.loads((baseline / "run.json").read_text())
    record["settings"]["train"] = {}  # as a baseline's
    (baseline / "run.json").write_text(json.dumps(record))
    folder = write_cell(first, CELL)
    uri = tracking.default_uri(first)
    with monkeypatch.context() as before:  # there were models
        before.setattr(replay, "log_model", lambda *_: None)
        before.setattr(replay, "LOGGED", 1)
        sync([folder, baseline], study="demo", uri=uri)
    assert read_models(uri) == []
    # In another process: MLflow remembers, while one lives, where artifacts are
    context = multiprocessing.get_context("spawn")
    arguments = {"study": "demo", "uri": uri}
    process = context.Process(target=sync, args=([folder, baseline],), kwargs=arguments)
    process.start()
    process.join()
    client, experiment = open_store(uri, "demo")
    [model] = read_models(uri)  # a baseline is none
    runs = {run.info.run_id: run.data.tags["cell"] for run in search(client, experiment)}
    assert runs[model.source_run_id] == CELL
    assert numbers(model)["test/mIoU"] == 55.0

    second = tmp_path / "second"
    shutil.move(first, second)
    [moved] = read_models(tracking.default_uri(second))
    files = Path(moved.artifact_location.removeprefix("file://"))
    assert files.is_relative_to(second) and (files / "MLmodel").is_file()
    entry = json.loads((files / "cell.json").read_text())
    assert entry["checkpoint"] == {"file": "checkpoint.pt", "sha256": "0" * 64, "bytes": 9}
    assert sum(path.stat().st_size for path in files.rglob("*")) < 10_000  # no weights twice


def test_a_server_without_logged_models_is_no_error(tmp_path, monkeypatch):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

    def refuse(*_):
        raise MlflowException("no such page", error_code=ENDPOINT_NOT_FOUND)

    monkeypatch.setattr(models, "_find_or_create", refuse)
    record = json.loads((write_cell(tmp_path, CELL) / "run.json").read_text())
    models.log_model(SimpleNamespace(tags={}), "1", tmp_path, record, [])


def test_the_signature_says_what_is_asked_and_answered():
    said = models.signature()
    assert said.inputs.input_names() == ["video", "sentence"]
    answered = ["video", "sentence", "rank", "start_s", "end_s", "score"]
    assert said.outputs.input_names() == answered
