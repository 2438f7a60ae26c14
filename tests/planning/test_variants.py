"""A study that takes another's file, and models that stand in it more than once."""

import copy
from pathlib import Path

import pytest

from tsgbench.config import Catalogue, load_study, merge, read_yaml
from tsgbench.errors import UserError
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]
VARIANT = {"model": "seqpan", "as": "seqpan_lr2", "train": {"lr": 2.0e-4}, "seeds": [0]}
CELL = "shapes/full/seed0"


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TSGBENCH_STUDY", raising=False)


@pytest.fixture
def config() -> dict:
    return read_yaml("config/demo.yaml")


def with_system(config: dict, *systems: dict) -> dict:
    return {**config, "systems": [*config["systems"], *systems]}


# --- variants ------------------------------------------------------------------------------------


def test_a_variant_is_the_model_with_its_difference_in_folders_of_its_own(config):
    study = Study(with_system(config, VARIANT))
    own, plain = (study.find_key("train", f"{name}/{CELL}") for name in ("seqpan_lr2", "seqpan"))
    assert own.record == f"results/cells/seqpan_lr2/{CELL}/run.json"
    assert own.settings["train"] == {**plain.settings["train"], "lr": 2.0e-4}
    assert {**own.settings, "train": None} == {**plain.settings, "train": None}
    assert own.modules == plain.modules and own.inputs == plain.inputs
    assert study.identity(own.record) != study.identity(plain.record)
    # The rest of the study does not notice
    before = Study(config)
    for phase in ("train", "evaluate"):
        record = before.find_key(phase, f"seqpan/{CELL}").record
        assert study.identity(record) == before.identity(record)
    assert "seqpan_lr2" not in Catalogue.load().models


def test_a_variant_is_a_row_beside_the_model(config):
    config = with_system(config, VARIANT, {**VARIANT, "ablations": ["blind"]})
    config["tables"] = {"table1": {"metrics": ["mIoU"], "models": ["seqpan", "seqpan_lr2"]}}
    config["tables"]["table1"]["against"] = "seqpan/full"
    table = Study(config).find_key("table", "table1")
    rows = {row["label"]: row for row in table.settings["rows"]}
    assert {"SeqPAN", "SeqPAN (seqpan lr2)", "SeqPAN (seqpan lr2), blind"} <= set(rows)
    assert f"run:seqpan_lr2/{CELL}" in table.inputs and f"run:seqpan/{CELL}" in table.inputs


def test_the_printed_numbers_are_the_models_own_and_no_variants(config):
    dataset = {"features": "own", "vectors": "glove_840b_300d"}
    systems = [{"model": "seqpan", "ablations": ["full", "blind"], "seeds": [0]}, VARIANT]
    config |= {"datasets": {"charades_sta": dataset}, "systems": systems, "overrides": {}}
    table = Study(config).find_key("table", "table1")
    printed = {row["label"]: row["printed"] for row in table.settings["rows"]}
    [paper, number, place] = printed.pop("SeqPAN")["charades_sta"]
    row = read_yaml("published/seqpan.yaml")["tables"][int(number[5:]) - 1]["rows"][place]
    assert (paper, row["dataset"], row["cell"]) == ("seqpan", "charades_sta", "seqpan/full")
    assert printed == {"SeqPAN, blind": {}, "SeqPAN (seqpan lr2)": {}}


