"""`tsgbench watch` beside a running Snakemake, in a terminal: it follows, and ends with it."""

import json
import os
import pty
import subprocess
import time

import pytest

from workflow.slurm import wait_for

pytestmark = pytest.mark.slow

SEQPAN = "results/cells/seqpan/shapes/full/seed0"
EPOCHS = 60  # some ten seconds


def test_a_run_is_followed_to_its_end(project):
    project.edit("config/demo.yaml", "epochs: 2", f"epochs: {EPOCHS}")
    target = f"{SEQPAN}/metrics.json"

    def seen() -> dict:
        return json.loads(project.run("tsgbench", "watch", "--json", target).stdout)

    assert seen()["cells"]["waiting"] == 1
    run = subprocess.Popen(
        ["snakemake", "--cores", "2", target],
        cwd=project.folder,
        env=project.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ours, theirs = pty.openpty()
    try:
        [running] = wait_for(
            lambda: [row for row in seen()["running"] if row["epoch"]], "an epoch", 300
        )
        assert running["key"] == "seqpan/shapes/full/seed0"
        assert running["epochs"] == EPOCHS and running["metric"] == "mIoU"
        watching = subprocess.Popen(
            ["tsgbench", "watch", target, "--every", "0.5"],
            cwd=project.folder,
            env=project.env | {"TERM": "xterm"},
            stdout=theirs,
        )
        os.close(theirs)
        shown = read_all(ours)
        assert watching.wait(timeout=60) == 0
        assert run.wait(timeout=60) == 0
    finally:
        run.kill()
        run.wait()
        os.close(ours)
    assert f"/{EPOCHS}" in shown and shown.count("1 running") > 1
    assert shown.rstrip().endswith("nothing: all is done")
    assert "1 done of 1" in project.run("tsgbench", "watch", "--once", target).stdout


def read_all(terminal: int) -> str:
    """What was written until nobody has the other end open."""
    shown, until = b"", time.monotonic() + 600
    while time.monotonic() < until:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # Linux says so
            break
    return shown.decode()
