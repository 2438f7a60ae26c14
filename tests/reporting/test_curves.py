"""Sweeps, IoU by length and IoU ranges: what was not run is said, and nothing printed is moved.

All scores are invented.
"""

import numpy as np
import pytest

from evaluation.mirror_samples import activitynet
from invented import write_cell
from reporting.curve_samples import ABLATIONS, COUNT, LENGTHS, OPTIONS, SWEEP, Cells, spec_of
from tsgbench.config import Catalogue
from tsgbench.datasets.queries import write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.query_scores import write_query_scores
from tsgbench.jobs.records import Record
from tsgbench.reporting.figures import find_kind, write_figure


@pytest.fixture
def cells(tmp_path):
    return Cells(tmp_path / "cells")


def texts(figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title() for axes in figure.axes]
    for legend in figure.legends:
        found += [text.get_text() for text in legend.get_texts()]
    return "\n".join(found)


def draw(kind, cells, **more):
    return find_kind(kind)(spec_of(kind, **more), cells.records)


def offsets(axes, label):
    """x of the marks that the legend calls so."""
    [line] = [line for line in axes.lines if line.get_label() == label]
    return list(line.get_xdata())


# Every kind ----------------------------------------------------------------------------------

KINDS = ["sweep", "iou_by_length", "iou_histogram"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_cells_every_panel_says_not_run_and_the_csv_holds_no_number(kind, cells):
    figure, rows = draw(kind, cells, datasets=("real", "other"))
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["not run"] * 2
    assert not any(row.get("mean") or row.get("queries") or row.get("mIoU") for row in rows)
    assert "The real data" in texts(figure) and "queries" not in texts(figure)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_figures_are_equal_files(kind, seeds, cells, tmp_path):
    cells.write_all(kind, seeds, ("real", "other"))
    spec = spec_of(kind, seeds, ("real", "other"))
    first = [path.read_bytes() for path in write_figure(spec, cells.records, tmp_path / "f")]
    again = [path.read_bytes() for path in write_figure(spec, cells.records, tmp_path / "f")]
    assert first == again and b"/FontFile2" in first[0] and b"/Type3" not in first[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("datasets", [("real",), ("real", "other"), ("shapes", "real", "other")])
def test_nothing_is_clipped(kind, datasets, cells):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    cells.write_all(kind, 2, datasets[:1], but=("four", "other"))
    figure, _ = draw(kind, cells, seeds=2, datasets=datasets)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


@pytest.mark.parametrize("kind", ["sweep", "iou_by_length"])
def test_printed_numbers_stand_with_the_papers_data_alone(kind, cells):
    cells.write_all(kind, datasets=("shapes",))
    more = {"stands_in": True, "datasets": ("shapes", "real")}
    for spec in (more, more | {"datasets": ("shapes",)}):
        figure, _ = draw(kind, cells, **spec)
        assert "The shapes data\nstands in for the paper's data\n" in texts(figure)
        assert ("printed" in texts(figure)) == (len(spec["datasets"]) == 2)
    # A stand-in that was not run is told by name
    printed = spec_of(kind)["printed"] | {"datasets": ["real"]}
    figure, _ = draw(kind, Cells(cells.root), **more, printed=printed)
    assert sum(line.get_label().startswith("printed") for line in figure.axes[0].lines) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_panels_name_their_split(kind, cells):
    cells.write_all(kind)
    figure, rows = draw(kind, cells)
    assert "40 queries of test, 1 seed" in texts(figure)
    assert {row["split"] for row in rows} == {"test"}


@pytest.mark.parametrize("kind", ["sweep", "iou_by_length"])
@pytest.mark.parametrize(
    ("tested", "is_drawn"), [(["test"], True), (["val_1"], False), (["test", "val_1"], False)]
)
def test_printed_numbers_stand_beside_ours_on_the_same_split_alone(kind, tested, is_drawn, cells):
    printed = spec_of(kind)["printed"] | {"splits": {"real": tested}}
    figure, _ = draw(kind, cells.write_all(kind), printed=printed)
    assert any(text.startswith("printed") for text in texts(figure).split("\n")) == is_drawn
    said = f"nothing printed beside it: the paper tests {' + '.join(tested)}"
    assert (said in texts(figure).replace("\n", " ")) != is_drawn
    # Alone they stand whatever we would test
    assert "printed" in texts(draw(kind, Cells(cells.root), printed=printed)[0])


@pytest.mark.parametrize("kind", ["sweep", "iou_histogram"])
def test_cells_of_two_splits_are_never_in_one_panel(kind, cells):
    first, second = ABLATIONS[kind][:2]
    cells.write(first).write(second, split="val_1")
    with pytest.raises(
        UserError, match=r"facts\.split: is val_1, but a panel also shows .* of test"
    ):
        draw(kind, cells)


@pytest.mark.parametrize("kind", ["iou_by_length", "iou_histogram"])
def test_seeds_that_answer_other_queries_are_refused(kind, cells):
    cells.write("full", seed=0).write("full", seed=1, ids=[f"r{row}" for row in range(COUNT)])
    with pytest.raises(UserError, match=r"seed1/scores\.parquet: scores other queries than"):
        draw(kind, cells, seeds=2)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_papers_own_convention_and_say_so(kind, cells):
    """A figure must not show another number for a cell than its paper's tables do."""
    official = {"official": {"R@1,IoU=0.5": 12.0, "mIoU": 0.0}}  # of `curve_samples`: all IoUs 0
    for ablation in ABLATIONS[kind]:
        cells.write(ablation, conventions=official)
    figure, rows = draw(kind, cells, conventions={"real": "official"})
    assert "40 queries of test, 1 seed, scored by official" in texts(figure).replace("\n", " ")
    assert {row["convention"] for row in rows} == {"official"}
    if kind == "iou_histogram":  # every query is in the first range
        assert {row["queries"] for row in rows} == {f"{COUNT}", "0"}
    else:
        found = {row.get("mIoU") or row.get("mean") for row in rows}
        assert found == ({"12", "0"} if kind == "sweep" else {"0"})
    # A data set without one has the headline's, and says nothing
    figure, rows = draw(kind, cells)
    assert "scored by" not in texts(figure)
    assert {row["convention"] for row in rows} == {"seconds"}


# Sweeps --------------------------------------------------------------------------------------


def test_a_sweep_has_means_and_spreads_over_seeds(cells):
    for seed, base in enumerate((60.0, 62.0, 67.0)):
        cells.write("one", seed=seed, base=base)
    cells.write("full")
    _, rows = draw("sweep", cells, seeds=3)
    found = {(row["x"], row["metric"]): row for row in rows}
    one, two = found["1", "R@1,IoU=0.5"], found["2", "R@1,IoU=0.5"]
    assert float(one["mean"]) == pytest.approx(43.0)  # of 40, 42 and 47
    assert float(one["std"]) == pytest.approx(np.sqrt(13), rel=1e-5) and one["seeds"] == 3
    assert (float(two["mean"]), two["std"], two["seeds"]) == (40.0, "", 1)
    assert found["4", "mIoU"]["mean"] == "" and found["vanilla", "mIoU"]["seeds_wanted"] == 3


def test_points_that_were_not_run_are_open_marks_and_break_the_line(cells):
    cells.write_all("sweep", but=("full", "vanilla"))
    figure, _ = draw("sweep", cells)
    [axes] = figure.axes
    assert offsets(axes, "not run") == [2]
    [line] = [line for line in axes.lines if line.get_label() == "mIoU"]
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False]
    assert "vanilla: not run" in texts(figure) and "vanilla, mIoU" not in texts(figure)
    assert offsets(axes, "printed best: 2 (Paper, Figure 1)") == [2, 2]


def test_fewer_seeds_at_a_point_are_said(cells):
    cells.write_all("sweep", 3).records.pop("metrics:seqpan/real/four/seed2")
    figure, _ = draw("sweep", cells, seeds=3)
    assert "40 queries of test, 3 seeds" in texts(figure) and "2 of 3 seeds at 4" in texts(figure)
    assert "vanilla, mIoU" in texts(figure) and "not run" not in texts(figure)
    assert figure.axes[0].containers  # error bars


def test_a_single_seed_has_no_error_bars(cells):
    figure, _ = draw("sweep", cells.write_all("sweep"))
    assert not figure.axes[0].containers and "40 queries of test, 1 seed" in texts(figure)


def test_systems_and_metrics_that_are_not_there_are_refused(cells):
    options = SWEEP | {"points": [{"x": 1, "system": "seqpan/none"}]}
    with pytest.raises(UserError, match="names the system 'seqpan/none', which is not among"):
        draw("sweep", cells, options=options)
    cells.write("one")
    with pytest.raises(UserError, match=r"has no 'Rank@1', which a figure draws"):
        draw("sweep", cells, options=SWEEP | {"metrics": ["Rank@1"]})


# IoU by length -------------------------------------------------------------------------------


TWINS = [f"v{row // 2}" for row in range(COUNT)]  # two queries a video


def test_intervals_hold_the_mean_of_their_videos(cells):
    cells.write("full", videos=TWINS).write("full", seed=1, videos=TWINS)
    figure, rows = draw("iou_by_length", cells, seeds=2)
    ious, lengths = np.mean(list(cells.ious.values()), axis=0), LENGTHS[::2]
    of_videos = ious.reshape(-1, 2).mean(axis=1)
    for row, (low, high) in zip(rows, [(8, 12), (12, 60), (60, np.inf)], strict=True):
        inside = (low <= lengths) & (high > lengths)
        assert row["videos"] == inside.sum() and row["queries"] == 2 * inside.sum()
        assert row["seeds"] == 2
        assert float(row["mIoU"]) == pytest.approx(of_videos[inside].mean(), rel=1e-5)
    assert f"20 videos, {(lengths < 8).sum()} in no interval" in texts(figure)
    assert "printed (Paper), 2 to 12 s: mIoU 42.99 of 130 videos" in texts(figure)
    assert "printed (Paper), from 60 s: mIoU 34.68 of 140 videos" in texts(figure)


def test_videos_count_once_however_many_queries_they_have(cells):
    videos = ["v0"] * 10 + [f"v{row}" for row in range(10, COUNT)]
    cells.write("full", videos=videos)
    _, [row] = draw("iou_by_length", cells, options={"edges_s": [0, None]})
    [ious] = cells.ious.values()
    assert (row["videos"], row["queries"]) == (31, COUNT)
    assert float(row["query_mIoU"]) == pytest.approx(ious.mean(), rel=1e-5)
    expected = np.mean([ious[:10].mean(), *ious[10:]])
    assert float(row["mIoU"]) == pytest.approx(expected, rel=1e-5)
    assert row["mIoU"] != row["query_mIoU"]


def test_elsewhere_intervals_hold_equally_many_videos(cells):
    cells.write("full", "shapes", videos=TWINS)
    options = OPTIONS["iou_by_length"] | {"intervals": 4}
    _, rows = draw("iou_by_length", cells, datasets=("shapes",), stands_in=True, options=options)
    assert [row["videos"] for row in rows] == [5] * 4


def test_points_are_an_image_and_each_is_a_video(cells):
    cells.write("full", videos=TWINS)
    figure, _ = draw("iou_by_length", cells)
    [points] = [found for found in figure.axes[0].collections if len(found.get_offsets()) == 20]
    assert points.get_rasterized()
    [iou] = cells.ious.values()
    drawn = {tuple(place) for place in np.round(points.get_offsets().data, 6).tolist()}
    expected = np.stack([LENGTHS[::2], iou.reshape(-1, 2).mean(axis=1)], axis=1)
    assert drawn == {tuple(place) for place in np.round(expected, 6).tolist()}


def test_fsans_shortest_interval_has_as_many_videos_of_val_2_as_it_prints(mirror, tmp_path):
    """What FSAN calls cases are videos. Of more than 230 s it prints 140, and the public file has
    176: no border gives both."""
    [entry] = [e for e in Catalogue.load().published["fsan"]["figures"] if e["id"] == "fig4"]
    table = activitynet(mirror, "val_2")
    name = "fsan/activitynet_captions/full/seed0"
    count = len(table)
    folder = write_cell(tmp_path, name, metrics={"mIoU": 50.0}, split="val_2")
    ious = np.linspace(0, 100, count)
    write_query_scores(
        folder / "scores.parquet", table, ["val_2"] * count, {"seconds": {"mIoU": ious}}
    )
    write_queries(tmp_path / "val_2.jsonl", table)
    records = {
        f"metrics:{name}": Record(folder / "metrics.json", {"outputs": {}}),
        "annotations:activitynet_captions": Record(
            tmp_path / "a.json", {"outputs": {"val_2.jsonl": {}}}
        ),
    }
    spec = spec_of("iou_by_length", datasets=("activitynet_captions",))
    spec["systems"] = [{"model": "fsan", "ablation": "full", "label": "FSAN", "seeds": [0]}]
    spec["options"] = {"edges_s": entry["draw"]["edges_s"]}
    _, rows = find_kind("iou_by_length")(spec, records)
    shortest, longest = entry["numbers"]["shortest_interval"], entry["numbers"]["longest_interval"]
    assert (rows[0]["from_s"], rows[0]["to_s"]) == ("2", "12")
    assert rows[0]["videos"] == shortest["cases"] == 130 and rows[0]["queries"] == 413
    assert rows[-1]["videos"] == 176 and longest["cases"] == 140
    assert sum(row["videos"] for row in rows) == len(set(table.video_ids))


def test_borders_that_fall_and_two_systems_are_refused(cells):
    cells.write_all("iou_by_length")
    with pytest.raises(UserError, match=r"edges_s: \[12, 8\] does not rise"):
        draw("iou_by_length", cells, options={"edges_s": [12, 8]})
    with pytest.raises(UserError, match="has 2 systems"):
        draw("iou_by_length", cells, systems=spec_of("iou_histogram")["systems"])


# IoU ranges ----------------------------------------------------------------------------------


def test_ranges_hold_every_query_once_and_average_counts_not_ious(cells):
    cells.write_all("iou_histogram", 2)
    figure, rows = draw("iou_histogram", cells, seeds=2)
    for ablation in ABLATIONS["iou_histogram"]:
        found = [float(row["queries"]) for row in rows if row["system"] == f"seqpan/{ablation}"]
        seeds = [cells.ious[f"seqpan/real/{ablation}/seed{seed}"] for seed in (0, 1)]
        tens = [np.minimum(ious // 10, 9) for ious in seeds]
        expected = [np.mean([(ten == i).sum() for ten in tens]) for i in range(10)]
        assert found == expected and sum(found) == COUNT
    bars = [container for container in figure.axes[0].containers if hasattr(container, "patches")]
    assert len({bar.patches[0].get_hatch() for bar in bars}) == 2  # told apart without colour


def test_systems_that_were_not_run_are_named_as_the_paper_names_them(cells):
    cells.write_all("iou_histogram", but=("other",))
    labels = {"labels": {"seqpan/other": "Paper w/o it"}}
    figure, rows = draw("iou_histogram", cells, options=labels)
    assert "not run: Paper w/o it" in texts(figure)
    assert next(row for row in rows if row["label"] == "Paper w/o it")["seeds"] == 0


def test_what_holds_for_most_points_is_said_once(cells):
    cells.write_all("sweep", 1).write("full", seed=1)
    spec = spec_of("sweep", 1)
    for system in spec["systems"]:
        system["seeds"] = [0, 1] if system["ablation"] == "full" else [0]
    figure, _ = find_kind("sweep")(spec, cells.records)
    assert "40 queries of test, 1 seed" in texts(figure) and "2 seeds at 2" in texts(figure)
    assert "1 seed at" not in texts(figure)
