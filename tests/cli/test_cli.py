"""The command line: teaches, refuses in one sentence, lists what there is."""

import json
import re
from pathlib import Path

import h5py
import pytest

from tsgbench.cli.main import PHASES, main
from tsgbench.config import Catalogue

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TSGBENCH_STUDY", raising=False)


def test_help_names_every_phase(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["job", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"  {phase:<13}{about}\n" in said for phase, about in PHASES.items())


def test_help_lists_every_verb_under_its_group(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    verbs = ["plan", "explain", "accept", "track", "pdf", "models", "datasets", "sources"]
    for verb in [*verbs, "features", "extract", "job", "schemas"]:
        assert re.search(rf"^  {verb} ", said, re.M), verb
    assert said.index("a study and its results:") < said.index("  plan") < said.index("what there")


@pytest.mark.parametrize("words", [["plan"], ["models", "--json"]], ids=" ".join)
def test_a_project_can_be_named_from_any_folder(words, capsys, tmp_path, monkeypatch):
    main(words)
    there = capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["--project", str(ROOT), *words]) == 0
    assert capsys.readouterr().out == there


def test_a_project_that_is_not_there_is_called_so(capsys, tmp_path):
    assert main(["--project", str(tmp_path / "none"), "plan"]) == 1
    said = capsys.readouterr().err
    assert (
        said.startswith(f"tsgbench: error: {tmp_path / 'none'}: no such") and said.count("\n") == 1
    )


def test_every_phase_of_the_plan_has_a_verb():
    from tsgbench.jobs.layout import PHASES as PLANNED

    assert set(PHASES) == set(PLANNED)
    assert all((ROOT / "src/tsgbench/phases" / f"{phase}.py").exists() for phase in PHASES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["job", "train", "seqpan/shapes/ful/seed0"], "did you mean seqpan/shapes/full/seed0"),
        (
            ["job", "train", "seqpan/shapes/full/seed0", "--study", "nowhere.yaml"],
            "nowhere.yaml: no such",
        ),
        (["job", "evaluate", "prior/shapes/full/seed0", "--identity", "0" * 16], "changed while"),
        # A result says whose it is
        (["accept", "-n", "results/blind/none.tex"], "no result of study 'blind'"),
        (["accept", "-n", "results/seqpan/none.tex"], "no result of study 'demo'"),
        (
            ["accept", "-n", "results/mine/table1.tex"],
            "is of study 'mine', and no file of this folder",
        ),
        (
            ["explain", "results/paper/none.tex"],
            "snakemake --cores 8 results/paper/none.tex --configfile config/paper.yaml",
        ),
    ],
)
def test_user_errors_are_one_sentence_and_status_one(words, said, capsys, tmp_path, monkeypatch):
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("tsgbench: error: ") and said in error
    assert "Traceback" not in error and error.count("\n") == 1


def test_models_are_listed_with_their_ablations(capsys):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"seqpan", "random", "whole_video", "prior"} <= set(listed)
    assert {"full", "blind", "mismatched", "query_shuffled"} <= set(listed["seqpan"])
    assert main(["models"]) == 0
    assert "seqpan table6: SGPA" in capsys.readouterr().out


