"""Optimisers and schedules, against their formulas."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from tsgbench.training.optim import build_optimizer, lr_factor


def model():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"linear": nn.Linear(3, 2), "norm": nn.LayerNorm(2), "gru": nn.GRU(2, 2)}
    ).double()


def step(net, optimizer, seed):
    rng = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
    optimizer.step()


def test_bert_adam_is_adam_without_bias_correction():
    net, lr, eps, decay = model(), 0.01, 1e-6, 0.1
    optimizer = build_optimizer(net, name="bert_adam", lr=lr, eps=eps, weight_decay=decay)
    expected = {name: p.detach().clone() for name, p in net.named_parameters()}
    m = {name: torch.zeros_like(p) for name, p in expected.items()}
    v = {name: torch.zeros_like(p) for name, p in expected.items()}
    for seed in range(5):
        step(net, optimizer, seed)
        for name, parameter in net.named_parameters():
            grad = parameter.grad
            m[name] = 0.9 * m[name] + 0.1 * grad
            v[name] = 0.999 * v[name] + 0.001 * grad**2
            is_exempt = "norm" in name or "bias" in name
            update = m[name] / (v[name].sqrt() + eps)
            update += 0.0 if is_exempt else decay * expected[name]
            expected[name] -= lr * update
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw", "bert_adam"])
def test_state_resumes_to_the_bit(name):
    net, other = model(), model()
    optimizer = build_optimizer(net, name=name, lr=0.01, weight_decay=0.1)
    for seed in range(3):
        step(net, optimizer, seed)
    resumed = build_optimizer(other, name=name, lr=0.01, weight_decay=0.1)
    other.load_state_dict(net.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for net_, optimizer_ in ((net, optimizer), (other, resumed)):
        step(net_, optimizer_, 9)
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["adam", "adamw", "bert_adam"])
def test_biases_and_normalisations_are_not_decayed(name):
    net = model()
    net.linear.weight.requires_grad_(False)
    optimizer = build_optimizer(net, name=name, lr=0.01, weight_decay=0.1)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    every = {id(p) for g in optimizer.param_groups for p in g["params"]}
    named = dict(net.named_parameters())
    assert decayed == {id(named[n]) for n in ("gru.weight_ih_l0", "gru.weight_hh_l0")}
    assert every == {id(p) for p in named.values() if p.requires_grad}


def test_biases_in_a_list_are_not_decayed():
    net = nn.Module()
    net.biases = nn.ParameterList([torch.zeros(3)])
    net.kernels = nn.ParameterList([torch.zeros(2, 3)])
    decayed, others = build_optimizer(net, name="adamw", lr=0.01, weight_decay=0.1).param_groups
    assert decayed["params"] == [net.kernels[0]] and decayed["weight_decay"] == 0.1
    assert others["params"] == [net.biases[0]] and others["weight_decay"] == 0.0


def test_adam_and_adamw_are_pytorchs():
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        net, other = nn.Linear(3, 2, bias=False).double(), nn.Linear(3, 2, bias=False).double()
        other.load_state_dict(net.state_dict())
        ours = build_optimizer(net, name=name, lr=0.01, weight_decay=0.1, eps=1e-6)
        theirs = kind(other.parameters(), lr=0.01, weight_decay=0.1, eps=1e-6, fused=True)
        for seed in range(3):
            step(net, ours, seed)
            step(other, theirs, seed)
        assert torch.equal(net.weight, other.weight)


@pytest.mark.parametrize("name", ["adam", "adamw", "bert_adam"])
def test_a_step_does_not_import_the_compiler(name):
    """It takes longer than many a training of the demo."""
    code = f"""
import sys
from torch import nn
from tsgbench.training.optim import build_optimizer

net = nn.Linear(3, 2)
optimizer = build_optimizer(net, name={name!r}, lr=0.01)
for _ in range(2):
    optimizer.zero_grad(set_to_none=True)
    net.weight.sum().backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_schedules():
    def factors(schedule, warmup=0, steps=(0, 9, 99, 399)):
        return [lr_factor(schedule, epoch=5, epochs=20, step=s, warmup=warmup) for s in steps]

    assert factors("constant") == [1, 1, 1, 1]
    assert factors("linear") == [0.75] * 4
    assert lr_factor("linear", 0, 20, 0, 0) == 1.0
    assert factors("constant", warmup=100) == [0.01, 0.1, 1, 1]
    assert factors("linear", warmup=100) == pytest.approx([0.0075, 0.075, 0.75, 0.75])
    assert factors("inverse_sqrt", warmup=100) == pytest.approx([0.01, 0.1, 1, 0.5])
