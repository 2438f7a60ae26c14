"""Verbs in a folder of one's own, with data, a model and a convention that only it has."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from guides import ROOT, forget, lay_out
from tsgbench import outside
from tsgbench.cli.main import main
from tsgbench.config import default_study, find_study, load_study, studies_here
from tsgbench.errors import UserError
from tsgbench.planning.study import Study
from tsgbench.running.job import run_job


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What `tsgbench init` writes, with the guide's kitchen and a convention; data are gathered."""
    folder = tmp_path_factory.mktemp("stranger") / "first"
    assert main(["init", str(folder)]) == 0
    lay_out(folder)
    shipped = yaml.safe_load((ROOT / "config/conventions.yaml").read_text())
    mine = {"mine": {**shipped["seconds"], "title": "mine", "compare": ">", "datasets": {}}}
    (folder / "config/conventions.yaml").write_text(yaml.safe_dump(mine))
    content = yaml.safe_load((folder / "kitchen.yaml").read_text())
    content["datasets"]["kitchen"]["own"]["conventions"] = ["mine"]
    content["systems"] = [{"model": "tiny", "seeds": [0]}]
    del content["overrides"]
    (folder / "kitchen.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        forget()
        config, source = load_study("kitchen")
        study = Study(config, source=source)
        for phase in ("gather", "annotations"):
            run_job(study, study.find_key(phase, "kitchen"))
    yield folder
    forget()
    outside.open_folder(ROOT)


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TSGBENCH_STUDY", raising=False)
    monkeypatch.delenv("TSGBENCH_MIRROR", raising=False)
    return folder


def said(capsys, *words: str) -> str:
    """What a verb refuses, in one sentence."""
    assert main([*words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tsgbench: error: ") and error.count("\n") == 1
    return error


def test_a_study_is_named_by_its_file_its_name_or_one_of_its_results(here, capsys):
    assert studies_here() == {"first": ["config/first.yaml"], "kitchen": ["kitchen.yaml"]}
    plans = []
    for words in (["--study", "kitchen.yaml"], ["--study", "kitchen"]):
        assert main(["plan", "results/kitchen/table1.tex", *words]) == 0
        plans.append(capsys.readouterr().out)
    assert main(["plan", "results/kitchen/table1.tex"]) == 0
    assert plans == [capsys.readouterr().out] * 2 and "jobs of study 'kitchen'" in plans[0]
    error = said(capsys, "plan", "--study", "kitchn")
    assert "--study kitchn: neither a file nor the name of a study here; did you mean" in error
    error = said(capsys, "plan", "results/chicken/table1.tex")
    assert "no file of this folder or of config/ says `study: chicken`" in error


def test_the_study_that_is_meant_is_the_one_that_the_snakefile_chooses(here, capsys):
    more = here / "config/a_second.yaml"
    more.write_text((here / "config/first.yaml").read_text().replace("y: first", "y: second"))
    try:
        assert default_study() == "config/first.yaml"
        assert find_study("second") == "config/a_second.yaml"
        (here / "copy.yaml").write_text(more.read_text())
        error = said(capsys, "plan", "--study", "second")
        assert "config/a_second.yaml and copy.yaml both say that they are it" in error
        (here / "Snakefile").rename(here / "Snakefile.kept")
        with pytest.raises(UserError, match=r"there is config/a_second\.yaml, config/first\.yaml"):
            default_study()
        (here / "Snakefile.kept").rename(here / "Snakefile")
    finally:
        more.unlink()
        (here / "copy.yaml").unlink(missing_ok=True)


def test_a_job_of_another_study_is_refused_with_the_way_to_name_it(here, capsys):
    error = said(capsys, "job", "gather", "kitchen")
    assert "study 'first' has no gather job 'kitchen'" in error
    assert error.endswith("(for another study here: --study kitchen)\n")
    error = said(capsys, "compare", "--dataset", "kitchen")
    assert error.endswith("(for another study here: --study kitchen)\n")


def test_own_data_and_an_own_convention_are_scored(here, capsys, tmp_path):
    rows = ["video_id,sentence,start_s,end_s,score", "v09,the circle moves to the right,0,1,1"]
    (tmp_path / "p.csv").write_text("\n".join([*rows, "v10,the square shrinks,2,3.5,1\n"]))
    words = ["score", str(tmp_path / "p.csv"), "--dataset", "kitchen"]
    error = said(capsys, *words)
    assert "no data set of config/datasets.yaml or of study 'first' (config/first.yaml)" in error
    assert error.endswith("add --study kitchen.yaml, which has it\n")
    assert main([*words, "--study", "kitchen", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)["numbers"]
    (mean,) = (n["value"] for n in numbers if (n["convention"], n["metric"]) == ("seconds", "mIoU"))
    assert mean == pytest.approx(75) and {n["convention"] for n in numbers} == {"seconds", "mine"}


def test_files_that_changed_since_they_were_gathered_are_not_scored(here, capsys, tmp_path):
    (tmp_path / "p.csv").write_text("video_id,sentence,start_s,end_s,score\n")
    path = here / "kitchen/annotations.csv"
    before = path.read_text()
    path.write_text(f"{before}v02.mp4,one more,1,2,train\n")
    try:
        error = said(
            capsys, "score", str(tmp_path / "p.csv"), "--dataset", "kitchen", "--study", "kitchen"
        )
        assert "have changed since they were gathered; run snakemake" in error
        assert main(["datasets", "--study", "kitchen", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)["kitchen"]
        assert listed["counts"] is None and "have changed" in listed["problem"]
    finally:
        path.write_text(before)
    assert main(["datasets", "--study", "kitchen", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kitchen"]["counts"]["test"]["kept"] == 2


def test_features_from_elsewhere_are_matched_with_own_data(here, capsys, tmp_path):
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        for number in range(1, 11):
            file[f"v{number:02d}"] = np.ones((5, 4), np.float32)
    words = ["features", "--like", str(tmp_path / "theirs.h5"), "--json"]
    assert "add --study kitchen.yaml" in said(capsys, *words, "--dataset", "kitchen")
    assert main([*words, "--study", "kitchen"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["dataset"], facts["videos"]) == ("kitchen", 10)


def test_the_schemas_are_of_the_repository_alone(here, capsys):
    assert "is no clone of the package's repository" in said(capsys, "schemas")
