"""`tsgbench init`: what it writes, and what it refuses before it writes anything."""

import pytest

from tsgbench.cli.main import main


def test_a_folder_is_written_once_and_never_over(tmp_path, capsys):
    folder = tmp_path / "My-Study"
    assert main(["init", str(folder)]) == 0
    assert "snakemake --cores 2 results/my_study/table1.tex" in capsys.readouterr().out
    study = (folder / "config/my_study.yaml").read_text()
    assert (
        "study: my_study" in study
        and 'configfile: "config/my_study.yaml"' in (folder / "Snakefile").read_text()
    )
    assert not [
        path for path in folder.rglob("*") if path.is_file() and "STUDY" in path.read_text()
    ]
    (folder / "Snakefile").unlink()
    assert main(["init", str(folder)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert not (folder / "Snakefile").exists()


@pytest.mark.parametrize("name", ["my study", "Été", "../x"])
def test_a_name_that_is_none_is_refused(tmp_path, capsys, name):
    assert main(["init", str(tmp_path / "new"), "--study", name]) == 1
    assert "a study's name has small letters" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["demo", "cells", "seqpan"])
def test_a_name_whose_results_would_lie_elsewhere_is_refused(tmp_path, capsys, name):
    assert main(["init", str(tmp_path / name)]) == 1
    assert "would be that of something else" in capsys.readouterr().err
    assert not (tmp_path / name).exists()
