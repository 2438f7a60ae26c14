"""The features that each model's entry names have the properties that its paper states, or that
the code it rests on has: network, weights, layer, width of the PCA, and whose they are."""

from pathlib import Path

import pytest

from tsgbench.config import Catalogue, read_yaml
from tsgbench.datasets.didemo import CHUNK_S
from tsgbench.phases.blank import clip_times
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = Catalogue.load(ROOT)
RELEASED = {  # what is known of the released files: of weights, layer, PCA
    "activitynet_c3d_pca": ("c3d", "sports1m", "fc7", 500),  # ActivityNet's page
    "didemo_vgg_fc7": ("vgg16", "imagenet", "fc7", None),
    "charades_i3d_lgi": ("i3d", "charades", "avg_pool", None),
}
OWN, THEIRS = "own", "released"
I3D = ("i3d", "kinetics", "avg_pool", None, OWN)
ACTIVITYNET = ("c3d", "sports1m", "fc7", 500, THEIRS)
TACOS = ("c3d", "sports1m", "fc6", None, OWN)
STATED = {
    # Sec. 4.2; code: 500 wide on ActivityNet Captions, and CSMGAN's fc6 of 4096 on TACoS
    "ia_net": {"activitynet_captions": ACTIVITYNET, "tacos": TACOS, "charades_sta": I3D},
    # Sec. 4.3 says only C3D and I3D; the authors' next code is IA-Net's
    "fian": {"activitynet_captions": ACTIVITYNET, "tacos": TACOS, "charades_sta": I3D},
    # Sec. 4.2: released features, reduced from 4096 to 500
    "fsan": {
        "activitynet_captions": ACTIVITYNET,
        "didemo": ("vgg16", "imagenet", "fc7", 500, THEIRS),
    },
    # Sec. 4.3 says only C3D and I3D; LGI reads ActivityNet's release
    "cma": {"activitynet_captions": ACTIVITYNET, "charades_sta": I3D},
    # Sec. 4.1: trained on Kinetics
    "seqpan": {"activitynet_captions": I3D, "tacos": I3D, "charades_sta": I3D},
}


def properties(name: str) -> tuple:
    """(network, trained on, layer, dimensions of the PCA, own or released) of a feature recipe."""
    recipe = CATALOGUE.features[name]
    if "released" in recipe:
        return *RELEASED[recipe["released"]["source"]], THEIRS
    pca = ((recipe["reduce"] or {}).get("pca") or {}).get("dim")
    if "released" in CATALOGUE.features.get(recipe["clips"], {}):
        *network, _, whose = properties(recipe["clips"])
        return *network, pca, whose
    clips = CATALOGUE.clips[recipe["clips"]]
    network, trained_on, *_ = clips["checkpoint"].split("_")
    (layer,) = clips["taps"]
    return network, trained_on, layer, pca, OWN


@pytest.mark.parametrize(
    ("model", "dataset"), [(model, dataset) for model in STATED for dataset in STATED[model]]
)
def test_a_model_reads_the_features_of_its_paper(model, dataset):
    entry = CATALOGUE.models[model]["datasets"][dataset]
    assert properties(entry["inputs"]["features"]) == STATED[model][dataset]


def test_cmas_alternative_differs_from_its_default_in_the_weights_alone():
    entry = CATALOGUE.models["cma"]
    ablation = entry["ablations"]["i3d_finetuned"]
    assert ablation["datasets"] == ["charades_sta"]
    names = [
        CATALOGUE.features[chosen["inputs"]["features"]]["clips"]
        for chosen in (entry["datasets"]["charades_sta"], ablation)
    ]
    default, tuned = (dict(CATALOGUE.clips[name]) for name in names)
    assert tuned.pop("checkpoint") == "i3d_charades_rgb" != default.pop("checkpoint")
    assert tuned.pop("network") == default.pop("network") | {"classes": 157}
    assert tuned == default
    # LGI's own file, which a study can choose instead
    assert properties("charades_i3d_charades_lgi_released")[:3] == ("i3d", "charades", "avg_pool")


@pytest.mark.parametrize("name", [name for name, it in CATALOGUE.clips.items() if it["checkpoint"]])
def test_a_name_says_network_training_data_layer_and_windows(name):
    clips = CATALOGUE.clips[name]
    words = name.split("_")
    assert words[:2] == clips["checkpoint"].split("_")[:2]
    if clips["taps"] not in (["avg_pool"], ["features"]):  # the usual output
        assert clips["taps"] == [words[2]]
    windows = f"w{clips['clip_len']}s{clips['stride']}"
    assert words[-1] == (f"{clips['chunk_s']}s" if clips.get("chunk_s") else windows)


@pytest.mark.parametrize("name", [n for n, it in CATALOGUE.features.items() if it.get("reduce")])
def test_a_name_says_of_which_clips_and_how_reduced(name):
    recipe = CATALOGUE.features[name]
    pca = recipe["reduce"].get("pca")
    if set(recipe["reduce"]) <= {"pca"}:
        assert name == recipe["clips"] + (f"_pca{pca['dim']}" if pca else "")
    elif pca:
        assert name.endswith(f"_pca{pca['dim']}")


def test_titles_say_it_too():
    for name, recipe in CATALOGUE.features.items():
        for layer in ("fc6", "fc7"):
            assert (layer in name) == (layer in recipe["title"]), name
        assert ("released" in name) == ("as released" in recipe["title"]), name


@pytest.mark.parametrize("study", ["paper", "blind"])
def test_fsan_keeps_didemos_rows_at_their_chunks(study):
    """Whatever the study, the ablation and the features."""
    planned = Study(read_yaml(ROOT / "config" / f"{study}.yaml"), CATALOGUE)
    cells = [
        job.settings["inputs"]
        for job in planned.jobs.values()
        if job.phase == "train"
        and job.wildcards["dataset"].startswith("didemo")
        and job.wildcards["model"] == "fsan"
    ]
    assert cells
    assert {(inputs["resample"], inputs["chunk_s"]) for inputs in cells} == {("chunks", CHUNK_S)}
    assert {inputs["features"] for inputs in cells} <= {
        "didemo_vgg16_fc7_5s_released_pca500",
        "vgg16_imagenet_fc7_5s_pca500",
        "blank_5s",
    }


def test_blank_chunks_are_as_many_as_annotated():
    timeline = CATALOGUE.features["blank_5s"]["timeline"]
    assert clip_times(30.0, **timeline).tolist() == [[5 * k, 5 * k + 5] for k in range(6)]
    assert clip_times(25.0, **timeline).tolist() == [[5 * k, 5 * k + 5] for k in range(5)]
