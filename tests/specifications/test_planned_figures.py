"""The papers' figures as jobs: which there are, what they look for, which splits were printed."""

from pathlib import Path

import pytest

from tsgbench.config import Catalogue, load_study
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]
DRAWN = {
    "ia_net": [1, 5],
    "fian": [1, 6],
    "fsan": [1, 3, 4],
    "cma": [1, 4, 5, 6],
    "seqpan": [5, 6, 7, 8],
}


def study_of(name: str) -> Study:
    config, source = load_study(f"config/{name}.yaml")
    return Study(config, source=source)


@pytest.fixture(scope="module")
def papers():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return study_of("paper")


@pytest.mark.parametrize("name", ["demo", "blind"])
def test_every_figure_that_is_no_diagram_is_a_job(name):
    found = {job.key for job in study_of(name).jobs.values() if job.phase == "figure"}
    named = {f"{paper}/figure{n}" for paper, ns in DRAWN.items() for n in ns}
    assert found == named


def test_what_can_be_regenerated_is_drawn_and_nothing_else():
    for paper, content in Catalogue.load().published.items():
        drawn = set(DRAWN[paper])
        told = {
            int(one["id"][3:].rstrip("abc")) for one in content["figures"] if one["regenerable"]
        }
        assert drawn == told, paper


def test_printed_numbers_know_the_splits_that_the_paper_tested(papers):
    settings = {
        name: papers.jobs[f"results/paper/{name}.json"].settings["printed"]["splits"]
        for name in ("fsan/figure4", "seqpan/figure5", "cma/figure6", "cma/figure4")
    }
    assert settings["fsan/figure4"] == {"activitynet_captions": ["val_2"]}
    assert settings["seqpan/figure5"]["activitynet_captions"] == ["val_1"]
    assert settings["cma/figure6"] == {"activitynet_captions": ["val_1", "val_2"]}
    assert set(settings["cma/figure4"]) == {"charades_sta", "activitynet_captions"}


def test_a_figures_numbers_are_scored_as_those_of_its_papers_tables(papers):
    for figure, table in (("seqpan/figure5", "table5"), ("seqpan/figure7", "table6")):
        blocks = papers.jobs[f"results/paper/seqpan/{table}.json"].settings["datasets"]
        of_tables = {block["name"]: block["convention"]["name"] for block in blocks}
        assert papers.jobs[f"results/paper/{figure}.json"].settings["conventions"] == of_tables
        assert set(of_tables.values()) == {"official_seqpan"}
    settings = papers.jobs["results/paper/fsan/figure4.json"].settings
    assert settings["conventions"] == {"activitynet_captions": "official_fsan"}
    assert study_of("demo").jobs["results/seqpan/figure5.json"].settings["conventions"] == {}


def test_findings_know_what_a_study_changed_in_the_papers_models():
    models = study_of("blind").jobs["results/blind/findings.json"].settings["models"]
    practice = models["seqpan"]["practice"]
    assert set(practice) == {"charades_sta", "activitynet_captions", "tacos", "tacos_2dtan"}
    assert {"model.width", "train.epochs"} <= set(practice["tacos"]["changed"])
    assert models["fsan"]["practice"]["didemo_without_train"]["trains"] == 33005
    assert "practice" not in models["prior"]


def test_what_stands_in_has_no_printed_splits():
    settings = study_of("demo").jobs["results/fsan/figure4.json"].settings
    assert settings["stands_in"] and settings["printed"]["splits"] == {}


def test_a_cell_is_asked_for_every_query_that_its_paper_prints(papers):
    jobs = [job for job in papers.jobs.values() if job.phase == "inspect"]
    [job] = [job for job in jobs if job.wildcards["model"] == "fian"
             and job.wildcards["dataset"] == "activitynet_captions"]  # fmt: skip
    assert job.settings["choose"]["examples"] == [
        {
            "sentence": "The second girl joins her again and they finish dancing",
            "moment_s": [184.9, 220.2],
        },
        {
            "sentence": "He continues playing the instrument while pausing to speak to the camera.",
            "moment_s": None,
        },
    ]
