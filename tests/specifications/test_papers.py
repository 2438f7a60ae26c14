"""Printed tables as jobs: every row has its cell, and a study shows what it has of each."""

import copy

import pytest

from tsgbench.config import Catalogue, load_study, protocols_of
from tsgbench.errors import UserError
from tsgbench.jobs.cells import CellId, split_ablation
from tsgbench.planning.study import Study
from tsgbench.specifications.cells import Cells
from tsgbench.specifications.papers import Papers
from tsgbench.specifications.printed import (
    QUOTED_ONLY,
    check_cells,
    own_method,
    practice_of,
    printed_ablations,
    printed_protocols,
    reference_of,
    served_rows,
)


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
            {"model": "random", "protocols": ["default", "val_1"], "seeds": [0, 1]},
            {"model": "seqpan", "ablations": ["blind"], "protocols": ["printed"], "seeds": [0]},
        ],
        "tables": {"table1": {"metrics": ["mIoU"]}},
    }


def specification(config: dict, name: str) -> dict:
    papers = Papers(config, Catalogue.load(), Cells(config, Catalogue.load()))
    [(content, table)] = [(c, t) for found, c, t in papers.tables() if found == name]
    return papers.settings(name, content, table)


def systems_tables(content: dict) -> list[dict]:
    return [table for table in content["tables"] if table["kind"] in ("comparison", "ablation")]


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
        reported = {one for table in systems_tables(content) for one in table["datasets"]}
        assert set(paper["protocols"]) == set(paper["conventions"]) == reported
        for dataset, protocol in paper["protocols"].items():
            assert protocol["protocol"] in protocols_of(catalogue.datasets[dataset])
            assert protocol["source"]


def test_what_an_ablation_serves(catalogue):
    served = served_rows(catalogue.published)
    assert served["seqpan/match_none"][0] == "seqpan table5: SeqPAN w/o sq-match"
    assert "cma table6: Ours" in served["cma/reg_2_0p1"]
    assert own_method(catalogue.published, "cma", "cma") == "Ours"
    needed = printed_ablations(catalogue.published, "seqpan")
    assert {"full", "match_fb", "interaction_pa"} <= set(needed)
    assert not {"blind", "no_char"} & set(needed)


# --- tables over a study ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo", "blind", "paper", "released_features"])
def test_every_numbered_table_is_a_job_of_every_study(name):
    config, source = load_study(f"config/{name}.yaml")
    study = Study(config, source=source)
    counts = {"ia_net": 4, "fian": 6, "fsan": 4, "cma": 6, "seqpan": 7}
    for paper, count in counts.items():
        for number in range(1, count + 1):
            assert study.find_key("table", f"{paper}/table{number}")


def test_a_data_set_of_the_study_stands_in_its_own_block(config):
    spec = specification(config, "seqpan/table1")
    [block] = spec["datasets"]
    assert (block["name"], block["convention"]["name"]) == ("charades_sta", "official_seqpan")
    own = find_row(spec, "SeqPAN")
    assert own["prefixes"] == {"charades_sta": "seqpan/charades_sta/full@no_val"}
    assert own["seeds"] == {"charades_sta": []}  # not in the study: not run
    assert find_row(spec, "LGI")["is_quoted"] and not find_row(spec, "LGI")["prefixes"]


def test_systems_without_video_stand_beside_by_the_papers_protocol(config):
    spec = specification(config, "seqpan/table2")
    assert spec["datasets"][0]["test_split"] == "val_1"
    random, blind = find_row(spec, "Random"), find_row(spec, "SeqPAN, blind")
    assert random["prefixes"] == {"activitynet_captions": "random/activitynet_captions/full@val_1"}
    assert blind["prefixes"] == {"activitynet_captions": "seqpan/activitynet_captions/blind@val_1"}
    full = find_row(spec, "SeqPAN")["prefixes"]
    assert full == {"activitynet_captions": "seqpan/activitynet_captions/full@val_1"}


