"""Every line that the documents tell people to type, as it stands there, in one project, in order.

What cannot be run here is named below with its reason; every other line is run, and must succeed.
"""

import re
import shutil
import sys
from pathlib import Path

import pytest

from workflow.conftest import ROOT, Project

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "config/README.md", "docs/*.md")
# Followed in a new folder, with the files that they name, by tests of their own (guides.py)
GUIDES = "add_a_*.md"
# Planned only, with `-n`, since a run takes long or needs what is far away
DRY = {
    "make report": "some seventy jobs",
    "make real": "a download of 97 MB, and an hour",
    "make real-quick": "a download of 97 MB",
    "TSGBENCH_MIRROR=/path/or/url make blind": "downloads",
    "snakemake --cores 8 papers results/report.html": "some seventy jobs",
    "snakemake --cores 8 results/blind/table1.tex --configfile config/blind.yaml": "downloads",
    "snakemake --cores 8 download --configfile config/paper.yaml": "downloads",
    "snakemake --cores 8 download --configfile config/released_features.yaml": "downloads",
    "snakemake --cores 8 --resources gpu=1 --configfile config/released_features.yaml": "downloads",
    "snakemake everything --configfile config/paper.yaml --profile profiles/slurm": "a cluster",
    "snakemake --profile profiles/slurm results/table1.tex": "a cluster; test_slurm.py has one",
}
NOT_RUN = {
    "make test": "these very tests",
    "make test-fast": "these very tests",
    "make env": "downloads the environment that these tests run in",
    "make lock": "needs uv and the network, and writes the lock anew",
    "make lint": "of the whole repository, tests and benchmarks included",
    ". .venv/bin/activate": "the tests' own environment stands in for it",
    "tsgbench ui": "a server, which does not end",
    "tsgbench compare": "a server, which does not end",
    ".venv/bin/tsgbench demo": "a server, which does not end; test_demo_page.py has one",
    "tsgbench demo": "likewise",
    "tsgbench demo --cell CELL --cell OTHER --videos FOLDER --open": "likewise",
    "tsgbench verify": "test_verify.py does, on results that no line above has made anew",
    "tsgbench verify --retrain 1 --seed 3": "likewise",
    "tsgbench bundle results/table1.tex --out artifact.zip": "test_bundle.py does, likewise",
    "tsgbench bundle --out everything.zip": "likewise",
    "tsgbench bundle results/table1.tex --with-data": "likewise",
    "tsgbench bundle results/table1.tex --anonymous": "likewise",
    "tsgbench sources --adopt FOLDER": "test_adoption.py does, on folders of its own",
    "tsgbench features --like FOLDER": "test_foreign_features.py does, on files of every layout",
    "tsgbench pdf results/report.tex": "of the report, which test_pipeline.py makes",
    "dvc exp run -S config/demo.yaml:overrides.seqpan.train.epochs=3": "test_dvc.py does",
    "dvc plots diff HEAD": "likewise",
    "tsgbench plan --cost results/table1.tex --logs docs/costs.json": "test_costs.py does",
    "python workflow/scripts/costs.py measure --keep docs/costs.json PROJECT_FOLDER …": "likewise",
    "python workflow/scripts/costs.py page": "likewise",
    "git clone URL tsgbench && cd tsgbench": "these tests run in a checkout",
    "mlflow server --host 0.0.0.0 --backend-store-uri sqlite:///mlflow.db": "likewise, a server",
}
# Names that stand for a reader's own files
STANDS_FOR = {
    "FILE.h5": "data/features/shapes/c3d_random_stats_w16s8_pca128.h5",
    "VIDEO.mp4": "data/raw/shapes/videos/shapes_test_0000.mp4",
    "PREDICTIONS": "results/cells/prior/shapes/full/seed0/predictions.parquet",
}


def told_lines(root: Path = ROOT) -> list[str]:
    """The lines of every block of shell, without their comments."""
    lines = []
    for path in (path for pattern in DOCUMENTS for path in sorted(root.glob(pattern))):
        if path.match(GUIDES):
            continue
        for block in re.findall(
            r"^```(?:sh|shell|bash|console)\n(.*?)^```", path.read_text(), re.S | re.M
        ):
            lines += [re.sub(r"\s+# .*", "", line) for line in block.splitlines()]
    return [line for line in lines if line]


def test_every_line_named_here_is_told():
    assert (DRY | NOT_RUN).keys() <= set(told_lines())


def test_comments_and_other_languages_are_no_lines(tmp_path):
    (tmp_path / "README.md").write_text(
        "```sh\nmake x   # why\n\nls a#b\n```\n```yaml\nstudy: a\n```\n"
    )
    assert told_lines(tmp_path) == ["make x", "ls a#b"]


@pytest.fixture
def ready(project) -> Project:
    """The project, with its environment where `make` keeps it, under git as DVC wants it."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, project.folder / name)
    environment = project.folder / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(Path(sys.executable).parent)
    (environment / ".ready").touch()
    project.run("git", "init", "-q")
    return project


@pytest.mark.slow
def test_every_line_runs(ready):
    for line in dict.fromkeys(told_lines()):
        if line in NOT_RUN:
            continue
        for name, file in STANDS_FOR.items():
            line = line.replace(name, file)
        for command in dry(ready, line) if line in DRY else [line]:
            done = ready.run("sh", "-c", command, check=False)
            assert done.returncode == 0, f"{line}\n({command})\n{done.stdout}\n{done.stderr}"


def dry(project: Project, line: str) -> list[str]:
    """The line with `-n`; of `make`, what it would do, each call of Snakemake with `-n`."""
    if "make " not in line.replace("snakemake ", ""):
        return [f"{line} -n"]
    told = project.run("sh", "-c", f"{line} -n").stdout.splitlines()
    calls = [call for call in told if "snakemake " in call]
    assert calls, f"{line} runs nothing: {told}"
    return [f"{call} -n" for call in calls]
