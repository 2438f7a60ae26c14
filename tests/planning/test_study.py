"""The plan: what it contains, what its identities depend on, and what it refuses."""

import copy
import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from tsgbench.config import Catalogue, load_study, merge, read_yaml
from tsgbench.errors import UserError
from tsgbench.jobs.cells import CellId
from tsgbench.jobs.layout import Layout, foreign_results, report_names, study_of
from tsgbench.making.shapes import DEFAULTS
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def config() -> dict:
    return read_yaml("config/demo.yaml")


def run_record(model, ablation="full", seed=0, dataset="shapes"):
    return Layout().cell_record("train", f"{model}/{dataset}/{ablation}/seed{seed}")


def test_every_study_in_the_repository_is_valid():
    for path in Path("config").glob("*.yaml"):
        if "study" in yaml.safe_load(path.read_text()):
            content, source = load_study(path)
            assert Study(content, source=source).jobs


def test_inputs_come_before_consumers(config):
    seen = set()
    for record, job in Study(config).jobs.items():
        assert set(job.inputs.values()) <= seen, record
        seen.add(record)


def test_every_cell_has_an_identity_of_its_own(config):
    study = Study(config)
    identities = [study.identity(record) for record in study.jobs]
    assert len(set(identities)) == len(identities)


def test_a_cell_is_the_same_in_every_study(config):
    other = copy.deepcopy(config)
    other |= {"study": "other", "title": "another", "demo": False}
    other["systems"] = [system for system in config["systems"] if system["model"] == "seqpan"]
    one, two = Study(config), Study(other)
    for phase in ("train", "evaluate"):
        here, there = (study.find_key(phase, "seqpan/shapes/full/seed0") for study in (one, two))
        assert one.identity(here.record) == two.identity(there.record)
        assert there.record == here.record.replace("results/", "results/other/")


def test_no_file_of_a_study_is_another_studys_unless_all_share_it(config):
    """Results, logs and benchmarks are apart; data, and the logs of what makes it, are shared."""
    other = Study({**config, "study": "other"})
    demo = Study(config)
    papers = demo.catalogue.published

    def files(study, *shared):
        return {
            path
            for job in study.jobs.values()
            if job.record.startswith("data/") == bool(shared)
            for path in (job.record, *job.files.values(), job.benchmark, job.log)
        }

    assert files(demo, "data") == files(other, "data")
    assert not files(demo) & files(other)
    for study in (demo, other):
        results = {path for path in files(study) if path.startswith("results/")}
        assert {study_of(path, papers) for path in results} == {study.name}
        foreign = re.compile(f"results/{foreign_results(study.name, papers)}")
        assert not any(map(foreign.fullmatch, results))
    foreign = re.compile(f"results/{foreign_results('demo', papers)}")
    assert all(foreign.fullmatch(path) for path in files(other) if path.startswith("results/"))
    report = re.compile(report_names("demo", papers))
    assert report.fullmatch("seqpan/table5") and not report.fullmatch("blind/table1")


@pytest.mark.parametrize("name", ["cells", "plots", "benchmarks", "train", "seqpan"])
def test_a_study_is_not_called_as_a_folder_of_the_default_one(config, name):
    assert f"study.yaml: study: {name!r} is a folder of study 'demo'" in refused(
        {**config, "study": name}
    )


def test_a_table_of_the_default_study_has_no_other_studys_folder(config):
    tables = {"blind/mine": config["tables"]["table1"]}
    assert "tables.blind/mine: results/blind/ is for a study called 'blind'" in refused(
        {**config, "tables": tables}
    )
    Study({**config, "tables": {"seqpan/mine": config["tables"]["table1"]}})
    Study({**config, "study": "other", "tables": tables})


@pytest.mark.parametrize(
    ("override", "changed", "same"),
    [
        ({"overrides": {"seqpan": {"model": {"tau": 0.5}}}}, "seqpan", "prior"),
        ({"overrides": {"seqpan": {"train": {"lr": 0.1}}}}, "seqpan", "prior"),
        ({"overrides": {"seqpan": {"train": {"precision": "bf16"}}}}, "seqpan", "prior"),
        ({"overrides": {"prior": {"inputs": {"max_clips": 7}}}}, "prior", "seqpan"),
    ],
)
def test_a_setting_changes_the_cells_that_use_it(config, override, changed, same):
    before, after = Study(config), Study(merge(config, override))
    assert before.identity(run_record(changed)) != after.identity(run_record(changed))
    assert before.identity(run_record(same)) == after.identity(run_record(same))


def test_a_change_of_the_data_reaches_everything(config):
    harder = merge(config, {"datasets": {"shapes": {"render": {"difficulty": "hard"}}}})
    before, after = Study(config), Study(harder)
    reads_data = [record for record, job in before.jobs.items() if job.inputs]
    assert len(reads_data) > 10
    for record in reads_data:
        assert before.identity(record) != after.identity(record)