def test_the_plan_lists_every_job(capsys):
    assert main(["plan", "--json", "--study", "config/blind.yaml"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"download", "blank", "train", "table"} <= {row["phase"] for row in rows}
    assert all(len(row["identity"]) == 16 for row in rows)


OUTSIDE = [
    *(["plan"], ["models"], ["datasets"], ["sources"], ["schemas"], ["track"]),
    *(["accept", "--dry-run"], ["job", "train", "x"], ["sources", "--study", "x.yaml"]),
    ["extract", "a.mp4", "--extractor", "i3d", "--out", "o.h5"],
]


@pytest.mark.parametrize("words", OUTSIDE, ids=" ".join)
@pytest.mark.parametrize("place", ["elsewhere", "below"])
def test_outside_a_project_every_verb_says_where_it_is_expected(
    words, place, capsys, tmp_path, monkeypatch
):
    (tmp_path / "x.yaml").write_text("study: x\n")
    if place == "below":
        (tmp_path / "config").mkdir()
        (tmp_path / "config/datasets.yaml").write_text("{}")
    here = tmp_path / "deep"
    here.mkdir()
    (here / "x.yaml").write_text("study: x\n")
    monkeypatch.chdir(here)
    Catalogue.load.cache_clear()
    assert main(words) == 1
    said = capsys.readouterr().err
    expected = f"go to {tmp_path}," if place == "below" else "the folder that holds Snakefile"
    assert f"{here}: no project of tsgbench (no config/datasets.yaml)" in said and expected in said
    assert said.count("\n") == 1 and sorted(path.name for path in here.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(13, "Permission denied", "data/x.h5"),
            "data/x.h5: permission denied; ask",
        ),
        (OSError(116, "Stale file handle", "data/x.h5"), "data/x.h5: stale file handle; the net"),
        (OSError(5, "Input/output error"), "input/output error; the disk"),
        (OSError("of a library"), "of a library"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_in_any_phase(error, said, capsys, monkeypatch):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr("tsgbench.running.job.run_job", refuse)
    assert main(["job", "render", "shapes"]) == 1
    assert capsys.readouterr().err.startswith(f"tsgbench: error: {said}")


@pytest.mark.parametrize("kind", ["folder", "text", "HDF5"])
def test_features_of_something_else_are_called_so_and_nobody_is_told_to_delete(
    kind, capsys, tmp_path
):
    path = tmp_path / "theirs.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("notes")
    else:
        with h5py.File(path, "w") as file:
            file["v_a/c3d_features"] = [[1.0, 2.0]]
    assert main(["features", str(path)]) == 1
    said = capsys.readouterr().err
    assert "not a feature file of tsgbench" in said and "delete" not in said
    assert said.count("\n") == 1 and path.exists()


def test_nothing_is_not_verified(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # which the verb leaves
    for name in ("config", "published"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert main(["--project", str(tmp_path), "verify"]) == 1
    assert "has no result here, so there is nothing to verify" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", ""], "an argument is empty (after show)"),
        (["plan", ""], "an argument is empty (after plan)"),
        (["plan", "--study="], "an argument is empty (--study=)"),
        (["ground", "a.mp4", "", "--cell", "c"], "an argument is empty (after a.mp4)"),
        (["plan", "--cost", "--cores", "0"], "'0' is no whole number, at least 1"),
        (["plan", "--cost", "--cores", "1_0"], "'1_0' is no whole number, at least 1"),
        (["features", "f.h5", "--videos", "-1"], "'-1' is no whole number, at least 1"),
        (["job", "train", "c", "--threads", "0"], "'0' is no whole number, at least 1"),
        (["ui", "--port", "65536"], "'65536' is no whole number, at least 0, at most 65535"),
        (["verify", "--retrain", "-1"], "'-1' is no whole number, at least 0"),
        (["verify", "--tolerance", "nan"], "'nan' is no number from 0 to 100"),
    ],
    ids=str,
)
def test_what_no_argument_can_be_is_refused_by_the_parser(words, said, capsys):
    """An empty path was this folder, and ended in tracebacks; a tolerance of NaN let all pass."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_a_result_may_be_named_from_the_root_or_by_a_detour(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    outputs = set()
    for name in ("results/table1.tex", f"{ROOT}/results/table1.tex", "docs/../results/table1.tex"):
        assert main(["plan", name]) == 0
        outputs.add(capsys.readouterr().out)
    assert len(outputs) == 1
    assert main(["plan", f"{ROOT}/results/blind/table1.tex"]) == 0
    assert "study 'blind'" in capsys.readouterr().out


def test_no_reason_is_no_reason(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["accept", "--reason", "  "]) == 1
    assert "say why the change is harmless" in capsys.readouterr().err


def test_libraries_do_not_tell_of_every_table_of_a_font(tmp_path, monkeypatch):
    import logging

    monkeypatch.chdir(ROOT)
    for name in ("fontTools", "matplotlib"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    main(["models", "--json"])
    assert not logging.getLogger("fontTools.subset").isEnabledFor(logging.INFO)
    assert not logging.getLogger("matplotlib.font_manager").isEnabledFor(logging.INFO)
