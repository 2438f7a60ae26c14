"""Assembling a table from cells: the arithmetic, the marks and the refusals."""

import json
from statistics import stdev

import pytest

from invented import invented_metrics, write_cell, write_scores
from reporting.conftest import system
from tsgbench.errors import UserError
from tsgbench.reporting import build_table
from tsgbench.reporting.caption import caption, legend, row_label


def result(table, label, dataset):
    [row] = [row for row in table.rows if row.label == label]
    return row.results[dataset]


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    values = content.get("facts", {}).get("metrics", {}).values()
    if path.name == "metrics.json" and not any(isinstance(value, str) for value in values):
        write_scores(path.parent)


def test_mean_and_sample_deviation_over_seeds(spec, cells, published):
    value = result(build_table(spec, cells, published), "SeqPAN", "shapes").values["R@1,IoU=0.5"]
    assert value.seeds == [50.0, 52.0]
    assert value.mean == 51.0
    assert value.std == pytest.approx(stdev([50.0, 52.0]))


def test_a_single_seed_has_no_deviation(spec, cells, published):
    value = result(build_table(spec, cells, published), "Whole video", "shapes").values["mIoU"]
    assert (value.mean, value.std) == (27.1, None)


def test_missing_cells_show_as_not_run_or_partial(spec, cells, published):
    table = build_table(spec, cells, published)
    absent, blind = result(table, "Absent", "shapes"), result(table, "SeqPAN, blind", "shapes")
    assert absent.status == "not run"
    assert absent.values["mIoU"].mean is None
    assert blind.status == "partial"
    assert (len(blind.cells), blind.values["mIoU"].mean) == (1, 35.0)
    assert result(table, "SeqPAN", "shapes").status == "complete"


def test_a_trained_but_not_evaluated_cell_is_not_run(spec, cells, published):
    (cells["whole/shapes/full/seed0"] / "metrics.json").unlink()
    assert result(build_table(spec, cells, published), "Whole video", "shapes").status == "not run"


def test_printed_values_stand_beside_the_papers_own_data_only(spec, cells, published):
    table = build_table(spec, cells, published)
    assert result(table, "SeqPAN", "shapes").printed is None
    own = result(table, "SeqPAN", "real")
    assert own.printed.table == "table1"
    assert own.values["R@1,IoU=0.5"].published == 60.86
    assert own.values["R@1,IoU=0.5"].difference == pytest.approx(51.0 - 60.86)
    assert own.values["R@5,IoU=0.5"].published is None
    assert own.values["mIoU"].published_uncertain
    assert not own.values["R@1,IoU=0.5"].published_uncertain
    assert result(table, "SeqPAN, blind", "real").printed is None


def test_ranks_are_among_fully_run_trained_systems(spec, cells, published):
    table = build_table(spec, cells, published)
    ranks = {row.label: row.results["shapes"].values["R@1,IoU=0.3"].rank for row in table.rows}
    # Whole video has 90 but learns nothing; blind lacks a seed; two systems need no second mark
    assert ranks == {label: 1 if label == "SeqPAN" else None for label in ranks}


def test_second_best_is_marked_among_three(spec, cells, published, tmp_path):
    name = "seqpan/shapes/blind/seed1"
    cells[name] = write_cell(tmp_path / "cells", name, base=50.0)
    table = build_table(spec, cells, published)
    ranks = [row.results["shapes"].values["mIoU"].rank for row in table.rows]
    assert ranks == [None, 1, None, 2, None]


def test_one_trained_system_alone_is_no_contest(spec, cells, published):
    spec["rows"] = spec["rows"][:3]
    table = build_table(spec, cells, published)
    assert not any(v.rank for row in table.rows for v in row.results["shapes"].values.values())


def test_rows_may_be_limited_to_some_data_sets(spec, cells, published):
    spec["rows"][0] = system("Whole video", "whole/full", blocks=["real"], seeds=[0])
    assert list(build_table(spec, cells, published).rows[0].results) == ["real"]


