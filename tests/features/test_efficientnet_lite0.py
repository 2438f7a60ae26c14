"""EfficientNet-Lite0 against the package that its weights come with, and on real videos."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from tsgbench.config import Catalogue
from tsgbench.features.efficientnet_lite0 import EfficientNetLite0
from tsgbench.features.networks import load_checkpoint
from tsgbench.features.video import read_clips
from tsgbench.files import sha256_file

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Catalogue.load(ROOT).sources["efficientnet_lite0_imagenet"]
MEMBER = SOURCE["package"]["members"][0]
BARBELL = 422  # of ImageNet's classes, in order


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        package = metadata.distribution(SOURCE["package"]["name"])
    except metadata.PackageNotFoundError:
        pytest.skip("the package with the weights is not installed")
    return Path(str(package.locate_file(MEMBER["member"])))


@pytest.fixture(scope="module")
def trained(weights) -> EfficientNetLite0:
    network = EfficientNetLite0()
    assert load_checkpoint(network, weights) == MEMBER["sha256"] == sha256_file(weights)
    return network


def pictures(n: int = 2, side: int = 224) -> torch.Tensor:
    """Smooth shapes of every colour, as clips of one picture: (n, 1, side, side, 3) uint8."""
    y, x = np.mgrid[:side, :side] / side
    waves = [
        [np.sin((3 + k + c) * x * 6) * np.cos((2 + c) * y * 6 + k) for c in range(3)]
        for k in range(n)
    ]
    return torch.from_numpy(np.uint8(127.5 + 127 * np.array(waves)).transpose(0, 2, 3, 1)[:, None])


def test_features_and_scores_are_those_of_the_package(weights, trained):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    reference = package.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    clips = pictures()
    with torch.inference_mode():
        found = trained(clips, ["features", "logits"])
        normalised = (clips[:, 0].permute(0, 3, 1, 2).float() - 127) / 128
        maps = reference.extract_features(normalised)
        scores = reference(normalised)
    features = found["features"].flatten(1)
    assert features.shape == (2, 1280) and features.std(0).max() > 0.1
    torch.testing.assert_close(features, maps.mean((2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["logits"].flatten(1), scores, rtol=1e-3, atol=1e-3)


def test_a_weight_lifter_is_seen_with_a_barbell(mirror, trained):
    chunks = read_clips(
        mirror / "videos/v_GGSY1Qvo990.mp4",
        size=256,
        keep_aspect=True,
        crop=224,
        clip_len=1,
        stride=1,
        fps=0.5,
    )
    clips = torch.from_numpy(np.concatenate([clips for clips, _ in chunks]))
    with torch.inference_mode():
        scores = trained(clips, ["logits"])["logits"].flatten(1)
    assert BARBELL in scores.softmax(1).mean(0).topk(3).indices.tolist()


def test_taps_have_the_published_shapes():
    network = EfficientNetLite0(width=0.125)
    with torch.inference_mode():
        found = network(pictures(1, 65), EfficientNetLite0.TAPS)
    sides = [33, 33, 17, 17, 9, 9, 5, 5, 5, 5, 5, 5, 3, 3, 3, 3, 3, 3]  # "same": rounded up
    shapes = [tuple(found[tap].shape[3:]) for tap in EfficientNetLite0.TAPS]
    assert shapes == [*((side, side) for side in sides), (1, 1), (1, 1)]
    assert found["features"].shape == (1, 160, 1, 1, 1)


def test_random_weights_follow_the_seed_and_do_not_saturate():
    first, again, other = (EfficientNetLite0(seed=seed) for seed in (0, 0, 1))
    states = [network.state_dict() for network in (first, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["head.conv.weight"], states[2]["head.conv.weight"])
    with torch.inference_mode():
        head = first(pictures(1), ["head"])["head"]
    assert (head >= 6).float().mean() < 0.2 and (head > 0).float().mean() > 0.2
