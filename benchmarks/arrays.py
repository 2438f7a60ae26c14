"""Memory and seconds until cells that train side by side have their data, each with its own copy of
the clips and with the one that all map.

    python benchmarks/arrays.py                     # a table; --json, --videos, --cells

Features are numbers drawn at random, in the shape of ActivityNet's (15,000 videos of 440 clips of
500 numbers; a tenth of them unless --videos says otherwise), read as SeqPAN does: 100 means of
rounded windows. Queries are split as ActivityNet Captions are (10,009 training videos, 4,917 and
4,885, 3.7 queries each). A cell reads its training, selection and test splits as `tsgbench job
train` does, takes every batch of one epoch, and then makes some steps of SeqPAN at the paper's size
and answers a batch. Memory is what the kernel says (/proc/PID/smaps_rollup), of all cells together:
private and proportional (PSS: what is shared counts in shares), with the data alone and after the
steps; the largest PSS that was seen on the way; and what processes have that imported all and read
nothing.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import torch

from tsgbench.config import Catalogue, merge
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.features.store import FeatureWriter
from tsgbench.files import sha256_file
from tsgbench.jobs.records import Record
from tsgbench.settings import TrainSettings
from tsgbench.text import WordTable, save_word_table
from tsgbench.training import trainer
from tsgbench.training.assembly import Assembly
from tsgbench.training.data import GroundingData
from tsgbench.training.devices import keep_freed_memory
from tsgbench.training.optim import build_optimizer

VIDEOS = 15_000  # of ActivityNet
SPLITS = {"train": 0.505, "val_1": 0.248, "val_2": 0.247}
QUERIES_PER_VIDEO = 3.7
ATTRS = {"identity": "0" * 16, "recipe": {}, "extractor": "none", "weights": "none"}
ATTRS |= {"clip_len": 16, "stride": 8, "versions": {}}
ROLES = ("train", "select", "test")
SEQPAN = Catalogue.load().models["seqpan"]
OF_ACTIVITYNET = merge(SEQPAN["settings"], SEQPAN["datasets"]["activitynet_captions"])
SETTINGS: dict[str, Any] = {
    "model": "seqpan",
    "module": "seqpan",
    "model_settings": OF_ACTIVITYNET["model"],
    "inputs": OF_ACTIVITYNET["inputs"],
    "splits": {"train": ["train"], "select": ["val_1"], "test": ["val_2"]},
    "train": OF_ACTIVITYNET["train"],
    "seed": 0,
}
TOKENIZER = SETTINGS["inputs"]["tokenizer"]
GB = 1e9
BETWEEN_LOOKS_S = 0.1


def make_data_set(folder: Path, videos: int, clips: int, dim: int) -> dict[str, Record]:
    """Features, annotations and words in a folder; the records that a cell reads."""
    rng = np.random.default_rng(0)
    names = [f"v{number:05}" for number in range(videos)]
    times = np.stack([np.arange(clips), np.arange(clips) + 1.0], 1)
    with FeatureWriter(folder / "features.h5", ATTRS) as writer:
        for name in names:
            writer.write(name, rng.standard_normal((clips, dim), dtype=np.float32), times)
    edges = np.round(np.cumsum([0, *SPLITS.values()]) * videos).astype(int)
    for split, first, last in zip(SPLITS, edges[:-1], edges[1:], strict=True):
        shown = np.arange(round((last - first) * QUERIES_PER_VIDEO)) % (last - first) + first
        ids = [f"{split}{row}" for row in range(len(shown))]
        moments = np.tile([1.0, 5.0], (len(ids), 1))
        own = [names[video] for video in shown]
        sentences = [2 * "a person opens the door and leaves "] * len(ids)
        durations = np.full(len(ids), float(clips))
        write_queries(folder / f"{split}.jsonl", Queries(ids, own, sentences, durations, moments))
    words = ["<pad>", "<unk>", "a", "person", "opens", "the", "door", "and", "leaves"]
    table = WordTable(words, np.zeros((len(words), 300), np.float32), np.ones(len(words), bool))
    save_word_table(folder / f"{TOKENIZER}.npz", table, identity="0" * 16)
    outputs = {
        "annotations": [f"{split}.jsonl" for split in SPLITS],
        "features": ["features.h5"],
        "vocabulary": [f"{TOKENIZER}.npz"],
    }
    digest = sha256_file(folder / "features.h5")
    return {
        role: Record(folder / f"{role}.json", {"outputs": dict.fromkeys(files), "digest": digest})
        for role, files in outputs.items()
    }


def memory(process: int | str = "self") -> dict[str, float]:
    """GB of a process: private, and proportional where pages are shared."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    kib = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return {"private": private * 1024 / GB, "pss": kib["Pss"] * 1024 / GB}


