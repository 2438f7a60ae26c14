"""The training phase on a handful of queries, some of whose videos have no features."""

import os

import numpy as np
import pytest

from inspection_samples import ATTRS
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import read_ranked, read_unanswered
from tsgbench.features.store import FeatureWriter
from tsgbench.files import locked
from tsgbench.jobs.records import Record
from tsgbench.phases import Task
from tsgbench.phases.train import SCRATCH, run
from tsgbench.text import WordTable, save_word_table


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Training keeps its state below the working directory."""
    monkeypatch.chdir(tmp_path)


INPUTS = {
    "tokenizer": "nltk_punct",
    "oov": "unk",
    "max_words": 8,
    "max_clips": 8,
    "resample": "round_mean",
    "resample_when": "longer",
}
SPLITS = {"train": "abcd", "val": "ef", "test": "ghi"}
FACTS = {"durations": {"compared": 6, "differ": 1, "first": ["a: annotated 30.0 s, ends at 3.0 s"]}}


def make_task(folder, here: str) -> Task:
    """Two queries on each video of SPLITS, and features of the videos `here`."""
    for split, names in SPLITS.items():
        videos = [video for video in names for _ in (0, 1)]
        ids = [f"{video}_{n % 2}" for n, video in enumerate(videos)]
        moments = np.tile([1.0, 5.0], (len(ids), 1))
        table = Queries(ids, videos, ["a door"] * len(ids), np.full(len(ids), 10.0), moments)
        write_queries(folder / f"{split}.jsonl", table)
    with FeatureWriter(folder / "features.h5", ATTRS) as writer:
        for video in here:
            times = np.stack([np.arange(3.0), np.arange(3.0) + 1], axis=1)
            writer.write(video, np.ones((3, 4), np.float32), times)
    words = WordTable(
        ["<pad>", "<unk>", "a", "door"], np.zeros((4, 5), np.float32), np.ones(4, bool)
    )
    save_word_table(folder / "nltk_punct.npz", words, identity="0" * 16)
    # As a record of released features has: the list of failed videos beside the features
    listed = ["features.h5", "features.failed.csv"]
    records = {
        "annotations": Record(folder / "a.json", {"outputs": {f"{s}.jsonl": {} for s in SPLITS}}),
        "features": Record(
            folder / "f.json", {"outputs": dict.fromkeys(listed), "facts": FACTS, "digest": here}
        ),
        "vocabulary": Record(folder / "v.json", {"outputs": {"nltk_punct.npz": {}}}),
    }
    return Task(
        settings={
            "model": "whole_video",
            "module": "baselines",
            "splits": {"train": ["train"], "select": ["val"], "test": ["test"]},
            "inputs": INPUTS,
            "model_settings": {},
            "train": {},
            "needs": [{"ranks": 5}],
            "seed": 0,
        },
        inputs=records,
        identity="1" * 16,
        record=folder / "run.json",
        files={
            "checkpoint": folder / "checkpoint.pt",
            "history": folder / "history.csv",
            "predictions": folder / "predictions.parquet",
        },
        wildcards={},
    )


def test_queries_without_features_are_counted_for_each_role_and_named(tmp_path):
    task = make_task(tmp_path, "acdefh")
    facts, _ = run(task)
    assert facts["train_queries"] == 6
    assert facts["without_features"] == {
        "train": {"queries": 2, "videos": 1},
        "select": {"queries": 0, "videos": 0},
        "test": {"queries": 4, "videos": 2},
    }
    assert facts["durations"] == FACTS["durations"]  # as the features' record says, for captions
    path = task.files["predictions"]
    assert read_unanswered(path) == {"g_0", "g_1", "i_0", "i_1"}
    answered = Queries(
        ["h_0", "h_1"], ["h", "h"], ["a door"] * 2, np.full(2, 10.0), np.tile([1.0, 5.0], (2, 1))
    )
    found = read_ranked(path, answered)
    assert found.spans[:, 0].tolist() == [[0.0, 10.0]] * 2 and found.clips.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("here", "split"), [("efghi", "train"), ("abghi", "val"), ("abef", "test")]
)
def test_a_split_without_any_video_is_refused(tmp_path, here, split):
    with pytest.raises(UserError, match=rf"features\.h5: has no video of {split}; see the list"):
        run(make_task(tmp_path, here))


def test_a_file_that_another_study_has_by_another_name_is_replaced_and_not_written_into(tmp_path):
    task = make_task(tmp_path, "abcdefghi")
    run(task)
    elsewhere = {role: tmp_path / f"{role}.other" for role in task.files}
    for role, path in task.files.items():
        os.link(path, elsewhere[role])
    before = {path: path.read_bytes() for path in elsewhere.values()}
    task.settings |= IA_NET
    run(task)
    assert {path: path.read_bytes() for path in before} == before
    for role, path in task.files.items():
        assert not path.samefile(elsewhere[role])
        assert path.read_bytes() != before[elsewhere[role]]


IA_NET = {
    "model": "ia_net",
    "module": "ia_net",
    "model_settings": {"width": 16, "widths": [1, 2, 3]},
    "train": {"epochs": 2, "batch_size": 4, "patience": 1},
}


@pytest.mark.parametrize(
    ("select", "metric", "said"),
    [
        (["val"], "mIoU", ("val", "mIoU")),
        (["val"], "last", (None, "last")),
        ([], "mIoU", (None, "last")),
    ],
)
def test_the_record_says_what_chose_the_epoch(tmp_path, select, metric, said):
    task = make_task(tmp_path, "abcdefghi")
    task.settings |= IA_NET
    task.settings["splits"] = task.settings["splits"] | {"select": select}
    task.settings["train"] = IA_NET["train"] | {"select": metric}
    facts, _ = run(task)
    assert (facts["selected_on"], facts["selected_by"]) == said
    assert set(facts["without_features"]) == {"train", "test"} | ({"select"} if select else set())
    columns = task.files["history"].read_text().splitlines()[0].split(",")
    assert ("val/mIoU" in columns) == bool(select)
    assert facts["epochs"] == 2 or metric == "mIoU"
    assert facts["precision"].startswith("fp32")


def test_a_baseline_was_chosen_by_nothing_and_has_no_precision(tmp_path):
    facts, _ = run(make_task(tmp_path, "abcdefghi"))
    said = ("selected_on", "selected_by", "precision", "candidates_per_query")
    assert [facts[name] for name in said] == [None, None, None, {"mean": 1.0, "most": 1}]


def test_the_file_keeps_what_the_needs_ask_for_and_says_so(tmp_path):
    task = make_task(tmp_path, "abcdefghi")
    task.settings |= IA_NET
    needs = [{"ranks": 1}, {"iou": "seconds", "above": 0.5, "depth": 2}]
    task.settings["needs"] = needs
    task.settings["train"] = IA_NET["train"] | {"precision": "bf16"}
    facts, _ = run(task)
    assert facts["precision"].startswith("bf16 in training, fp32")
    ids = [f"{video}_{n}" for video in "ghi" for n in (0, 1)]
    videos = [name[0] for name in ids]
    answered = Queries(ids, videos, ["a"] * 6, np.full(6, 10.0), np.tile([1.0, 5.0], (6, 1)))
    found = read_ranked(task.files["predictions"], answered)
    assert found.kept == needs and found.spans.shape == (6, 2, 2)
    # Three clips: three candidates of one, two of two (one hangs over the end), one of three
    assert set(found.counts) == {facts["candidates_per_query"]["most"]}
    assert facts["candidates_per_query"]["most"] > 2 == facts["kept_per_query"]


def test_the_state_stays_until_the_record_is_written(tmp_path):
    """What comes between may take long, or fail: then nothing is trained again."""
    task = make_task(tmp_path, "abcdefghi")
    task.settings |= IA_NET
    first, _ = run(task)
    [scratch] = task.done_with
    assert (scratch / "last.pt").exists()
    weights = task.files["checkpoint"].read_bytes()
    history = task.files["history"].read_text()
    again, _ = run(task)
    assert task.files["checkpoint"].read_bytes() == weights
    assert task.files["history"].read_text() == history
    assert again["best_epoch"] == first["best_epoch"]
    assert again["epoch_seconds"] == first["epoch_seconds"]  # the very epochs


def test_an_equal_training_writes_equal_files(tmp_path):
    """Nothing that reads them is then made again: how long it took is in the record alone."""
    task = make_task(tmp_path, "abcdefghi")
    task.settings |= IA_NET
    _, files = run(task)
    first = {path: path.read_bytes() for path in files}
    [scratch] = task.done_with
    (scratch / "last.pt").unlink()
    facts, _ = run(task)
    assert {path: path.read_bytes() for path in files} == first
    assert len(facts["epoch_seconds"]) == facts["epochs"] > 0
    assert b"seconds" not in task.files["history"].read_bytes()


def test_two_processes_do_not_train_one_cell(tmp_path):
    task = make_task(tmp_path, "abcdefghi")
    refused = pytest.raises(UserError, match="another process; it trains this very cell")
    with locked(SCRATCH / task.identity / "lock", ""), refused:
        run(task)
    run(task)