def test_what_the_study_lacks_keeps_its_printed_rows(config):
    spec = specification(config, "seqpan/table3")
    assert [block["name"] for block in spec["datasets"]] == ["tacos:printed", "tacos_2dtan:printed"]
    assert find_row(spec, "SeqPAN")["printed"] == {
        "tacos:printed": ["seqpan", "table3", 9],
        "tacos_2dtan:printed": ["seqpan", "table3", 11],
    }
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


# --- the paper's protocol --------------------------------------------------------------------


@pytest.mark.parametrize("study", ["blind", "paper"])
def test_every_cell_of_a_printed_table_or_figure_shares_its_papers_protocol(study):
    """Its own ablations, blind twins, baselines and the row that others are tested against."""
    config, source = load_study(f"config/{study}.yaml")
    planned = Study(config, source=source)
    shown = 0
    for job in planned.jobs.values():
        paper, _, _ = job.key.partition("/")
        if job.phase not in ("table", "figure") or paper not in planned.catalogue.published:
            continue
        stated = planned.catalogue.published[paper]["paper"]["protocols"]
        for role in job.inputs:
            if role.startswith("metrics:"):
                _, dataset, name, _ = role.split("/")
                printed = planned.catalogue.datasets[dataset]["published"]
                assert split_ablation(name)[1] == stated[printed]["protocol"], (job.key, role)
                shown += 1
        for block in job.settings["datasets"] if job.settings["kind"] == "systems" else []:
            if block.get("printed") in stated and not block.get("is_missing"):
                assert block["protocol"] == stated[block["printed"]]["protocol"], job.key
    assert shown > 20


def test_a_paper_study_has_the_cells_of_every_printed_row():
    """Without naming one: by the papers' protocols, and once where that is the default."""
    config, source = load_study("config/paper.yaml")
    study = Study(config, source=source)
    for job in study.jobs.values():
        for row in job.settings["rows"] if job.settings.get("kind") == "systems" else []:
            assert all(row["seeds"].values()), (job.key, row["label"])
    names = {cell[2] for cell in study.cells if cell[:2] == ("seqpan", "activitynet_captions")}
    assert {"full", "full@val_1", "full@official_seqpan", "match_none@val_1"} <= names
    assert "match_none" not in names
    tacos = {cell[2] for cell in study.cells if cell[:2] == ("seqpan", "tacos")}
    assert not any("@" in name for name in tacos)
    settings = study.cells.settings(CellId("seqpan", "activitynet_captions", "match_none@val_1", 0))
    assert settings["ablation"] == "match_none"
    assert settings["splits"] == {
        "protocol": "val_1",
        "train": ["train"],
        "select": [],
        "test": ["val_1"],
        "score": {},
    }


def test_baselines_are_run_by_every_papers_protocol(catalogue):
    published = catalogue.published
    assert printed_protocols(published, "activitynet_captions", "cma") == ["merged"]
    everyones = printed_protocols(published, "activitynet_captions", None)
    assert sorted(everyones) == ["default", "merged", "val_1"]
    assert printed_protocols(published, None, None) == ["default"]
    assert printed_protocols(published, "didemo", "seqpan") == ["default"]


def test_what_a_block_says_of_features_is_what_its_own_cells_read(config):
    own = {"features": "own", "vectors": "glove_840b_300d"}
    config["datasets"] = {"charades_sta": own, "activitynet_captions": own}
    [block] = specification(config, "seqpan/table2")["datasets"]
    assert block["features"] == "none (video zeroed); I3D (Kinetics-400) RGB, average pool (SeqPAN)"
    config["systems"] += [{"model": name, "seeds": [0]} for name in ("fian", "ia_net")]
    config["systems"].append({"model": "seqpan", "protocols": ["printed"], "seeds": [0]})
    [block] = specification(config, "seqpan/table2")["datasets"]
    assert block["features"] == "I3D (Kinetics-400) RGB, average pool"
    [block] = specification(config, "cma/table3")["datasets"]
    assert block["features"] == ""  # nothing of it is run


