"""Training and prediction: one trainer for every model, resumable after a kill at any moment.

Randomness comes from two generators only, torch's global one (weights, dropout, Gumbel noise) and
one for the order of the queries; both are saved with the checkpoint, so that a run that was
interrupted ends with the very bits of one that was not.
"""

import logging
import math
import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tsgbench.errors import UserError
from tsgbench.evaluation.keeping import Ranked, keep
from tsgbench.evaluation.metrics import evaluate
from tsgbench.evaluation.needs import Need
from tsgbench.files import atomic_path
from tsgbench.files.access import why
from tsgbench.models.base import Batch, Grounder
from tsgbench.models.products import fast_products
from tsgbench.settings import SCORED, TrainSettings
from tsgbench.training.data import GroundingData
from tsgbench.training.optim import build_optimizer, lr_factor

log = logging.getLogger(__name__)

PREDICTED_AT_ONCE = 64  # queries, or the batch size of the training if that is larger


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
    select_data: GroundingData | None,
    settings: TrainSettings,
    *,
    seed: int,
    scratch: Path,
    device: torch.device,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> State:
    """Train `model` in place and leave it with the weights of its best epoch.

    The best epoch is the one with the highest `settings.select` on `select_data`; the test split
    is not among the arguments. Without `select_data`, or with `select: last`, it is the last epoch,
    and patience is not asked. `scratch` holds the resumable state: after a kill, calling again with
    the same arguments goes on from the last finished epoch.
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
    chooses = settings.chooses and select_data is not None
    best = _copy_of(model) if chooses else {}
    state = State()
    saved = scratch / "last.pt"
    if saved_state := _read_state(saved, device):
        state, best = _resume(saved_state, model, optimizer, order)
        log.info("resuming after epoch %d", state.epoch)
    while state.epoch < settings.epochs and not (chooses and _is_patience_over(state, settings)):
        started = time.perf_counter()
        losses = train_one_epoch(model, train_data, optimizer, settings, state, order, device)
        scores = {} if select_data is None else _score(model, select_data, settings)
        chosen_by = scores[settings.select] if chooses else None
        if _note_epoch(state, losses, scores, chosen_by, started):
            best = _copy_of(model) if chooses else {}
        _save(saved, state, model, optimizer, order, best)
        _log_epoch(state, settings, scores, settings.select if chooses else SCORED[-1])
        if on_epoch is not None:
            row = state.history[-1]
            on_epoch(state.epoch, {name: v for name, v in row.items() if name != "epoch"})
    if chooses:
        model.load_state_dict(best)
    return state


def _note_epoch(
    state: State,
    losses: dict[str, float],
    scores: dict[str, float],
    chosen_by: float | None,
    started: float,
) -> bool:
    """Add an epoch to the state. Whether it is the best so far: without a score to choose by, the
    last one always is."""
    state.epoch += 1
    row = {
        "epoch": state.epoch,
        **losses,
        **{f"val/{name}": value for name, value in scores.items()},
        "seconds": time.perf_counter() - started,
    }
    state.history.append(row)
    is_best = chosen_by is None or chosen_by > state.best_score
    if is_best:
        state.best_epoch = state.epoch
        state.best_score = state.best_score if chosen_by is None else chosen_by
    return is_best


def _log_epoch(state: State, settings: TrainSettings, scores: dict[str, float], shown: str) -> None:
    row = state.history[-1]
    log.info(
        "epoch %d of %d: loss %.3f%s, %.1f s",
        state.epoch,
        settings.epochs,
        row["loss"],
        f", {shown} {scores[shown]:.2f} on the selection split" if scores else "",
        row["seconds"],
    )


def _score(model: Grounder, data: GroundingData, settings: TrainSettings) -> dict[str, float]:
    """The metrics of the first predictions, in percent."""
    first = predict_first(model, data, settings.batch_size)
    return evaluate(first[:, None, :2], data.queries.moments, SCORED)


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
        optimizer.zero_grad(set_to_none=True)
        with fast_products(model):
            with autocast(settings, device):
                parts = model.loss(model(batch), batch)
            torch.stack(list(parts.values())).sum().backward()
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
def predict_first(model: Grounder, data: GroundingData, batch_size: int) -> np.ndarray:
    """(Q, 3) start_s, end_s, score of every query's best candidate."""
    model.eval()
    batches = data.batches_in_order(_at_once(batch_size))
    return np.concatenate([answer(model, batch, 1)[:, 0] for _, batch in batches])