def test_ablations_differ_from_the_full_model_only_where_they_say(config):
    study = Study(config)
    full = study.cells.settings(CellId("seqpan", "shapes", "full", 0))
    blind = study.cells.settings(CellId("seqpan", "shapes", "blind", 0))
    assert blind["inputs"] == full["inputs"] | {"video": "zero"}
    assert blind["model_settings"] == full["model_settings"] and blind["train"] == full["train"]


def test_presets_apply(config):
    paper = merge(config, {"overrides": {"seqpan": {"preset": "paper"}}})
    settings = Study(paper).cells.settings(CellId("seqpan", "shapes", "full", 0))["model_settings"]
    assert settings["char"] is False and settings["st_mode"] == "st_hard"


def test_defaults_hold_unless_a_preset_is_chosen(config):
    entry = Catalogue.load().models["ia_net"]
    config["datasets"]["charades_sta"] = {"features": "blank_i3d_w16s8", "vectors": "learned"}
    del config["overrides"]
    config["systems"] = [{"model": "prior", "seeds": [0]}]
    found = Study(config).cells.settings(CellId("ia_net", "charades_sta", "full", 0))[
        "model_settings"
    ]
    assert found == entry["settings"]["model"] != found | entry["presets"]["official"]["model"]


def test_presets_differ_by_data_set(config):
    del config["overrides"]["ia_net"]
    catalogue = Catalogue.load()
    entry = merge(
        catalogue.models["ia_net"],
        {
            "datasets": {"shapes": {"model": {"alpha": 1}}},
            "presets": {"official": {"datasets": {"shapes": {"model": {"alpha": 2}}}}},
        },
    )
    catalogue = dataclasses.replace(catalogue, models=catalogue.models | {"ia_net": entry})
    for override, alpha in (
        ({}, 1),
        ({"preset": "official"}, 2),
        ({"preset": "official", "model": {"alpha": 3}}, 3),
    ):
        study = Study(merge(config, {"overrides": {"ia_net": override}}), catalogue)
        settings = study.cells.settings(CellId("ia_net", "shapes", "full", 0))
        assert settings["model_settings"]["alpha"] == alpha


def test_render_settings_in_the_catalogue_are_the_renderers_own():
    assert Catalogue.load().datasets["shapes"]["render"] == DEFAULTS


def refused(config: dict) -> str:
    with pytest.raises(UserError) as caught:
        Study(config, source="study.yaml")
    return str(caught.value)


def test_without_video_only_blind_systems_are_accepted():
    config = read_yaml("config/blind.yaml")
    config["systems"].append({"model": "seqpan", "seeds": [0]})
    said = refused(config)
    assert "seqpan/full looks at the video" in said and "'blind'" in said


def features_read(config: dict, model: str) -> str:
    return Study(config).cells.settings(CellId(model, "shapes", "full", 0))["inputs"]["features"]


def test_a_study_chooses_features_for_all_models_and_others_for_one(config):
    assert features_read(config, "seqpan") == "c3d_random_stats_w16s8_pca128"
    assert features_read(config, "fsan") == "c3d_random_motion_w16s8"
    study = Study(config)
    assert len(study.targets("extract")) == 1  # both are made of the same clips
    assert len(study.targets("reduce")) == 2
    table = study.jobs["results/table1.json"].settings
    assert table["datasets"][0]["features"].endswith("change within the clip in four layers (FSAN)")


def test_overrides_for_one_data_set_win_over_those_for_all(config):
    other = {"datasets": {"shapes": {"inputs": {"features": "i3d_random_stats_w16s8_pca128"}}}}
    config = merge(config, {"overrides": {"fsan": other}})
    assert features_read(config, "fsan") == "i3d_random_stats_w16s8_pca128"


def test_own_features_must_be_named_by_the_model(config):
    said = refused(merge(config, {"datasets": {"shapes": {"features": "own"}}}))
    assert "datasets.shapes.inputs.features: is missing" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"overrides": {"fsan": {"inputs": {"features": "c3d"}}}}, "not a known feature recipe"),
        ({"overrides": {"fsan": {"datasets": {"shape": {}}}}}, "did you mean 'shapes'?"),
        ({"datasets": {"shapes": {"features": "c3d_random"}}}, "not a known feature recipe"),
        ({"datasets": {"shapes": {"vectors": "glove"}}}, "not a known source"),
        ({"datasets": {"shapes": {"render": {"colour": 1}}}}, "'colour' is not a known setting"),
        ({"overrides": {"seqpan": {"preset": "offical"}}}, "did you mean 'official'?"),
        ({"overrides": {"seqpann": {}}}, "did you mean 'seqpan'?"),
        ({"overrides": {"ia_net": {"train": {"candidates": 9}}}}, "unknown key 'candidates'"),
        ({"tables": {"table1": {"metrics": ["R@1"]}}}, "tables.table1.metrics[0]"),
        ({"resources": {"train": {"threads": 0}}}, "resources.train.threads"),
        ({"study": "My Study"}, "study.yaml: study"),
    ],
)
def test_wrong_values_are_named(config, change, said):
    assert said in refused(merge(config, change))


