"""Tests between the rows of a table: which are tested, and what the table says of it."""

import csv

import numpy as np
import pytest

from invented import write_cell
from reporting.conftest import system
from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.query_scores import write_query_scores
from tsgbench.files import read_json, write_json
from tsgbench.reporting import build_table, describe
from tsgbench.reporting.caption import legend
from tsgbench.reporting.comparison import compare_rows
from tsgbench.reporting.render import render_csv, render_markdown

QUERIES, METRIC = 400, "mIoU"


def write_scored(root, name, values):
    """A cell whose queries score `values` (Q,) percent under the one metric."""
    folder = write_cell(root, name, metrics={METRIC: float(values.mean())})
    ids = [f"q{place}" for place in range(QUERIES)]
    videos = [f"v{place // 4}" for place in range(QUERIES)]
    queries = Queries(ids, videos, ids, np.ones(QUERIES), np.zeros((QUERIES, 2)))
    write_query_scores(
        folder / "scores.parquet", queries, ["test"] * QUERIES, {"seconds": {METRIC: values}}
    )
    return folder


@pytest.fixture
def table(spec, published, tmp_path):
    """`better` beats `base` by 10 points on every query, `same` by nothing but noise."""
    rng = np.random.default_rng(0)
    base = rng.uniform(20, 60, QUERIES)
    scores = {
        "base": base,
        "better": base + 10,
        "same": np.clip(base + rng.normal(0, 5, QUERIES), 0, 100),
        "absent": None,
    }
    cells = {}
    for model, values in scores.items():
        name = f"{model}/shapes/full/seed0"
        if values is not None:
            cells[name] = write_scored(tmp_path / "scored", name, values)
    spec["rows"] = [
        system(model.title(), f"{model}/full", blocks=["shapes"], seeds=[0]) for model in scores
    ]
    spec["metrics"], spec["datasets"] = [METRIC], spec["datasets"][:1]
    spec["against"] = "Base"
    return build_table(spec, cells, published)


def p_values(table):
    return {row.label: row.results["shapes"].values[METRIC].p_value for row in table.rows}


def test_a_difference_is_found_and_noise_is_not(table):
    compare_rows(table.rows, "shapes", table.against, table.metrics)
    found = p_values(table)
    assert found["Better"] < 0.01 < found["Same"]
    assert found["Base"] is None and found["Absent"] is None


def test_the_table_marks_what_differs_and_says_how_it_was_tested(table):
    compare_rows(table.rows, "shapes", table.against, table.metrics)
    markdown = render_markdown(describe(table, "1dentity"))
    [better] = [line for line in markdown.splitlines() if line.startswith("| Better")]
    [same] = [line for line in markdown.splitlines() if line.startswith("| Same")]
    assert r"\*" in better and r"\*" not in same
    assert any("differs from “Base”" in line and "Holm" in line for line in legend(table))
    rows = {
        row["system"]: row for row in csv.DictReader(render_csv(describe(table, "1")).split("\n"))
    }
    assert float(rows["Better"]["p_value"]) < 0.01


def test_what_was_not_shown_to_differ_is_undecided_and_how_much_would_have_been_found(table):
    compare_rows(table.rows, "shapes", table.against, table.metrics)
    values = {row.label: row.results["shapes"].values[METRIC] for row in table.rows}
    # Each of 400 differences is noise of 5 points: 0.25 their mean's, times 1.96 + 0.84, or more at
    # the level of two comparisons
    assert 0.7 < values["Same"].detectable < 1.0 and values["Same"].test_videos == QUERIES // 4
    assert values["Better"].detectable is None  # 10 points everywhere, without any noise
    assert values["Base"].detectable is None
    [said] = [line for line in legend(table) if "undecided" in line]
    assert f"{values['Same'].detectable:.2f} (100 videos)" in said
    rows = {
        row["system"]: row for row in csv.DictReader(render_csv(describe(table, "1")).split("\n"))
    }
    assert rows["Same"]["test_videos"] == "100" and not rows["Base"]["detectable_difference"]


def test_without_a_reference_nothing_is_tested(table):
    compare_rows(table.rows, "shapes", "Absent", table.metrics)
    assert set(p_values(table).values()) == {None}
    assert not any("Holm" in line for line in legend(table))


def test_rows_scored_on_other_queries_are_not_tested(table):
    [row] = [row for row in table.rows if row.label == "Better"]
    path = row.results["shapes"].cells[0].folder / "metrics.json"
    content = read_json(path)
    content["facts"]["unanswered"] = "other"
    write_json(path, content)
    row.results["shapes"].cells[0].evaluation["facts"]["unanswered"] = "other"
    compare_rows(table.rows, "shapes", table.against, table.metrics)
    assert p_values(table)["Better"] is None and p_values(table)["Same"] is not None
