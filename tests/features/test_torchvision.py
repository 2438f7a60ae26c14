"""Classifiers of torchvision, which is not installed here: a package of that name stands in."""

import sys
import types

import pytest
import torch
from torch import nn

from tsgbench.errors import UserError
from tsgbench.features.networks import find_network, load_checkpoint


def little() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


@pytest.fixture
def package(monkeypatch):
    def get_model(name, weights=None):
        assert weights is None  # nothing is downloaded behind our back
        models = {"little": little, "without": lambda: nn.Conv2d(3, 4, 3)}
        if name not in models:
            raise ValueError(f"Unknown model {name}")
        return models[name]()

    models = types.ModuleType("torchvision.models")
    models.get_model = get_model
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def test_features_are_what_the_last_linear_layer_reads(package, tmp_path):
    theirs = little()
    torch.save(theirs.state_dict(), tmp_path / "little.pth")
    network = find_network("torchvision").for_clips({"name": "little"}, 1, 8)
    load_checkpoint(network, tmp_path / "little.pth")
    clips = torch.randint(0, 256, (2, 3, 8, 8, 3), dtype=torch.uint8)
    with torch.inference_mode():
        found = network(clips, ["features", "logits"])
        pictures = clips.flatten(0, 1).permute(0, 3, 1, 2) / 255
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        features = theirs[:3]((pictures - mean) / deviation)
        logits = theirs[3](features)
    # (clips, channels, time, height, width)
    assert found["features"].shape == (2, 4, 3, 1, 1)
    torch.testing.assert_close(found["features"][..., 0, 0].transpose(1, 2).flatten(0, 1), features)
    torch.testing.assert_close(found["logits"][..., 0, 0].transpose(1, 2).flatten(0, 1), logits)
    assert network._seen == []


@pytest.mark.parametrize(
    ("name", "said"), [("unknown", "no model of torchvision"), ("without", "no linear layer")]
)
def test_models_that_give_no_features_are_refused(package, name, said):
    with pytest.raises(UserError, match=said):
        find_network("torchvision").for_clips({"name": name}, 1, 8)


def test_without_the_package_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UserError, match="cannot be used.*install the version that fits"):
        find_network("torchvision").for_clips({"name": "resnet50"}, 1, 8)
