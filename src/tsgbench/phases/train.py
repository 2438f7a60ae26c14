"""Train one cell and predict its test split.

Queries on videos that have no features (unavailable, or not to be decoded: the extraction lists
them) neither train nor are predicted. They are counted for each role, and the prediction file names
those of the test split, so that a score of the others is never taken for one of the split.
"""

import csv
import os
import platform
import shutil
import time
from pathlib import Path

import torch

from tsgbench.datasets.table import Queries, part_by_video, read_splits
from tsgbench.devices import choose_device, describe_hardware
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.features.store import FeatureStore
from tsgbench.files import atomic_path
from tsgbench.loading import GroundingData
from tsgbench.models.base import build
from tsgbench.phases import Task
from tsgbench.text import load_word_table
from tsgbench.training import TrainSettings, predict, save_tensors, seed_everything, train

# Checkpoints of unfinished trainings, one folder a cell identity: Snakemake deletes the outputs of
# an interrupted job, and these must survive it.
SCRATCH = Path("scratch")


def run(task: Task):
    """facts: size, epochs and seconds of the training, and the machine it ran on."""
    started = time.perf_counter()
    torch.set_num_threads(max(1, min(task.threads, os.cpu_count() or 1)))
    settings = task.settings
    splits, inputs, seed = settings["splits"], settings["inputs"], settings["seed"]
    how = TrainSettings(**settings["train"])
    device = choose_device()
    seed_everything(seed)

    words = load_word_table(task.inputs["vocabulary"].file(_vocabulary_name(inputs)))
    (features,) = task.inputs["features"].files(".h5").values()
    lacking: dict[str, Queries] = {}
    with FeatureStore(features) as store:

        def load(role: str, with_moments: bool) -> GroundingData:
            queries = read_splits(task.inputs["annotations"], splits[role])
            queries, lacking[role] = part_by_video(queries, store)
            if not len(queries):
                raise UserError(
                    f"{features}: has no video of {' + '.join(splits[role])}; see the list of"
                    " failed videos beside the clips, and get more of them"
                )
            return GroundingData(
                queries, store, words, inputs, with_moments=with_moments, seed=seed, device=device
            )

        train_data = load("train", inputs.get("supervision", "full") == "full")
        model = build(
            settings["model"],
            clip_dim=train_data.clip_dim,
            words=words,
            settings=settings["model_settings"],
            module=settings["module"],
        ).to(device)
        model.fit(train_data.queries, train_data.tokens)
        scratch = SCRATCH / task.identity
        state = train(
            model,
            train_data,
            load("select", False),
            how,
            seed=seed,
            scratch=scratch,
            device=device,
            on_epoch=task.on_epoch,
        )
        # Read only now: nothing before this line can look at the test split
        test_data = load("test", False)
    seed_everything(seed)
    ranked = predict(model, test_data, how.candidates, how, device)
    write_predictions(
        task.files["predictions"],
        test_data.queries,
        ranked,
        test_data.source_clips,
        unanswered=lacking["test"].query_ids,
    )
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    save_tensors(task.files["checkpoint"], weights)
    _write_history(task.files["history"], state.history)
    shutil.rmtree(scratch, ignore_errors=True)
    facts = {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "train_queries": len(train_data),
        "without_features": {role: _count(queries) for role, queries in lacking.items()},
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "selected_on": " + ".join(splits["select"]) if state.epoch else None,
        "selected_by": how.select if state.epoch else None,
        "seconds": round(time.perf_counter() - started, 2),
        "device": str(device),
        "hardware": describe_hardware(device),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    return facts, list(task.files.values())


def _count(queries: Queries) -> dict[str, int]:
    return {"queries": len(queries), "videos": len(set(queries.video_ids))}


def _vocabulary_name(inputs: dict) -> str:
    return f"{inputs['tokenizer']}.npz"


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    columns = list(history[0]) if history else ["epoch"]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(history)
