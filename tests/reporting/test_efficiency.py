"""The table of time and size: printed digits stay, machines are named, no difference is taken.

All numbers are invented.
"""

import re

import pytest

from reporting.report_samples import write_published
from tsgbench.errors import UserError
from tsgbench.jobs.records import Record
from tsgbench.reporting import describe, write_table
from tsgbench.reporting.caption import caption
from tsgbench.reporting.efficiency_table import build_efficiency_table

TIME, SIZE = "s/query, batch 1", "printed size (M)"
CELLS = [f"{model}/real/full/seed0" for model in ("mine", "beside")]


def measured(folder, cell, seconds=0.0125, peak=5e7, hardware="A processor"):
    facts = {
        "sizes": {"parameters": 1_230_000, "numbers": 2_000_000, "checkpoint_bytes": 8_100_000},
        "seconds_per_query": {
            batch: {name: {"median": seconds / int(batch), "low": 0.0, "high": 1.0, "repeats": 25}}
            for batch in ("1", "64")
            for name in ("answer",)
        },
        "memory": {"how": "by counting", "bytes": None if peak is None else {"64": peak}},
        "shapes": {"queries": 64, "clips": 200, "clip_dim": 500, "words": 20, "width": 512},
        "device": "cpu",
        "hardware": hardware,
        "threads": 2,
        "versions": {"torch": "2.0"},
    }
    content = {
        "identity": "1" * 16,
        "code": "c" * 16,
        "digest": "2" * 16,
        "inputs": {},
        "facts": facts,
    }
    return Record(folder / cell / "efficiency.json", content)


@pytest.fixture
def published(tmp_path):
    def row(method, time, size, cell):
        values = {"run_time_s": time, "model_size_M": size}
        return {"method": method, "dataset": "real", "own": "/" in cell, "cell": cell} | {
            "values": values
        }

    entry = {
        "id": "table3",
        "kind": "efficiency",
        "caption": "Time on one OLD CARD.",
        "datasets": ["real"],
        "metrics": {"real": ["run_time_s", "model_size_M"]},
        "units": {"model_size_M": "unit not said"},
        "rows": [row("Mine", 0.11, 68, "mine/full"), row("Old", 2.2, 22, "quoted only")],
    }
    folder = tmp_path / "published"
    write_published(folder, "paper", "Mine", [entry])
    return folder


MISSING = {"name": "real:printed", "title": "real", "printed": "real", "is_missing": True}


def spec_of(**more):
    return {
        "id": "paper/table3",
        "study": "invented",
        "title": "invented numbers",
        "is_demo": False,
        "notes": [],
        "paper": "paper",
        "table": "table3",
        "datasets": [{"name": "real", "title": "Real", "printed": "real"}],
        "cells": CELLS,
        "models": {"mine": "Mine", "beside": "Beside"},
    } | more


def row_of(table, label):
    [row] = [row for row in table.rows if row.label == label]
    return row


def test_measured_stands_beside_printed_without_a_difference(published, tmp_path):
    records = {cell: measured(tmp_path, cell) for cell in CELLS}
    table = build_efficiency_table(spec_of(), records, published)
    assert [(row.label, row.group) for row in table.rows] == [
        ("Old", "quoted"),
        ("Mine", "own"),
        ("Beside", "beside"),
    ]
    result = row_of(table, "Mine").results["real"]
    time = result.values[TIME]
    assert (time.mean, time.published, time.difference) == (0.0125, 0.11, None)
    means = [result.values[metric].mean for metric in table.metrics]
    assert means == [0.0125, 0.0125 / 64, 1.23, 8.1, 50.0, None]
    # Its unit is not known, so nothing measured stands in its column
    assert result.values[SIZE].published == 68 and result.values["params (M)"].published is None
    assert row_of(table, "Old").is_quoted and not row_of(table, "Old").results["real"].wanted


