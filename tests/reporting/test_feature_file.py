"""What a feature file says of itself, and features of one's own files by the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from feature_samples import sample_features, write_features, write_video
from tsgbench.cli.main import main
from tsgbench.features.reduce import reduce
from tsgbench.features.store import FeatureStore
from tsgbench.reporting.feature_file import as_text, cover, describe, pick, plot

ROOT = Path(__file__).resolve().parents[2]


def reduced(folder: Path) -> Path:
    features = sample_features(5)
    raw = write_features(folder / "raw.h5", features)
    recipe = {"reduce": {"pca": {"dim": 3, "whiten_power": 0}}}
    reduce(raw, folder / "f.h5", train_ids=list(features), recipe=recipe, identity="me")
    return folder / "f.h5"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([[0, 2], [2, 4]], "----"),
        ([[0, 2], [1, 3], [2, 4]], "-==-"),
        ([[0, 1], [3, 4]], "-  -"),
        ([[0, 4]] * 5, "####"),
    ],
)
def test_the_time_axis_counts_clips(times, expected):
    assert cover(np.array(times, float), 4.0, 4) == expected


def test_videos_are_picked_evenly():
    assert pick(list("abcdefg"), 3) == ["a", "d", "g"]
    assert pick(["a"], 6) == ["a"]


def test_facts_are_those_of_the_file(tmp_path):
    path = reduced(tmp_path)
    facts = describe(path, videos=2)
    assert (facts["videos"], facts["dim"], len(facts["shown"])) == (5, 3, 2)
    with FeatureStore(path) as store:
        clips, times = store.read(facts["shown"][0]["video"])
        variance = store.arrays()["variance"]
    shown = facts["shown"][0]
    assert shown["clips"] == len(clips) and shown["to_s"] == times[-1, 1]
    assert shown["clip_s"] == 2 and shown["step_s"] == 1
    assert facts["explained_variance"] == pytest.approx(variance.sum()) and len(variance) == 3
    assert (np.diff(variance) <= 0).all() and 0.5 < variance.sum() <= 1
    text = as_text(facts)
    assert "weights          random, seed 0" in text and "kept by the PCA" in text
    json.dumps(facts)


@pytest.mark.parametrize(("name", "head"), [("f.png", b"\x89PNG"), ("f.pdf", b"%PDF")])
def test_the_figure_is_written(tmp_path, name, head):
    path = reduced(tmp_path).rename(tmp_path / r"$\frac$.h5")  # no mathematics
    plot(path, tmp_path / name, videos=2)
    made = (tmp_path / name).read_bytes()
    plot(path, tmp_path / name, videos=2)
    assert made.startswith(head) and (tmp_path / name).read_bytes() == made


def test_own_videos_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")
    videos = [str(write_video(tmp_path / f"{name}.mp4", 30)) for name in "ab"]
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    out = tmp_path / "own.h5"
    options = ["--extractor", "c3d_random_stats_w16s8", "--out", str(out)]
    assert main(["extract", *videos, *options]) == 0
    assert "2 videos, 6 rows of 600, weights random, seed 0" in capsys.readouterr().out
    assert main(["features", str(out), "--plot", str(tmp_path / "own.png")]) == 0
    assert "own.h5: 2 videos, 600 numbers a row" in capsys.readouterr().out
    kept = out.read_bytes()
    assert main(["extract", *videos, str(bad), *options]) == 1
    assert "own.h5: is there already; name another file, or say --force" in capsys.readouterr().err
    assert out.read_bytes() == kept
    assert main(["extract", *videos, str(bad), *options, "--force"]) == 1
    assert "left out" in capsys.readouterr().err
    listed = (tmp_path / "own.failed.csv").read_text().splitlines()
    assert len(listed) == 2 and listed[1].startswith("bad,") and "bad.mp4" in listed[1]
    with FeatureStore(out) as store:
        assert store.video_ids == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["a.mp4", "--out", "f.h5", "--extractor", "c4d"],
            "neither an extractor (c3d, efficientnet_lite0, i3d, thumbnail, vgg16)",
        ),
        (["a.mp4", "x/a.mp4", "--out", "f.h5", "--extractor", "c3d"], "has the same name"),
    ],
)
def test_own_videos_wrongly_asked_for(words, said, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["extract", *words]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_is_read_is_never_written_over(tmp_path, monkeypatch, capsys):
    """Features took the place of the only copy of a video, with status 0."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")
    video, features = write_video(tmp_path / "a.mp4", 30), reduced(tmp_path)
    (tmp_path / "link.h5").symlink_to(video)
    extract = ["extract", str(video), "--extractor", "thumbnail_8x8_3fps", "--out"]
    (tmp_path / "figure.png").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for words, said in (
        ([*extract, str(video)], "a.mp4: is what is read here; name another file"),
        ([*extract, str(video), "--force"], "a.mp4: is what is read here; name another file"),
        ([*extract, str(tmp_path / "link.h5"), "--force"], "link.h5: is what is read here"),
        ([*extract, str(tmp_path / "figure.png")], "figure.png: is there already"),
        (["features", str(features), "--plot", str(features)], "name a file that ends in .pdf"),
        (["features", str(features), "--plot", str(tmp_path / "f.docx")], "--plot: "),
        (["features", str(features), "--plot", str(tmp_path / "figure.png")], "is there already"),
    ):
        assert main(words) == 1, words
        output = capsys.readouterr()
        assert said in output.err and output.err.count("\n") == 1 and not output.out
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_own_videos_without_a_name_for_their_file_are_refused_by_the_parser(capsys):
    for words in (["a.mp4"], ["a.mp4", "--out", "f.h5"]):
        with pytest.raises(SystemExit):
            main(["extract", *words])
    said = capsys.readouterr().err
    assert "required: --out, --extractor" in said and "required: --extractor" in said
