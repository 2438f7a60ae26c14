"""Printed numbers: the invented file of the fixtures, and the one in the repository."""

from pathlib import Path

import pytest
import yaml

from tsgbench.errors import UserError
from tsgbench.reporting.published import find_printed, read_rows

REPOSITORY = Path(__file__).parents[2] / "published"


def test_the_papers_own_row_is_found_in_its_comparison_table(published):
    printed = find_printed(published, "seqpan", "real")
    assert (printed.system, printed.table, printed.values["mIoU"]) == ("SeqPAN", "table1", 53.92)
    assert find_printed(published, "seqpan", "elsewhere") is None


def test_wrong_names_are_refused(published):
    with pytest.raises(UserError, match="no such paper"):
        find_printed(published, "unknown", "real")
    with pytest.raises(UserError, match="which of"):
        find_printed(published, "seqpan", "real", method="Other")


def test_a_data_set_that_the_paper_does_not_report_on_has_no_row(published):
    assert find_printed(published, "seqpan", "other") is None
    assert find_printed(published, "seqpan", "other", method="SeqPAN") is None
    assert find_printed(REPOSITORY, "cma", "tacos", method="Ours") is None


def test_a_table_is_read_row_by_row():
    entry, rows = read_rows(REPOSITORY, "seqpan", "table7")
    assert entry["kind"] == "statistics" and len(rows) == 4
    assert rows[0][0]["dataset"] == "charades_sta" and rows[0][1].values["vocab_size"] == 1303
    with pytest.raises(UserError, match="no table 'table8'"):
        read_rows(REPOSITORY, "seqpan", "table8")


def test_an_open_choice_is_refused(published):
    content = yaml.safe_load((published / "seqpan.yaml").read_text())
    second = {"method": "SeqPAN+", "dataset": "real", "own": True, "values": {"mIoU": 2.0}}
    content["tables"][0]["rows"].append(second)
    (published / "seqpan.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"SeqPAN in table1, SeqPAN\+ in table1"):
        find_printed(published, "seqpan", "real")
    assert find_printed(published, "seqpan", "real", method="SeqPAN+").values == {"mIoU": 2.0}


@pytest.mark.parametrize("text", ["[", "schema: 2\ntables: []", "tables: []", "just words"])
def test_damaged_files_are_refused(published, text):
    (published / "seqpan.yaml").write_text(text)
    with pytest.raises(UserError, match=r"seqpan\.yaml"):
        find_printed(published, "seqpan", "real")


def test_the_repositorys_seqpan_numbers():
    charades = find_printed(REPOSITORY, "seqpan", "charades_sta")
    assert (charades.table, charades.uncertain) == ("table1", frozenset())
    assert charades.values == {
        "R@1,IoU=0.3": 73.84,
        "R@1,IoU=0.5": 60.86,
        "R@1,IoU=0.7": 41.34,
        "mIoU": 53.92,
    }
    assert find_printed(REPOSITORY, "seqpan", "tacos_2dtan").values["mIoU"] == 37.17
    assert find_printed(REPOSITORY, "seqpan", "shapes") is None


def test_the_repositorys_cma_numbers_need_a_choice_of_system():
    with pytest.raises(UserError, match=r"Ours in table1, Ours\+ in table1"):
        find_printed(REPOSITORY, "cma", "charades_sta")
    simple = find_printed(REPOSITORY, "cma", "charades_sta", method="Ours")
    full = find_printed(REPOSITORY, "cma", "activitynet_captions", method="Ours+")
    assert (simple.values["R@1,IoU=0.5"], full.values["R@1,IoU=0.5"]) == (57.56, 41.93)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*.yaml")), ids=lambda path: path.stem)
def test_printed_numbers_are_plausible(path):
    """Recall falls as the IoU rises, and no doubtful mark names a metric the row lacks."""
    content = yaml.safe_load(path.read_text())
    rows = [row for table in content["tables"] for row in table["rows"]]
    assert rows
    for row in rows:
        assert set(row.get("uncertain", [])) <= set(row["values"]), row["method"]
        for n in (1, 5):
            at = [(m, v) for m, v in row["values"].items() if m.startswith(f"R@{n},") and v]
            values = [value for _, value in sorted(at)]
            assert values == sorted(values, reverse=True), row["method"]
