"""Products of matrices: fast ones only where they are exact and pay, and nowhere else."""

import pytest
import torch
from torch import nn

from tsgbench.models import products
from tsgbench.models.layers import BidirectionalGRU, MultiHeadAttention


@pytest.fixture
def fresh():
    """Another processor is asked anew, and this one again after the test."""
    products.is_exact.cache_clear()
    yield
    products.is_exact.cache_clear()


@pytest.fixture
def exact(monkeypatch):
    monkeypatch.setattr(products, "is_exact", lambda: True)


def wide() -> nn.Module:
    return nn.Linear(1000, 1001)


def test_the_fast_products_are_plain_ones_to_the_fifth_digit():
    """Of a linear map, attention and a recurrence, with their gradients, as training runs them."""
    if not products.is_exact():
        pytest.skip("this processor rounds, so that no product is a fast one")
    torch.manual_seed(0)
    left, right = torch.randn(2, 500, 500)
    plainly = left @ right
    with products._precision("medium"):
        if torch.equal(left @ right, plainly):
            pytest.skip("PyTorch multiplies by itself on this processor, which lacks AVX-512")
    layers = nn.ModuleList([nn.Linear(3000, 192), BidirectionalGRU(192, 64), wide()])
    attention = MultiHeadAttention(4, dropout=0.1)
    x, mask = torch.randn(4, 37, 3000), torch.ones(4, 37, dtype=torch.bool)

    def run() -> list[torch.Tensor]:
        torch.manual_seed(1)
        y = layers[1](layers[0](x), mask)
        y = attention(y, y, y, mask[:, None, None])
        return [y, *torch.autograd.grad(y.square().sum(), list(layers[:2].parameters()))]

    plain = run()
    with products.fast_products(layers):
        fast = run()
        again = run()
    assert not all(torch.equal(*pair) for pair in zip(plain, fast, strict=True)), "not routed"
    for one, other, third in zip(plain, fast, again, strict=True):
        assert (one - other).abs().max() <= 1e-5 * one.abs().max()
        assert torch.equal(other, third), "a rerun gives the same bits"


def test_a_processor_that_rounds_keeps_the_plain_products(fresh, monkeypatch):
    plain = torch.nn.functional.linear

    def rounding(x, weight):
        if torch.get_float32_matmul_precision() == "medium":
            x, weight = x.bfloat16().float(), weight.bfloat16().float()
        return plain(x, weight)

    monkeypatch.setattr(products.F, "linear", rounding)
    assert not products.is_exact()
    with products.fast_products(wide()):
        assert torch.get_float32_matmul_precision() == "highest"


def test_wide_models_alone_are_routed_and_only_within_the_block(exact):
    seen = []
    for model in (nn.Linear(10, 10), nn.Identity(), wide()):
        with products.fast_products(model):
            seen.append(torch.get_float32_matmul_precision())
            with products.plain_products():
                seen.append(torch.get_float32_matmul_precision())
        assert torch.get_float32_matmul_precision() == "highest"
    assert seen == ["highest"] * 4 + ["medium", "highest"]


def test_an_error_leaves_the_products_as_they_were(exact):
    with pytest.raises(ValueError), products.fast_products(wide()):
        raise ValueError
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_a_gpu_was_allowed_stays():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # TF32
    try:
        with products.plain_products():
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
