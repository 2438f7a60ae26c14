"""Training steps and predictions a second of a model, on random clips and words."""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import yaml

from tsgbench.config import Catalogue
from tsgbench.evaluation.keeping import keep
from tsgbench.models.base import Batch, build
from tsgbench.text import WordTable
from tsgbench.training.optim import build_optimizer
from tsgbench.training.trainer import answer


def random_batch(size: int, clips: int, words: int, clip_dim: int, vocabulary: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(size, generator=generator) * 10
    return Batch(
        video=torch.randn(size, clips, clip_dim, generator=generator),
        v_mask=torch.ones(size, clips, dtype=torch.bool),
        tokens=torch.randint(2, vocabulary, (size, words), generator=generator),
        q_mask=torch.ones(size, words, dtype=torch.bool),
        dur=torch.full((size,), 30.0),
        video_idx=torch.arange(size),
        gt=torch.stack([start, start + 5], dim=1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="seqpan")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--words", type=int, default=12)
    parser.add_argument("--clip-dim", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dataset", default="activitynet_captions", help="whose conventions count")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    entry = Catalogue.load().models[options.model]
    words = [f"word{row}" for row in range(60)]
    vectors = np.random.default_rng(0).normal(size=(60, 50)).astype(np.float32)
    table = WordTable(words, vectors, np.array([False, False] + [True] * 58))
    given = {name: yaml.safe_load(value) for name, value in (x.split("=", 1) for x in options.set)}
    settings = entry["settings"]["model"] | {"width": options.width} | given
    model = build(options.model, clip_dim=options.clip_dim, words=table, settings=settings)
    model.to(options.device)
    optimizer = build_optimizer(model, name="bert_adam", lr=1e-4, weight_decay=0.01, eps=1e-6)
    shape = (options.batch, options.clips, options.words, options.clip_dim, len(words))
    batch = random_batch(*shape).to(options.device)

    def step() -> None:
        losses = model.loss(model(batch), batch)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()

    needs = Catalogue.load().needs_of(options.dataset)
    durations, clips = batch.dur.double().cpu().numpy(), np.full(options.batch, 2 * options.clips)

    @torch.inference_mode()
    def predict() -> None:
        keep(answer(model, batch), durations, clips, needs)

    where = f"B={options.batch} T={options.clips} L={options.words} D={options.width}"
    where += f", {options.threads} thread(s), {options.device}"
    for name, work in (("training step", step), ("prediction", predict)):
        if work is predict:
            model.eval()
        seconds = median_seconds(work, options.steps, options.device)
        rate = options.batch / seconds
        print(f"{options.model} {name}: {1e3 * seconds:.1f} ms, {rate:.0f} queries/s ({where})")


def median_seconds(work: Callable[[], object], steps: int, device: str) -> float:
    times = []
    for _ in range(steps + 3):
        started = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(np.median(times[3:]))


if __name__ == "__main__":
    main()
