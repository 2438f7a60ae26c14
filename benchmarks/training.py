"""Training steps and predictions a second of the models at their papers' sizes, on random clips and
words, with what each lever of speed is worth.

Levers are added one after the other, from plain PyTorch to what training runs; a factor is the
time without the lever over that with it. All variants take turns, step by step, in two processes
(memory that the C library keeps cannot be given up again), and the least time of each counts: other
work on the machine slows some rounds and spoils no ratio. One thread is measured in processor
seconds, several by the clock. The rate of a large product, in the same run, is what the processor
could do at best.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tsgbench.config import Catalogue
from tsgbench.evaluation.keeping import keep
from tsgbench.models.base import Batch, build
from tsgbench.models.layers import Bidirectional, BidirectionalGRU, Dropout
from tsgbench.models.products import fast_products, is_exact
from tsgbench.settings import TrainSettings
from tsgbench.text import WordTable
from tsgbench.training import trainer
from tsgbench.training.devices import describe_hardware, keep_freed_memory
from tsgbench.training.optim import build_optimizer

VOCABULARY, VECTOR_DIM = 60, 300
DATASET = "activitynet_captions"  # whose conventions say which predictions are kept
SIDE = 1536  # of the matrices whose product is the ceiling
# What is switched off, in the order in which it is switched on
LEVERS = ("no fill", "dropout", "recurrence", "oneDNN", "memory")


@dataclass
class Case:
    """A model at a paper's size. goals: threads -> queries per second that were aimed at."""

    model: str
    preset: str | None = None
    set: dict = field(default_factory=dict)  # settings of the model over the preset's
    batch: int | None = None  # the paper's
    clips: int | None = None
    words: int = 12
    clip_dim: int = 1024
    goals: dict[int, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        name = f"{self.model} {self.preset}" if self.preset else self.model
        return f"{name}, T={self.clips}" if self.clips else name


CASES = (
    Case("seqpan", goals={1: 270}),
    Case("seqpan", clips=100, set={"max_clips": 100, "max_words": 100}),
    Case("ia_net", goals={2: 60}),
    Case("ia_net", preset="official", goals={2: 40}),
    Case("fian"),
    Case("cma"),
    Case("fsan"),
)


def random_batch(size: int, clips: int, words: int, clip_dim: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(size, generator=generator) * 10
    windows = torch.randint(0, clips // 2, (size, 1), generator=generator)
    return Batch(
        video=torch.randn(size, clips, clip_dim, generator=generator),
        v_mask=torch.ones(size, clips, dtype=torch.bool),
        tokens=torch.randint(2, VOCABULARY, (size, words), generator=generator),
        q_mask=torch.ones(size, words, dtype=torch.bool),
        dur=torch.full((size,), 30.0),
        video_idx=torch.arange(size),
        gt=torch.stack([start, start + 5], dim=1),
        windows=torch.cat([windows, windows + clips // 4], dim=1),
    )


class Bench:
    """One case's model, batch and optimiser, ready to take steps with some levers on."""

    def __init__(self, case: Case):
        entry = Catalogue.load().models[case.model]
        preset = entry["presets"][case.preset] if case.preset else {}
        inputs = entry["settings"]["inputs"] | preset.get("inputs", {})
        settings = entry["settings"]["model"] | preset.get("model", {}) | case.set
        self.how = TrainSettings(**entry["settings"]["train"] | preset.get("train", {}))
        words = [f"word{row}" for row in range(VOCABULARY)]
        vectors = np.random.default_rng(0).normal(size=(VOCABULARY, VECTOR_DIM))
        has_vector = np.arange(VOCABULARY) > 1
        table = WordTable(words, vectors.astype(np.float32), has_vector)
        trainer.seed_everything(0)
        self.model = build(case.model, clip_dim=case.clip_dim, words=table, settings=settings)
        how = self.how
        self.optimizer = build_optimizer(
            self.model, name=how.optimizer, lr=how.lr, weight_decay=how.weight_decay, eps=how.eps
        )
        clips = case.clips or inputs["max_clips"]
        shape = clips, min(case.words, inputs["max_words"]), case.clip_dim
        self.batch = random_batch(case.batch or how.batch_size, *shape)
        self.asked = random_batch(case.batch or trainer.PREDICTED_AT_ONCE, *shape)
        self.clips = np.full(len(self.asked.dur), 2 * clips)
        self.needs = Catalogue.load().needs_of(DATASET)

    def step(self) -> None:
        """One update, as `trainer.train_one_epoch` makes it."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with trainer.fast_products(self.model):
            losses = self.model.loss(self.model(self.batch), self.batch)
            torch.stack(list(losses.values())).sum().backward()
        if self.how.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.how.clip_norm)
        self.optimizer.step()

    @torch.inference_mode()
    def predict(self) -> None:
        """A batch's answers, suppressed and kept, as `trainer.predict` does."""
        self.model.eval()
        durations = self.asked.dur.double().numpy()
        keep(trainer.answer(self.model, self.asked), durations, self.clips, self.needs)

    def flops(self) -> int:
        """Of a step's matrix products. Convolutions are left out: the counter takes the gradient of
        one by channel for one of all channels."""
        with FlopCounterMode(display=False) as counted:
            self.step()
        of_all = counted.get_flop_counts()["Global"]
        return sum(flops for kernel, flops in of_all.items() if "convolution" not in str(kernel))


def switched_off(levers: set[str]) -> ExitStack:
    """Plain PyTorch in place of the named levers, within the block."""
    stack = ExitStack()
    torch.utils.deterministic.fill_uninitialized_memory = "no fill" in levers
    if "dropout" in levers:
        stack.enter_context(patch.object(Dropout, "forward", nn.Dropout.forward))
    if "recurrence" in levers:
        stack.enter_context(patch.object(BidirectionalGRU, "both", Bidirectional.both))
    if "oneDNN" in levers:
        stack.enter_context(patch.object(trainer, "fast_products", lambda _model: nullcontext()))
    return stack


def work(pipe: Connection, case: Case, threads: int, keeps: bool) -> None:
    """Serve steps in a process of its own: (what, levers off) -> seconds; None ends it."""
    torch.set_num_threads(threads)
    if keeps:
        keep_freed_memory()
    bench = Bench(case)
    clock = time.process_time if threads == 1 else time.perf_counter
    sizes = {"queries": len(bench.batch.dur), "asked": len(bench.asked.dur)}
    pipe.send({"gflop": bench.flops() / 1e9} | sizes)
    while (asked := pipe.recv()) is not None:
        name, off = asked
        with switched_off(off):
            started = clock()
            getattr(bench, name)()
            pipe.send(clock() - started)


def measure(case: Case, threads: int, rounds: int) -> dict:
    """Seconds of a step and of a prediction by how many levers are on, and what follows."""
    context, pipes, jobs = multiprocessing.get_context("spawn"), [], []
    for keeps in (False, True):
        ours, theirs = context.Pipe()
        job = context.Process(target=work, args=(theirs, case, threads, keeps))
        job.start()
        pipes.append(ours)
        jobs.append(job)
    facts, _ = (pipe.recv() for pipe in pipes)
    least: dict[tuple[str, int], float] = {}
    for number in range(rounds + 1):  # the first warms up
        for what in ("step", "predict"):
            for on in range(len(LEVERS) + 1):
                pipe = pipes["memory" in LEVERS[:on]]
                pipe.send((what, set(LEVERS[on:])))
                seconds = pipe.recv()
                if number:
                    least[what, on] = min(seconds, least.get((what, on), seconds))
    for pipe, job in zip(pipes, jobs, strict=True):
        pipe.send(None)
        job.join()
    steps, asked, every = facts["queries"], facts["asked"], len(LEVERS)
    return {
        "case": case.name,
        "threads": threads,
        "clock": "processor" if threads == 1 else "wall",
        "plain_queries_per_s": steps / least["step", 0],
        "queries_per_s": steps / least["step", every],
        "goal": case.goals.get(threads),
        "factor": least["step", 0] / least["step", every],
        "levers": {
            name: least["step", place] / least["step", place + 1]
            for place, name in enumerate(LEVERS)
        },
        "gflop_per_query": facts["gflop"] / steps,
        "gflops": facts["gflop"] / least["step", every],
        "plain_prediction_ms": 1e3 * least["predict", 0] / asked,
        "prediction_ms": 1e3 * least["predict", every] / asked,
        **{key: value for key, value in asdict(case).items() if key in ("words", "clip_dim")},
        "batch": steps,
    }


def ceiling(threads: int, rounds: int) -> dict[str, float]:
    """GFLOP/s of a large product, plain and by oneDNN."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    x, weight = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    as_wide = nn.Linear(1000, 1001)  # a model that is large enough
    found = {}
    ways: dict[str, Callable] = {
        "plain": nullcontext,
        "oneDNN": lambda: fast_products(as_wide),
    }
    for name, way in ways.items():
        with torch.inference_mode(), way():
            found[name] = 2 * SIDE**3 / 1e9 / least_seconds(x, weight, clock, rounds)
    return found


def least_seconds(x: torch.Tensor, weight: torch.Tensor, clock: Callable, rounds: int) -> float:
    times = []
    for _ in range(rounds + 1):
        started = clock()
        nn.functional.linear(x, weight)
        times.append(clock() - started)
    return min(times[1:])


def as_table(found: dict) -> str:
    """The report as Markdown."""
    peak = found["ceiling_gflops"]
    lines = [
        f"{found['hardware']}; PyTorch {found['torch']}; a large product reaches"
        f" {peak['plain']:.0f} GFLOP/s plain and {peak['oneDNN']:.0f} by oneDNN",
        "",
        f"| model | plain, queries/s | now | goal | factor | {' | '.join(LEVERS)} |"
        " GFLOP/s | prediction, ms per query: plain | now |",
        "|" + "---|" * (8 + len(LEVERS)),
    ]
    for row in found["cases"]:
        factors = " | ".join(f"{row['levers'][name]:.2f}" for name in LEVERS)
        lines.append(
            f"| {row['case']}, B={row['batch']} | {row['plain_queries_per_s']:.1f} |"
            f" {row['queries_per_s']:.1f} | {row['goal'] or '-'} | {row['factor']:.2f} |"
            f" {factors} | {row['gflops']:.0f} | {row['plain_prediction_ms']:.2f} |"
            f" {row['prediction_ms']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", help="one or more; all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, help="queries; by default the paper's, 64 predicted")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    chosen = [
        replace(case, batch=options.batch)
        for case in CASES
        if not options.model or case.model in options.model
    ]
    found = {
        "ceiling_gflops": ceiling(options.threads, options.rounds),
        "is_exact": is_exact(),
        "hardware": describe_hardware(torch.device("cpu")),
        "torch": torch.__version__,
        "rounds": options.rounds,
        "cases": [measure(case, options.threads, options.rounds) for case in chosen],
    }
    print(json.dumps(found, indent=2) if options.json else as_table(found))


if __name__ == "__main__":
    main()
