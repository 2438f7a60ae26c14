"""Printed tables as jobs: every row has its cell, and a study shows what it has of each."""

import copy
from pathlib import Path

import pytest

from tsgbench.config import Catalogue, load_study
from tsgbench.errors import UserError
from tsgbench.planning.cells import Cells
from tsgbench.planning.papers import Papers
from tsgbench.planning.printed import (
    QUOTED_ONLY,
    check_cells,
    departures,
    own_method,
    printed_ablations,
    served_rows,
)
from tsgbench.study import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture
def config() -> dict:
    blank = {"features": "blank_i3d_w16s8", "vectors": "glove_840b_300d"}
    return {
        "study": "small",
        "title": "two data sets",
        "datasets": {"charades_sta": blank, "activitynet_captions": blank},
        "systems": [
            {"model": "random", "ablations": ["full", "val_1"], "seeds": [0, 1]},
            {"model": "seqpan", "ablations": ["blind"], "seeds": [0]},
        ],
        "tables": {"table1": {"metrics": ["mIoU"]}},
    }


def specification(config: dict, name: str) -> dict:
    papers = Papers(config, Catalogue.load(), Cells(config, Catalogue.load()))
    [(content, table)] = [(c, t) for found, c, t in papers.tables() if found == name]
    return papers.settings(name, content, table)


def find_row(spec: dict, label: str) -> dict:
    [row] = [row for row in spec["rows"] if row["label"] == label]
    return row


# --- the papers' files -----------------------------------------------------------------------


def test_every_row_names_a_cell_or_is_quoted_only(catalogue):
    for paper, content in catalogue.published.items():
        for table in content["tables"]:
            for row in [] if table["kind"] == "statistics" else table["rows"]:
                where = f"{paper} {table['id']} {row['method']}"
                if row["cell"] == QUOTED_ONLY:
                    assert not row["own"], where
                    continue
                model, ablation = row["cell"].split("/")
                assert ablation in catalogue.models[model]["ablations"], where


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (None, "table1, Model: cell: is missing; name the model/ablation"),
        ("seqpan/nothing", "'seqpan/nothing' is no model/ablation"),
        ("nobody/full", "'nobody/full' is no model/ablation"),
        ("full", "'full' is no model/ablation"),
    ],
)
def test_a_row_without_a_cell_of_ours_is_refused(catalogue, cell, said):
    row = {"method": "Model", "dataset": "tacos"} | ({} if cell is None else {"cell": cell})
    table = {"id": "table1", "kind": "comparison", "rows": [row]}
    with pytest.raises(UserError) as caught:
        check_cells({"mine": {"tables": [table]}}, catalogue.models)
    assert f"published/mine.yaml: {said}" in str(caught.value) or said in str(caught.value)


def test_protocols_and_conventions_of_papers_are_known(catalogue):
    for content in catalogue.published.values():
        paper = content["paper"]
        for dataset, convention in paper["conventions"].items():
            named = [
                entry["conventions"]
                for entry in catalogue.datasets.values()
                if entry.get("published") == dataset
            ]
            assert any(convention in conventions for conventions in named)
        for dataset, protocol in paper.get("protocols", {}).items():
            assert protocol["protocol"] in catalogue.datasets[dataset]["protocols"]
            for ablation in protocol["cells"].values():
                difference = catalogue.models[paper["key"]]["ablations"][ablation]
                assert difference["inputs"]["protocol"] == protocol["protocol"]


def test_what_an_ablation_serves(catalogue):
    served = served_rows(catalogue.published)
    assert served["seqpan/match_none"][0] == "seqpan table5: SeqPAN w/o sq-match"
    assert "cma table6: Ours" in served["cma/reg_2_0p1"]
    assert own_method(catalogue.published, "cma", "cma") == "Ours"
    needed = printed_ablations(catalogue.published, "seqpan")
    assert {"full", "own_test_split", "match_fb", "interaction_pa"} <= set(needed)
    assert not {"blind", "official_selection", "no_char"} & set(needed)


# --- tables over a study ---------------------------------------------------------------------


@pytest.mark.parametrize("study", ["demo", "blind", "paper"])
def test_every_numbered_table_is_a_job_of_every_study(study):
    config, source = load_study(f"config/{study}.yaml")
    jobs = Study(config, source=source).jobs
    counts = {"ia_net": 4, "fian": 6, "fsan": 4, "cma": 6, "seqpan": 7}
    for paper, count in counts.items():
        for number in range(1, count + 1):
            assert f"results/{paper}/table{number}.json" in jobs


def test_a_data_set_of_the_study_stands_in_its_own_block(config):
    spec = specification(config, "seqpan/table1")
    [block] = spec["datasets"]
    assert (block["name"], block["convention"]["name"]) == ("charades_sta", "official_seqpan")
    own = find_row(spec, "SeqPAN")
    assert own["prefixes"] == {"charades_sta": "seqpan/charades_sta/full"}
    assert own["seeds"] == {"charades_sta": []}  # not in the study: not run
    assert find_row(spec, "LGI")["is_quoted"] and not find_row(spec, "LGI")["prefixes"]


def test_systems_without_video_stand_beside_by_the_papers_protocol(config):
    spec = specification(config, "seqpan/table2")
    assert spec["datasets"][0]["test_split"] == "val_1"
    random, blind = find_row(spec, "Random"), find_row(spec, "SeqPAN, blind")
    assert random["prefixes"] == {"activitynet_captions": "random/activitynet_captions/val_1"}
    assert blind["prefixes"] == {"activitynet_captions": "seqpan/activitynet_captions/blind"}
    full = find_row(spec, "SeqPAN")["prefixes"]
    assert full == {"activitynet_captions": "seqpan/activitynet_captions/own_test_split"}


