"""The installed package in a new folder, far from any clone: `tsgbench init`, and the guides."""

import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from guides import ROOT, block_of, lay_out
from tsgbench.cli import starting
from workflow.conftest import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in ("src", "workflow", "config", "published", "envs", "profiles"):
        shutil.copytree(ROOT / part, folder / "source" / part, ignore=leftovers)
    for part in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "Snakefile"):
        shutil.copy2(ROOT / part, folder / "source" / part)
    words = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, "."]
    done = subprocess.run(
        [sys.executable, *words], cwd=folder / "source", capture_output=True, text=True
    )
    if re.search("No module named (pip|setuptools)|Cannot import 'setuptools", done.stderr):
        pytest.skip(f"no wheel can be built here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def project(installed, tmp_path):
    """Where a user works who has no clone."""
    project = Project(tmp_path)
    project.env["PYTHONPATH"] = str(installed)
    return project


def test_a_new_folder_leads_to_a_table(project, installed, tmp_path):
    project.run("tsgbench", "init", "first")
    project.folder /= "first"
    said = project.run("python", "-c", "import tsgbench; print(tsgbench.__file__)").stdout
    assert said.startswith(str(installed))
    said = {}
    for line in lines_of_readme(project):
        said[line] = project.run("sh", "-c", line).stdout
    shown = said["tsgbench show results/first/table1.tex"]
    assert "Tiny" in shown and "Whole video" in shown
    assert "results/first/metrics/shapes/tiny/full.json" in said["dvc repro && dvc metrics show"]
    assert "didn't change, skipping" in project.run("dvc", "repro").stdout
    assert project.planned("phase_report") == {}
    ignored = project.run("git", "status", "--short", "--untracked-files=all").stdout
    assert not re.search("results/|data/|logs/|snakemake|mlflow|pyc", ignored), ignored
    # A model of this folder answers, also from elsewhere
    cell = project.folder / "results/first/cells/tiny/shapes/full/seed0"
    video = next((project.folder / "data/raw/shapes/videos").glob("shapes_test_*.mp4"))
    asked = ["tsgbench", "ground", str(video), "a red circle moves", "--cell", str(cell)]
    assert (
        "score"
        in subprocess.run(
            asked, cwd=tmp_path, env=project.env, capture_output=True, text=True, check=True
        ).stdout
    )
    assert "tiny: Tiny" in project.run("tsgbench", "models").stdout
    project.edit("models/tiny.py", "torch.tanh", "torch.sin")
    assert project.planned("phase_cells") == {"cell": 1, "phase_cells": 1}
    again = project.run("tsgbench", "init", ".", "--study", "first", check=False)
    assert again.returncode == 1 and "Snakefile: is there already" in again.stderr


def lines_of_readme(project) -> list[str]:
    """Every line of shell, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", project.read("README.md"), re.S)
    return [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]


def test_both_guides_lead_to_a_table_there(project):
    project.run("tsgbench", "init", "kitchen_project", "--study", "first")
    project.folder /= "kitchen_project"
    lay_out(project.folder)
    project.edit("kitchen.yaml", "- {model: seqpan, seeds: [0]}", "- {model: tiny, seeds: [0]}")
    project.edit("kitchen.yaml", "  seqpan:\n    model: {width: 16, heads: 2}", "  tiny:")
    for line in block_of("add_a_dataset.md", "sh").splitlines():
        last = project.run(*line.split()).stdout
    assert "Tiny" in last


def test_what_init_writes_is_the_model_of_the_guide_and_the_shipped_profile(tmp_path):
    start = ROOT / "src/tsgbench/cli/start"
    assert (start / "tiny.py.txt").read_text() == block_of("add_a_model.md", "python")
    assert (start / "tiny.yaml").read_text() == block_of("add_a_model.md", "yaml")
    profile = (ROOT / "profiles/default/config.yaml").read_text()
    starting.start(tmp_path, "first")
    assert (tmp_path / "profiles/default/config.yaml").read_text() == profile
