"""What the study on real footage must show. Checks its results, where this checkout has them:
`make real`, then this file; skipped otherwise."""

import json
from pathlib import Path

import pytest

from tsgbench.jobs.records import read_record

ROOT = Path(__file__).parents[1]
MAIN, DATASET = "R@1,IoU=0.5", "msrvtt_joined"
SUPERVISED = ("ia_net", "fian", "cma", "seqpan")
NEVER_LOOK = ("random", "whole_video", "prior", "prior_frequency", "prior_action")


@pytest.fixture(scope="module")
def results() -> dict[str, dict]:
    """`model/ablation` -> its result in the study's tables."""
    found = {}
    for name in ("table1", "features"):
        path = ROOT / f"results/real/{name}.provenance.json"
        table = json.loads(path.read_text()) if path.exists() else {"study": None}
        if table["study"] != "real":
            pytest.skip("no results of config/real.yaml here: run `make real` first")
        found |= {
            f"{row['model']}/{row['ablation']}": row["results"][DATASET]["values"][MAIN]
            for row in table["rows"]
            if row["results"][DATASET]["cells"]
        }
    return found


def test_seqpan_grounds_and_no_blind_system_comes_near(results):
    seqpan = results["seqpan/full"]["mean"]
    others = [results[f"{name}/full"]["mean"] for name in NEVER_LOOK]
    assert seqpan >= 35
    assert seqpan >= 2 * max(*others, results["seqpan/blind"]["mean"])


@pytest.mark.parametrize("features", ["random_efficientnet", "random_c3d", "random_i3d"])
def test_trained_features_beat_random_ones(results, features):
    assert results["seqpan/full"]["mean"] >= results[f"seqpan/{features}"]["mean"] + 10


@pytest.mark.parametrize("model", SUPERVISED)
def test_a_model_beats_its_blind_twin_by_more_than_the_interval(results, model):
    assert results[f"{model}/full"]["interval"][0] > results[f"{model}/blind"]["interval"][1]


def test_every_number_is_of_the_cell_it_names(results):
    for record in (ROOT / "results/real/cells").glob(f"*/{DATASET}/*/seed*/metrics.json"):
        run = read_record(record.with_name("run.json"))
        assert read_record(record).content["inputs"]["run"]["identity"] == run.identity