@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_number_without_identity_is_refused(spec, cells, published, file):
    path = cells["seqpan/shapes/full/seed0"] / file
    edit(path, lambda record: record.pop("identity"))
    with pytest.raises(UserError, match=rf"{file}: identity"):
        build_table(spec, cells, published)


def test_metrics_of_another_run_are_refused(spec, cells, published):
    path = cells["seqpan/shapes/full/seed0"] / "metrics.json"
    edit(path, lambda record: record["inputs"]["run"].update(identity="0" * 16))
    with pytest.raises(UserError, match=r"metrics.json: inputs.run.identity"):
        build_table(spec, cells, published)


def test_a_cell_in_another_cells_folder_is_refused(spec, cells, published):
    cells["seqpan/shapes/full/seed0"] = cells["seqpan/shapes/full/seed1"]
    with pytest.raises(UserError, match=r"run.json: key"):
        build_table(spec, cells, published)


def test_seeds_that_differ_in_more_than_the_seed_are_refused(spec, cells, published, tmp_path):
    write_cell(tmp_path / "cells", "seqpan/shapes/full/seed1", lr=0.5)
    with pytest.raises(UserError, match="mix two systems"):
        build_table(spec, cells, published)


@pytest.mark.parametrize("fact, value", [("queries", 399), ("split", "val"), ("protocol", "x")])
def test_systems_scored_differently_are_refused(spec, cells, published, fact, value):
    path = cells["other/shapes/full/seed1"] / "metrics.json"
    edit(path, lambda record: record["facts"].update({fact: value}))
    with pytest.raises(UserError, match=rf"({fact}|scored on other).*cannot be compared"):
        build_table(spec, cells, published)


@pytest.mark.parametrize("value", [101.0, -1.0, "50", True])
def test_what_is_not_a_percentage_is_refused(spec, cells, published, value):
    path = cells["seqpan/shapes/full/seed0"] / "metrics.json"
    edit(path, lambda record: record["facts"]["metrics"].update({"mIoU": value}))
    with pytest.raises(UserError, match=r"facts\.metrics\.mIoU"):
        build_table(spec, cells, published)


def test_a_metric_that_only_some_seeds_have_is_refused(spec, cells, published):
    path = cells["seqpan/shapes/full/seed1"] / "metrics.json"
    edit(path, lambda record: record["facts"]["metrics"].pop("mIoU"))
    with pytest.raises(UserError, match=r"lacks 'mIoU'"):
        build_table(spec, cells, published)


def test_parts_of_a_test_split_are_blocks_of_their_own(spec, published, tmp_path):
    parts = {
        name: {"queries": queries, "metrics": invented_metrics(base)}
        for name, queries, base in (("iid", 100, 60.0), ("ood", 300, 40.0))
    }
    name = "seqpan/shapes/full/seed0"
    cells = {name: write_cell(tmp_path / "cells", name, parts=parts)}
    blocks = {f"shapes:{part}": "shapes" for part in parts}
    spec["rows"] = [system("SeqPAN", "seqpan/full", blocks=blocks, seeds=[0])]
    spec["datasets"] = [
        {"name": f"shapes:{part}", "dataset": "shapes", "part": part, "title": part, "note": "Odd"}
        for part in parts
    ]
    table = build_table(spec, cells, published)
    found = {name: r.values["R@1,IoU=0.3"].mean for name, r in table.rows[0].results.items()}
    assert found == {"shapes:iid": 60.0, "shapes:ood": 40.0}
    assert "iid: tested on “test”, 100 query" in caption(table)
    assert caption(table).count("Odd.") == 1  # a data set's note, not each part's
    spec["datasets"][0]["part"] = "odd"
    with pytest.raises(UserError, match=r"facts.parts: has no part 'odd'"):
        build_table(spec, cells, published)


def test_another_convention_reads_its_own_numbers(spec, cells, published, tmp_path):
    name = "seqpan/shapes/full/seed0"
    cells[name] = write_cell(tmp_path / "new", name, conventions={"ranks": {"Rank@1": 12.5}})
    ranks = {"name": "ranks", "about": "by rank", "is_headline": False}
    spec["metrics"] = ["Rank@1"]
    spec["rows"] = [system("SeqPAN", "seqpan/full", blocks=["shapes"], seeds=[0])]
    spec["datasets"] = [spec["datasets"][0] | {"convention": ranks}]
    table = build_table(spec, cells, published)
    assert result(table, "SeqPAN", "shapes").values["Rank@1"].mean == 12.5
    assert "Scored by convention “ranks”: by rank." in caption(table)


