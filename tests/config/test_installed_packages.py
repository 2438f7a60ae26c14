"""Packages that pip has installed: their model trains on their data, and what is broken is said."""

import importlib
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from guides import forget
from package_samples import NAME, install
from tsgbench import outside
from tsgbench.cli.main import main
from tsgbench.errors import UserError
from tsgbench.jobs.code import import_as_digested
from tsgbench.jobs.records import read_record
from tsgbench.planning.study import Study
from tsgbench.running.job import run_job

ROOT = Path(__file__).resolve().parents[2]
STUDY = {
    "study": "theirs",
    "title": "their model on their data",
    "datasets": {"lined": {"features": "blank_5s", "vectors": "learned"}},
    "systems": [{"model": "theirs", "ablations": ["blind"], "seeds": [0]}],
    "overrides": {"theirs": {"model": {"width": 8}, "train": {"epochs": 2}}},
    "tables": {"table1": {"metrics": ["mIoU"]}},
}
CELL = "theirs/lined/blind/seed0"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder into which pip has installed the package."""
    folder = tmp_path_factory.mktemp("theirs")
    install(folder / "source", folder / "site")
    return folder / "site"


@pytest.fixture
def site(installed, tmp_path, monkeypatch):
    """A copy of it that this process imports from, beside an empty project, which is the folder."""
    shutil.copytree(installed, tmp_path / "site")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/Snakefile").touch()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delenv("TSGBENCH_MIRROR", raising=False)
    importlib.invalidate_caches()
    forget()
    yield tmp_path / "site"
    for name in [name for name in sys.modules if name.partition(".")[0] == "their_moments"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    forget()
    outside.open_folder(ROOT)


def test_its_model_trains_on_its_data(site, capsys):
    assert metadata.distribution(NAME).locate_file("") == site
    study = Study(STUDY)
    train = study.find_key("train", CELL)
    assert train.modules == ("their_moments.theirs",)
    for job in study.jobs.values():
        if job.phase in ("download", "annotations", "blank", "vectors", "vocabulary", "train"):
            run_job(study, job)
    run_job(study, study.find_key("evaluate", CELL))
    facts = read_record(study.find_key("evaluate", CELL).record).facts
    assert facts["queries"] == 4 and 0 < facts["metrics"]["mIoU"] < 100
    cell = Path(train.record).parent
    assert len((cell / "history.csv").read_text().splitlines()) == 1 + 2  # epochs
    assert main(["check-model", "theirs"]) == 0
    assert main(["models"]) == 0 and "theirs: Theirs" in capsys.readouterr().out
    assert main(["score", str(cell / "predictions.parquet"), "--dataset", "lined"]) == 0
    assert "4 of 4 queries of lined (test)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        (
            "theirs.yaml",
            None,
            r"entry point tsgbench\.models: theirs = their_.*theirs\.yaml: no such",
        ),
        ("theirs.py", None, r"entry point tsgbench\.models: theirs = .*theirs\.py: no such file"),
        (
            "lines.yaml",
            None,
            r"entry point tsgbench\.datasets: lines = .*lines\.yaml: no such file",
        ),
        ("theirs.py", ("(Grounder)", ""), r"theirs\.py, line 14: Tiny is no Grounder; write class"),
        ("theirs.py", ("(Grounder)", "(nn.Module)"), r"theirs\.py, line 14: Tiny is no Grounder"),
        (
            "theirs.py",
            ("import torch\n", "import torch torch\n"),
            r"theirs\.py, line 3: not valid Py",
        ),
        (
            "theirs.py",
            ('("theirs")', '("thiers")'),
            r"registers no 'theirs'; did you mean 'thiers'",
        ),
        (
            "theirs.py",
            ("width: Size", "width: Tensor"),
            r"theirs\.py, line 18: width: settings are",
        ),
        (
            "theirs.yaml",
            ("width: 64", "widht: 64"),
            r"theirs\.yaml: .*'widht'; did you mean 'width'",
        ),
    ],
)
def test_a_broken_package_is_named_before_the_first_job(site, path, change, said, capsys):
    file = site / "their_moments" / path
    text = file.read_text()
    file.unlink()
    if change:
        assert change[0] in text
        file.write_text(text.replace(*change, 1))
    refused(
        ["models"],
        rf"^tsgbench: error: package {NAME}: .*{said}.*, or: pip uninstall {NAME}$",
        capsys,
    )


def refused(words: list[str], said: str, capsys) -> None:
    """In one sentence."""
    assert main(words) == 1
    error = capsys.readouterr().err.rstrip("\n")
    assert re.search(said, error) and "\n" not in error, error


def test_a_name_of_ours_is_refused_with_the_package(site, capsys):
    points = site / "their_moments-0.1.dist-info/entry_points.txt"
    points.write_text(points.read_text().replace("theirs = their", "seqpan = their"))
    (site / "their_moments/theirs.yaml").rename(site / "their_moments/seqpan.yaml")
    said = rf"package {NAME}: .*seqpan\.yaml: seqpan: .*config/models/seqpan\.yaml has an entry"
    refused(["models"], said, capsys)


def test_an_error_at_import_is_said_by_whatever_imports_it(site, capsys):
    file = site / "their_moments/theirs.py"
    file.write_text(file.read_text().replace("import torch\n", "import torch\nimport einopts\n", 1))
    said = (
        rf"package {NAME}: .*theirs\.py, line 4: cannot be imported \(ModuleNotFoundError: No"
        rf" module named 'einopts'\); mend it, or: pip uninstall {NAME}"
    )
    refused(["check-model", "theirs"], said, capsys)
    study = Study(STUDY)
    job = study.find_key("train", CELL)
    with pytest.raises(UserError, match=said):
        import_as_digested(*job.roots)
    file = site / "their_moments/lines.py"
    file.write_text(file.read_text() + "1 / 0\n")
    with pytest.raises(
        UserError, match=r"lines\.py, line 15: cannot be imported \(ZeroDivisionError"
    ):
        import_as_digested(*study.find_key("annotations", "lined").roots)
