"""Optimisers and learning-rate schedules, by the names that config/models/*.yaml use."""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


def _eager(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of PyTorch's optimisers without what tells the compiler to leave it alone.

    Nothing here is compiled, and only to say so they would import the compiler: three seconds per
    training.
    """
    return torch.no_grad()(inspect.unwrap(method))


class Eager(torch.optim.Optimizer):
    """What PyTorch's optimisers have in common, without an import of its compiler."""

    add_param_group = _eager(torch.optim.Optimizer.add_param_group)
    load_state_dict = _eager(torch.optim.Optimizer.load_state_dict)
    state_dict = _eager(torch.optim.Optimizer.state_dict)
    zero_grad = _eager(torch.optim.Optimizer.zero_grad)


class Adam(Eager, torch.optim.Adam):
    """PyTorch's own."""

    step = _eager(torch.optim.Adam.step)


class AdamW(Eager, torch.optim.AdamW):
    """PyTorch's own."""

    step = _eager(torch.optim.AdamW.step)


class BertAdam(AdamW):
    """Adam without bias correction, with decoupled weight decay (BERT; SeqPAN's public code).

    Bias correction divides by `1 - beta ** step`. So this is AdamW that starts at a step so late
    that both powers vanish: the same update to the last bit, in PyTorch's own fused kernel.
    """

    START = 100_000.0  # 0.999 ** START is 0 next to 1, and float32 still counts from here

    def __init__(self, params: Iterable[dict[str, Any]], **settings: Any) -> None:
        super().__init__(params, **settings)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param] = {
                    "step": torch.tensor(self.START, device=param.device),
                    "exp_avg": torch.zeros_like(param),
                    "exp_avg_sq": torch.zeros_like(param),
                }


def build_optimizer(
    model: nn.Module,
    *,
    name: str,
    lr: float,
    weight_decay: float = 0.0,
    eps: float = 1e-8,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """The optimiser `name` over the trainable parameters of `model`.

    name: `adam` (decay added to the gradient), `adamw` (decay applied to the weights, as the CMIN
    family does) or `bert_adam`. Biases and layer normalisations are never decayed. Move the model
    to its device first.
    """
    decayed, others = _split_parameters(model)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    kinds: dict[str, Callable[..., Eager]] = {
        "adam": Adam,
        "adamw": AdamW,
        "bert_adam": BertAdam,
    }
    # Fused: one pass over each tensor rather than half a dozen; small models on a CPU feel it.
    return kinds[name](groups, lr=lr, eps=eps, betas=tuple(betas), fused=True)


def lr_factor(schedule: str, epoch: int, epochs: int, step: int, warmup: int) -> float:
    """What to multiply the learning rate by.

    epoch: epochs completed, of `epochs`. step: updates completed. warmup: updates over which the
    rate grows in equal amounts, 0 for none. `linear` falls by equal amounts each epoch (SeqPAN,
    sec. 4.1), `inverse_sqrt` with the root of the updates since the warm-up (CMIN family).
    """
    update = step + 1  # the coming one
    if update < warmup:
        growth = update / warmup
    elif schedule == "inverse_sqrt":
        return math.sqrt(max(warmup, 1) / update)
    else:
        growth = 1.0
    return growth * (1 - epoch / epochs) if schedule == "linear" else growth


def _split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters to decay, and the biases and layer normalisations, which are not.

    A bias is known by its name or by that of the list it stands in (`gate_bias`, `biases.0`).
    """
    decayed, others = [], []  # type: ignore[var-annotated]  # as the signature says
    for path, module in model.named_modules():
        for name, param in module.named_parameters(recurse=False):
            if param.requires_grad:
                owner = path.rpartition(".")[2] if isinstance(module, nn.ParameterList) else ""
                is_bias = "bias" in name or "bias" in owner
                is_exempt = is_bias or isinstance(module, nn.LayerNorm)
                (others if is_exempt else decayed).append(param)
    return decayed, others
