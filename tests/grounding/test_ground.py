"""From MP4 to answer: the moments that a cell gives of one's own video are its evaluation's."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cell_samples import make_cell
from feature_samples import write_video
from inspection_samples import SENTENCES
from tsgbench.cli.grounding import part
from tsgbench.cli.main import main
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureWriter
from tsgbench.features.video import probe
from tsgbench.grounding import encoded_s, load
from tsgbench.grounding.cell import best_scores

FAMILIES = ("ia_net", "fian", "cma", "seqpan", "fsan")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")


@pytest.mark.parametrize("model", FAMILIES)
def test_an_answer_is_the_evaluation_s_prediction_to_the_last_digit(tmp_path, model):
    """Asked alone, of one video alone, though the evaluation had six queries side by side."""
    cell, videos = make_cell(tmp_path, model)
    rows = pq.read_table(cell / "predictions.parquet").to_pylist()
    stored = [row for row in rows if row["rank"] == 1]
    assert len(stored) == 6
    grounder = load(cell)
    for place, name in enumerate(videos):
        with grounder.encode([videos[name]]) as encoded:
            for query in (2 * place, 2 * place + 1):
                (answer,) = grounder.ground(encoded, [SENTENCES[query]])
                best, expected = answer.moments[0], stored[query]
                assert best.rank == 1
                assert (best.start_s, best.end_s) == (expected["start_s"], expected["end_s"])
                assert best.score == expected["score"]


@pytest.mark.parametrize("model", ["seqpan", "fsan"])
def test_scores_over_time_go_with_the_same_answers(tmp_path, model):
    cell, videos = make_cell(tmp_path, model)
    grounder = load(cell)
    with grounder.encode(list(videos.values()), folder=tmp_path) as encoded:
        asked = (encoded, [*SENTENCES[:2]])
        assert len(list(tmp_path.glob("tsgbench-*"))) == 1
        traced = grounder.trace(*asked, points=50, top=3, apart=0.7)
        assert [answer for answer, _ in traced] == grounder.ground(*asked, top=3, apart=0.7)
    assert not list(tmp_path.glob("tsgbench-*"))
    for answer, curve in traced:
        best = answer.moments[0]
        at_s = (np.arange(50) + 0.5) / 50 * answer.duration_s
        is_best = (best.start_s <= at_s) & (at_s < best.end_s)
        assert is_best.any() and (curve[is_best] == best.score).all()
        assert np.nanmax(curve) == best.score


def test_the_score_at_an_instant_is_that_of_the_best_moment_around_it():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 8, (30, 1))
    ranked = np.hstack([starts, starts + rng.uniform(0, 2, (30, 1)), -np.arange(30.0)[:, None]])
    ranked[25:] = np.nan
    expected = []
    for place in range(40):
        at_s = (place + 0.5) / 40 * 10
        around = [score for start_s, end_s, score in ranked if start_s <= at_s < end_s]
        expected.append(max(around, default=np.nan))
    np.testing.assert_array_equal(best_scores(ranked, 10.0, 40), expected)
    assert np.isnan(expected).any() and not np.isnan(expected).all()


def test_how_far_an_encoding_is_can_be_asked_while_it_goes_on(tmp_path, monkeypatch):
    cell, videos = make_cell(tmp_path, "seqpan")
    grounder, seen = load(cell), []
    append = FeatureWriter.append

    def watched(writer, *clips):
        append(writer, *clips)
        if writer.path.name == "clips.h5":
            seen.append((encoded_s(tmp_path), clips[-1][-1, 1]))

    monkeypatch.setattr(FeatureWriter, "append", watched)
    assert encoded_s(tmp_path) == 0.0
    with grounder.encode([videos["c"]], folder=tmp_path):
        assert encoded_s(tmp_path) == 0.0  # no more at work
    assert len(seen) > 1
    assert all(said == end_s for said, end_s in seen)
    assert seen[-1][0] == pytest.approx(12.0)


def test_unknown_words_are_named_and_broken_files_left_out(tmp_path, capsys):
    cell, videos = make_cell(tmp_path, "seqpan")
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    words = [str(videos["a"]), str(broken), "the dog opens a door", "--cell", str(cell), "--json"]
    assert main(["ground", *words]) == 1
    said = capsys.readouterr()
    (answer,) = json.loads(said.out)
    assert answer["unknown"] == ["dog"] and answer["untrained"] == []
    assert len(answer["moments"]) > 1 and answer["moments"][0]["rank"] == 1
    assert "broken.mp4: cannot be decoded" in said.err


def test_parts_that_are_gone_or_others_are_refused_with_the_remedy(tmp_path):
    cell, _ = make_cell(tmp_path, "fsan")
    record = tmp_path / "data/f.json"
    whole = record.read_text()
    record.write_text(json.dumps(json.loads(whole) | {"digest": "f" * 16}))
    with pytest.raises(UserError, match=r"f\.json: made anew since .*run snakemake"):
        load(cell)
    for phase, said in (("blank", "blank features"), ("released", "extractor is not here")):
        record.write_text(json.dumps(json.loads(whole) | {"phase": phase}))
        with pytest.raises(UserError, match=said):
            load(cell)
    record.unlink()
    with pytest.raises(UserError, match=r"f\.json: missing.*run snakemake"):
        load(cell)
    (cell / "run.json").unlink()
    with pytest.raises(UserError, match="no trained cell; train it first"):
        load(cell)


def test_a_cell_that_is_not_shown_the_video_is_refused(tmp_path):
    cell, _ = make_cell(tmp_path, "fsan", video="zero")
    with pytest.raises(UserError, match="not shown the video"):
        load(cell)


def test_arguments_are_parted_into_videos_and_sentences(tmp_path):
    video = write_video(tmp_path / "a.mp4", 8)
    assert part([str(tmp_path), "a man/woman runs"]) == ([video], ["a man/woman runs"])
    for words, said in (
        (["a dog"], "no video"),
        ([str(video)], "no sentence"),
        (["gone.mp4", "a dog"], "gone.mp4: no such video"),
    ):
        with pytest.raises(UserError, match=said):
            part(words)


def test_timeline_and_best_moment_are_written_and_never_overwritten_unasked(tmp_path, capsys):
    cell, videos = make_cell(tmp_path, "seqpan")
    figure, clip = tmp_path / "f.png", tmp_path / "c.mp4"
    words = ["ground", str(videos["c"]), "a man opens the door", "--cell", str(cell), "--json"]
    words += ["--figure", str(figure), "--clip", str(clip)]
    assert main(words) == 0
    best = json.loads(capsys.readouterr().out)[0]["moments"][0]
    assert figure.read_bytes().startswith(b"\x89PNG")
    # Frames last an eighth of a second, and those that the moment begins or ends in are whole
    assert probe(clip).duration_s == pytest.approx(best["end_s"] - best["start_s"], abs=0.25)
    before = clip.read_bytes()
    assert main(words) == 1 and clip.read_bytes() == before
    assert "f.png: is there already; name another file, or say --force" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    (tmp_path / "bad.mp4").write_text("no video")
    assert main([*words[:1], str(tmp_path / "bad.mp4"), *words[2:6]]) == 1
    said = capsys.readouterr().err
    assert "bad.mp4: cannot be decoded" in said and "clips.h5" not in said and "recipe" not in said
    video = videos["c"].read_bytes()
    assert main([*words, "--clip", str(videos["c"]), "--force"]) == 1
    assert "is what is read here; name another" in capsys.readouterr().err
    assert videos["c"].read_bytes() == video
    assert main([*words[:3], "the door", *words[3:], "--force"]) == 1
    assert "one video and one sentence" in capsys.readouterr().err
