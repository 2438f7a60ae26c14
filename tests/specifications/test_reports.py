"""Reports without training in the plan: what they read, and names that cannot be."""

import copy

import pytest

from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.planning.study import Study
from tsgbench.specifications.reports import printed_parts
from tsgbench.text.tokens import TOKENIZERS


@pytest.fixture
def config() -> dict:
    blank = {"features": "blank_i3d_w16s8", "vectors": "glove_840b_300d"}
    config = {
        "study": "small",
        "title": "one data set",
        "datasets": {"charades_sta": blank},
        "systems": [
            {"model": "whole_video", "seeds": [0]},
            {"model": "prior", "seeds": [0, 1]},
        ],
        "tables": {"table1": {"metrics": ["mIoU"]}},
        "findings": True,
    }
    return config


def phases_behind(study: Study, record: str) -> set[str]:
    found = set()
    for path in study.jobs[record].inputs.values():
        found |= {study.jobs[path].phase} | phases_behind(study, path)
    return found


@pytest.mark.parametrize("name", ["fsan/table1", "seqpan/table7", "cma/figure4"])
def test_statistics_need_no_cell(config, name):
    record = f"results/small/{name}.json"
    assert phases_behind(Study(config), record) == {"statistics", "annotations", "download"}


def test_a_table_reads_the_data_sets_of_its_paper_alone(config):
    config["datasets"]["tacos"] = config["datasets"]["charades_sta"]
    jobs = Study(config).jobs
    assert list(jobs["results/small/fsan/table1.json"].inputs) == ["statistics:charades_sta"]
    both = ["statistics:charades_sta", "statistics:tacos"]
    assert list(jobs["results/small/seqpan/table7.json"].inputs) == both


def test_findings_read_every_cell_and_all_statistics(config):
    study = Study(config)
    inputs = set(study.jobs["results/small/findings.json"].inputs.values())
    assert inputs == set(study.targets("train", "evaluate", "statistics"))


def test_every_result_has_an_identity_log_and_benchmark_of_its_own(config):
    study = Study(config)
    assert len({study.identity(record) for record in study.jobs}) == len(study.jobs)
    keys = [(job.phase, job.key) for job in study.jobs.values()]
    assert len(set(keys)) == len(keys) and ("table", "fsan/table1") in keys


def test_statistics_are_the_same_in_every_study(config):
    other = copy.deepcopy(config)
    del other["findings"]
    other["title"] = "another"
    record = "data/annotations/charades_sta/statistics.json"
    assert Study(config).identity(record) == Study(other).identity(record)


def test_a_data_set_outside_the_study_is_no_input_but_still_named(config):
    job = Study(config).jobs["results/small/cma/figure4.json"]
    assert list(job.inputs) == ["statistics:charades_sta"]
    assert list(job.settings["datasets"]) == ["charades_sta", "activitynet_captions"]
    assert job.settings["printed"]["numbers"]["average_ratio"]["charades_sta"] == 0.27


@pytest.mark.parametrize(
    ("section", "name", "spec", "said"),
    [
        ("tables", "seqpan/table7", {"metrics": ["mIoU"]}, "would overwrite"),
        ("tables", "seqpan/table7/x", {"metrics": ["mIoU"]}, "is not allowed as a key"),
        ("tables", "table2", {}, "'metrics' is missing"),
        ("tables", "summary", {"metrics": ["mIoU"]}, "would overwrite results/small/summary.json"),
        ("tables", "cma/figure4", {"metrics": ["mIoU"]}, "would overwrite"),
    ],
)
def test_what_cannot_be_made_is_refused(config, section, name, spec, said):
    config[section][name] = spec
    with pytest.raises(UserError) as caught:
        Study(config, source="study.yaml")
    assert said in str(caught.value)


def test_what_papers_counted_names_real_splits_statistics_and_tokenisers():
    """published/: every union is of splits that the data set's protocols know."""
    catalogue = Catalogue.load()
    for dataset, entry in catalogue.datasets.items():
        known = set()
        for protocol in [entry["splits"], *entry.get("protocols", {}).values()]:
            for role in ("train", "select", "test"):
                splits = protocol[role]
                known |= {splits} if isinstance(splits, str) else set(splits)
        for part in printed_parts(catalogue.published, dataset):
            assert set(part) <= known, dataset
    for paper in catalogue.published.values():
        for table in paper["tables"]:
            if table["kind"] != "statistics":
                continue
            for row in table["rows"]:
                assert set(row["values"]) == set(table["columns"])
                assert row["reproduce"]["tokenizer"] in TOKENIZERS
                for metric, column in table["columns"].items():
                    is_counted = column["part"] in row["reproduce"]["parts"]
                    assert is_counted == (row["values"][metric] is not None)


def test_unions_are_given_once_in_order():
    row = {"dataset": "a", "reproduce": {"parts": {"x": ["s", "t"], "y": ["t"]}}}
    twice = {"tables": [{"kind": "statistics", "rows": [row, row, {"dataset": "b"}]}]}
    figure = {"tables": [], "figures": [{"reproduce": {"a": ["s"]}}, {}]}
    assert printed_parts({"p": twice, "q": figure}, "a") == [["s", "t"], ["t"], ["s"]]