def test_what_the_study_lacks_keeps_its_printed_rows(config):
    spec = specification(config, "seqpan/table3")
    assert [block["name"] for block in spec["datasets"]] == ["tacos:printed", "tacos_2dtan:printed"]
    assert find_row(spec, "SeqPAN")["printed"] == {"tacos:printed": 9, "tacos_2dtan:printed": 11}
    assert Papers(config, Catalogue.load(), Cells(config, Catalogue.load())).wanted(spec) == []


def test_a_generated_data_set_stands_in_with_nothing_printed(config):
    config["datasets"] = {"shapes": {"features": "blank_i3d_w16s8", "vectors": "learned"}}
    config["systems"] = [{"model": "seqpan", "ablations": ["blind"], "seeds": [0]}]
    spec = specification(config, "seqpan/table5")
    first, *others = spec["datasets"]
    assert (first["name"], first["convention"]["is_headline"]) == ("shapes", True)
    assert all(block["is_missing"] for block in others) and len(others) == 2
    row = find_row(spec, "SeqPAN w/ Gumbel")
    assert row["prefixes"] == {"shapes": "seqpan/shapes/match_gumbel_no_emb"}
    assert set(row["printed"]) == {block["name"] for block in others}
    assert spec["against"] == "SeqPAN"


def test_rows_of_one_name_are_told_apart_by_their_settings(config):
    labels = [row["label"] for row in specification(config, "cma/table6")["rows"]]
    assert len(set(labels)) == 4 and "Ours (alpha 10, beta 0.1)" in labels


def test_a_departure_from_the_papers_way_is_named(catalogue):
    content, model = catalogue.published["seqpan"], catalogue.models["seqpan"]
    settings = {
        "dataset": "activitynet_captions",
        "splits": {"protocol": "default", "test": ["val_2"]},
        "inputs": {"features": "blank_i3d_w16s8"},
    }
    found = departures(content, "activitynet_captions", settings, model, "seconds")
    said = ["tested on val_2", "other features", "scored by another convention"]
    assert found == said
    own = model["datasets"]["activitynet_captions"]["inputs"]["features"]
    settings |= {"splits": {"protocol": "val_1", "test": ["val_1"]}, "inputs": {"features": own}}
    assert departures(content, "activitynet_captions", settings, model, "official_seqpan") == []


# --- cells on demand -------------------------------------------------------------------------


def test_cells_on_demand_are_in_no_table_of_the_studys_own(config):
    everything = copy.deepcopy(config)
    everything["systems"].append(
        {"model": "seqpan", "ablations": "printed", "seeds": [0], "on_demand": True}
    )
    everything["datasets"] = {
        name: {"features": "i3d_kinetics_rgb_w16s8", "vectors": "glove_840b_300d"}
        for name in config["datasets"]
    }
    study = Study(everything)
    cell = "results/cells/seqpan/charades_sta/match_none/seed0/run.json"
    assert study.needs_on_demand(cell)
    assert cell in study.jobs["results/seqpan/table5.json"].inputs.values()
    for record in ("results/table1.json", "results/summary.json", "results/cells.mlflow.json"):
        assert not study.needs_on_demand(record)
    assert study.needs_on_demand("results/seqpan/table5.json")
    assert study.needs_on_demand("results/report.json")


def test_a_cell_that_an_ordinary_system_names_does_not_wait(config):
    twice = {"model": "seqpan", "ablations": ["blind"], "seeds": [0, 1], "on_demand": True}
    config["systems"].append(twice)
    cells = Cells(config, Catalogue.load())
    assert not cells.is_on_demand("seqpan", "charades_sta", "blind", 0)
    assert cells.is_on_demand("seqpan", "charades_sta", "blind", 1)
    assert len(list(cells)) == len(set(cells))


def test_each_table_of_cells_is_tracked_on_its_own(config):
    jobs = Study(config).jobs
    table, track = jobs["results/seqpan/table2.json"], jobs["results/seqpan/table2.mlflow.json"]
    assert table.inputs == track.inputs
    assert "results/seqpan/table7.mlflow.json" not in jobs  # counts annotations, reads no cell


def test_a_note_stands_wherever_numbers_of_its_model_do():
    """Of an override in the study: in every table and figure that shows the model, in no other."""
    config, _ = load_study("config/demo.yaml")
    note = config["overrides"]["fsan"]["note"]
    shown = {}
    for record, job in Study(config).jobs.items():
        if job.phase not in ("table", "figure"):
            continue
        cells = [role for role in job.inputs if role.split(":")[0] in ("run", "efficiency")]
        shown[record] = any(":fsan/" in role for role in cells)
        assert (note in job.settings.get("notes", [])) == shown[record], record
    fsan = {f"results/fsan/{name}.json" for name in ("table2", "table3", "table4", "figure3")}
    assert {record for record, found in shown.items() if found} >= fsan | {"results/table1.json"}
    assert not shown["results/seqpan/table5.json"] and not shown["results/fsan/table1.json"]


def test_a_data_set_without_a_measured_cell_is_in_the_study_all_the_same(config):
    """Time and size: its block is there, with its printed rows and nothing measured."""
    config["datasets"]["tacos"] = config["datasets"]["charades_sta"]
    settings = Study(config).jobs["results/ia_net/table3.json"].settings
    assert settings["datasets"] == {"tacos": "TACoS"} and settings["cells"] == []
    assert settings["missing"] == {} and not settings["stands_in"]
