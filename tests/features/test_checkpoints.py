"""Checkpoints under the names their publishers gave them: every key, few channels."""

import pickle

import numpy as np
import pytest
import torch

from tsgbench.errors import UserError
from tsgbench.features.c3d import C3D
from tsgbench.features.i3d import I3D
from tsgbench.features.networks import load_checkpoint
from tsgbench.features.vgg16 import VGG16

# How the families call C3D's layers, written down from their publishers' code.
C3D_PORT = [
    "conv1",
    "conv2",
    "conv3a",
    "conv3b",
    "conv4a",
    "conv4b",
    "conv5a",
    "conv5b",
    "fc6",
    "fc7",
    "fc8",
]
C3D_LISTS = [
    *(f"features.{place}" for place in (0, 3, 6, 8, 11, 13, 16, 18)),
    *("classifier.0", "classifier.3", "classifier.6"),
]
C3D_OPENMMLAB = [
    *(f"backbone.conv{name}.conv" for name in ["1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b"]),
    *("backbone.fc6", "backbone.fc7", "cls_head.fc_cls"),
]
# torchvision's VGG16: every key of its release
VGG16_KEYS = [
    *(f"features.{place}" for place in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
    *("classifier.0", "classifier.3", "classifier.6"),
]


def c3d(seed: int, **options) -> C3D:
    return C3D(width=0.03125, size=32, seed=seed, **options)


def c3d_state(names: list[str], prefix: str = "") -> dict[str, torch.Tensor]:
    own = c3d(1).state_dict() | {"fc8.weight": torch.zeros(487, 128), "fc8.bias": torch.zeros(487)}
    renamed = dict(zip(C3D_PORT, names, strict=True))
    state = {}
    for name, value in own.items():
        layer, kind = name.rsplit(".", 1)
        state[f"{prefix}{renamed[layer]}.{kind}"] = value
    return state


def assert_same(network, other) -> None:
    for name, value in other.state_dict().items():
        assert (network.state_dict()[name] == value).all(), name


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("names", [C3D_PORT, C3D_LISTS, C3D_OPENMMLAB])
def test_c3d_by_every_familys_names(tmp_path, names, prefix):
    state = c3d_state(names, prefix)
    assert len(state) == 22
    torch.save(state, tmp_path / "c3d.pt")
    network = c3d(2)
    load_checkpoint(network, tmp_path / "c3d.pt")
    assert_same(network, c3d(1))


def test_openmmlabs_backbone_alone(tmp_path):
    """Its Sports-1M release is the backbone without the prefix, among the state of a training."""
    state = {name.removeprefix("backbone."): v for name, v in c3d_state(C3D_OPENMMLAB).items()}
    torch.save({"state_dict": state, "meta": {"epoch": 1}}, tmp_path / "c3d.pth")
    network = c3d(2)
    load_checkpoint(network, tmp_path / "c3d.pth")
    assert_same(network, c3d(1))


def test_the_legacy_format_of_torch_is_read(tmp_path):
    """c3d.pickle is older than torch's zip files: pickled tensors, read without running code."""
    path = tmp_path / "c3d.pickle"
    torch.save(c3d_state(C3D_PORT), path, _use_new_zipfile_serialization=False)
    assert path.read_bytes()[:2] != b"PK"
    network = c3d(2)
    load_checkpoint(network, path)
    assert_same(network, c3d(1))


def test_a_bare_pickle_is_refused(tmp_path):
    path = tmp_path / "c3d.pickle"
    path.write_bytes(pickle.dumps({"conv1.weight": np.zeros((2, 3, 3, 3, 3))}))
    with pytest.raises(UserError, match=r"c3d\.pickle: not a PyTorch checkpoint of plain tensors"):
        load_checkpoint(c3d(2), path)


def test_vgg16_by_torchvisions_names(tmp_path):
    network = VGG16(width=0.03125, seed=1)
    state = network.state_dict()
    state |= {"classifier.6.weight": torch.zeros(1000, 128), "classifier.6.bias": torch.zeros(1000)}
    assert set(state) == {f"{key}.{kind}" for key in VGG16_KEYS for kind in ("weight", "bias")}
    torch.save(state, tmp_path / "vgg16.pth")
    other = VGG16(width=0.03125, seed=2)
    load_checkpoint(other, tmp_path / "vgg16.pth")
    assert_same(other, network)


def test_vgg16_has_the_published_shapes():
    shapes = {name: tuple(value.shape) for name, value in VGG16().state_dict().items()}
    assert shapes["features.0.weight"] == (64, 3, 3, 3)
    assert shapes["features.28.weight"] == (512, 512, 3, 3)
    assert shapes["classifier.0.weight"] == (4096, 25088)
    assert shapes["classifier.3.weight"] == (4096, 4096)
    # torchvision states 138,357,544 parameters, of which the classes' 4,097,000 are left out
    assert sum(np.prod(shape) for shape in shapes.values()) == 138_357_544 - 4_097_000


@pytest.mark.parametrize("prefix", ["", "module."])
def test_i3d_with_its_batch_norm(tmp_path, prefix):
    network = I3D(width=0.03125, seed=1)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if "running" in name:
                value.uniform_(0.5, 2)
    names = list(network.state_dict())
    assert sum(name.endswith("bn.running_var") for name in names) == 57
    state = {prefix + name: value for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "rgb_imagenet.pt")
    other = I3D(width=0.03125, seed=2)
    load_checkpoint(other, tmp_path / "rgb_imagenet.pt")
    assert_same(other, network)


def test_i3d_fine_tuned_on_other_classes(tmp_path):
    torch.save(I3D(width=0.03125, classes=157).state_dict(), tmp_path / "rgb_charades.pt")
    load_checkpoint(I3D(width=0.03125, classes=157, seed=2), tmp_path / "rgb_charades.pt")
    with pytest.raises(UserError, match=r"misshapen: logits.conv3d.bias \(157,\) instead of"):
        load_checkpoint(I3D(width=0.03125), tmp_path / "rgb_charades.pt")


def test_another_networks_checkpoint_names_the_first_keys(tmp_path):
    torch.save(VGG16(width=0.03125).state_dict(), tmp_path / "vgg16.pth")
    with pytest.raises(UserError, match=r"vgg16\.pth: parameters do not fit I3D") as caught:
        load_checkpoint(I3D(width=0.03125), tmp_path / "vgg16.pth")
    said = str(caught.value)
    assert "missing: Conv3d_1a_7x7.bn.bias" in said and "unknown: classifier.0.bias" in said
    assert len(said) < 700 and "\n" not in said


def test_a_parameter_that_stands_twice(tmp_path):
    state = c3d_state(C3D_PORT) | {"module.conv1.weight": torch.zeros(2, 3, 3, 3, 3)}
    torch.save(state, tmp_path / "c3d.pt")
    with pytest.raises(UserError, match="conv1.weight: stands in it twice"):
        load_checkpoint(c3d(2), tmp_path / "c3d.pt")


def test_c3d_takes_the_colours_its_weights_were_trained_with():
    """OpenMMLab's configurations feed RGB less (104, 117, 128); the release BGR less its mean."""
    clips = torch.randint(0, 256, (1, 16, 32, 32, 3), dtype=torch.uint8)
    release, other = c3d(1), c3d(1, order="rgb", mean=(104, 117, 128))
    with torch.inference_mode():
        x = clips.permute(0, 4, 1, 2, 3).float()
        for network, picture in (
            (release, x[:, [2, 1, 0]] - torch.tensor([90.0, 98, 102]).view(3, 1, 1, 1)),
            (other, x - torch.tensor([104.0, 117, 128]).view(3, 1, 1, 1)),
        ):
            expected = network.conv1(picture).relu()
            torch.testing.assert_close(network(clips, ["conv1a"])["conv1a"], expected)
    with pytest.raises(UserError, match="order 'gbr'"):
        c3d(1, order="gbr")
