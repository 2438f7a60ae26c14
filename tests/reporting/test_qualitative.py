"""Figures of single queries: what is drawn is what was found, told apart without colours."""

import csv
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from reporting.qualitative_samples import (
    LONG,
    inspection_record,
    invented,
    make_spec,
    run_record,
)
from tsgbench.reporting.figures import find_kind, write_figure
from tsgbench.reporting.qualitative import describe_rank

KINDS = ["timelines", "alignment_maps", "attention_maps", "cross_attention"]
QUERIES = [
    invented("q0", "best", iou=0.97, better=0, worse=9),
    invented("q1", "best", iou=0.9, better=1, worse=8),
    invented("q2", "worst", iou=0.0, better=7, worse=0, sentence=LONG, places=200),
]


@pytest.fixture
def records(tmp_path):
    """Of the first system's second seed, as if the first had not been run."""
    return {
        "inspection:model/real/full/seed1": inspection_record(tmp_path / "i", QUERIES),
        "run:other/real/full/seed0": run_record(tmp_path / "o", {"q0": (1.5, 9.25), "q9": (1, 2)}),
    }


def draw(kind: str, records: dict, **more):
    figure, rows = find_kind(kind)(make_spec(kind, **more), records)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, rows, canvas.get_renderer()


def texts(figure) -> list[Text]:
    """Every visible text that says something."""
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and is_shown(text)
    ]


def is_shown(text: Text) -> bool:
    """Axes that are off, and ticks beyond the limits of theirs, have labels that nobody sees."""
    axes = text.axes
    if axes is None or text in axes.texts or text in (axes.title, axes.xaxis.label):
        return True
    if not axes.axison:
        return False
    for place, labels, limits in (
        (text.get_position()[0], axes.get_xticklabels(), axes.get_xlim()),
        (text.get_position()[1], axes.get_yticklabels(), axes.get_ylim()),
    ):
        if text in labels:
            return min(limits) <= place <= max(limits)
    return True


