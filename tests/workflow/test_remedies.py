"""What a message tells a user to do is done, word by word, and then what failed works.

One row a remedy: what goes wrong, the command that says so, what it says, and the remedy, which
reads from the message whatever it needs of it.
"""

import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tsgbench.files import try_lock
from video_samples import write_video
from workflow.conftest import Project

pytestmark = pytest.mark.slow

CELL = "seqpan/shapes/full/seed0"
FEATURES = "data/features/shapes/c3d_random_stats_w16s8_pca128"
TRAIN = ("tsgbench", "job", "train", CELL)
EVALUATE = ("tsgbench", "job", "evaluate", CELL)
EXPLAIN = ("tsgbench", "explain", "results/table1.tex")
GROUND = ("tsgbench", "ground", "own.mp4", "a red circle moves", "--cell", CELL)
NEED_RUNS = "from tsgbench.tracking import page; page.need_runs('sqlite:///mlflow.db')"
UI = (sys.executable, "-c", NEED_RUNS)  # what `tsgbench ui` asks before it serves for ever


@dataclass(frozen=True)
class Remedy:
    """fails: as a shell would be given it. said: with a group for what the remedy needs."""

    breaks: Callable[[Project], None]
    fails: tuple[str, ...]
    said: str
    cures: Callable[[Project, re.Match], tuple[str, ...] | None]  # may change the command


