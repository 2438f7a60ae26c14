"""The whole pipeline on a miniature of the demo study, run once and copied for each test."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from workflow.warm import warm_commands

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "Snakefile",
    "workflow",
    "profiles",
    "config",
    "published",
    "envs",
    "src",
    "dvc.yaml",
    ".dvc",
    ".dvcignore",
    ".gitignore",
)
MINIATURE = """
study: demo
title: rendered shapes, in miniature
demo: true
datasets:
  shapes:
    features: c3d_random_stats_w16s8_pca128
    vectors: learned
    learn_vectors: {dim: 8, window: 2, seed: 0}
    render: {videos: {train: 10, val: 3, test: 4}}
systems:
  - {model: whole_video, seeds: [0]}
  - {model: prior, seeds: [0]}
  - {model: seqpan, ablations: [full], seeds: [0]}
overrides:
  seqpan:
    model: {width: 16, heads: 2, conv_layers: 1}
    train: {epochs: 2, batch_size: 8, lr: 1.0e-3, patience: 0, select: mIoU}
tables:
  table1:
    metrics: ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", mIoU]
"""


class Project:
    """A checkout with its results, and what a user does in it."""

    def __init__(self, folder: Path, warm: Path | None = None):
        """warm: a folder of commands that start fast, for `run`; what is started with `env` alone,
        and may be killed, is real."""
        self.folder, self.warm = folder, warm
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
            "CORES": "2",
        }
        # A person's own tracking server or study must not leak into the tests
        for name in ("MLFLOW_TRACKING_URI", "TSGBENCH_STUDY", "TSGBENCH_MIRROR"):
            self.env.pop(name, None)

    def run(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        env = {**self.env, **env}
        if self.warm:
            env["PATH"] = f"{self.warm}{os.pathsep}{env['PATH']}"
        done = subprocess.run(words, cwd=self.folder, env=env, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")
        return done

    def snakemake(self, *words: str, **options) -> subprocess.CompletedProcess:
        return self.run("snakemake", "--cores", "2", *words, **options)

    def planned(self, *words: str) -> dict[str, int]:
        """Rule -> number of jobs that a dry run announces."""
        done = self.snakemake("-n", *words)
        stats = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", done.stdout, re.S)
        if stats is None:
            assert "Nothing to be done" in done.stdout + done.stderr, done.stdout + done.stderr
            return {}
        rows = [line.split() for line in stats[1].splitlines()]
        return {rule: int(count) for rule, count in rows if rule != "total"}

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert text.count(old) >= 1, f"{path} does not hold {old!r}"
        (self.folder / path).write_text(text.replace(old, new, 1))

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()


def check_out(folder: Path, warm: Path | None = None) -> Project:
    """The project's files, with the miniature as its default study."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("cache", "tmp", "*.egg-info")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / part)
    (folder / "config" / "demo.yaml").write_text(MINIATURE)
    return Project(folder, warm)


@pytest.fixture(scope="session")
def warm(tmp_path_factory) -> Iterator[Path]:
    """Commands that start fast, and are no children of who starts them."""
    with warm_commands(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


@pytest.fixture(scope="session")
def built(tmp_path_factory, warm) -> Project:
    """Everything made once, by whichever worker asks first; each has a copy of its own."""
    folder = tmp_path_factory.mktemp("built") / "project"
    # Of several workers, each has a folder in one that they share
    shared = tmp_path_factory.getbasetemp()
    shared = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "made_once"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            project = check_out(folder, warm)
            project.snakemake("phase_report")
            whole = shutil.copytree(folder, f"{shared}.partial", symlinks=True)
            os.rename(whole, shared)
    if not folder.exists():
        shutil.copytree(shared, folder, symlinks=True)
    return Project(folder, warm)


@pytest.fixture
def project(built, tmp_path) -> Project:
    """A copy of the built project, free to be damaged."""
    shutil.copytree(built.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", built.warm)
