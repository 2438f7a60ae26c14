"""The miniature study by profiles/slurm on a real Slurm, and on its bad days.

Only what a test must have differently is not the profile's: there are two slots, and what takes
seconds is asked after every second.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from workflow.conftest import Project, check_out
from workflow.slurm import NODE, SPARE, Cluster, NoSlurm, run_slurm, wait_for

pytestmark = pytest.mark.slow

ROW = "results/cells/seqpan/shapes/full"
SEQPAN = f"{ROW}/seed0"
LOG = "logs/train/seqpan/shapes/full/seed0.log"
SEEDS = (0, 1)
HERE = (
    *("--profile", "profiles/slurm", "--max-jobs-per-timespan", "10/1s"),
    *("--resources", "gpu=1", "small=2"),
)
# Snakemake, but the plugin asks after its jobs every second; of itself it asks ever less often
SNAKEMAKE = """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, value: None)
main()
"""
EPOCHS = 40  # some seven seconds
RESUMED = "resuming after epoch"
RESERVED = {"train": {"threads": 1, "mem_mb": 2000, "runtime": 30, "gpu": 1}}
TOO_LITTLE_MB = 400  # for PyTorch and what starts it; twice as much is enough
PATIENCE_S = 600.0  # a test that hangs ends; on a quiet machine each takes less than a minute


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, as paths of sockets must be
    try:
        with run_slurm(folder) as running:
            yield running
    except NoSlurm as reason:
        pytest.skip(str(reason))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class There:
    """A project on the cluster, and what a user does with it."""

    def __init__(self, project: Project, cluster: Cluster):
        self.project, self.cluster = project, cluster
        self.known = set(cluster.jobs())
        self.started: list[subprocess.Popen] = []

    def start(self, *targets: str) -> subprocess.Popen:
        """Snakemake in the background; what it says is in `said.txt`."""
        with open(self.project.folder / "said.txt", "w") as said:
            running = subprocess.Popen(
                [sys.executable, "-c", SNAKEMAKE, *HERE, *("--", *targets)],
                cwd=self.project.folder,
                env=self.project.env,
                stdout=said,
                stderr=said,
            )
        self.started.append(running)
        return running

    def finish(self, running: subprocess.Popen) -> None:
        """Wait until it has ended, and well."""
        code = running.wait(timeout=PATIENCE_S)
        assert code == 0, self.project.read("said.txt")

    def saved(self, seed: int = 0) -> Path:
        """Where the training keeps its last epoch."""
        said = self.project.run("tsgbench", "plan", "--json", f"{ROW}/seed{seed}/run.json").stdout
        identity = json.loads(said)[-1]["identity"]
        return self.project.folder / "scratch" / identity / "last.pt"

    def new_job(self) -> str:
        """The one running job that is new."""
        found = wait_for(
            lambda: self.cluster.jobs("RUNNING").keys() - self.known, "a job", PATIENCE_S
        )
        [job] = found
        self.known.add(job)
        return job

    def read(self, path: str) -> str:
        """A file that may not be there yet."""
        return self.project.read(path) if (self.project.folder / path).exists() else ""

    def stop(self) -> None:
        """Leave nothing behind."""
        for running in self.started:
            running.kill()
            running.wait()
        self.cluster.end_jobs()


@pytest.fixture
def there(project, cluster) -> Iterator[There]:
    """The built miniature on the cluster, without its cells and reports."""
    shutil.rmtree(project.folder / "results")
    study = project.folder / "config/demo.yaml"
    study.write_text(study.read_text() + yaml.safe_dump({"resources": RESERVED}))
    project.env = cluster.reach(project.env)
    there = There(project, cluster)
    yield there
    there.stop()


def train_long(project: Project) -> None:
    """Have trainings last, so that something can befall them; a row of two."""
    project.edit("config/demo.yaml", "epochs: 2", f"epochs: {EPOCHS}")
    learning = "model: seqpan, ablations: [full], seeds:"
    project.edit("config/demo.yaml", f"{learning} [0]", f"{learning} {[*SEEDS]}")


def outputs(project: Project, seed: int = 0) -> dict:
    """Digests of what a training made: weights, history of all epochs, predictions."""
    return json.loads(project.read(f"{ROW}/seed{seed}/run.json"))["outputs"]


@pytest.fixture(scope="module")
def undisturbed(built, tmp_path_factory) -> list[dict]:
    """`outputs` of the long trainings where nothing befalls them: on one machine, by one thread."""
    project = Project(tmp_path_factory.mktemp("undisturbed") / "project")
    shutil.copytree(built.folder, project.folder, symlinks=True)
    shutil.rmtree(project.folder / "results")
    train_long(project)
    records = [f"{ROW}/seed{seed}/run.json" for seed in SEEDS]
    project.snakemake("--set-threads", "cell=1", "--", *records)
    return [outputs(project, seed) for seed in SEEDS]


def test_the_table_is_the_one_that_is_made_on_one_machine(built, there, cluster):
    there.finish(there.start("results/table1.tex"))
    for ending in ("tex", "csv", "md"):
        table = f"results/table1.{ending}"
        assert there.project.read(table) == built.read(table)
    # A row is one submission, and so are all reports. What learns has a GPU, what does not has none
    jobs = [cluster.describe(job) for job in cluster.jobs().keys() - there.known]
    assert {Path(job["StdOut"]).parent.name: job.get("TresPerJob") for job in jobs} == {
        "group_cells_seqpan_shapes_full_cell": "gres:gpu:1",
        "group_cells_prior_shapes_full_cell": None,
        "group_cells_whole_video_shapes_full_cell": None,
        "group_reports_table": None,
    }
    assert len(jobs) == 4


def test_a_drained_node_too_little_memory_and_a_cancelled_job(there, cluster, undisturbed):
    train_long(there.project)
    there.project.edit("config/demo.yaml", "mem_mb: 2000", f"mem_mb: {TOO_LITTLE_MB}")
    saved = there.saved()
    cluster.set_node("drain")
    running = there.start(f"{SEQPAN}/metrics.json")
    wait_for(lambda: cluster.jobs("PENDING"), "the job waits for a node")
    cluster.set_node("resume")
    first = there.new_job()
    second = there.new_job()
    [said] = there.project.folder.glob(f"logs/slurm/group_cells_seqpan*/{first}.log")
    assert "exceeded memory limit" in said.read_text()
    wait_for(saved.exists, "an epoch")
    cluster.ask("scancel", second)
    third = there.new_job()
    there.finish(running)
    asked = [cluster.describe(job)["MinMemoryNode"] for job in (first, second, third)]
    assert asked == [f"{TOO_LITTLE_MB * attempt}M" for attempt in (1, 2, 3)]
    assert RESUMED in there.read(LOG)
    assert outputs(there.project) == undisturbed[0]


def test_a_lost_node(there, cluster, undisturbed):
    train_long(there.project)
    saved = [there.saved(seed) for seed in SEEDS]
    running = there.start(*(f"{ROW}/seed{seed}/metrics.json" for seed in SEEDS))
    job = there.new_job()
    records = [there.project.folder / ROW / f"seed{seed}/run.json" for seed in SEEDS]

    def between() -> list[int]:
        """The seed that is trained, while the other one is being so."""
        return [seed for seed in SEEDS if records[seed].exists() and saved[1 - seed].exists()]

    [done] = wait_for(between, "one seed, and an epoch of the other one")
    made = records[done].read_bytes()
    cluster.lose_node(NODE)
    try:
        cluster.start_node(SPARE)
        there.finish(running)
        assert cluster.node_state(NODE) == "down*"
    finally:
        cluster.start_node(NODE)
        cluster.stop_node(SPARE)
    # Slurm itself started the submission again, once
    found = cluster.describe(job)
    assert (found["JobState"], found["Restarts"], found["NodeList"]) == ("COMPLETED", "1", SPARE)
    assert cluster.jobs().keys() <= there.known
    assert records[done].read_bytes() == made
    assert RESUMED in there.read(LOG.replace("seed0", f"seed{1 - done}"))
    assert [outputs(there.project, seed) for seed in SEEDS] == undisturbed


def test_jobs_that_outlive_snakemake_are_not_done_twice(there, cluster, undisturbed):
    train_long(there.project)
    saved = there.saved()
    running = there.start(f"{SEQPAN}/metrics.json")
    first = there.new_job()
    wait_for(saved.exists, "an epoch")
    running.kill()
    running.wait()
    assert first in cluster.jobs("RUNNING")
    there.project.run("snakemake", "--unlock")
    there.finish(there.start(f"{SEQPAN}/metrics.json"))
    # Its results are there a moment before its Snakemake has ended
    wait_for(lambda: first not in cluster.jobs("RUNNING", "COMPLETING"), "the first job ends")
    assert cluster.jobs()[first] == "COMPLETED"
    assert outputs(there.project) == undisturbed[0]


@pytest.mark.faults
def test_too_little_time(there, cluster):
    """Slurm counts whole minutes, and may kill half a minute late."""
    there.project.edit("config/demo.yaml", "epochs: 2", "epochs: 600")
    there.project.edit("config/demo.yaml", "runtime: 30", "runtime: 1")
    there.finish(there.start(f"{SEQPAN}/metrics.json"))
    found = sorted(cluster.jobs().keys() - there.known, key=int)
    asked = [cluster.describe(job) for job in found]
    minutes = [f"00:0{attempt}:00" for attempt in range(1, len(found) + 1)]
    assert [job["TimeLimit"] for job in asked] == minutes
    *killed, last = (job["JobState"] for job in asked)
    assert set(killed) == {"TIMEOUT"}
    assert last == "COMPLETED"
    assert RESUMED in there.read(LOG)


def test_a_part_of_a_run_does_as_it_is_told_whatever_it_finds(project):
    """Slurm starts a submission again as it was, some or all of whose cells are made by then."""
    told = "cell:model=seqpan,dataset=shapes,ablation=full,seed=0"
    part = ("--mode", "remote", "--nolock", "--force", "--target-jobs", told)
    said = project.snakemake("-n", *part, "--allowed-rules", "cell").stdout
    assert "Training and scoring seqpan on shapes (full), seed 0" in said


def test_everything_of_the_papers_is_few_submissions(tmp_path):
    said = check_out(tmp_path).run(
        *("snakemake", "-n", "everything"),
        *("--configfile", "config/paper.yaml", "--profile", "profiles/slurm"),
    )
    groups = len(re.findall("^.*Group job ", said.stdout, re.MULTILINE))
    alone = re.findall(r"^\[.*\]\nJob \d+: (?!Downloading|Compiling)", said.stdout, re.MULTILINE)
    # docs/cluster.md says so
    assert (groups, len(alone)) == (480, 57)
