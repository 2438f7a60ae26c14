"""A printed table beside its cells: quoted rows, verdicts, and what the study lacks."""

import json

import pytest

from invented import write_cell
from reporting.report_samples import comparison, write_published
from tsgbench.reporting.caption import caption, legend, row_label
from tsgbench.reporting.describe import describe
from tsgbench.reporting.html import render_html
from tsgbench.reporting.latex import render_latex
from tsgbench.reporting.provenance import anchor, check_traceable
from tsgbench.reporting.render import render_csv, render_markdown
from tsgbench.reporting.systems_table import build_table
from tsgbench.reporting.terminal import next_steps, render_terminal

METRICS = ["R@1,IoU=0.5", "mIoU"]
PEOPLE = {"seconds": {"R@1,IoU=0.5": 83.484, "R@1,IoU=0.7": 60.7, "mIoU": 71.97}}
TABLE = ("paper", "table1")


def printed_rows(own_miou: float = 55.0) -> list[dict]:
    own = {"own": True, "cell": "model/full"}
    return [
        comparison("real", "Older", {"R@1,IoU=0.5": 40.0, "mIoU": None}, cell="quoted only"),
        comparison("real", "Newer", {"R@1,IoU=0.5": 48.0, "mIoU": 30.0}, cell="quoted only"),
        comparison("real", "Model", {"R@1,IoU=0.5": 50.0, "mIoU": own_miou}) | own,
        comparison("gone", "Model", {"R@1,IoU=0.5": 60.0, "mIoU": 50.0})
        | own
        | {"std": {"R@1,IoU=0.5": 0.5, "mIoU": 0.25}},
    ]


def write_paper(folder, **changes):
    table = {"id": "table1", "kind": "comparison", "caption": "Model against others."}
    write_published(folder, "paper", "Model", [table | {"rows": printed_rows(**changes)}])


def row(label, cell, *, printed, prefixes=(), seeds=(0, 1), **more):
    return {
        "label": label,
        "cell": cell,
        "group": "quoted" if cell == "quoted only" else "own",
        "is_quoted": cell == "quoted only",
        "printed": printed,
        "prefixes": dict(prefixes),
        "practice": {},
        "seeds": {name: list(seeds) for name in dict(prefixes)},
    } | more


@pytest.fixture
def spec():
    convention = {"name": "seconds", "about": "in seconds", "is_headline": True}
    real = {
        "name": "real",
        "dataset": "real",
        "printed": "real",
        "title": "Real",
        "test_split": "test",
        "select_split": "val",
        "convention": convention,
    }
    gone = {"name": "gone:printed", "printed": "gone", "title": "Gone", "is_missing": True}
    return {
        "id": "paper/table1",
        "study": "invented",
        "title": "invented numbers",
        "paper": "paper",
        "table": "table1",
        "system": "Model",
        "caption": "Model against others.",
        "notes": [],
        "metrics": METRICS,
        "datasets": [real, gone],
        "rows": [
            row("Older", "quoted only", printed={"real": [*TABLE, 0]}),
            row("Newer", "quoted only", printed={"real": [*TABLE, 1]}),
            row(
                "Model",
                "model/full",
                printed={"real": [*TABLE, 2], "gone:printed": [*TABLE, 3]},
                prefixes={"real": "model/real/full"},
            ),
        ],
        "against": None,
    }


@pytest.fixture
def published(tmp_path):
    write_paper(tmp_path / "published")
    return tmp_path / "published"


@pytest.fixture
def cells(tmp_path):
    """R@1,IoU=0.5 50 and 52, mIoU 55 and 57: constant over queries, so intervals have no width."""
    return {
        f"model/real/full/seed{seed}": write_cell(
            tmp_path / "cells", f"model/real/full/seed{seed}", base=70.0 + 2 * seed
        )
        for seed in (0, 1)
    }


def find(table, label, dataset="real"):
    [found] = [row for row in table.rows if row.label == label]
    return found.results[dataset]


