"""From MP4 to answer: the moments that a cell gives of one's own video are its evaluation's."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from feature_samples import RECIPE, write_video
from inspection_samples import SENTENCES, cell_settings
from tsgbench.cli.grounding import part
from tsgbench.cli.main import main
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.features.extract import extract
from tsgbench.features.reduce import reduce
from tsgbench.features.video import probe
from tsgbench.grounding import load
from tsgbench.jobs.records import read_record, write_record
from tsgbench.text import build_vocabulary, save_word_table
from tsgbench.training.assembly import Assembly
from tsgbench.training.trainer import predict, save_tensors, seed_everything

FRAMES = {"a": 61, "b": 40, "c": 96}  # of the videos, two queries each
FAMILIES = ("ia_net", "fian", "cma", "seqpan", "fsan")
STEPS = {"reduce": {"standardize": True, "pca": {"dim": 6}}}


def note(path, phase, settings, inputs, files, facts=None):
    write_record(
        path,
        phase=phase,
        key="k",
        identity="0" * 16,
        settings=settings,
        code="none",
        inputs=inputs,
        files=files,
        facts=facts or {},
        made={},
    )
    return read_record(path)


def make_cell(root, model, **inputs):
    """A cell with random weights, made of real files by the pipeline's own functions."""
    data, cell = root / "data", root / f"results/cells/{model}/own/full/seed0"
    data.mkdir(parents=True)
    cell.mkdir(parents=True)
    videos = {name: write_video(data / f"{name}.mp4", n, seed=n) for name, n in FRAMES.items()}
    durations = np.repeat([probe(path).duration_s for path in videos.values()], 2)
    moments = durations[:, None] * [0.2, 0.6]
    ids = [f"q{row}" for row in range(6)]
    queries = Queries(ids, list("aabbcc"), list(SENTENCES), durations, moments)
    write_queries(data / "test.jsonl", queries)
    annotations = note(data / "annotations.json", "annotations", {}, {}, [data / "test.jsonl"])
    recipe = RECIPE | {"checkpoint": None}
    facts = extract(
        videos, data / "raw.h5", recipe=recipe, identity="0" * 16, threads=1, device="cpu"
    )
    clips = note(data / "raw.json", "extract", recipe, {}, [data / "raw.h5"], facts)
    reduce(data / "raw.h5", data / "f.h5", train_ids=["a", "b"], recipe=STEPS, identity="0" * 16)
    features = note(data / "f.json", "reduce", STEPS, {"clips": clips}, [data / "f.h5"])
    settings = cell_settings(model, **inputs)
    tokenizer = settings["inputs"]["tokenizer"]
    (data / "glove.txt").write_text("man 0.1 0.2 0.3\ndoor 0.3 0.1 -0.2\nopens -1 0.5 0.25\n")
    sentences = {"test": list(SENTENCES)}
    table, _ = build_vocabulary(sentences, [data / "glove.txt"], tokenizer=tokenizer)
    save_word_table(data / f"{tokenizer}.npz", table, identity="0" * 16)
    words = note(data / "words.json", "vocabulary", {}, {}, [data / f"{tokenizer}.npz"])
    read = {"annotations": annotations, "features": features, "vocabulary": words}
    files = [cell / "checkpoint.pt", cell / "predictions.parquet"]
    seed_everything(0)
    with Assembly(settings, read, torch.device("cpu")) as assembly:
        split = assembly.load("test")
        built = assembly.build_model()
        built.fit(split.queries, split.tokens)
    seed_everything(0)
    ranked = predict(built, split, [{"ranks": 5}], 1)
    save_tensors(files[0], built.state_dict())
    write_predictions(files[1], queries, ranked, split.source_clips)
    note(cell / "run.json", "train", settings, read, files)
    for path in data.glob("*.json"):  # a record names others relative to the project
        content = json.loads(path.read_text())
        for entry in content["inputs"].values():
            entry["record"] = str((root / entry["record"]).relative_to(root))
        path.write_text(json.dumps(content))
    return cell, videos


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
    assert main([*words[:3], "the door", *words[3:], "--force"]) == 1
    assert "one video and one sentence" in capsys.readouterr().err
