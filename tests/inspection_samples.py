"""A tiny random cell of any model, as the training leaves it, to look into. Nothing was trained."""

from pathlib import Path

import numpy as np
import torch

from models.model_samples import CATALOGUE, CLIP_DIM, settings_of
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.features.store import FeatureWriter
from tsgbench.jobs.records import Record
from tsgbench.phases import Task
from tsgbench.text import WordTable, save_word_table
from tsgbench.training.assembly import Assembly
from tsgbench.training.trainer import predict, save_tensors, seed_everything

ATTRS = {
    "identity": "0" * 16,
    "recipe": {},
    "extractor": "none",
    "weights": "none",
    "clip_len": 16,
    "stride": 8,
    "versions": {},
}
WORDS = ["<pad>", "<unk>", "a", "door", "man", "opens", "slowly", "the", "window"]
SENTENCES = [
    "A man opens the door slowly.",
    "The door opens",  # short
    "the zebra opens a window",  # a word that the table lacks
    "a man opens the window, slowly",
    "The window opens slowly; the door slowly",
    "the man opens the door",
]
CLIPS = {"a": 9, "b": 5, "c": 7}  # of the videos, two queries each
CLIP_S = 1.5


def queries() -> Queries:
    videos = [video for video in CLIPS for _ in (0, 1)]
    ids = [f"{video}_{place % 2}" for place, video in enumerate(videos)]
    durations = np.array([CLIPS[video] * CLIP_S for video in videos])
    shares = np.array([[0.1, 0.4], [0.5, 0.9], [0.0, 0.6], [0.3, 0.5], [0.6, 1.0], [0.2, 0.8]])
    return Queries(ids, videos, list(SENTENCES), durations, shares * durations[:, None])


def cell_settings(model: str, **inputs) -> dict:
    """What a training of the model is given; inputs: differences of its `inputs`."""
    settings = settings_of(model)
    most = {"max_clips": settings.get("max_clips", 20), "max_words": settings.get("max_words", 20)}
    return {
        "model": model,
        "module": CATALOGUE[model].get("module", model),
        "splits": {"train": ["test"], "select": ["test"], "test": ["test"]},
        "inputs": {
            **CATALOGUE[model]["settings"]["inputs"],
            "tokenizer": "nltk_drop_punct",
            "resample": "round_mean",  # a place a clip: the videos are short
            "offset": "first",
            "resample_when": "longer",
            **most,
            **inputs,
        },
        "model_settings": settings,
        "train": {},
        "seed": 0,
    }


def make_task(folder: Path, model: str, choose: dict | None = None, **inputs) -> Task:
    """The inspect task of a random cell of `model`; its files are written to `folder`."""
    folder.mkdir(exist_ok=True)
    split = queries()
    write_queries(folder / "test.jsonl", split)
    rng = np.random.default_rng(0)
    with FeatureWriter(folder / "features.h5", ATTRS) as writer:
        for video, clips in CLIPS.items():
            times = np.arange(clips)[:, None] * CLIP_S + [0, CLIP_S]
            writer.write(video, rng.normal(size=(clips, CLIP_DIM)).astype(np.float32), times)
    has_vector = np.arange(len(WORDS)) > 1
    vectors = rng.normal(size=(len(WORDS), 8)) * has_vector[:, None]
    table = WordTable(WORDS, vectors.astype(np.float32), has_vector)
    save_word_table(folder / "nltk_drop_punct.npz", table, identity="0" * 16)

    def record(name: str, *files: str) -> Record:
        return Record(folder / name, {"outputs": dict.fromkeys(files), "facts": {}, "digest": name})

    inputs_of = {
        "annotations": record("a.json", "test.jsonl"),
        "features": record("f.json", "features.h5"),
        "vocabulary": record("v.json", "nltk_drop_punct.npz"),
        "run": record("run.json", "checkpoint.pt", "predictions.parquet"),
    }
    settings = cell_settings(model, **inputs)
    seed_everything(0)
    with Assembly(settings, inputs_of, torch.device("cpu")) as cell:
        data = cell.load("test")
        built = cell.build_model()
        built.fit(data.queries, data.tokens)
        ranked = predict(built, data, None, batch_size=7)
    save_tensors(folder / "checkpoint.pt", built.state_dict())
    write_predictions(folder / "predictions.parquet", split, ranked, data.source_clips)
    return Task(
        settings={
            "model": settings,
            "choose": {"best": 1, "worst": 1, "ids": [], **(choose or {})},
        },
        inputs=inputs_of,
        identity="1" * 16,
        record=folder / "inspection.json",
        files={"maps": folder / "inspection.npz"},
        wildcards={},
    )