def test_every_printed_row_stands_in_the_table(spec, cells, published):
    table = build_table(spec, cells, published)
    assert [row.label for row in table.rows] == ["Older", "Newer", "Model"]
    assert find(table, "Newer").values["mIoU"].published == 30.0
    assert find(table, "Newer").values["mIoU"].mean is None and not find(table, "Newer").wanted
    own = find(table, "Model")
    assert own.values["R@1,IoU=0.5"].mean == 51.0
    assert own.values["R@1,IoU=0.5"].difference == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("printed", "verdict"), [(55.0, "above"), (56.0, "within interval"), (56.5, "below")]
)
def test_verdicts_compare_the_printed_number_with_the_interval(
    spec, cells, published, printed, verdict
):
    write_paper(published, own_miou=printed)
    value = find(build_table(spec, cells, published), "Model").values["mIoU"]
    assert (value.interval, value.verdict) == ((56.0, 56.0), verdict)


def test_what_does_not_compare_is_called_so_with_its_reason(spec, cells, published):
    spec["rows"][2]["practice"] = {"real": {"tests": 500, "runs": 5}}
    table = build_table(spec, cells, published)
    assert find(table, "Model").values["mIoU"].verdict == "protocol differs"
    a, b = "tested on “test”, 400 pairs; the paper prints 500", "2 runs; the paper's number is of 5"
    assert table.departures == {"a": a, "b": b}
    assert any(line.startswith("≠: not comparable") for line in legend(table))
    assert any(f"a: {a}; b: {b}." in line for line in legend(table))
    document = describe(table, "1dentity")
    markdown, latex = render_markdown(document), render_latex(document)
    assert "printed (Model, Table 1) [a, b]" in markdown and "≠" in markdown
    assert "printed (Model, Table 1) [a, b]" in latex and r"$\neq$" in latex
    assert all(a in row for row in render_csv(document).splitlines() if "model/real" in row)
    assert a in render_html(document)


def test_what_hardly_matters_is_named_and_leaves_the_verdict(spec, cells, published):
    spec["rows"][2]["practice"] = {"real": {"tests": 401, "runs": 2}}
    table = build_table(spec, cells, published)
    assert find(table, "Model").values["mIoU"].verdict == "above"
    assert list(table.departures) == ["a"]
    assert "printed (Model, Table 1) [a]" in render_markdown(describe(table, "1dentity"))
    assert not any("≠" in line for line in legend(table))


def test_a_block_says_what_its_own_cells_are_of(spec, published, tmp_path):
    """Another protocol than the default: pairs, split and choice of the checkpoint, and a rank."""
    cells = {}
    for model, base in (("model", 60.0), ("rival", 70.0)):
        name = f"{model}/real/full@val_1/seed0"
        options = {"protocol": "val_1", "split": "val_1", "select": []}
        cells[name] = write_cell(tmp_path / "own", name, base=base, **options)
    spec["datasets"][0] |= {"protocol": "val_1", "protocol_about": "no split selects."}
    spec["rows"][2] |= {"prefixes": {"real": "model/real/full@val_1"}, "seeds": {"real": [0]}}
    rival = {"prefixes": {"real": "rival/real/full@val_1"}, "seeds": [0]}
    spec["rows"].append(row("Rival", "rival/full", printed={}, **rival))
    table = build_table(spec, cells, published)
    said = (
        "Real: tested on “val_1”, 400 query–moment pairs; the last epoch's weights;"
        " protocol “val_1”: no split selects."
    )
    assert said in caption(table)
    ranks = [find(table, label).values["mIoU"].rank for label in ("Model", "Rival")]
    assert ranks == [None, 1]
    assert row_label(table.rows[2], find(table, "Model")) == "Model"
    assert anchor("model/real/full@val_1/seed0") == "cell-model-real-full@val_1"
    page = render_html(describe(table, "1d"))
    assert (
        'href="#cell-rival-real-full@val_1"' in page and 'id="cell-rival-real-full@val_1"' in page
    )
    assert "\\#cell-rival-real-full@val_1}" in render_latex(describe(table, "1d"))


def test_a_row_without_cells_is_not_run_and_keeps_its_printed_numbers(spec, published):
    table = build_table(spec, {}, published)
    own = find(table, "Model")
    assert (own.status, own.values["mIoU"].verdict) == ("not run", "not run")
    assert any(line == "—: not run." for line in legend(table))


