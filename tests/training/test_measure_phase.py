"""What a trained cell costs: counted from its own files, timed on its own queries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_train_phase import make_task

from tsgbench.errors import UserError
from tsgbench.jobs.records import Record
from tsgbench.phases import measure, train
from tsgbench.training import cost as measuring
from tsgbench.training.trainer import save_tensors

# Wide enough that its weights, 23 MB, stand out of all else that a process holds
FSAN = {"model": "fsan", "module": "fsan", "model_settings": {"width": 512, "layers": 1}}
BATCHES = [1, 8]  # of the 4 queries whose video is there


def measure_task(folder: Path, **settings):
    """A cell of FSAN on four test queries with features, not trained, and its measure job."""
    task = make_task(folder, "abcdefgh")
    inputs = task.settings["inputs"] | settings.pop("inputs", {})
    task.settings |= FSAN | {"inputs": inputs} | settings
    facts, _ = train.run(task)
    run = Record(task.record, {"outputs": {path.name: {} for path in task.files.values()}})
    measured = replace(
        task,
        settings=task.settings | {"batches": BATCHES},
        inputs={**task.inputs, "run": run},
        record=folder / "efficiency.json",
        files={},
    )
    return measured, facts


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(facts of the measure phase, facts of the training, its folder)."""
    folder = tmp_path_factory.mktemp("cell")
    task, trained = measure_task(folder)
    facts, files = measure.run(task)
    assert files == []  # so the facts are what the digest of the record covers
    return facts, trained, folder


def test_sizes_are_those_of_the_checkpoint(measured):
    facts, trained, folder = measured
    sizes, path = facts["sizes"], folder / "checkpoint.pt"
    held = sum(value.numel() for value in torch.load(path, weights_only=True).values())
    assert sizes["parameters"] == trained["parameters"] < sizes["numbers"] == held
    assert sizes["checkpoint_bytes"] == path.stat().st_size > 4 * sizes["parameters"]


def test_every_batch_size_is_timed_with_and_without_reading(measured):
    facts, _, _ = measured
    assert set(facts["seconds_per_query"]) == {"1", "8"}
    for timed in facts["seconds_per_query"].values():
        for found in timed.values():
            assert 0 < found["low"] <= found["median"] <= found["high"]
            assert measuring.MIN_REPEATS <= found["repeats"] <= measuring.REPEATS
    alone = facts["seconds_per_query"]["1"]["answer"]["median"]
    assert facts["seconds_per_query"]["8"]["answer"]["median"] < alone


@pytest.mark.skipif(not measuring.RESET.exists(), reason="peak memory needs /proc")
def test_memory_holds_the_weights_once_and_grows_with_the_batch(measured):
    facts, trained, _ = measured
    if facts["device"] != "cpu":
        pytest.skip("the parameters stand elsewhere")
    peaks, weights = facts["memory"]["bytes"], 4 * trained["parameters"]
    assert weights > 15e6 and 0.9 * weights < peaks["1"] < 1.7 * weights
    assert peaks["1"] <= peaks["8"]


def test_the_batch_and_the_machine_are_described(measured):
    facts, _, _ = measured
    assert facts["shapes"] == {"queries": 4, "clips": 3, "clip_dim": 4, "words": 2, "width": 512}
    assert facts["hardware"] and facts["threads"] == torch.get_num_threads()


def test_answers_are_those_of_the_prediction_file_after_suppression(tmp_path):
    """What is timed is what is evaluated."""
    from tsgbench.evaluation.metrics import NMS_IOU, survivors
    from tsgbench.evaluation.predictions import read_ranked

    survive = {"iou": "seconds", "above": NMS_IOU, "depth": measuring.NMS_DEPTH}
    task, _ = measure_task(tmp_path, needs=[{"ranks": 1}, survive])
    subject = measuring.Subject.open(task.settings, task.inputs, torch.device("cpu"))
    rows = np.arange(len(subject.queries))
    model = subject.model()
    with subject.cell:
        found = [
            measuring._answer(model, make(rows))
            for make in (subject.batch, subject.batch_from_files)
        ]
    written = read_ranked(tmp_path / "predictions.parquet", subject.queries).spans
    expected = survivors(written, NMS_IOU, measuring.NMS_DEPTH)
    assert all(np.allclose(spans, expected, atol=1e-3, equal_nan=True) for spans in found)


@pytest.mark.parametrize("inputs", [{"video": "mismatched"}, {"query": "shuffled"}])
def test_a_single_query_needs_no_other_to_stand_in_for_it(tmp_path, inputs):
    task, _ = measure_task(tmp_path, inputs=inputs)
    subject = measuring.Subject.open(task.settings, task.inputs, torch.device("cpu"))
    with subject.cell:
        batch = subject.batch_from_files(np.array([3]))
    assert batch.video.shape == (1, 3, 4) and batch.gt is None


def test_weights_of_another_model_and_a_split_without_videos_are_refused(tmp_path):
    task, _ = measure_task(tmp_path)
    save_tensors(tmp_path / "checkpoint.pt", {"other": torch.zeros(1)})
    subject = measuring.Subject.open(task.settings, task.inputs, torch.device("cpu"))
    with pytest.raises(
        UserError, match=r"checkpoint\.pt: not a checkpoint of .*with these settings"
    ):
        subject.model()
    subject.cell.store.close()
    (tmp_path / "less").mkdir()
    bare = make_task(tmp_path / "less", "abcdef")
    inputs = {**task.inputs, "features": bare.inputs["features"]}
    with pytest.raises(UserError, match=r"features\.h5: has no video of test"):
        measuring.Subject.open(task.settings, inputs, torch.device("cpu"))