def test_machines_and_units_are_named(published, tmp_path):
    records = {CELLS[0]: measured(tmp_path, CELLS[0]), CELLS[1]: measured(tmp_path, CELLS[1])}
    table = build_efficiency_table(spec_of(), records, published)
    said = caption(table)
    assert "Mine, Table 3: Time on one OLD CARD." in said
    assert "Measured on A processor (CPU), PyTorch 2.0." in said
    notes = " ".join(table.notes)
    assert "printed as model_size_M: unit not said." in notes and "by counting" in notes
    assert "Mine 200 × 500, 20, 512 wide; Beside 200 × 500" in notes


def test_every_form_keeps_the_printed_digits(published, tmp_path):
    records = {CELLS[0]: measured(tmp_path, CELLS[0], peak=None)}
    table = build_efficiency_table(spec_of(), records, published)
    paths = write_table(describe(table, "i" * 16), tmp_path / "out" / "table3")
    texts = {path.suffix: path.read_text() for path in paths}
    own = next(line for line in texts[".md"].splitlines() if line.startswith("| *printed (Mine"))
    assert [cell.strip() for cell in own.split("|")][2:8] == ["0.11", *["n/a"] * 4, "68"]
    mine = next(line for line in texts[".md"].splitlines() if line.startswith("| Mine "))
    assert "| 0.0125 | 0.00020 | 1.23 | 8.1 | n/a | n/a |" in mine  # no way to measure memory
    assert r"\num{0.11}" in texts[".tex"] and r"\num{0.1100}" not in texts[".tex"]
    assert re.search(r"\| Beside \|( — not run \|){5}", texts[".md"])


def test_a_stand_in_has_nothing_printed_beside_it(published, tmp_path):
    cells = ["mine/shapes/full/seed0", "beside/shapes/full/seed0"]
    records = {cell: measured(tmp_path, cell) for cell in cells}
    shapes = {"name": "shapes", "title": "Shapes", "printed": None, "stands_in": True}
    spec = spec_of(datasets=[shapes, MISSING], cells=cells)
    table = build_efficiency_table(spec, records, published)
    assert [block.title for block in table.datasets] == [
        "Shapes: stands in for the paper's data",
        "real: not in this study",
    ]
    mine = row_of(table, "Mine").results
    assert mine["shapes"].printed is None and mine["shapes"].values[TIME].published is None
    assert mine["real:printed"].is_only_printed
    assert mine["real:printed"].values[TIME].published == 0.11
    assert set(row_of(table, "Old").results) == {"real:printed"}
    assert set(row_of(table, "Beside").results) == {"shapes"}


def test_a_study_without_cells_keeps_every_printed_row(published):
    table = build_efficiency_table(spec_of(datasets=[MISSING], cells=[]), {}, published)
    values = [row.results["real:printed"].values[TIME].published for row in table.rows]
    assert values == [2.2, 0.11] and "None of them was measured yet" in caption(table)


def test_seeds_are_averaged_and_only_what_varies_has_a_spread(published, tmp_path):
    cells = [f"mine/real/full/seed{seed}" for seed in (0, 1)]
    records = {cell: measured(tmp_path, cell, 0.01 * (i + 1)) for i, cell in enumerate(cells)}
    table = build_efficiency_table(spec_of(cells=cells), records, published)
    values = row_of(table, "Mine").results["real"].values
    assert values[TIME].mean == pytest.approx(0.015)
    assert values[TIME].std == pytest.approx(0.01 / 2**0.5)
    assert values["params (M)"].std is None


def test_a_printed_metric_without_a_column_is_refused(tmp_path):
    entry = {"id": "table3", "caption": "c", "datasets": ["real"], "rows": []}
    write_published(tmp_path, "paper", "Mine", [entry | {"metrics": {"real": ["joules"]}}])
    with pytest.raises(UserError, match="no column of an efficiency table is for 'joules'"):
        build_efficiency_table(spec_of(), {}, tmp_path)
