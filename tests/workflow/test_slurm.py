"""The miniature study by profiles/slurm on a real Slurm of one node, and on its bad days.

Only what a test must have differently is not the profile's: Slurm has no accounting here, and two
slots; and what takes seconds is asked after every few.
"""

import json
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from workflow.conftest import Project
from workflow.slurm import Cluster, NoSlurm, run_slurm, wait_for

pytestmark = pytest.mark.slow

SEQPAN = "results/cells/seqpan/shapes/full/seed0"
LOG = "logs/train/seqpan/shapes/full/seed0.log"
HERE = (
    *("--profile", "profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3"),
    *("--resources", "gpu=1", "small=2"),
)
RESERVED = {"train": {"threads": 1, "mem_mb": 2000, "runtime": 30, "gpu": 1}}
PATIENCE_S = 150.0  # of a busy machine


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


@pytest.fixture
def there(project, cluster) -> Project:
    """The built miniature on the cluster, without its cells and reports."""
    shutil.rmtree(project.folder / "results")
    study = project.folder / "config/demo.yaml"
    study.write_text(study.read_text() + yaml.safe_dump({"resources": RESERVED}))
    project.env |= cluster.env
    return project


def start(project: Project, *targets: str) -> subprocess.Popen:
    """Snakemake on the cluster, in the background; what it says is in `said.txt`."""
    with open(project.folder / "said.txt", "w") as said:
        return subprocess.Popen(
            ["snakemake", *HERE, *("--", *targets)],
            cwd=project.folder,
            env=project.env,
            stdout=said,
            stderr=said,
        )


def finish(project: Project, running: subprocess.Popen) -> str:
    """What it said, once it has ended well."""
    code = running.wait(timeout=PATIENCE_S)
    said = project.read("said.txt")
    assert code == 0, said
    return said


def train_long(project: Project) -> str:
    """Have the training last, so that something can befall it; where its last epoch is kept."""
    project.edit("config/demo.yaml", "epochs: 2", "epochs: 40")
    plan = json.loads(project.run("tsgbench", "plan", "--json", f"{SEQPAN}/run.json").stdout)
    return f"scratch/{plan[-1]['identity']}/last.pt"


def the_job(cluster: Cluster, known: set[str]) -> str:
    """The one running job that was not known."""
    found = wait_for(lambda: cluster.jobs("RUNNING").keys() - known, "a job", PATIENCE_S)
    [job] = found
    return job


def test_the_table_is_the_one_that_is_made_on_one_machine(built, there, cluster):
    known = set(cluster.jobs())
    said = finish(there, start(there, "results/table1.tex"))
    for ending in ("tex", "csv", "md"):
        assert there.read(f"results/table1.{ending}") == built.read(f"results/table1.{ending}")
    # A row is one submission, and so are all reports
    submitted = {job: cluster.describe(job) for job in cluster.jobs().keys() - known}
    assert len(submitted) == 4, said
    names = Counter(Path(job["StdOut"]).parent.name for job in submitted.values())
    assert names["group_cells_seqpan_shapes_full_evaluate_train"] == 1
    # What learns has a GPU, and what does not has none
    gpus = {
        re.sub("_shapes.*", "", Path(job["StdOut"]).parent.name): "gpu" in job.get("TresPerJob", "")
        for job in submitted.values()
    }
    assert gpus["group_cells_seqpan"] and sum(gpus.values()) == 1


def test_a_node_that_is_lost_and_a_cancelled_job_cost_no_more_than_an_epoch(there, cluster):
    saved = there.folder / train_long(there)
    known = set(cluster.jobs())
    running = start(there, f"{SEQPAN}/metrics.json")
    first = the_job(cluster, known)
    wait_for(saved.exists, "an epoch", PATIENCE_S)
    cluster.set_node("down")  # Slurm itself starts what ran there again, once it is back
    wait_for(lambda: cluster.jobs("PENDING"), "the job waits for its node")
    cluster.set_node("resume")
    wait_for(lambda: cluster.jobs("RUNNING"), "the job runs again", PATIENCE_S)
    assert cluster.describe(first)["Restarts"] == "1"
    wait_for(lambda: "resuming after epoch" in read(there, LOG), "it goes on", PATIENCE_S)
    cluster.ask("scancel", first)
    second = the_job(cluster, known | {first})
    finish(there, running)
    assert "resuming after epoch" in there.read(LOG)
    asked = [cluster.describe(job)["MinMemoryNode"] for job in (first, second)]
    assert asked == ["2000M", "4000M"]  # it may have been killed for the memory that it took
    assert json.loads(there.read(f"{SEQPAN}/run.json"))["facts"]["epochs"] == 40


def test_jobs_that_outlive_snakemake_are_not_done_twice(there, cluster):
    saved = there.folder / train_long(there)
    known = set(cluster.jobs())
    running = start(there, f"{SEQPAN}/metrics.json")
    first = the_job(cluster, known)
    wait_for(saved.exists, "an epoch", PATIENCE_S)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert first in cluster.jobs("RUNNING")
    there.run("snakemake", "--unlock")
    finish(there, start(there, f"{SEQPAN}/metrics.json"))
    assert cluster.jobs()[first] == "COMPLETED"
    record = json.loads(there.read(f"{SEQPAN}/run.json"))
    assert record["facts"]["epochs"] == 40


def read(project: Project, path: str) -> str:
    return project.read(path) if (project.folder / path).exists() else ""
