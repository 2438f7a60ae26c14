"""Training and prediction: one trainer for every model, resumable after a kill at any moment.

Randomness comes from two generators only, torch's global one (weights, dropout, Gumbel noise) and
one for the order of the queries; both are saved with the checkpoint, so that a run that was
interrupted ends with the very bits of one that was not.
"""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tsgbench.errors import UserError
from tsgbench.evaluation.metrics import evaluate
from tsgbench.files import atomic_path
from tsgbench.loading import GroundingData
from tsgbench.models.base import Batch, Grounder
from tsgbench.optim import build_optimizer, lr_factor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained; the values come from `config/models/*.yaml` and the study."""

    epochs: int = 0  # 0: nothing to train (baselines)
    batch_size: int = 16
    optimizer: str = "adam"
    lr: float = 1e-4
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0  # 0: no clipping
    schedule: str = "constant"
    warmup: int = 0  # optimiser steps
    patience: int = 0  # epochs without a better `select`; 0: never stop early
    select: str = "mIoU"  # metric on the selection split that chooses the checkpoint
    precision: str = "auto"  # auto: bf16 autocast on a GPU, fp32 on a CPU; or fp32, bf16
    candidates: int = 100  # predictions kept per query, before suppression


@dataclass
class State:
    """Everything that is saved after each epoch, beside weights and optimiser."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    model: Grounder,
    train_data: GroundingData,
    select_data: GroundingData,
    settings: TrainSettings,
    *,
    seed: int,
    scratch: Path,
    device: torch.device,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> State:
    """Train `model` in place and leave it with the weights of its best epoch.

    The best epoch is the one with the highest `settings.select` on `select_data`; the test split
    is not among the arguments. `scratch` holds the resumable state: after a kill, calling again
    with the same arguments goes on from the last finished epoch.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters or settings.epochs == 0:
        return State()
    order = torch.Generator().manual_seed(seed)
    optimizer = build_optimizer(
        model,
        name=settings.optimizer,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        eps=settings.eps,
    )
    best = _copy_of(model)
    state = State()
    saved = scratch / "last.pt"
    if saved.exists():
        state, best = _resume(saved, model, optimizer, order, device)
        log.info("resuming after epoch %d", state.epoch)
    while state.epoch < settings.epochs and not _is_patience_over(state, settings):
        started = time.perf_counter()
        losses = train_one_epoch(model, train_data, optimizer, settings, state, order, device)
        state.epoch += 1
        scores = evaluate(
            predict(model, select_data, 1, settings, device)[..., :2],
            select_data.queries.moments,
            ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "mIoU"],
        )
        row = {
            "epoch": state.epoch,
            **losses,
            **{f"val/{name}": value for name, value in scores.items()},
            "seconds": time.perf_counter() - started,
        }
        state.history.append(row)
        if scores[settings.select] > state.best_score:
            state.best_score, state.best_epoch = scores[settings.select], state.epoch
            best = _copy_of(model)
        _save(saved, state, model, optimizer, order, best)
        log.info(
            "epoch %d of %d: loss %.3f, %s %.2f on the selection split (best %.2f), %.1f s",
            state.epoch,
            settings.epochs,
            row["loss"],
            settings.select,
            scores[settings.select],
            state.best_score,
            row["seconds"],
        )
        if on_epoch is not None:
            on_epoch(state.epoch, {name: v for name, v in row.items() if name != "epoch"})
    model.load_state_dict(best)
    return state


def train_one_epoch(
    model: Grounder,
    data: GroundingData,
    optimizer: torch.optim.Optimizer,
    settings: TrainSettings,
    state: State,
    order: torch.Generator,
    device: torch.device,
) -> dict[str, float]:
    """One pass over the training queries; returns the mean of each named loss and their sum."""
    model.train()
    sums: dict[str, torch.Tensor] = {}
    batches = 0
    factor = 1.0
    for batch in data.batches(settings.batch_size, order):
        factor = lr_factor(
            settings.schedule, state.epoch, settings.epochs, state.step, settings.warmup
        )
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * factor
        with autocast(settings, device):
            parts = model.loss(model(batch), batch)
        total = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        state.step += 1
        batches += 1
        # Sums stay on the device: reading a value every step would stall a GPU
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.detach()
    means = {f"loss/{name}": float(total) / batches for name, total in sums.items()}
    for name, value in means.items():
        if not math.isfinite(value):
            raise UserError(
                f"{name} became {value} in epoch {state.epoch + 1}; lower train.lr or"
                " train.clip_norm in the study's overrides"
            )
    return {"loss": sum(means.values()), **means, "lr": settings.lr * factor}


@torch.inference_mode()
def predict(
    model: Grounder, data: GroundingData, k: int, settings: TrainSettings, device: torch.device
) -> np.ndarray:
    """(Q, k, 3) start_s, end_s, score per query, best first; NaN rows where there are fewer."""
    model.eval()
    ranked = np.full((len(data), k, 3), np.nan)
    for rows, batch in data.batches_in_order(max(settings.batch_size, 64)):
        found = answer(model, batch, k, settings, device)
        ranked[rows, : found.shape[1]] = found
    return ranked


def answer(
    model: Grounder, batch: Batch, k: int, settings: TrainSettings, device: torch.device
) -> np.ndarray:
    """(B, at most k, 3) start_s, end_s, score of one batch, on the CPU: forward pass and decoding.

    The model is in evaluation mode, and gradients are off.
    """
    with autocast(settings, device):
        return model.decode(model(batch), batch, k).double().cpu().numpy()


def autocast(settings: TrainSettings, device: torch.device) -> torch.autocast:
    """The precision of the forward pass: bf16 needs no loss scaling."""
    use_bf16 = settings.precision == "bf16" or (
        settings.precision == "auto" and device.type == "cuda"
    )
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=use_bf16)


def seed_everything(seed: int) -> None:
    """Make the same cell on the same machine give the same bits."""
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As `use_deterministic_algorithms(True, warn_only=True)`, which would also import the compiler:
    # two seconds a process
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False


def _is_patience_over(state: State, settings: TrainSettings) -> bool:
    return bool(settings.patience) and state.epoch - state.best_epoch >= settings.patience


def _copy_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _save(path, state, model, optimizer, order, best) -> None:
    content = {
        "state": vars(state),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": best,
        "order": order.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    save_tensors(path, content)


def save_tensors(path: Path, content: dict) -> None:
    """Write what `torch.load(..., weights_only=True)` reads, atomically.

    Through a stream: given a path, torch would write its (temporary, random) name into the file,
    and equal weights would not be equal files.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        torch.save(content, stream)


def _resume(path, model, optimizer, order, device) -> tuple[State, dict[str, torch.Tensor]]:
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: unreadable training state ({error}); delete it") from error
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    order.set_state(content["order"].cpu())
    torch.set_rng_state(content["torch"].cpu())
    if content["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in content["cuda"]])
    return State(**content["state"]), content["best"]