def flip(path: str) -> Callable[[Project], None]:
    """A file of the same size with one bit wrong."""

    def act(project: Project) -> None:
        content = bytearray((project.folder / path).read_bytes())
        content[len(content) // 2] ^= 1
        (project.folder / path).write_bytes(content)

    return act


def fill(path: str, content: str, encoding: str = "utf-8") -> Callable[[Project], None]:
    return lambda project: (project.folder / path).write_bytes(content.encode(encoding))


def remove(*paths: str) -> Callable[[Project], None]:
    return lambda project: [(project.folder / path).unlink() for path in paths] and None


def edit(path: str, old: str, new: str) -> Callable[[Project], None]:
    return lambda project: project.edit(path, old, new)


def both(*acts: Callable[[Project], None]) -> Callable[[Project], None]:
    return lambda project: [act(project) for act in acts] and None


def film(*names: str) -> Callable[[Project], None]:
    def act(project: Project) -> None:
        for name in names:
            (project.folder / name).parent.mkdir(exist_ok=True)
            write_video(project.folder / name, 40)

    return act


# --- remedies -------------------------------------------------------------------------------------


def run_snakemake(project: Project, match: re.Match) -> None:
    """As the user ran it: for the table."""
    project.snakemake("results/table1.tex")


def name_it_to_snakemake(project: Project, match: re.Match) -> None:
    """A plan asks for nothing that is gone, once current results are made from it."""
    project.snakemake(match["path"])


def delete_and_run_snakemake(project: Project, match: re.Match) -> None:
    (project.folder / match["path"]).unlink()
    run_snakemake(project, match)


def run_what_it_says(project: Project, match: re.Match) -> None:
    project.run(*shlex.split(match["command"]))


def move_away(project: Project, match: re.Match) -> None:
    path = project.folder / match["path"]
    path.rename(path.with_name(f"{path.name}.away"))


def move_away_and_run_what_it_says(project: Project, match: re.Match) -> None:
    move_away(project, match)
    run_what_it_says(project, match)


def save_as_utf8(project: Project, match: re.Match) -> None:
    path = project.folder / match["path"]
    path.write_text(path.read_bytes().decode("latin-1"), encoding="utf-8")


def go_there(project: Project, match: re.Match) -> tuple[str, ...]:
    return ("tsgbench", "plan")


def rename_one(project: Project, match: re.Match) -> tuple[str, ...]:
    (project.folder / match["path"]).rename(project.folder / "again" / "other.mp4")
    return (*EXTRACT[:3], "again/other.mp4", *EXTRACT[4:])


EXTRACT = ("tsgbench", "extract", "own.mp4", "again/own.mp4", "--extractor")
EXTRACT += ("c3d_random_stats_w16s8", "--out", "own.h5")
DAMAGED = r"(?P<path>\S+): does not have the SHA-256 .*; delete it and run snakemake"
MISSING = r"(?P<path>\S+): is missing though its record lists it; run snakemake"
OTHER_STUDY = "study: other\nextends: demo\ntitle: caf\u00e9\n"


def newer_store(project: Project) -> None:
    """As a later MLflow leaves it."""
    with sqlite3.connect(project.folder / "mlflow.db") as opened:
        opened.execute("update alembic_version set version_num = 'ffffffffffff'")


REMEDIES = {
    "a damaged input": Remedy(
        flip(f"{FEATURES}.h5"), TRAIN, DAMAGED + " again", delete_and_run_snakemake
    ),
    "a missing input": Remedy(remove(f"{FEATURES}.h5"), TRAIN, MISSING + " again", run_snakemake),
    "an input without its record": Remedy(
        remove(f"{FEATURES}.json"),
        TRAIN,
        r"error: (?P<path>\S+): no such file; name it to snakemake, which makes it",
        name_it_to_snakemake,
    ),
    "an input of other settings": Remedy(
        edit("config/demo.yaml", "epochs: 2", "epochs: 3"),
        EVALUATE,
        "made under other settings.*run snakemake again, it remakes",
        run_snakemake,
    ),
    "a record that is none": Remedy(
        fill(f"results/cells/{CELL}/run.json", "[]"),
        EVALUATE,
        "not a record of this version.*; run snakemake, which makes it again",
        run_snakemake,
    ),
    "a record that is no JSON": Remedy(
        fill(f"results/cells/{CELL}/run.json", "{"),
        EVALUATE,
        "not valid JSON.*; get it again, or make it again",
        run_snakemake,
    ),
    "a table that is not made": Remedy(
        remove("results/table1.provenance.json"),
        EXPLAIN,
        r"make the table first, with (?P<command>snakemake --cores 8 \S+)",
        run_what_it_says,
    ),
    "a table's numbers that are damaged": Remedy(
        fill("results/table1.provenance.json", "[]"),
        EXPLAIN,
        "write the table again",
        run_snakemake,
    ),
    "no MLflow store, but cells": Remedy(
        remove("mlflow.db"),
        UI,
        "log what is trained with `(?P<command>tsgbench track)`",
        run_what_it_says,
    ),
    "no MLflow store, and no cells": Remedy(
        both(remove("mlflow.db"), lambda project: shutil.rmtree(project.folder / "results/cells")),
        UI,
        "or train first: (?P<command>snakemake --cores 8 phase_cells)",
        run_what_it_says,
    ),
    "an MLflow store that is none": Remedy(
        fill("mlflow.db", "no database " * 1000),
        ("tsgbench", "track"),
        r"(?P<path>\S+): cannot be read as an SQLite file.*move it away, and"
        " `(?P<command>tsgbench track)` makes a new one",
        move_away_and_run_what_it_says,
    ),
    "an MLflow store of a newer MLflow": Remedy(
        newer_store,
        ("tsgbench", "track"),
        r"(?P<path>\S+): made by a newer MLflow.*move the file away and"
        " `(?P<command>tsgbench track)` makes a new one",
        move_away_and_run_what_it_says,
    ),
    "code that changed harmlessly": Remedy(
        edit("src/tsgbench/models/seqpan.py", "import torch\n", "import torch\n\nADDED = 1\n"),
        ("tsgbench", "accept", "results/table1.tex"),
        'say why the change is harmless: (?P<option>--reason) "…"',
        lambda project, match: (
            *("tsgbench", "accept", "results/table1.tex"),
            *(match["option"], "an unused name"),
        ),
    ),
    "a study in another encoding": Remedy(
        fill("config/other.yaml", OTHER_STUDY, "latin-1"),
        ("tsgbench", "plan", "--study", "config/other.yaml"),
        r"(?P<path>\S+), line 3: is not UTF-8 text .*; save it as UTF-8",
        save_as_utf8,
    ),
    "a result of another study": Remedy(
        fill("config/other.yaml", OTHER_STUDY),
        ("tsgbench", "explain", "results/other/table1.tex"),
        r"make the table first, with (?P<command>snakemake --cores 8 \S+ --configfile \S+)",
        run_what_it_says,
    ),
    "a target of another study": Remedy(
        fill("config/other.yaml", OTHER_STUDY),
        ("snakemake", "-n", "results/other/table1.tex"),
        "choose the other study's file with (?P<option>--configfile)",
        lambda project, match: (
            *("snakemake", "-n", "results/other/table1.tex"),
            *(match["option"], "config/other.yaml"),
        ),
    ),
    "a key that does not exist": Remedy(
        edit("config/demo.yaml", "epochs: 2", "epoch: 2"),
        ("tsgbench", "plan"),
        "unknown key 'epoch'; did you mean '(?P<key>epochs)'",
        lambda project, match: project.edit("config/demo.yaml", "epoch: 2", f"{match['key']}: 2"),
    ),
    "no project in the folder": Remedy(
        lambda project: None,
        ("env", "--chdir", "config/models", "tsgbench", "plan"),
        "no project of tsgbench .*and run it there",
        go_there,
    ),
    "a part of a cell that is damaged": Remedy(
        both(film("own.mp4"), flip(f"{FEATURES}.h5")),
        GROUND,
        DAMAGED + ", or `dvc pull`, in the project that trained the cell",
        delete_and_run_snakemake,
    ),
    "a part of a cell that is missing": Remedy(
        both(film("own.mp4"), remove(f"{FEATURES}.json")),
        GROUND,
        r"missing, and \S+ was made from it; run (?P<command>snakemake --cores 8 \S+), or"
        " `dvc pull`, in the project that trained the cell",
        run_what_it_says,
    ),
    "two videos of one name": Remedy(
        film("own.mp4", "again/own.mp4"),
        EXTRACT,
        r"(?P<path>\S+): has the same name as own.mp4.*; rename one of them",
        rename_one,
    ),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_cures(project, name):
    remedy = REMEDIES[name]
    remedy.breaks(project)
    failed = project.run(*remedy.fails, check=False)
    match = re.search(remedy.said, failed.stdout + failed.stderr)
    assert failed.returncode and match, failed.stdout + failed.stderr
    command = remedy.cures(project, match) or remedy.fails
    project.run(*command)


@pytest.fixture
def busy(project) -> Iterator[Callable[[], None]]:
    """Another process trains the cell; gives what stops it."""
    identity = re.search('"identity": "(.*?)"', project.read(f"results/cells/{CELL}/run.json"))[1]
    lock = project.folder / "scratch" / identity / "lock"
    lock.parent.mkdir(parents=True)
    with open(lock, "w") as stream:
        assert try_lock(stream, lock)
        yield stream.close


def test_a_cell_in_training_can_be_trained_when_the_other_process_ends(project, busy):
    failed = project.run(*TRAIN, check=False)
    assert failed.returncode == 1 and "wait for it, or stop it" in failed.stderr
    busy()
    project.run(*TRAIN)