def said(figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


def lanes(figure, label: str) -> list:
    """The bars in the lanes of that label."""
    found = []
    for axes in figure.axes:
        for text in axes.texts:
            if text.get_text().replace("\n", " ") == label:
                place = text.get_position()[1]
                found += [bar for bar in axes.patches if bar.get_y() < place < bar.get_y() + 1]
                found = [
                    bar for bar in found if abs(bar.get_y() + bar.get_height() / 2 - place) < 0.1
                ]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_clipped_and_no_words_touch(kind, records):
    figure, _, renderer = draw(kind, records, options={"queries": 3, "maps": 3, "labels": True})
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts(figure)]
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    for (one, a), (other, b) in combinations(boxes, 2):
        gap = 0.5  # pixels: a box is a little larger than its letters
        apart = a.x1 - gap <= b.x0 or b.x1 - gap <= a.x0 or a.y1 - gap <= b.y0 or b.y1 - gap <= a.y0
        assert apart, (one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_figures_are_equal_files_with_whole_fonts(kind, records, tmp_path):
    spec = make_spec(kind, is_demo=True)
    first = write_figure(spec, records, tmp_path / "figure8")
    kept = [path.read_bytes() for path in first]
    assert [path.read_bytes() for path in write_figure(spec, records, tmp_path / "figure8")] == kept
    assert b"/FontFile2" in kept[0] and b"/Type3" not in kept[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_run_is_said(kind, records, tmp_path):
    figure, rows, _ = draw(kind, records)
    assert "not run: this study has no inspection of Model on Elsewhere" in said(figure)
    assert {"source": "measured", "dataset": "elsewhere", "note": "not run"} in rows
    figure, rows, _ = draw(kind, {})
    assert said(figure).count("not run") == 2
    assert not [row for row in rows if row["source"] == "measured" and "start_s" in row]


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_that_stands_in_is_told_from_the_papers(kind, records):
    assert "stands in" not in said(draw(kind, records)[0])
    words = said(draw(kind, records, stands_in=True)[0])
    assert "Real, val_2, which stands in for the data of the paper" in words
    assert "Elsewhere, which" not in words


def test_spans_are_those_of_the_inspection_and_of_the_prediction_file(records):
    figure, rows, _ = draw("timelines", records)
    measured = [row for row in rows if row["source"] == "measured" and "start_s" in row]
    assert [row["query_id"] for row in measured] == ["q0"] * 3 + ["q2"] * 2  # best, then worst
    assert all(0 <= float(r["start_s"]) < float(r["end_s"]) <= r["duration_s"] for r in measured)
    other = next(row for row in measured if row["system"] == "Other")
    assert (other["start_s"], other["end_s"], other["iou"]) == ("1.5000", "9.2500", "0.0000")
    [bar] = lanes(figure, "Other")
    assert (bar.get_x(), bar.get_width()) == (1.5, 7.75)
    notes = {
        (r["query_id"], r["system"]): r["note"] for r in rows if "query_id" in r and "note" in r
    }
    assert notes == {
        ("q2", "Other"): "not answered",
        ("q0", "Model without it"): "not run",
        ("q2", "Model without it"): "not run",
    }
    assert said(figure).count("not answered") == 1


def test_the_first_system_that_was_inspected_chooses_the_queries(tmp_path):
    records = {"inspection:other/real/full/seed0": inspection_record(tmp_path, QUERIES)}
    figure, rows, _ = draw("timelines", records, options={"queries": 1, "labels": True})
    assert [(row["system"], row.get("note")) for row in rows if row.get("query_id")] == [
        ("ground truth", None),
        ("Model", "not run"),
        ("Other", None),
        ("Model without it", "not run"),
    ]
    [bar] = lanes(figure, "Other")
    assert bar.get_x() == QUERIES[0].predictions[0, 0]


def test_systems_can_be_told_apart_without_colours(records):
    figure, _, _ = draw("timelines", records)
    looks = [{bar.get_hatch() for bar in lanes(figure, label)} for label in ("Model", "Other")]
    truth = {bar.get_hatch() for bar in lanes(figure, "Ground truth")}
    assert len(lanes(figure, "Ground truth")) == 2 and truth == {None}
    assert looks[0] != looks[1] and None not in looks[0] | looks[1]
    figure, _, _ = draw("alignment_maps", records)
    strips = [axes for axes in figure.axes if len(axes.patches) == 1]
    assert [strip.patches[0].get_hatch() is None for strip in strips] == [True, False] * 2


def test_the_alignment_map_has_a_row_a_word_and_no_padding(records):
    figure, rows, _ = draw("alignment_maps", records)
    for query in (QUERIES[0], QUERIES[2]):
        image = next(
            axes
            for axes in figure.axes
            if [label.get_text() for label in axes.get_yticklabels()] == query.words
        ).images[0]
        assert np.array_equal(image.get_array(), query.maps["attention"].T)
        lines = [row for row in rows if row.get("query_id") == query.query_id and "map" in row]
        assert [row["at"] for row in lines] == query.words
        assert all(len(row["values"].split()) == len(query.clips_s) for row in lines)


def test_attention_maps_name_every_column(records):
    figure, rows, _ = draw("attention_maps", records)
    query = QUERIES[0]
    between = [axes for axes in figure.axes if axes.get_title().startswith("Between")]
    within = [axes for axes in figure.axes if axes.get_title().startswith("Within")]
    assert len(between) == len(within) == 3
    for block, axes in enumerate(between, start=1):
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels == [*query.words, "[pad 1]", "[pad 2]"]
        values = query.maps[f"attention{block}_clips_over_words"]
        assert np.array_equal(axes.images[0].get_array(), values)
        assert axes.get_title().endswith(f"(black: {values.max():.2f})")
    drawn = {row["map"] for row in rows if "map" in row}
    kinds = ("clips_over_words", "clips_over_clips")
    assert drawn == {name for name in query.maps if name.endswith(kinds)}


def test_a_model_without_the_map_says_so(tmp_path):
    query = invented("q0", "best", maps={})
    records = {"inspection:model/real/full/seed0": inspection_record(tmp_path, [query])}
    words = said(draw("alignment_maps", records)[0])
    assert "Model makes no map 'attention' as it is set here" in words
    assert said(draw("attention_maps", records)[0]).count("makes no such map") == 2
    words = said(draw("cross_attention", records)[0])
    assert "Model makes no attention between its modalities as it is set here" in words


def test_cross_attention_is_of_the_middle_clip_and_of_the_named_word(records):
    options = {"queries": 1, "word": "door"}
    figure, rows, _ = draw("cross_attention", records, options=options)
    query = QUERIES[0]
    over_words, over_clips = (
        next(row for row in rows if row.get("map") == name)
        for name in ("attention3_clips_over_words", "attention2_words_over_clips")  # the last ones
    )
    clip = 9  # of 20: the moment is 30 to 60 s of 100 s, its middle 45 s
    assert over_words["at"] == "45.00-50.00s" and over_words["over"].split() == query.words
    expected = query.maps["attention3_clips_over_words"][clip, :5]
    assert [float(x) for x in over_words["values"].split()] == pytest.approx(expected, rel=1e-3)
    assert over_clips["at"] == "door" and "“door”\nover the clips" in said(figure)
    expected = query.maps["attention2_words_over_clips"][query.words.index("door")]
    assert [float(x) for x in over_clips["values"].split()] == pytest.approx(expected, rel=1e-3)
    heights = {round(bar.get_height(), 6) for axes in figure.axes for bar in axes.patches}
    assert {round(float(x), 6) for x in expected} <= heights


def test_queries_with_the_word_come_first_and_others_say_what_they_show(tmp_path):
    queries = [
        invented("q0", "best", better=0, worse=9),
        invented("q1", "worst", better=9, worse=0, sentence="somebody is eating a pie"),
    ]
    records = {"inspection:model/real/full/seed0": inspection_record(tmp_path, queries)}
    figure, rows, _ = draw("cross_attention", records, options={"word": "eat"})
    assert "“eating”\nover the clips" in said(figure) and "“somebody" in said(figure)
    figure, rows, _ = draw("cross_attention", records, options={"word": "fly"})
    taken = queries[0].maps["attention3_clips_over_words"][9, :5]
    assert f"“{queries[0].words[taken.argmax()]}”\nover" in said(figure)
    assert "No word here is “fly…”: the one that the clip takes most of is shown" in said(figure)


def test_panels_name_their_split_and_each_query_its_own(tmp_path):
    queries = [
        invented("q0", "best", better=0, worse=9),
        invented("q1", "worst", better=9, worse=0, split="val_1"),
    ]
    records = {"inspection:model/real/full/seed0": inspection_record(tmp_path, queries)}
    for kind in KINDS:
        words = said(draw(kind, records, options={"queries": 2, "maps": 2})[0])
        assert "Real, val_2 + val_1\n" in words
        assert "video video_q0 of val_2" in words and "video video_q1 of val_1" in words


@pytest.mark.parametrize(
    ("role", "said_of_it"),
    [("train", "training video"), ("select", "validation video"), ("", "video of another split")],
)
def test_examples_outside_the_test_split_are_marked(tmp_path, role, said_of_it):
    unranked = {"split": "held_out", "role": role, "better": 0, "worse": 0, "of": 0}
    found = invented("q7", "example", sentence="A printed one.", **unranked)
    records = {"inspection:model/real/full/seed0": inspection_record(tmp_path, [*QUERIES, found])}
    for kind in KINDS:
        figure, rows, _ = draw(kind, records, options={"queries": 1})
        words = said(figure).replace("\n", " ")
        assert f"printed by the paper; {said_of_it}, not ranked, IoU 0.33" in words
        assert "Real, val_2" in words and "video_q7 of held_out" in words
        [row] = [row for row in rows if row.get("system") == "ground truth" and "role" in row]
        assert (row["split"], row["role"]) == ("held_out", role)


def test_each_figure_shows_its_own_examples_and_names_those_it_lacks(tmp_path):
    other = invented("q8", "example", sentence="Of another figure of the paper.")
    found = invented("q7", "example", sentence="A printed one.")
    inspected = [other, *QUERIES, found]
    records = {"inspection:model/real/full/seed0": inspection_record(tmp_path, inspected)}
    figure, rows, _ = draw("timelines", records, options={"queries": 9})
    order = [row["query_id"] for row in rows if row["source"] == "measured" and "query_id" in row]
    assert list(dict.fromkeys(order)) == ["q7", "q0", "q2", "q1"]
    lacking = "printed by the paper, not among the queries that were looked at: “Another.”"
    assert lacking in said(figure)
    assert lacking not in said(draw("timelines", records, stands_in=True)[0])


def test_regions_stand_between_the_truth_and_the_system(records):
    figure, _, _ = draw("timelines", records, options={"queries": 1, "labels": True})
    axes = next(
        axes for axes in figure.axes if "Ground truth" in [t.get_text() for t in axes.texts]
    )
    labels = [t.get_text() for t in axes.texts if t.get_position()[0] < 0]
    assert [label.replace("\n", " ") for label in labels] == [
        "Ground truth",
        "Regions, truth (GSL)",
        "Other",
        "Model without it",
        "Regions, found (PSL)",
        "Model",
    ]
    for label, regions in (
        ("Regions, truth (GSL)", QUERIES[0].regions_true),
        ("Regions, found (PSL)", QUERIES[0].regions_found),
    ):
        edges = [0, *np.flatnonzero(np.diff(regions)) + 1]
        assert [bar.get_x() for bar in lanes(figure, label)] == pytest.approx(
            [5.0 * e for e in edges]
        )
    looks = {bar.get_hatch() for bar in lanes(figure, "Regions, truth (GSL)")}
    assert len(looks) == 3  # outside and inside have none, and differ in grey
    assert "B: begin" in said(figure) and "B: begin" not in said(draw("timelines", records)[0])


def test_printed_examples_are_drawn_where_found_and_listed_always(tmp_path):
    found = invented("q7", "example", sentence="A printed one.")
    records = {"inspection:model/real/full/seed0": inspection_record(tmp_path, [*QUERIES, found])}
    figure, rows, _ = draw("timelines", records, options={"queries": 2})
    printed = {
        (r["sentence"], r["system"]): r.get("start_s") for r in rows if r["source"] == "printed"
    }
    assert printed == {
        ("A printed one.", "ground truth"): "30.0000",
        ("A printed one.", "Model"): "31.0000",
        ("A printed one.", "LGI"): "0.0000",
        ("A printed one.", "Model w/o matching"): "2.0000",
        ("Another.", "ground truth"): "1.0000",
        ("Another.", "unassigned"): None,  # four numbers, of nobody knows which system
    }
    assert "printed by the paper" in said(figure)
    [bar] = lanes(figure, "Model, printed")
    assert (bar.get_x(), bar.get_width(), bar.get_linestyle()) == (31.0, 28.0, (0, (2, 1.5)))
    order = [row["query_id"] for row in rows if row["source"] == "measured" and "query_id" in row]
    assert list(dict.fromkeys(order)) == ["q7", "q0"]


def test_queries_may_be_counted_by_data_set(records):
    options = {"queries": {"elsewhere": 2, "third": 1}}
    words = said(draw("timelines", records, options=options)[0])
    assert "Real" not in words and "not run" in words  # none is asked of Real, two of Elsewhere
    stands_in = draw("timelines", records, options=options, stands_in=True)[0]
    assert said(stands_in).count("“") == 3  # as many as all of the paper's


def test_ranks_are_in_plain_words():
    def describe(better: int, worse: int, kind: str = "best") -> str:
        return describe_rank(invented("q", kind, iou=0.5, better=better, worse=worse, of=1240))

    assert describe(0, 1239) == "best of 1,240, IoU 0.50"
    assert describe(0, 1200) == "one of the 40 best of 1,240, IoU 0.50"
    assert describe(1239, 0) == "worst of 1,240, IoU 0.50"
    assert describe(1000, 0) == "one of the 240 worst of 1,240, IoU 0.50"
    assert describe(2, 1230) == "no. 3 from the best of 1,240, IoU 0.50"
    assert describe(2, 1230, "example").startswith("printed by the paper; no. 3")


def test_the_csv_holds_the_rows(records, tmp_path):
    *_, table = write_figure(make_spec("alignment_maps"), records, tmp_path / "figure8")
    with open(table, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["source"] for row in rows} == {"measured", "printed"}
    assert {row["figure"] for row in rows} == {"paper/figure8"}
    assert len([row for row in rows if row["map"]]) == len(QUERIES[0].words) + len(QUERIES[2].words)
