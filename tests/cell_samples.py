"""A cell with random weights on tiny videos, made of real files by the pipeline's own functions."""

import json

import numpy as np
import torch

from feature_samples import RECIPE, write_video
from inspection_samples import SENTENCES, cell_settings
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.features.extract import extract
from tsgbench.features.reduce import reduce
from tsgbench.features.video import probe
from tsgbench.jobs.records import read_record, write_record
from tsgbench.text import build_vocabulary, save_word_table
from tsgbench.training.assembly import Assembly
from tsgbench.training.trainer import predict, save_tensors, seed_everything

FRAMES = {"a": 61, "b": 40, "c": 96}  # of the videos, two queries each
STEPS = {"reduce": {"standardize": True, "pca": {"dim": 6}}}


def note(path, phase, settings, inputs, files, facts=None, key="k"):
    write_record(
        path,
        phase=phase,
        key=key,
        identity="0" * 16,
        settings=settings,
        code="none",
        inputs=inputs,
        files=files,
        facts=facts or {},
        made={},
    )
    return read_record(path)


def make_cell(root, model, **inputs):
    """The cell's folder, and its videos by name."""
    data, cell = root / "data", root / f"results/cells/{model}/own/full/seed0"
    data.mkdir(parents=True)
    cell.mkdir(parents=True)
    videos = {name: write_video(data / f"{name}.mp4", n, seed=n) for name, n in FRAMES.items()}
    durations = np.repeat([probe(path).duration_s for path in videos.values()], 2)
    moments = durations[:, None] * [0.2, 0.6]
    ids = [f"q{row}" for row in range(6)]
    queries = Queries(ids, list("aabbcc"), list(SENTENCES), durations, moments)
    write_queries(data / "test.jsonl", queries)
    annotations = note(data / "annotations.json", "annotations", {}, {}, [data / "test.jsonl"])
    recipe = RECIPE | {"checkpoint": None}
    facts = extract(
        videos, data / "raw.h5", recipe=recipe, identity="0" * 16, threads=1, device="cpu"
    )
    seen = note(data / "videos.json", "render", {}, {}, list(videos.values()))
    clips = note(data / "raw.json", "extract", recipe, {"videos": seen}, [data / "raw.h5"], facts)
    reduce(data / "raw.h5", data / "f.h5", train_ids=["a", "b"], recipe=STEPS, identity="0" * 16)
    features = note(data / "f.json", "reduce", STEPS, {"clips": clips}, [data / "f.h5"])
    settings = cell_settings(model, **inputs) | {"dataset": "own"}
    tokenizer = settings["inputs"]["tokenizer"]
    (data / "glove.txt").write_text("man 0.1 0.2 0.3\ndoor 0.3 0.1 -0.2\nopens -1 0.5 0.25\n")
    sentences = {"test": list(SENTENCES)}
    table, _ = build_vocabulary(sentences, [data / "glove.txt"], tokenizer=tokenizer)
    save_word_table(data / f"{tokenizer}.npz", table, identity="0" * 16)
    words = note(data / "words.json", "vocabulary", {}, {}, [data / f"{tokenizer}.npz"])
    read = {"annotations": annotations, "features": features, "vocabulary": words}
    files = [cell / "checkpoint.pt", cell / "predictions.parquet"]
    seed_everything(0)
    with Assembly(settings, read, torch.device("cpu")) as assembly:
        split = assembly.load("test")
        built = assembly.build_model()
        built.fit(split.queries, split.tokens)
    seed_everything(0)
    ranked = predict(built, split, [{"ranks": 5}], 1)
    save_tensors(files[0], built.state_dict())
    write_predictions(files[1], queries, ranked, split.source_clips)
    note(cell / "run.json", "train", settings, read, files, key=f"{model}/own/full/seed0")
    for path in data.glob("*.json"):  # a record names others relative to the project
        content = json.loads(path.read_text())
        for entry in content["inputs"].values():
            entry["record"] = str((root / entry["record"]).relative_to(root))
        path.write_text(json.dumps(content))
    return cell, videos
