"""The command line: teaches, refuses in one sentence, lists what there is."""

import json
from pathlib import Path

import pytest

from tsgbench.cli import PHASES, main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TSGBENCH_STUDY", raising=False)


def test_help_names_every_phase(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(phase in said for phase in PHASES)


def test_every_phase_of_the_plan_has_a_verb():
    from tsgbench.planning.layout import PHASES as PLANNED

    assert set(PHASES) == set(PLANNED)
    assert all((ROOT / "src/tsgbench/phases" / f"{phase}.py").exists() for phase in PHASES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "seqpan/shapes/ful/seed0"], "did you mean seqpan/shapes/full/seed0"),
        (["train", "seqpan/shapes/full/seed0", "--study", "nowhere.yaml"], "nowhere.yaml: no such"),
        (["evaluate", "prior/shapes/full/seed0", "--identity", "0" * 16], "changed while"),
        # A result says whose it is
        (["accept", "-n", "results/blind/none.tex"], "no result of study 'blind'"),
        (["accept", "-n", "results/seqpan/none.tex"], "no result of study 'demo'"),
        (["accept", "-n", "results/mine/table1.tex"], "is of study 'mine'; name its config with"),
        (
            ["explain", "results/paper/none.tex"],
            "snakemake results/paper/none.tex --configfile config/paper.yaml",
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
