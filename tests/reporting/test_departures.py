"""What a row of ours departs from, by what its runs record: named, and material or not."""

import pytest

from invented import write_cell
from tsgbench.reporting.cells import read_cell
from tsgbench.reporting.departures import describe_selection, find_departures

PRACTICE = {
    "trains": 12408,
    "tests": 400,
    "selects": ["val"],
    "selects_said": None,
    "features": {"said": "I3D", "recipes": ["i3d", "i3d_released"]},
    "convention": "official",
    "precision": "fp32",
    "runs": 1,
    "changed": [],
}


def departures(folder, changes=None, *, seeds=1, convention="official", facts=None, **cell):
    """(text, is_material) of invented cells that depart in nothing but what is asked for."""
    cells = []
    for seed in range(seeds):
        name = f"model/real/full/seed{seed}"
        write_cell(folder, name, **cell)
        one = read_cell(name, folder / name)
        one.run["facts"] |= {"train_queries": 12408, "precision": "fp32 (TF32)"} | (facts or {})
        one.run["settings"]["inputs"] |= {"features": "i3d"}
        one.evaluation["facts"] |= {"of_queries": 400} | (facts or {}).get("scored", {})
        cells.append(one)
    found = find_departures(cells, PRACTICE | (changes or {}), convention)
    return [(one.text, one.is_material) for one in found]


def test_a_row_that_does_as_its_paper_departs_in_nothing(tmp_path):
    assert departures(tmp_path) == []
    assert find_departures([], PRACTICE, "official") == []


@pytest.mark.parametrize(
    ("facts", "text", "is_material"),
    [
        ({"train_queries": 12404}, "trained on 12,404 pairs; the paper prints 12,408", False),
        ({"train_queries": 11146}, "trained on 11,146 pairs; the paper prints 12,408", True),
        (
            {"train_queries": 12000, "without_features": {"train": {"queries": 408}}},
            "trained on 12,000 pairs (408 more have no video here); the paper prints 12,408",
            True,
        ),
        ({"scored": {"queries": 399}}, "1 test pairs have no video here", False),
        ({"scored": {"queries": 300}}, "100 test pairs have no video here", True),
        (
            {"scored": {"of_queries": 500, "queries": 500, "split": "val_2"}},
            "tested on “val_2”, 500 pairs; the paper prints 400",
            True,
        ),
        (
            {"precision": "bf16 in training, fp32 in prediction"},
            "precision bf16 in training, fp32 in prediction; the paper's code has fp32",
            True,
        ),
        (
            {"precision": "fp32, features in fp16"},
            "precision fp32, features in fp16; the paper's code has fp32",
            True,
        ),
    ],
)
def test_what_the_runs_record_is_compared(tmp_path, facts, text, is_material):
    assert departures(tmp_path, facts=facts) == [(text, is_material)]


@pytest.mark.parametrize(
    ("select", "changes", "text"),
    [
        (["val"], {"selects": ["test"], "selects_said": "is the best on the test split"}, None),
        ([], {"selects": ["test"], "selects_said": "is the best on the test split"}, None),
        ([], {}, "the last epoch's weights; the paper's was chosen on val"),
        ([], {"selects": None}, ""),
        (["val"], {}, ""),
    ],
)
def test_another_choice_of_the_checkpoint_forbids_a_verdict(tmp_path, select, changes, text):
    found = departures(tmp_path, changes, select=select)
    if text is None:
        text = f"{describe_selection(select)}; the paper's is the best on the test split"
    assert found == ([(text, True)] if text else [])


def test_the_last_epoch_may_be_kept_where_a_split_could_choose(tmp_path):
    [(text, _)] = departures(tmp_path, facts={"selected_by": "last"})
    assert text.startswith("the last epoch's weights; ")


@pytest.mark.parametrize(
    ("features", "text", "is_material"),
    [
        ({"said": "C3D fc7", "recipes": ["c3d"]}, "features i3d; the paper's: C3D fc7", True),
        (
            {"said": "I3D", "recipes": ["i3d"], "unstated": "whether it is fine-tuned"},
            "features i3d; the paper does not state whether it is fine-tuned",
            False,
        ),
        (
            {"said": "I3D", "recipes": ["i3d"], "released": []},
            "features extracted here (i3d), not the release that the paper reads",
            False,
        ),
        ({"said": "I3D", "recipes": ["i3d"], "released": ["i3d"]}, "", False),
    ],
)
def test_features_are_compared_by_network_layer_and_release(tmp_path, features, text, is_material):
    found = departures(tmp_path, {"features": features})
    assert found == ([(text, is_material)] if text else [])


def test_convention_runs_and_the_studys_own_settings_are_named(tmp_path):
    found = departures(
        tmp_path, {"changed": ["model.width"], "runs": 5}, seeds=2, convention="seconds"
    )
    assert found == [
        ("scored by “seconds”, not by the paper's own convention", True),
        ("settings of this study: model.width", True),
        ("2 runs; the paper's number is of 5", False),
    ]
    [(text, is_material)] = departures(tmp_path, {"runs": None}, seeds=2)
    assert text == "mean of 2 runs; the paper does not say of how many its number is"
    assert not is_material and departures(tmp_path, {"runs": None}) == []


def test_a_baseline_neither_trains_nor_looks(tmp_path):
    """Of it, only what is tested and how it is scored can differ."""
    facts = {"train_queries": 5, "precision": None}
    assert departures(tmp_path, {"selects": ["test"]}, facts=facts, parameters=0) == []
