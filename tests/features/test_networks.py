"""C3D and I3D: layout, names, padding, seeds, checkpoints."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tsgbench.errors import UserError
from tsgbench.features.c3d import C3D
from tsgbench.features.convolution import same_padding
from tsgbench.features.i3d import I3D, Inception, SamePool, Unit3D
from tsgbench.features.networks import load_checkpoint

# Shapes of the public checkpoints, written down from the papers' figures.
C3D_SHAPES = {
    "conv1": (64, 3, 3, 3, 3),
    "conv2": (128, 64, 3, 3, 3),
    "conv3a": (256, 128, 3, 3, 3),
    "conv3b": (256, 256, 3, 3, 3),
    "conv4a": (512, 256, 3, 3, 3),
    "conv4b": (512, 512, 3, 3, 3),
    "conv5a": (512, 512, 3, 3, 3),
    "conv5b": (512, 512, 3, 3, 3),
    "fc6": (4096, 8192),
    "fc7": (4096, 4096),
}
I3D_SHAPES = {
    "Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7),
    "Conv3d_1a_7x7.bn.running_mean": (64,),
    "Conv3d_2b_1x1.conv3d.weight": (64, 64, 1, 1, 1),
    "Conv3d_2c_3x3.conv3d.weight": (192, 64, 3, 3, 3),
    "Mixed_3b.b0.conv3d.weight": (64, 192, 1, 1, 1),
    "Mixed_3b.b1a.conv3d.weight": (96, 192, 1, 1, 1),
    "Mixed_3b.b1b.conv3d.weight": (128, 96, 3, 3, 3),
    "Mixed_3b.b3b.bn.weight": (32,),
    "Mixed_4d.b0.conv3d.weight": (128, 512, 1, 1, 1),
    "Mixed_4f.b2b.conv3d.weight": (128, 32, 3, 3, 3),
    "Mixed_5b.b0.conv3d.weight": (256, 832, 1, 1, 1),
    "Mixed_5c.b1b.conv3d.weight": (384, 192, 3, 3, 3),
    "logits.conv3d.weight": (400, 1024, 1, 1, 1),
    "logits.conv3d.bias": (400,),
}


def clips(n=2, frames=16, height=48, width=48, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (n, frames, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_c3d_has_the_published_shapes():
    shapes = {name: tuple(value.shape) for name, value in C3D().state_dict().items()}
    expected = {f"{name}.weight": shape for name, shape in C3D_SHAPES.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in C3D_SHAPES.items()}
    assert shapes == expected


def test_i3d_has_the_published_shapes():
    shapes = {name: tuple(value.shape) for name, value in I3D().state_dict().items()}
    assert {name: shapes.get(name) for name in I3D_SHAPES} == I3D_SHAPES
    # 57 convolutions with batch norm (weight and five of the norm), and the scores with a bias
    assert len(shapes) == 57 * 6 + 2


def test_c3d_taps():
    network = C3D(width=0.125, size=48)
    with torch.inference_mode():
        taps = network(clips(), C3D.TAPS)
    assert list(taps) == list(C3D.TAPS)
    assert {name: tuple(x.shape[1:]) for name, x in taps.items()} == {
        "conv1a": (8, 16, 48, 48),
        "conv2a": (16, 16, 24, 24),
        "conv3a": (32, 8, 12, 12),
        "conv3b": (32, 8, 12, 12),
        "conv4a": (64, 4, 6, 6),
        "conv4b": (64, 4, 6, 6),
        "conv5a": (64, 2, 3, 3),
        "conv5b": (64, 2, 3, 3),
        "fc6": (512,),
        "fc7": (512,),
    }
    assert all((x >= 0).all() and (x > 0).any() for x in taps.values())
    with torch.inference_mode():
        few = network(clips(), ["conv3b", "conv1a"])
    assert list(few) == ["conv3b", "conv1a"]
    assert all((few[name] == taps[name]).all() for name in few)


def test_c3d_against_plain_layers():
    """The whole net, layer by layer, from the paper's figure and with PyTorch's own functions."""
    network = C3D(width=0.0625, size=112)
    p = network.state_dict()
    x = clips(1, height=112, width=112)
    blue_first = x.permute(0, 4, 1, 2, 3).float()[:, [2, 1, 0]]
    h = blue_first - torch.tensor([90.0, 98.0, 102.0])[:, None, None, None]

    def conv(h, name):
        return F.relu(F.conv3d(h, p[f"{name}.weight"], p[f"{name}.bias"], padding=1))

    h = F.max_pool3d(conv(h, "conv1"), (1, 2, 2), (1, 2, 2))
    h = F.max_pool3d(conv(h, "conv2"), 2, 2)
    h = F.max_pool3d(conv(conv(h, "conv3a"), "conv3b"), 2, 2)
    h = F.max_pool3d(conv(conv(h, "conv4a"), "conv4b"), 2, 2)
    h = F.max_pool3d(conv(conv(h, "conv5a"), "conv5b"), 2, 2, padding=(0, 1, 1))
    fc6 = F.relu(F.linear(h.flatten(1), p["fc6.weight"], p["fc6.bias"]))
    fc7 = F.relu(F.linear(fc6, p["fc7.weight"], p["fc7.bias"]))
    with torch.inference_mode():
        taps = network.to(memory_format=torch.channels_last_3d)(x, ["fc6", "fc7"])
    torch.testing.assert_close(taps["fc6"], fc6, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(taps["fc7"], fc7, rtol=1e-4, atol=1e-3)


def test_i3d_taps():
    network = I3D(width=0.125)
    with torch.inference_mode():
        taps = network(clips(height=64, width=64), I3D.TAPS)
    assert list(taps) == list(I3D.TAPS)
    shapes = {name: tuple(x.shape[1:]) for name, x in taps.items()}
    assert shapes["Conv3d_1a_7x7"] == (8, 8, 32, 32)
    assert shapes["Conv3d_2c_3x3"] == (24, 8, 16, 16)
    assert shapes["Mixed_3c"] == (60, 8, 8, 8)
    assert shapes["Mixed_4f"] == (104, 4, 4, 4)
    assert shapes["Mixed_5c"] == (128, 2, 2, 2)
    assert shapes["avg_pool"] == (128,)
    assert shapes["logits"] == (400,)
    torch.testing.assert_close(taps["avg_pool"], taps["Mixed_5c"].mean((2, 3, 4)))


def same_by_loops(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """A "same" convolution as TensorFlow documents it, one output place at a time.

    x: (C, T, H, W). kernel: (C', C, k, k, k).
    """
    k = kernel.shape[-1]
    sizes = [-(-length // stride) for length in x.shape[1:]]
    first = []
    for length in x.shape[1:]:
        rest = length % stride
        total = max(k - (stride if rest == 0 else rest), 0)
        first.append(total // 2)
    out = np.zeros((len(kernel), *sizes))
    for place in itertools.product(*map(range, sizes)):
        for offset in itertools.product(range(k), repeat=3):
            at = [p * stride + o - f for p, o, f in zip(place, offset, first, strict=True)]
            if all(0 <= a < length for a, length in zip(at, x.shape[1:], strict=True)):
                out[(slice(None), *place)] += kernel[(..., *offset)] @ x[(slice(None), *at)]
    return out


@pytest.mark.parametrize("sizes", [(4, 5, 6), (3, 7, 8), (1, 2, 3)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (7, 2)])
def test_i3d_pads_like_tensorflow(sizes, kernel, stride):
    torch.manual_seed(0)
    unit = Unit3D(2, 3, kernel, stride).double().eval()
    x = torch.randn(2, *sizes, dtype=torch.float64)
    expected = same_by_loops(x.numpy(), unit.conv3d.weight.detach().numpy(), stride)
    unit.bn.running_mean.uniform_(-1, 1)
    unit.bn.running_var.uniform_(0.5, 2)
    mean, var = unit.bn.running_mean.numpy(), unit.bn.running_var.numpy()
    shape = (-1, 1, 1, 1)
    expected = (expected - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-3)
    with torch.inference_mode():
        found = unit(x[None])[0].numpy()
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 1)])
def test_i3d_pooling_covers_every_place_once(length, kernel, stride):
    pool = SamePool((1, 1, kernel), (1, 1, stride))
    x = torch.arange(1.0, length + 1).view(1, 1, 1, 1, length)
    before, after = same_padding([length], [kernel], [stride])
    padded = [0.0] * before + x.flatten().tolist() + [0.0] * after
    starts = range(0, len(padded) - kernel + 1, stride)
    expected = [max(padded[start : start + kernel]) for start in starts]
    assert pool(x).flatten().tolist() == expected
    assert len(expected) == -(-length // stride)
    assert after - before in (0, 1)  # an odd cell goes behind


def test_an_inception_block_joins_its_branches_in_order():
    block = Inception(5, (2, 3, 4, 3, 6, 7)).eval()
    x = torch.rand(1, 5, 4, 5, 5)
    with torch.inference_mode():
        out = block(x)
        assert out.shape[1] == 2 + 4 + 6 + 7
        assert (out[:, :2] == block.b0(x)).all()
        pooled = F.max_pool3d(x, 3, 1, padding=1)
        torch.testing.assert_close(out[:, 12:], block.b3b(pooled))


def test_i3d_stays_in_evaluation_mode():
    network = I3D(width=0.03).train()
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize(
    "make", [lambda **k: C3D(width=0.0625, size=32, **k), lambda **k: I3D(width=0.0625, **k)]
)
def test_weights_come_from_the_seed(make):
    one, same, other = (
        make(seed=1).state_dict(),
        make(seed=1).state_dict(),
        make(seed=2).state_dict(),
    )
    assert all((one[name] == same[name]).all() for name in one)
    weights = [
        name for name in one if name.endswith(("conv3d.weight", "conv1.weight", "fc6.weight"))
    ]
    assert weights and all((one[name] != other[name]).any() for name in weights)
    name = weights[-1]
    assert one[name].std() == pytest.approx((2 / one[name][0].numel()) ** 0.5, rel=0.1)


def test_unknown_taps_are_named():
    with pytest.raises(UserError, match="C3D has no 'conv9'"):
        C3D(width=0.0625, size=32)(clips(1, 16, 32, 32), ["conv9"])
    with pytest.raises(UserError, match="pixels or more"):
        C3D(width=0.0625, size=8)


def small(seed: int) -> C3D:
    return C3D(width=0.0625, size=32, seed=seed)


@pytest.mark.parametrize("wrapped", [False, True])
def test_checkpoint_round_trip(tmp_path, wrapped):
    path = tmp_path / "c3d.pt"
    state = small(1).state_dict()
    state |= {"fc8.weight": torch.zeros(487, 256), "fc8.bias": torch.zeros(487)}
    torch.save({"state_dict": state} if wrapped else state, path)
    network = small(2)
    sha = load_checkpoint(network, path)
    assert len(sha) == 64
    x = clips(1, 16, 32, 32)
    with torch.inference_mode():
        assert (network(x, ["fc7"])["fc7"] == small(1)(x, ["fc7"])["fc7"]).all()


def test_i3d_checkpoint_round_trip_without_batch_counters(tmp_path):
    path = tmp_path / "i3d.pt"
    state = I3D(width=0.0625, seed=1).state_dict()
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(state, path)
    network = I3D(width=0.0625, seed=2)
    load_checkpoint(network, path)
    assert all((network.state_dict()[name] == value).all() for name, value in state.items())


class Harmful:
    def __reduce__(self):
        return print, ("code from a checkpoint ran",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv2.weight": None}, "missing: conv2.weight"),
        ({"conv2.weight": torch.zeros(3)}, r"misshapen: conv2.weight \(3,\) instead of"),
        ({"conv9.weight": torch.zeros(3)}, "unknown: conv9.weight"),
        ({"conv1.weight": "text"}, "not a table of parameters"),
        ({"conv1.weight": Harmful()}, "not a PyTorch checkpoint of plain tensors"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_error(tmp_path, change, words, capsys):
    path = tmp_path / "c3d.pt"
    state = small(1).state_dict() | change
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    network = small(2)
    with pytest.raises(UserError, match=rf"c3d\.pt: .*{words}"):
        load_checkpoint(network, path)
    assert (network.conv1.weight == small(2).conv1.weight).all()
    assert "ran" not in capsys.readouterr().out


def test_files_that_are_no_checkpoint(tmp_path):
    path = tmp_path / "c3d.pt"
    with pytest.raises(UserError, match="no such checkpoint"):
        load_checkpoint(small(0), path)
    path.write_bytes(b"not a pickle")
    with pytest.raises(UserError, match="not a PyTorch checkpoint"):
        load_checkpoint(small(0), path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="not a table"):
        load_checkpoint(small(0), path)
