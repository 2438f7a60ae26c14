"""How the jobs of a workflow get its study, of any size."""

import json
import os
import subprocess
import sys

import pytest

from tsgbench.config import export_study, load_study
from tsgbench.errors import UserError

STUDY = {"study": "long", "systems": [{"model": "prior", "seeds": [0]}]}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TSGBENCH_STUDY", "PYTHONPATH", "PATH"):  # put back afterwards
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.mark.parametrize("length", [10, 140_000, 3_000_000])
def test_a_study_of_any_length_reaches_its_jobs(tmp_path, length):
    study = STUDY | {"title": "é" * length}
    for _ in range(2):  # every job exports it again
        export_study(study, tmp_path)
        assert load_study() == (study, "the workflow's config")
    subprocess.run([sys.executable, "-c", ""], check=True)  # the kernel takes the environment
    assert len(list(tmp_path.rglob("*.json"))) == (length > 100_000)


def test_a_short_study_leaves_no_file_so_that_a_foreign_folder_can_be_planned(tmp_path):
    export_study(STUDY, tmp_path)
    assert json.loads(os.environ["TSGBENCH_STUDY"]) == STUDY
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TSGBENCH_STUDY", str(tmp_path / "gone.json"))
    with pytest.raises(UserError, match="gone.json: no such file"):
        load_study()
