"""The extractors against the same networks written plainly: NumPy, double precision, one clip at a
time, from the papers' figures and the documented rules of padding."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from tsgbench.features.c3d import C3D
from tsgbench.features.i3d import I3D
from tsgbench.features.vgg16 import VGG16

INCEPTION = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")


def random_clips(shape: tuple, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def parameters(network: torch.nn.Module, seed: int = 0) -> dict[str, np.ndarray]:
    """The network's state as doubles, its biases and batch norm statistics made anything but 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.1, generator=generator)
            elif name.endswith(("bn.weight", "running_var")):
                value.uniform_(0.5, 1.5, generator=generator)
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def windows(x: np.ndarray, kernel: tuple, stride: tuple) -> np.ndarray:
    """Every place of a kernel on x (C, ...): (C, places..., kernel...)."""
    axes = tuple(range(1, x.ndim))
    steps = tuple(slice(None, None, step) for step in stride)
    return sliding_window_view(x, kernel, axes)[(slice(None), *steps)]


def convolve(x: np.ndarray, weight: np.ndarray, stride: tuple) -> np.ndarray:
    found = windows(x, weight.shape[2:], stride)
    dims = weight.ndim - 2
    kernel = tuple(range(1 + dims, 1 + 2 * dims))
    return np.tensordot(weight, found, (tuple(range(1, 2 + dims)), (0, *kernel)))


def shaped(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *[1] * (like.ndim - 1))


def pad_same(x: np.ndarray, kernel: tuple, stride: tuple) -> np.ndarray:
    """TensorFlow's rule, written as its documentation does, by the remainder of the division."""
    widths = [(0, 0)]
    for length, k, s in zip(x.shape[1:], kernel, stride, strict=True):
        total = max(k - s, 0) if length % s == 0 else max(k - length % s, 0)
        widths.append((total // 2, total - total // 2))
    return np.pad(x, widths)


def plain_i3d(p: dict, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(avg_pool, logits) of one clip (T, H, W, 3)."""

    def unit(x, name, stride=1):
        weight = p[f"{name}.conv3d.weight"]
        steps = (stride,) * 3
        y = convolve(pad_same(x, weight.shape[2:], steps), weight, steps)
        mean, var = p[f"{name}.bn.running_mean"], p[f"{name}.bn.running_var"]
        y = (y - shaped(mean, y)) / np.sqrt(shaped(var, y) + 1e-3)
        y = y * shaped(p[f"{name}.bn.weight"], y) + shaped(p[f"{name}.bn.bias"], y)
        return np.maximum(y, 0)

    def pool(x, kernel, stride):
        return windows(pad_same(x, kernel, stride), kernel, stride).max((-3, -2, -1))

    def block(x, name):
        branches = [
            unit(x, f"{name}.b0"),
            unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
            unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
            unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
        ]
        return np.concatenate(branches)

    x = clip.transpose(3, 0, 1, 2) / 127.5 - 1.0
    x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    x = pool(x, (1, 3, 3), (1, 2, 2))
    for name in INCEPTION:
        if name == "4b":
            x = pool(x, (3, 3, 3), (2, 2, 2))
        if name == "5b":
            x = pool(x, (2, 2, 2), (2, 2, 2))
        x = block(x, f"Mixed_{name}")
    pooled = x.mean((1, 2, 3))
    return pooled, p["logits.conv3d.weight"][:, :, 0, 0, 0] @ pooled + p["logits.conv3d.bias"]


def plain_c3d(p: dict, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fc6, fc7) of one clip."""

    def layer(x, name):
        x = np.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1)])
        y = convolve(x, p[f"{name}.weight"], (1, 1, 1))
        return np.maximum(y + shaped(p[f"{name}.bias"], y), 0)

    def pool(x, kernel):
        return windows(x, kernel, kernel).max((-3, -2, -1))

    blue_first = clip[..., ::-1].transpose(3, 0, 1, 2).astype(float)
    x = blue_first - np.array([90.0, 98.0, 102.0]).reshape(3, 1, 1, 1)
    x = pool(layer(x, "conv1"), (1, 2, 2))
    for names in (("conv2",), ("conv3a", "conv3b"), ("conv4a", "conv4b"), ("conv5a", "conv5b")):
        for name in names:
            x = layer(x, name)
        if names[0] == "conv5a":  # only this pooling pads, and only in space
            x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
        x = pool(x, (2, 2, 2))
    x = x.ravel()
    found = []
    for name in ("fc6", "fc7"):
        x = np.maximum(p[f"{name}.weight"] @ x + p[f"{name}.bias"], 0)
        found.append(x)
    return tuple(found)


def plain_vgg16(p: dict, picture: np.ndarray) -> np.ndarray:
    """fc7 of one picture (224, 224, 3)."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((picture / 255.0 - mean) / deviation).transpose(2, 0, 1)
    for index in (0, 2, "pool", 5, 7, "pool", 10, 12, 14, "pool", 17, 19, 21, "pool", 24, 26, 28):
        if index == "pool":
            x = windows(x, (2, 2), (2, 2)).max((-2, -1))
            continue
        y = convolve(np.pad(x, [(0, 0), (1, 1), (1, 1)]), p[f"features.{index}.weight"], (1, 1))
        x = np.maximum(y + shaped(p[f"features.{index}.bias"], y), 0)
    x = windows(x, (2, 2), (2, 2)).max((-2, -1)).ravel()
    for index in (0, 3):
        x = np.maximum(p[f"classifier.{index}.weight"] @ x + p[f"classifier.{index}.bias"], 0)
    return x


def run(network, clips: np.ndarray, taps: list[str]) -> list[np.ndarray]:
    """The network as extraction runs it: a batch, in the fast order of memory."""
    network = network.eval().to(memory_format=network.MEMORY_FORMAT)
    with torch.inference_mode():
        found = network(torch.from_numpy(clips), taps)
    return [found[tap].numpy() for tap in taps]


def assert_agree(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(expected).max() > 1e-3  # not a dead network
    # relative to each number, or to the vector's size where ReLU makes numbers vanish
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


# 224 pixels of 16 frames is what the weights were trained on; the others are odd in every axis
@pytest.mark.parametrize("shape", [(16, 32, 32), (16, 33, 47), (15, 29, 36), (9, 65, 31)])
def test_i3d(shape):
    network = I3D(width=0.0625)
    p = parameters(network)
    clips = random_clips((2, *shape))
    pooled, logits = run(network, clips, ["avg_pool", "logits"])
    for row, clip in enumerate(clips):
        expected = plain_i3d(p, clip)
        assert_agree(pooled[row], expected[0])
        assert_agree(logits[row], expected[1])


@pytest.mark.parametrize("size", [112, 48])
def test_c3d(size):
    network = C3D(width=0.03125, size=size)
    p = parameters(network)
    clips = random_clips((2, 16, size, size))
    fc6, fc7 = run(network, clips, ["fc6", "fc7"])
    for row, clip in enumerate(clips):
        expected = plain_c3d(p, clip)
        assert_agree(fc6[row], expected[0])
        assert_agree(fc7[row], expected[1])


def test_vgg16():
    network = VGG16(width=0.0625)
    p = parameters(network)
    clips = random_clips((1, 2, 224, 224))
    (fc7,) = run(network, clips, ["fc7"])
    assert fc7.shape == (1, 256, 2, 1, 1)
    for moment in range(2):
        assert_agree(fc7[0, :, moment, 0, 0], plain_vgg16(p, clips[0, moment]))