def test_a_data_set_outside_the_study_is_one_line_a_row(spec, cells, published):
    table = build_table(spec, cells, published)
    text = render_markdown(describe(table, "1dentity"))
    block = text[text.index("### Gone") :]
    assert "*Model (— not run; printed)*" in block
    assert "60.00 ± 0.50" in block and "50.00 ± 0.25" in block
    assert "Gone" not in caption(table)  # nothing was scored there


def test_the_best_printed_number_is_marked_among_three(spec, cells, published):
    table = build_table(spec, cells, published)
    ranks = [row.results["real"].values["R@1,IoU=0.5"].published_rank for row in table.rows]
    assert ranks == [None, 2, 1]
    two = [row.results["real"].values["mIoU"].published_rank for row in table.rows]
    assert two == [None, None, None]  # two numbers are no contest


def test_the_caption_names_the_printed_table(spec, cells, published):
    table = build_table(spec, cells, published)
    assert "Model, Table 1: Model against others." in caption(table)
    described = describe(table, "1dentity")
    assert described.rows[2].results["real"].values["mIoU"].verdict == "above"
    assert described.rows[0].is_quoted


def test_a_convention_of_the_data_set_is_read_and_named(spec, published, tmp_path):
    name = "model/real/full/seed0"
    folder = write_cell(
        tmp_path / "own", name, conventions={"official": {"R@1,IoU=0.5": 12.5, "mIoU": 9.0}}
    )
    spec["rows"][2]["seeds"]["real"] = [0]
    spec["datasets"][0]["convention"] = {
        "name": "official",
        "about": "as the paper",
        "is_headline": False,
    }
    table = build_table(spec, {name: folder}, published)
    assert find(table, "Model").values["R@1,IoU=0.5"].mean == 12.5
    assert "Scored by convention “official”: as the paper." in caption(table)
    # Which alone says whether an IoU of exactly m is a hit: FSAN's and Otani's need more than m
    assert "a hit at IoU m" in caption(table) and "m or better" not in caption(table)


@pytest.mark.parametrize(
    ("labels", "whose"), [("several", "those of the others"), ("annotated", "the original")]
)
def test_people_are_the_last_row_and_no_system(tmp_path, spec, labels, whose):
    write_paper(tmp_path / "published")
    cells = {}
    for seed in (0, 1):
        name = f"model/real/full/seed{seed}"
        folder = cells[name] = write_cell(tmp_path, name)
        record = json.loads((folder / "metrics.json").read_text())
        record["facts"]["annotators"] = PEOPLE
        record["settings"]["conventions"] = {"seconds": {"labels": labels}}
        (folder / "metrics.json").write_text(json.dumps(record))
    table = build_table(spec, cells, tmp_path / "published")
    [said] = [line for line in legend(table) if line.startswith("People")]
    assert said.startswith(f"People (no system): each annotator's moment scored by {whose}")
    document = describe(table, "id")
    row = document.rows[-1]
    assert (row.label, row.model, row.seeds) == ("People (no system)", "", [])
    result = row.results["real"]
    assert {metric: value.mean for metric, value in result.values.items()} == {
        "R@1,IoU=0.5": 83.484,
        "mIoU": 71.97,
    }
    assert not any(value.rank for value in result.values.values())
    assert [cell["cell"] for cell in result.cells] == ["model/real/full/seed0"]  # which says so
    check_traceable(document)
    for form in (render_html, render_latex, render_markdown):
        assert "83.48" in form(document)
    assert ",People (no system),,,real,mIoU,people,71.97," in render_csv(document)
    last = render_terminal(document, tmp_path / "table1", 100)
    assert "People (no system)" in last and '--row "Model"' in next_steps(document, tmp_path / "x")
    spec["datasets"][0]["convention"] = {"name": "other", "about": "else", "is_headline": True}
    other = build_table(spec, cells, tmp_path / "published")
    assert not any(line.startswith("People") for line in legend(other))
    assert describe(other, "id").rows[-1].label != "People (no system)"