def test_a_variant_wins_over_overrides_also_of_its_data_set(config):
    for_shapes = {"seqpan": {"datasets": {"shapes": {"train": {"lr": 0.5, "epochs": 3}}}}}
    config = with_system(merge(config, {"overrides": for_shapes}), VARIANT)
    study = Study(config)
    found = study.find_key("train", f"seqpan_lr2/{CELL}").settings["train"]
    assert (found["lr"], found["epochs"]) == (2.0e-4, 3)
    assert study.find_key("train", f"seqpan/{CELL}").settings["train"]["lr"] == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"as": None}, "changes settings of seqpan; name the variant with `as`"),
        ({"as": "cma"}, ".as: 'cma' is a model itself"),
        ({"as": "Lr 2"}, ".as: 'Lr 2' is not allowed"),
        ({"model": "seqpann"}, ".model: 'seqpann' is not a known model; did you mean 'seqpan'?"),
        ({"train": {"lrr": 1.0}}, ".train: unknown key 'lrr'; did you mean 'lr'?"),
        ({"train": {"lr": "fast"}}, ".train: lr: 'fast' is not allowed; use a number"),
        ({"model_settings": {"widht": 8}}, ".model_settings: unknown key 'widht'"),
        ({"inputs": {"features": "c3d"}}, "inputs.features: 'c3d' is not a known feature recipe"),
        ({"model_settings": {"width": 60, "heads": 7}}, "seqpan_lr2/shapes/full: model."),
    ],
)
def test_a_wrong_variant_is_refused(config, change, said):
    system = {key: value for key, value in {**VARIANT, **change}.items() if value is not None}
    with pytest.raises(UserError) as caught:
        Study(with_system(config, system), source="study.yaml")
    assert str(caught.value).startswith("study.yaml: ") and said in str(caught.value)


def test_a_name_means_one_variant(config):
    other = {**VARIANT, "train": {"lr": 1.0e-4}}
    with pytest.raises(UserError, match="'seqpan_lr2' stands above with another model or other"):
        Study(with_system(config, VARIANT, other))
    Study(with_system(config, VARIANT, {**VARIANT, "ablations": ["blind"]}))


# --- extends -------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write studies into a folder that has the demo's."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/demo.yaml").write_text(Path("config/demo.yaml").read_text())
    (tmp_path / "config/features.yaml").write_text("clips: {}\n")
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> str:
        path = f"config/{name}.yaml"
        Path(path).write_text(text)
        return path

    return write


def test_a_study_takes_all_of_another_but_what_it_states(write, config):
    path = write(
        "sweep",
        "study: sweep\nextends: demo\noverrides: {seqpan: {train: {lr: 0.1}}}\n"
        "systems: [{model: prior, seeds: [7]}]\n"
        "tables: {rates: {metrics: [mIoU]}}\n",
    )
    found, _ = load_study(path)
    expected = copy.deepcopy(config) | {
        "study": "sweep",
        "systems": [{"model": "prior", "seeds": [7]}],
        "tables": {"rates": {"metrics": ["mIoU"]}},
    }
    expected["overrides"]["seqpan"]["train"]["lr"] = 0.1
    assert found == expected
    write("more", "study: more\nextends: sweep\ntitle: more\n")
    assert load_study("config/more.yaml")[0] == expected | {"study": "more", "title": "more"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "study: sweep\nextends: dmeo\n",
            "extends: 'dmeo' is not a study of config/; did you mean",
        ),
        ("study: sweep\nextends: features\n", "extends: 'features' is not a study of config/"),
        ("study: sweep\nextends: [demo]\n", "extends: ['demo'] is not a study of config/"),
        ("study: demo\nextends: demo\n", "study: is to be a name of its own"),
        ("extends: demo\n", "study: is to be a name of its own"),
        ("study: sweep\nextends: sweep\n", "(sweep extends sweep)"),
    ],
)
def test_what_cannot_be_extended_is_refused(write, text, said):
    path = write("sweep", text)
    with pytest.raises(UserError) as caught:
        load_study(path)
    assert str(caught.value).startswith("config/sweep.yaml: ") and said in str(caught.value)


def test_studies_that_extend_each_other_are_refused(write):
    write("one", "study: one\nextends: two\n")
    write("two", "study: two\nextends: one\n")
    with pytest.raises(UserError, match="one extends two extends one"):
        load_study("config/one.yaml")


def test_a_study_that_was_not_put_together_is_refused(config):
    with pytest.raises(UserError, match="extends: is for a file"):
        Study({**config, "extends": "blind"})
