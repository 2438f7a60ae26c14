"""Figures: what is drawn is in the CSV, fonts are whole, and nothing is guessed."""

import csv
import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reporting.report_samples import TRAIN, statistics_record
from tsgbench.errors import UserError
from tsgbench.reporting.figures import find_kind, write_figure
from tsgbench.reporting.page import add_headline

SPEC = {
    "id": "paper/figure1",
    "kind": "moment_distribution",
    "study": "invented",
    "title": "invented numbers",
    "is_demo": False,
    "datasets": {"real": "Real", "absent": "Absent"},
    "printed": {
        "paper": "System",
        "numbers": {"average_ratio": {"real": 0.5, "absent": 0.25}},
        "reproduce": {"real": ["train"]},
    },
}


@pytest.fixture
def records(tmp_path):
    return {"real": statistics_record(tmp_path)}


def texts(figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    for axes in figure.axes:
        found += [axes.get_title()]
        if axes.get_legend():
            found += [text.get_text() for text in axes.get_legend().get_texts()]
    return "\n".join(found)


def test_the_csv_holds_every_number_of_the_part_that_the_paper_counts(records, tmp_path):
    [pdf, png, table] = write_figure(SPEC, records, tmp_path / "out" / "figure1")
    with open(table, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["dataset"], row["part"], row["queries"]) for row in rows} == {
        ("real", "train", "3")
    }
    for quantity in ("length", "start", "end", "start_end"):
        assert sum(int(row["value"]) for row in rows if row["quantity"] == quantity) == len(TRAIN)
    places = {
        (row["from"], row["end_from"]): row["value"]
        for row in rows
        if row["quantity"] == "start_end"
    }
    # Starts and ends in quarters: [0, 0.5) twice, and [0.2, 1]
    assert places == {("0.0", "0.5"): "2", ("0.0", "0.75"): "1"}
    assert pdf.read_bytes().startswith(b"%PDF") and png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "notes", [[], ["One: a note."], ["One: a note.", "A note of eighty letters. " * 3]]
)
def test_notes_stand_on_top_and_fit_the_width(notes):
    figure = Figure(figsize=(7.2, 2))
    FigureCanvasAgg(figure)
    add_headline(figure, {"is_demo": True, "notes": notes})
    assert figure.get_suptitle() == " ".join(["DEMO data, no public data set.", *notes])
    assert figure._suptitle.get_window_extent().x1 < figure.bbox.x1
    plain = Figure()
    add_headline(plain, {"notes": []})
    assert plain.get_suptitle() == ""


def test_fonts_are_whole_and_equal_figures_are_equal_files(records, tmp_path):
    first = write_figure(SPEC, records, tmp_path / "figure1")
    kept = [path.read_bytes() for path in first]
    assert b"/FontFile2" in kept[0] and b"/Type3" not in kept[0]
    assert [path.read_bytes() for path in write_figure(SPEC, records, tmp_path / "figure1")] == kept


def test_means_and_missing_data_sets_are_said(records):
    figure, _ = find_kind("moment_distribution")(SPEC, records)
    said = texts(figure)
    assert "mean 0.600" in said and "printed 0.5 (System)" in said  # (0.5 + 0.5 + 0.8) / 3
    assert "not run: not in this study" in said and "printed 0.25 (System)" in said


def test_a_printed_mean_stands_beside_ours_of_the_same_splits_alone(records):
    printed = SPEC["printed"] | {"reproduce": {}}  # nobody knows which splits the paper counted
    figure, _ = find_kind("moment_distribution")(SPEC | {"printed": printed}, records)
    assert "train + test" in texts(figure) and "printed 0.5" not in texts(figure)


def test_without_a_paper_the_whole_data_set_is_drawn(records):
    spec = SPEC | {"datasets": {"real": "Real"}, "printed": None}
    figure, rows = find_kind("moment_distribution")(spec, records)
    assert {row["part"] for row in rows} == {"train+test"} and "printed" not in texts(figure)


def test_nothing_is_clipped(records):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, _ = find_kind("moment_distribution")(SPEC, records)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_long_titles_do_not_reach_the_next_panel(records):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names = {"real": "A data set with a name that is rather long (and a remark on its version)"}
    spec = SPEC | {"datasets": names | {"absent": names["real"], "third": names["real"]}}
    figure, _ = find_kind("moment_distribution")(spec, records)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    upper = figure.axes[0:6:2]
    boxes = [axes.title.get_window_extent(canvas.get_renderer()) for axes in upper]
    assert boxes[0].x1 < boxes[1].x0 and boxes[1].x1 < boxes[2].x0 and boxes[0].x0 > 0


def test_unknown_kinds_and_unions_are_named(records):
    with pytest.raises(UserError, match="'histogram' is not known; use one of .*moment_distr"):
        find_kind("histogram")
    spec = SPEC | {"printed": {"reproduce": {"real": ["val"]}}}
    with pytest.raises(UserError, match=re.escape("no union 'val'; it has train, test")):
        find_kind("moment_distribution")(spec, records)
