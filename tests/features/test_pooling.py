"""Pools against plain NumPy."""

import numpy as np
import pytest
import torch

from tsgbench.errors import UserError
from tsgbench.features.pooling import channel_stats, last_mean
from tsgbench.features.statistics import STATISTICS


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("time", [2, 5, 8])
def test_channel_stats_by_brute_force(time, channels_last):
    rng = np.random.default_rng(0)
    taps = {
        "a": rng.normal(3, 2, (4, 3, time, 5, 7)).astype(np.float32),
        "b": rng.random((4, 6, 2, 1, 2)).astype(np.float32),
    }
    expected = {name: [] for name in STATISTICS}
    for x in taps.values():
        x = x.astype(np.float64)
        half = x.shape[2] // 2
        expected["mean"].append(x.mean((2, 3, 4)))
        expected["change"].append(x[:, :, half:].mean((2, 3, 4)) - x[:, :, :half].mean((2, 3, 4)))
        expected["maximum"].append(x.max((2, 3, 4)))
        expected["deviation"].append(x.std((2, 3, 4)))
        expected["deviation_over_time"].append(x.mean((3, 4)).std(2))
    tensors = {name: torch.from_numpy(x) for name, x in taps.items()}
    if channels_last:
        tensors = {n: x.to(memory_format=torch.channels_last_3d) for n, x in tensors.items()}
    found = channel_stats(tensors)
    assert found.shape == (4, 5 * 9)
    np.testing.assert_allclose(
        found, np.concatenate([x for xs in expected.values() for x in xs], 1), rtol=1e-4, atol=1e-5
    )


def test_a_constant_clip_has_no_deviation():
    found = channel_stats({"a": torch.full((1, 2, 4, 3, 3), 7.3)})
    assert found[0].tolist() == pytest.approx([7.3] * 2 + [0] * 2 + [7.3] * 2 + [0] * 4, abs=5e-3)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 4, 4)])
def test_taps_without_time_are_refused(shape):
    with pytest.raises(UserError, match="fc6"):
        channel_stats({"fc6": torch.zeros(shape)})


def test_last_mean():
    first, last = torch.rand(2, 3, 4, 5, 6), torch.rand(2, 7, 2, 3, 3)
    torch.testing.assert_close(last_mean({"a": first, "b": last}), last.mean((2, 3, 4)))
    vector = torch.rand(2, 9)
    assert last_mean({"a": first, "fc6": vector}) is vector
