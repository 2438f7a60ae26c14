"""No order of edits, targets, studies, tools and accidents prints an old number: drawn from seeds.

After every run that ends well, each number of each table that was asked for is compared with the
records of the cells that the study names now.
"""

import csv
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from tsgbench.config import read_yaml
from tsgbench.files import sha256_file
from tsgbench.jobs.layout import Layout
from workflow.conftest import Project, check_out

pytestmark = pytest.mark.slow

STEPS = 7
MODELS = {"whole_video": "Whole video", "prior": "Prior", "seqpan": "SeqPAN"}
TABLE = "results/table1"
OTHER = "results/other"  # the folder of the second study


class Person:
    """Somebody at a keyboard, who does not think of what was made when."""

    def __init__(self, project: Project, seed: int):
        self.project, self.draw, self.did = project, random.Random(seed), []

    # --- what may be done: each returns whether table1 must be right afterwards, and by which study

    def edit_epochs(self):
        self._edit(r"epochs: \d+", f"epochs: {self.draw.choice([1, 2, 3])}")

    def edit_batch(self):
        self._edit(r"batch_size: \d+", f"batch_size: {self.draw.choice([4, 8])}")

    def edit_title(self):
        self._edit(r"^title: .*", f"title: version {self.draw.randrange(100)}")

    def edit_words_of_captions(self):
        path = self.project.folder / "config/conventions.yaml"
        text = re.sub(
            r"temporal IoU( \d+)?", f"temporal IoU {self.draw.randrange(100)}", path.read_text()
        )
        path.write_text(text)

    def edit_code_of_tables(self):
        path = self.project.folder / "src/tsgbench/reporting/latex.py"
        path.write_text(path.read_text() + f"\nADDED_{len(self.did)} = {self.draw.random()}\n")

    def one_phase(self):
        self._snakemake(self.draw.choice(["phase_features", "phase_cells"]))

    def one_cell(self):
        model = self.draw.choice(list(MODELS))
        self._snakemake(f"results/cells/{model}/shapes/full/seed0/metrics.json")

    def the_table(self):
        return self._snakemake(f"{TABLE}.tex") and "config/demo.yaml"

    def another_study(self):
        before = self._files_of_the_first()
        wanted = ["--configfile", "config/other.yaml"]
        self._snakemake(f"{OTHER}/table1.tex", *wanted)
        assert self._files_of_the_first() == before, f"after {self.did}"
        return "config/other.yaml"

    def _files_of_the_first(self) -> dict[str, str]:
        """Each file of the default study's results, by its digest."""
        results = self.project.folder / "results"
        other = self.project.folder / OTHER
        return {
            str(path): sha256_file(path)
            for path in results.rglob("*")
            if path.is_file() and not path.is_relative_to(other)
        }

    def by_hand(self):
        # Refused where inputs are out of date: that is as good
        phase = self.draw.choice(["train", "evaluate"])
        self._run("tsgbench", "job", phase, "seqpan/shapes/full/seed0")

    def the_table_by_hand(self):
        return self._run("tsgbench", "job", "table", "table1") and "config/demo.yaml"

    def dvc_repro(self):
        return self._run("dvc", "repro") and "config/demo.yaml"

    def dvc_experiment(self):
        done = self._run("dvc", "exp", "run", "--set-param", "config/demo.yaml:title=experiment")
        return done and "config/demo.yaml"

    def go_back(self):
        """To the commit, with its results: files of other settings, times at random."""
        self._run("git", "checkout", "-q", "--", "config", "src")
        self._run("dvc", "checkout", "--force")

    def pull_anew(self):
        self._run("rm", "-rf", "results", "data", ".snakemake")
        self._run("git", "checkout", "-q", "--", "config", "src")
        self._run("dvc", "checkout", "--force")

    def killed(self):
        running = subprocess.Popen(
            ["snakemake", "--cores", "2", f"{TABLE}.tex"],
            cwd=self.project.folder,
            env=self.project.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(self.draw.uniform(2, 12))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        self.project.snakemake("--unlock", check=False)

    # --- doing -------------------------------------------------------------------------------

    def step(self) -> None:
        # Runs as often as edits: else little is there to be wrong
        actions = [
            *[self.the_table] * 4,
            *[self.edit_epochs, self.edit_batch, self.edit_title],
            *[self.edit_words_of_captions, self.edit_code_of_tables],
            *[self.one_phase] * 2,
            *[self.one_cell, self.another_study, self.by_hand, self.the_table_by_hand],
            *[self.dvc_repro, self.dvc_experiment, self.go_back, self.pull_anew, self.killed],
        ]
        action = self.draw.choice(actions)
        self.did.append(action.__name__)
        if study := action():
            self.check(study)

    def check(self, study: str) -> None:
        """Every number of the table is that of the cell on disk, and the cell is the study's."""
        wanted = read_yaml(self.project.folder / study)
        results = Layout(wanted["study"]).folders["results"]
        settings = wanted["overrides"]["seqpan"]["train"]
        with open(self.project.folder / results / "table1.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        told = f"after {self.did}: {study}"
        assert {row["system"] for row in rows} == set(MODELS.values()), told
        for model, title in MODELS.items():
            folder = f"{results}/cells/{model}/shapes/full/seed0"
            run = json.loads(self.project.read(f"{folder}/run.json"))
            metrics = json.loads(self.project.read(f"{folder}/metrics.json"))
            assert metrics["inputs"]["run"]["identity"] == run["identity"], told
            if model == "seqpan":
                assert run["settings"]["train"]["epochs"] == settings["epochs"], told
                assert run["settings"]["train"]["batch_size"] == settings["batch_size"], told
            printed = {row["metric"]: float(row["mean"]) for row in rows if row["system"] == title}
            assert set(printed) == set(wanted["tables"]["table1"]["metrics"]), told
            for metric, value in printed.items():
                assert value == pytest.approx(metrics["facts"]["metrics"][metric], abs=5e-5), told
        page = self.project.read(f"{results}/table1.md")
        conventions = read_yaml(self.project.folder / "config/conventions.yaml")
        assert wanted["title"] in page, told
        assert conventions["seconds"]["about"].partition(" in ")[0] in page, told

    def _edit(self, pattern: str, text: str) -> None:
        path = self.project.folder / "config/demo.yaml"
        old = path.read_text()
        path.write_text(re.sub(pattern, text, old, count=1, flags=re.MULTILINE))

    def _snakemake(self, *words: str) -> bool:
        done = self.project.snakemake(*words, check=False)
        assert done.returncode == 0, f"after {self.did}:\n{done.stdout}\n{done.stderr}"
        return True

    def _run(self, *words: str) -> bool:
        done = self.project.run(*words, check=False)
        assert "Traceback" not in done.stderr, f"after {self.did}:\n{done.stderr}"
        return done.returncode == 0


@pytest.fixture(scope="module")
def committed(tmp_path_factory, warm) -> Project:
    """A small repository whose pipeline was reproduced once and committed, and a second study."""
    project = check_out(tmp_path_factory.mktemp("orders") / "project", warm)
    text = project.read("config/demo.yaml")
    other = text.replace("study: demo", "study: other").replace("in miniature", "another time")
    (project.folder / "config/other.yaml").write_text(other)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
    project.run("git", "init", "-q", "-b", "main")
    project.run("dvc", "repro")
    project.run("git", "add", "-A")
    project.run(*git, "commit", "-qm", "reproduced")
    return project


@pytest.mark.parametrize("seed", [int(word) for word in os.environ.get("ORDERS", "0 1").split()])
def test_no_order_prints_an_old_number(committed, tmp_path, seed):
    committed.run("cp", "-a", str(committed.folder), str(tmp_path / "project"))
    person = Person(Project(tmp_path / "project", committed.warm), seed)
    for _ in range(STEPS):
        person.step()
    person.did.append("the_table at last")
    assert person.the_table()
    person.check("config/demo.yaml")


def test_the_order_in_which_it_once_happened(project):
    """A changed setting, the cells alone, then the table: once, the old table stayed."""
    project.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    project.snakemake("phase_cells")
    before = project.read(f"{TABLE}.provenance.json")
    project.snakemake(f"{TABLE}.tex")
    run = json.loads(project.read("results/cells/seqpan/shapes/full/seed0/run.json"))
    assert run["identity"] not in before
    assert run["identity"] in project.read(f"{TABLE}.provenance.json")


def test_a_run_that_leaves_an_old_result_has_failed(project):
    """Whatever Snakemake decides: here, it is talked into leaving the table alone."""
    project.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    project.edit(
        "workflow/rules/common.smk",
        "FRESHNESS.inputs(job, ancient, following)",
        "FRESHNESS.inputs(job, ancient, following)[:len(job.inputs)]",
    )
    # Something to run, so that the end of a run is reached
    (project.folder / "results/cells/prior/shapes/full/seed0/metrics.json").unlink()
    done = project.snakemake("phase_cells", check=False)
    assert done.returncode == 1
    assert "run.json: not what this study makes now" in done.stdout + done.stderr