@torch.inference_mode()
def predict(
    model: Grounder, data: GroundingData, needs: list[Need] | None, batch_size: int
) -> Ranked:
    """The candidates of every query that meet the needs, or all of them for None.

    Every candidate is ranked and suppressed, batch by batch: some models have tens of thousands per
    query, more than a split's could be held at once. A query's predictions are the same to the bit
    whichever others are asked beside it, so that whoever asks one again (grounding/) gets them.
    """
    model.eval()
    parts = []
    for rows, batch in data.batches_of_one_shape(_at_once(batch_size)):
        ranked = answer(model, batch)[: len(rows)]
        if needs is None:
            parts.append(Ranked.all_of(ranked))
            continue
        durations, clips = data.queries.durations[rows], data.source_clips[rows]
        parts.append(keep(ranked, durations, clips, needs))
    return Ranked.joined(parts)


def _at_once(batch_size: int) -> int:
    """Queries per batch of a prediction."""
    return max(batch_size, PREDICTED_AT_ONCE)


def answer(model: Grounder, batch: Batch, k: int | None = None) -> np.ndarray:
    """(B, K, 3) start_s, end_s, score of one batch: the k best candidates or all, on the CPU.

    The model is in evaluation mode, and gradients are off. Never under autocast: in bf16 the 719
    scores of an IA-Net take some 530 values, and which of equal ones comes first would be chance.
    """
    with fast_products(model):
        outputs = model(batch)
    return model.decode(outputs, batch, k).cpu().double().numpy()


def autocast(settings: TrainSettings, device: torch.device) -> torch.autocast:
    """The precision of the forward pass in training: bf16 needs no loss scaling."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16")


def describe_precision(settings: TrainSettings, device: torch.device) -> str:
    """How a model is trained and predicts, in words: `fp32`, of a GPU with what that includes."""
    is_gpu = device.type == "cuda"
    words = "fp32 (TF32 in matrix products)" if is_gpu else "fp32"
    if settings.precision == "bf16":
        words = f"bf16 in training, {words} in prediction"
    return f"{words}, features in fp16" if is_gpu and settings.resident == "fp16" else words


def seed_everything(seed: int) -> None:
    """Make the same cell on the same machine give the same bits; allow TF32 on a GPU."""
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As `use_deterministic_algorithms(True, warn_only=True)`, which would also import the compiler:
    # two seconds a process
    torch.set_deterministic_debug_mode("warn")
    # With it comes a fill of all new memory, against reading what nobody wrote. Nothing here does
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def _is_patience_over(state: State, settings: TrainSettings) -> bool:
    return bool(settings.patience) and state.epoch - state.best_epoch >= settings.patience


def _copy_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _save(
    path: Path,
    state: State,
    model: Grounder,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
    best: dict[str, torch.Tensor],
) -> None:
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


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write what `torch.load(..., weights_only=True)` reads, atomically.

    Through a stream: given a path, torch would write its (temporary, random) name into the file,
    and equal weights would not be equal files.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:
            # Of a full disk torch says that a position is unexpected, after the disk's own words
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save_tensors` wrote. Whatever zipfile and torch make of a damaged file is raised."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():  # torch alone does not compare the checksums
            raise zipfile.BadZipFile(f"{damaged} has another checksum")
    return torch.load(path, map_location=device, weights_only=True)


def _read_state(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What `_save` wrote, None if nothing is there or it is damaged: training then starts anew.

    `UserError` where the file cannot be read for another reason.
    """
    try:
        return load_tensors(path, device)
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a damaged archive makes of zipfile and torch
        if isinstance(error, OSError) and (fault := why(path, error)):
            raise fault from error
        reason = str(error).partition("\n")[0]
    log.warning("%s: damaged (%s); training starts at its first epoch", path, reason)
    return None


def _resume(
    content: dict[str, Any],
    model: Grounder,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
) -> tuple[State, dict[str, torch.Tensor]]:
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    order.set_state(content["order"].cpu())
    torch.set_rng_state(content["torch"].cpu())
    if content["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in content["cuda"]])
    return State(**content["state"]), content["best"]