def test_cells_are_where_the_documentation_says():
    cell = {"model": "a", "dataset": "b", "ablation": "c", "seed": 1}
    assert Layout("demo").cell.format(**cell) == "results/cells/a/b/c/seed1"
    assert Layout("blind").cell.format(**cell) == "results/blind/cells/a/b/c/seed1"


def on_activitynet(*protocols: str) -> dict:
    """A study of one blind SeqPAN on ActivityNet Captions, by the given protocols."""
    system = {"model": "seqpan", "ablations": ["blind"], "seeds": [0]}
    return {
        "study": "protocols",
        "title": "protocols",
        "datasets": {"activitynet_captions": {"features": "blank_i3d_w16s8", "vectors": "learned"}},
        "systems": [system | ({"protocols": list(protocols)} if protocols else {})],
        "tables": {"table1": {"metrics": ["mIoU"]}},
    }


@pytest.mark.parametrize(
    ("protocols", "name", "select", "test"),
    [
        ([], "blind", ["val_1"], ["val_2"]),
        (["default"], "blind", ["val_1"], ["val_2"]),
        (["val_1"], "blind@val_1", [], ["val_1"]),
        (["printed"], "blind@val_1", [], ["val_1"]),
        (["merged"], "blind@merged", [], ["val_1", "val_2"]),
        (["official_seqpan"], "blind@official_seqpan", ["val_1"], ["val_1"]),
    ],
)
def test_a_protocol_decides_what_trains_selects_and_tests(protocols, name, select, test):
    study = Study(on_activitynet(*protocols))
    (job,) = (job for job in study.jobs.values() if job.phase == "train")
    assert job.key == f"seqpan/activitynet_captions/{name}/seed0"
    assert job.record == f"results/protocols/cells/{job.key}/run.json"
    found = job.settings["splits"]
    assert (found["train"], found["select"], found["test"]) == (["train"], select, test)
    assert job.settings["ablation"] == "blind"
    score = study.find_key("evaluate", job.key).settings
    assert score["splits"] == test and next(iter(score["conventions"])) == "seconds"


def test_parts_of_the_test_split_are_scored_apart():
    config = on_activitynet()
    config["datasets"] = {"charades_cd": config["datasets"]["activitynet_captions"]}
    (job,) = (job for job in Study(config).jobs.values() if job.phase == "evaluate")
    assert job.settings["splits"] == ["test_iid", "test_ood"]
    assert job.settings["score"] == {"iid": ["test_iid"], "ood": ["test_ood"]}


def test_an_unknown_protocol_is_named():
    said = refused(on_activitynet("val1"))
    assert "systems[0].protocols: 'val1' is not a known protocol; did you mean 'val_1'?" in said
    config = on_activitynet()
    config["tables"]["table1"]["protocols"] = ["no_val"]  # Charades-STA's
    assert "tables.table1.protocols: 'no_val' is not a known protocol" in refused(config)


def test_a_table_shows_the_protocols_it_names_and_no_other():
    config = on_activitynet("default", "val_1")
    for protocols, names in (
        (None, ["blind"]),
        (["val_1"], ["blind@val_1"]),
        (["default", "printed"], ["blind", "blind@val_1"]),
    ):
        config["tables"]["table1"] = {"metrics": ["mIoU"]}
        if protocols:
            config["tables"]["table1"]["protocols"] = protocols
        table = Study(config).jobs["results/protocols/table1.json"]
        assert [row["cell"] for row in table.settings["rows"]] == [f"seqpan/{one}" for one in names]
        read = {role.split("/")[2] for role in table.inputs if role.startswith("run:")}
        assert read == set(names)
        [block] = table.settings["datasets"]
        assert block["protocol"] == (protocols or ["default"])[0]
    labels = [row["label"] for row in table.settings["rows"]]
    assert labels == ["SeqPAN, blind", "SeqPAN, blind, protocol val_1"]
    config["tables"]["table1"]["against"] = "seqpan/blind@val_1"
    against = Study(config).jobs["results/protocols/table1.json"].settings["against"]
    assert against == "SeqPAN, blind, protocol val_1"


def test_a_table_shows_the_models_and_ablations_it_names(config):
    config = config | {
        "systems": [{"model": "prior", "seeds": [0]}, {"model": "random", "seeds": [0]}]
    }
    config["tables"] = {"table1": {"metrics": ["mIoU"], "models": ["random"]}}
    table = Study(config).jobs["results/table1.json"]
    assert [row["cell"] for row in table.settings["rows"]] == ["random/full"]
    assert not any("prior" in role for role in table.inputs)
    config["tables"]["table1"]["models"] = ["randm"]
    with pytest.raises(UserError, match=r"tables\.table1\.models: .*random"):
        Study(config)