def test_ranks_that_no_system_gave_are_said(spec, cells, published, tmp_path):
    """The whole video names one run of 21: its Rank@5 is that of the order of the others."""
    ranks = {"name": "ranks", "about": "by rank", "is_headline": False}
    spec["metrics"] = ["Rank@1", "Rank@5"]
    spec["rows"] = []
    for model, label, count in (("other", "One", 400), ("seqpan", "All", 0)):
        name = f"{model}/shapes/full/seed0"
        ranked = {"ranks": {"Rank@1": 12.5, "Rank@5": 56.0}}
        cells[name] = write_cell(tmp_path / "new", name, conventions=ranked)
        edit(
            cells[name] / "metrics.json",
            lambda record, count=count: record["facts"].update(
                counts={"ranks": {"queries_with_appended_candidates": count}}
            ),
        )
        spec["rows"].append(system(label, f"{model}/full", blocks=["shapes"], seeds=[0]))
    spec["datasets"] = [spec["datasets"][0] | {"convention": ranks}]
    (said,) = [x for x in legend(build_table(spec, cells, published)) if "fixed order" in x]
    assert said.endswith("(queries of which some are not named: One: 400).")
    spec["metrics"] = ["Rank@1"]  # the first is always a system's own
    assert not any("fixed order" in x for x in legend(build_table(spec, cells, published)))


def test_a_row_by_another_protocol_is_marked_and_not_ranked(spec, cells, published, tmp_path):
    for seed in (0, 1):
        name = f"other/shapes/full/seed{seed}"
        options = {"base": 85.0, "protocol": "val_1", "split": "val_1", "select": []}
        cells[name] = write_cell(tmp_path / "new", name, **options)
    table = build_table(spec, cells, published)
    found = result(table, "Other", "shapes")
    said = "Other (tested on val_1; the last epoch's weights)"
    assert row_label(table.rows[3], found) == said
    assert "tested on “test”, 400 query–moment pairs; checkpoint chosen on “val”" in caption(table)
    assert all(value.rank is None for value in found.values.values())
    # who is left has nobody to be compared with
    assert result(table, "SeqPAN", "shapes").values["mIoU"].rank is None


def test_rows_scored_on_part_of_the_split_say_so_and_enter_no_contest(spec, cells, published):
    for seed in (0, 1):
        edit(
            cells[f"other/shapes/full/seed{seed}"] / "metrics.json",
            lambda record: record["facts"].update(queries=380, of_queries=400),
        )
    table = build_table(spec, cells, published)
    [other] = [row for row in table.rows if row.label == "Other"]
    assert row_label(other, other.results["shapes"]) == "Other [380 of 400 queries]"
    assert row_label(other, other.results["real"]) == "Other"
    assert any("is not a score of the split" in line for line in legend(table))
    assert "400 query–moment pairs" in caption(table)
    ranks = {row.label: row.results["shapes"].values["mIoU"].rank for row in table.rows}
    assert set(ranks.values()) == {None}
    assert result(table, "SeqPAN", "real").values["mIoU"].rank == 1


def test_rows_scored_on_as_many_but_other_queries_enter_no_contest(spec, cells, published):
    for name, folder in cells.items():
        lack = "1" * 16 if name.startswith("other") else "2" * 16
        part = {"queries": 380, "of_queries": 400, "unanswered": lack}
        edit(folder / "metrics.json", lambda record, part=part: record["facts"].update(part))
    table = build_table(spec, cells, published)
    ranks = {row.results["shapes"].values["mIoU"].rank for row in table.rows}
    assert ranks == {None}


def test_a_table_of_whole_splits_does_not_mention_parts(spec, cells, published):
    assert not any("queries]" in line for line in legend(build_table(spec, cells, published)))