def take_steps(assembly: Assembly, data: GroundingData, number: int) -> None:
    """As a training does, and then an answer."""
    how = TrainSettings(**SETTINGS["train"])
    model = assembly.build_model()
    optimizer = build_optimizer(model, name=how.optimizer, lr=how.lr)
    batches = data.batches(how.batch_size, torch.Generator().manual_seed(0))
    for batch in itertools.islice(batches, number):
        optimizer.zero_grad(set_to_none=True)
        with trainer.fast_products(model):
            torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()
        optimizer.step()
    with torch.inference_mode():
        _, batch = next(data.batches_of_one_shape(trainer.PREDICTED_AT_ONCE))
        trainer.answer(model.eval(), batch)


def cell(
    inputs: dict[str, Record],
    shared: Path | None,
    steps: int,
    all_ready: Barrier,
    results: "multiprocessing.Queue[dict[str, float]]",
) -> None:
    """What a training does with its data, in a process of its own."""
    torch.set_num_threads(1)
    keep_freed_memory()
    before = memory()
    all_ready.wait()
    started, cpu = time.perf_counter(), time.process_time()
    with Assembly(SETTINGS, inputs, torch.device("cpu"), shared=shared) as assembly:
        data = [assembly.load(role, with_moments=role == "train") for role in ROLES]
        found = {"ready_s": time.perf_counter() - started, "ready_cpu_s": time.process_time() - cpu}
        cpu = time.process_time()
        for _ in data[0].batches(SETTINGS["train"]["batch_size"], torch.Generator().manual_seed(0)):
            pass
        for split in data[1:]:
            for _ in split.batches_in_order(trainer.PREDICTED_AT_ONCE):
                pass
        found["batches_cpu_s"] = time.process_time() - cpu
        all_ready.wait()
        found |= {f"data_{name}_gb": value for name, value in memory().items()}
        all_ready.wait()
        if steps:
            take_steps(assembly, data[0], steps)
        all_ready.wait()
        found |= {f"{name}_gb": value for name, value in memory().items()}
        results.put(found | {"before_gb": before["private"]})
        all_ready.wait()


def side_by_side(
    inputs: dict[str, Record], shared: Path | None, cells: int, steps: int
) -> dict[str, Any]:
    """So many cells at once: the slowest one's seconds, and the memory of all."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(cells), context.Queue()
    processes = [
        context.Process(target=cell, args=(inputs, shared, steps, barrier, queue))
        for _ in range(cells)
    ]
    for process in processes:
        process.start()
    found, peak = [], 0.0
    while len(found) < cells:
        with contextlib.suppress(OSError, KeyError):  # one that has just begun, or ended
            peak = max(peak, sum(memory(process.pid)["pss"] for process in processes))
        with contextlib.suppress(Empty):
            found.append(queue.get(timeout=BETWEEN_LOOKS_S))
    for process in processes:
        process.join()
    sums = {name: sum(one[name] for one in found) for name in found[0]}
    most = {name: max(one[name] for one in found) for name in found[0] if name.endswith("_s")}
    return sums | most | {"cells": cells, "peak_pss_gb": peak}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        inputs = make_data_set(folder, options.videos, options.clips, options.dim)
        for cells in options.cells:
            for how in ("own", "first", "shared"):
                shared = None if how == "own" else folder / "arrays"
                if how == "first":  # who comes first makes what the others wait for
                    shutil.rmtree(folder / "arrays", ignore_errors=True)
                rows.append({"clips": how, **side_by_side(inputs, shared, cells, options.steps)})
        sizes = [file.stat().st_size for file in (folder / "arrays").rglob("*.rows")]
        for row in rows:
            row["array_gb"] = sum(sizes) / GB
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=VIDEOS // 10)
    parser.add_argument("--clips", type=int, default=440)
    parser.add_argument("--dim", type=int, default=500)
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 8], help="side by side")
    parser.add_argument("--steps", type=int, default=3, help="of SeqPAN's training")
    parser.add_argument("--folder", help="where to put the features (1.4 GB)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shape = {"videos": options.videos, "clips": options.clips, "dim": options.dim, "places": 100}
    rows = measure(options)
    machine = {"processors": os.cpu_count(), "load": os.getloadavg()[0]}
    if options.json:
        print(json.dumps({"shape": shape, "machine": machine, "rows": rows}, indent=2))
        return
    print(f"{shape}, {machine}")
    columns = [name for name in rows[0] if name != "clips"]
    print("clips   " + "".join(f"{name:>17}" for name in columns))
    for row in rows:
        print(f"{row['clips']:8}" + "".join(f"{row[name]:17.2f}" for name in columns))


if __name__ == "__main__":
    main()
