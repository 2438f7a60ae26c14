"""Train one cell and predict its test split: the candidates that its conventions need.

Queries on videos that have no features (unavailable, or not to be decoded: the extraction lists
them) neither train nor are predicted. They are counted for each role, and the prediction file names
those of the test split, so that a score of the others is never taken for one of the split.
"""

import csv
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.files import atomic_path, locked
from tsgbench.models.base import Grounder
from tsgbench.phases import Outcome, Task
from tsgbench.settings import LAST, TrainSettings
from tsgbench.training.arrays import FOLDER
from tsgbench.training.assembly import Assembly
from tsgbench.training.data import GroundingData
from tsgbench.training.devices import choose_device, describe_hardware, keep_freed_memory
from tsgbench.training.trainer import (
    State,
    describe_precision,
    predict,
    save_tensors,
    seed_everything,
    train,
)

# Checkpoints of unfinished trainings, one folder a cell identity: Snakemake deletes the outputs of
# an interrupted job, and these must survive it.
SCRATCH = Path("scratch")
DURATION = "seconds"  # of an epoch
# An orphan of a killed Snakemake and its successor would delete each other's state
BUSY = "it trains this very cell: wait for it, or stop it; the next run goes on from its last epoch"


def run(task: Task) -> Outcome:
    """facts: size, epochs and seconds of the training, and the machine it ran on.

    settings: `splits` (role -> list of splits; `select` may be empty), `inputs`, `train` (see
    `TrainSettings`), `needs` (what the prediction file must hold, see needs.py), the model's, and
    `seed`.
    """
    started = time.perf_counter()
    torch.set_num_threads(max(1, min(task.threads, os.cpu_count() or 1)))
    how = TrainSettings(**task.settings["train"])
    device = choose_device()
    keep_freed_memory()
    seed_everything(task.settings["seed"])

    scratch = SCRATCH / task.identity
    task.done_with.append(scratch)
    with (
        locked(scratch / "lock", BUSY),
        Assembly(task.settings, task.inputs, device, shared=FOLDER) as cell,
    ):
        model, state, facts = _train(task, cell, how, scratch)
        # Read only now: nothing before this line can look at the test split
        test_data = cell.load("test")
    facts |= _predict(task, cell, model, test_data, how)
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    save_tensors(task.files["checkpoint"], weights)
    _write_history(task.files["history"], state.history)
    facts |= _describe_machine(device) | {"seconds": round(time.perf_counter() - started, 2)}
    return facts, list(task.files.values())


def _train(
    task: Task, cell: Assembly, how: TrainSettings, scratch: Path
) -> tuple[Grounder, State, dict[str, Any]]:
    """The trained model, what became of its training, and that as facts."""
    settings = task.settings
    supervised = settings["inputs"].get("supervision", "full") == "full"
    train_data = cell.load("train", with_moments=supervised)
    model = cell.build_model()
    model.fit(train_data.queries, train_data.tokens)
    select_data = cell.load("select") if settings["splits"]["select"] else None
    state = train(
        model,
        train_data,
        select_data,
        how,
        seed=settings["seed"],
        scratch=scratch,
        device=cell.device,
        on_epoch=task.on_epoch,
    )
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    chooses = how.chooses and select_data is not None
    facts = {
        "parameters": parameters,
        "train_queries": len(train_data),
        "durations": task.inputs["features"].facts.get("durations"),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "selected_on": (
            " + ".join(settings["splits"]["select"]) if state.epoch and chooses else None
        ),
        "selected_by": (how.select if chooses else LAST) if state.epoch else None,
        "precision": describe_precision(how, cell.device) if parameters else None,
        "epoch_seconds": [round(row[DURATION], 2) for row in state.history],
    }
    return model, state, facts


def _predict(
    task: Task, cell: Assembly, model: Grounder, test_data: GroundingData, how: TrainSettings
) -> dict[str, Any]:
    """Write the prediction file; facts of it."""
    seed_everything(task.settings["seed"])
    needs = task.settings["needs"]
    ranked = predict(model, test_data, needs, how.batch_size)
    write_predictions(
        task.files["predictions"],
        test_data.queries,
        ranked,
        test_data.source_clips,
        kept=needs,
        unanswered=cell.lacking["test"].query_ids,
    )
    return {
        "without_features": {role: _count(queries) for role, queries in cell.lacking.items()},
        "candidates_per_query": _describe_counts(ranked.counts),
        "kept_per_query": round(len(ranked.rows) / len(test_data), 2),
    }


def _describe_machine(device: torch.device) -> dict[str, Any]:
    return {
        "device": str(device),
        "hardware": describe_hardware(device),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }


def _describe_counts(counts: np.ndarray) -> dict[str, float]:
    return {"mean": round(float(counts.mean()), 2), "most": int(counts.max())}


def _count(queries: Queries) -> dict[str, int]:
    return {"queries": len(queries), "videos": len(set(queries.video_ids))}


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    """What each epoch gave, but not how long it took: equal trainings write equal files."""
    columns = [name for name in history[0] if name != DURATION] if history else ["epoch"]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(history)
