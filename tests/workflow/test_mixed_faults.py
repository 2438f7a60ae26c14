"""Kills, flipped bits, truncations, a full disk and clocks gone wrong, mixed by a seed: what comes
out in the end is the same to the byte.

The user of this is patient, and does what messages say: unlocks, deletes what is named, runs again.
`make faults` mixes more (ROUNDS: how many; SEED: which).
"""

import os
import random
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from workflow.conftest import Project

TARGET = "phase_report"
COMPARED = ("*.csv", "*.md", "*.tex", "*.parquet")
SEED = int(os.environ.get("SEED", "1"))
ROUNDS = int(os.environ.get("ROUNDS", "6"))
PATIENCE = 12  # runs until all is well again
NAMED = re.compile(r"(\S+): [^\n;]*; delete it and run snakemake again")


def outcome(project: Project) -> dict[str, bytes]:
    """What the miniature's user reads: tables, findings, predictions, scores, splits."""
    found = {}
    for folder in ("results", "data/annotations"):
        for pattern in COMPARED:
            for path in (project.folder / folder).rglob(pattern):
                found[path.relative_to(project.folder).as_posix()] = path.read_bytes()
    return found


def results(project: Project) -> list[Path]:
    """Files that jobs made, of all phases; not what tools keep for themselves."""
    folders = [project.folder / name for name in ("results", "data")]
    paths = (path for folder in folders for path in folder.rglob("*"))
    return sorted(path for path in paths if path.is_file() and path.stat().st_size)


class Faults:
    """Each method breaks something, and leaves the rest to `recover`."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project, self.draw = project, random.Random(seed)

    def flip(self) -> None:
        path = self.draw.choice(results(self.project))
        content = bytearray(path.read_bytes())
        content[self.draw.randrange(len(content))] ^= 1 << self.draw.randrange(8)
        path.write_bytes(content)

    def truncate(self) -> None:
        path = self.draw.choice(results(self.project))
        os.truncate(path, self.draw.randrange(path.stat().st_size))

    def lose(self) -> None:
        self.draw.choice(results(self.project)).unlink()

    def skew(self) -> None:
        """As after a checkout, or on a machine whose clock is years off."""
        for path in results(self.project):
            at = time.time() + self.draw.uniform(-1e8, 1e8)
            os.utime(path, (at, at))

    def fill(self) -> None:
        """A run on a disk that has room for small files alone."""
        self.lose()
        limit = self.draw.choice((1 << 12, 1 << 15, 1 << 18))
        self._run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))).wait()

    def kill(self) -> None:
        self.lose()
        running = self._run(None)
        time.sleep(self.draw.uniform(0.5, 8))
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    def _run(self, before) -> subprocess.Popen:
        return subprocess.Popen(
            ["snakemake", "--cores", "2", TARGET],
            cwd=self.project.folder,
            env=self.project.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=before,
        )


def recover(project: Project) -> None:
    """Run again as messages say, until a run ends well."""
    said = ""
    for _ in range(PATIENCE):
        project.run("snakemake", "--unlock", check=False)
        done = project.snakemake("--keep-going", TARGET, check=False)
        said = done.stdout + done.stderr
        if not done.returncode:
            return
        for log in (project.folder / "logs").rglob("*.log"):
            said += log.read_text(errors="replace")
        assert "Traceback (most recent call last)" not in said, said
        for name in set(NAMED.findall(said)):
            (project.folder / name).unlink(missing_ok=True)
    raise AssertionError(said)


def mix(project: Project, seed: int, kinds: list[str], rounds: int) -> None:
    """Rounds of faults, recovered from in between."""
    whole = outcome(project)
    assert {Path(name).suffix for name in whole} == {".csv", ".md", ".tex", ".parquet"}
    faults = Faults(project, seed)
    for _ in range(rounds):
        seen = [faults.draw.choice(kinds) for _ in range(faults.draw.randint(1, 3))]
        for kind in seen:
            getattr(faults, kind)()
        recover(project)
        now = outcome(project)
        changed = [name for name in whole if now.get(name) != whole[name]]
        assert (changed, sorted(now)) == ([], sorted(whole)), seen


@pytest.mark.slow
def test_a_few_faults_change_no_byte(project):
    mix(project, SEED, ["flip", "truncate", "lose", "skew"], 1)


@pytest.mark.faults
def test_many_mixed_faults_change_no_byte(project):
    mix(project, SEED, ["flip", "truncate", "lose", "skew", "fill", "kill"], ROUNDS)