@pytest.mark.parametrize(
    ("paper", "printed", "trains", "tests"),
    [
        ("cma", "activitynet_captions", 37421, 34536),
        ("seqpan", "activitynet_captions", 37421, 17505),
        ("ia_net", "activitynet_captions", 37417, 17031),
        ("fsan", "didemo", 33005, 4021),
    ],
)
def test_how_a_paper_got_its_numbers(catalogue, paper, printed, trains, tests):
    practice = practice_of(catalogue.published[paper], printed)
    assert (practice["trains"], practice["tests"]) == (trains, tests)
    assert practice_of(catalogue.published[paper], "charades_cd") == {}


def test_the_features_of_a_paper_are_recipes_and_its_models_own(catalogue):
    """So a row departs in its features only where a study chose others for it."""
    for name, content in catalogue.published.items():
        assert set(content["paper"]["features"]) == set(content["paper"]["protocols"])
        for dataset, stated in content["paper"]["features"].items():
            known = {*stated["recipes"], *stated.get("released", [])}
            assert known <= set(catalogue.features), (name, dataset)
            model = catalogue.models[content["paper"]["key"]]
            assert model["datasets"][dataset]["inputs"]["features"] in stated["recipes"]


def test_the_number_of_runs_is_a_tables_own(catalogue):
    content = catalogue.published["seqpan"]
    assert practice_of(content, "charades_sta", "table5")["runs"] == 5
    assert practice_of(content, "charades_sta", "table1")["runs"] is None


# --- tests between rows ----------------------------------------------------------------------


def test_every_table_of_ablations_names_the_row_it_is_tested_against():
    config, source = load_study("config/paper.yaml")
    study = Study(config, source=source)
    against = {
        f"{paper}/{table['id']}": study.jobs[f"results/paper/{paper}/{table['id']}.json"].settings
        for paper, content in study.catalogue.published.items()
        for table in content["tables"]
        if table["kind"] == "ablation"
    }
    assert len(against) == 12
    for name, settings in against.items():
        labels = [row["label"] for row in settings["rows"]]
        assert settings["against"] in labels, name
    for number in (4, 6):
        assert against[f"seqpan/table{number}"]["against"] == "SGPA"
    assert against["seqpan/table5"]["against"] == "SeqPAN"


def test_a_table_of_ablations_without_a_reference_is_refused(catalogue):
    row = {"method": "Less", "dataset": "tacos", "cell": "seqpan/match_none"}
    table = {"id": "table9", "kind": "ablation", "rows": [row]}
    with pytest.raises(UserError, match="mine.yaml: table9: against: 'none' is no row of the tab"):
        check_cells({"mine": {"tables": [table]}}, catalogue.models)
    check_cells({"mine": {"tables": [table | {"against": row["cell"]}]}}, catalogue.models)
    assert reference_of(table | {"rows": [row, row | {"cell": "seqpan/full"}]}) == "seqpan/full"


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
    cell = "results/small/cells/seqpan/charades_sta/match_none@no_val/seed0/run.json"
    assert study.needs_on_demand(cell)
    assert cell in study.jobs["results/small/seqpan/table5.json"].inputs.values()
    for name in ("table1", "summary", "table1.pdf"):
        assert not study.needs_on_demand(f"results/small/{name}.json")
    assert study.needs_on_demand("results/small/seqpan/table5.json")
    assert study.needs_on_demand("results/small/report.json")


def test_a_cell_that_an_ordinary_system_names_does_not_wait(config):
    twice = {"model": "seqpan", "ablations": ["blind"], "seeds": [0, 1], "on_demand": True}
    config["systems"].append(twice)
    cells = Cells(config, Catalogue.load())
    assert not cells.is_on_demand(CellId("seqpan", "charades_sta", "blind@no_val", 0))
    assert cells.is_on_demand(CellId("seqpan", "charades_sta", "blind@no_val", 1))
    assert len(list(cells)) == len(set(cells))


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
    settings = Study(config).jobs["results/small/ia_net/table3.json"].settings
    [block] = settings["datasets"]
    assert (block["name"], block["title"], block["printed"]) == ("tacos", "TACoS", "tacos")
    assert settings["cells"] == [] and not block["stands_in"]
