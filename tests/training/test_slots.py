"""Several jobs per GPU: never more than it has room for, evenly spread, freed however jobs end.

GPUs are made up; the processes that contend for them, and their locks, are real.
"""

import os
import subprocess
import sys
import threading

import pytest

from tsgbench.training import slots
from tsgbench.training.slots import Gpu, Need, take, wait_for

# arguments: GPUs, slots or 0, MB as measured or 0, seconds to stay; says what it got, and when
JOB = """
import logging, os, sys, time
from tsgbench.training import slots
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
slots.POLL_S = 0.02
gpus, count, memory = map(int, sys.argv[1:4])
known = [slots.Gpu(f"gpu-{k}", 10_000, f"cuda:{k}") for k in range(gpus)]
found = slots.wait_for(known, lambda: slots.Need(count or None, memory or None))
begun = time.monotonic()
print(found.device, begun, flush=True)
time.sleep(float(sys.argv[4]))
print(time.monotonic(), flush=True)
os.kill(os.getpid(), 9)  # as badly as a job can end
"""
GPU = Gpu("gpu-0", 10_000, "cuda:0")
WAITS = "waiting for room"


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """One on which nobody has a share."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(slots.tempfile, "tempdir", None)
    yield
    while slots._held:
        slots._held.popitem()[1].close()


class Jobs:
    """Processes that ask for a share, each as soon as it can."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen] = []

    def start(self, gpus: int = 1, count: int = 0, memory: int = 0, stay_s: float = 60.0):
        words = [sys.executable, "-c", JOB, *map(str, (gpus, count, memory, stay_s))]
        pipe = subprocess.PIPE
        self.running.append(subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True))
        return self.running[-1]

    def spans(self) -> dict[str, list[tuple[float, float]]]:
        """Device -> from when to when each job had a share of it, all being over."""
        found: dict[str, list[tuple[float, float]]] = {}
        for job in self.running:
            said, complained = job.communicate(timeout=60)
            device, begun, ended = said.split()
            found.setdefault(device, []).append((float(begun), float(ended)))
            assert complained.count(WAITS) <= 1
        return found


@pytest.fixture
def jobs():
    jobs = Jobs()
    yield jobs
    for job in jobs.running:
        job.kill()
        job.communicate()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(begun <= at < ended for begun, ended in spans) for at, _ in spans)


def test_as_many_as_there_are_slots_evenly_spread(jobs):
    for _ in range(9):
        jobs.start(gpus=2, count=2, stay_s=0.4)
    spans = jobs.spans()
    # All four slots were in use at once, and no fifth
    assert {device: most_at_once(found) for device, found in spans.items()} == {
        "cuda:0": 2,
        "cuda:1": 2,
    }
    assert abs(len(spans["cuda:0"]) - len(spans["cuda:1"])) <= 3


def test_the_least_loaded_gpu_comes_first(jobs):
    taken = [jobs.start(gpus=3, count=2).stdout.readline().split()[0] for _ in range(6)]
    assert sorted(taken[:3]) == sorted(taken[3:]) == ["cuda:0", "cuda:1", "cuda:2"]


def test_a_killed_job_frees_its_share(jobs):
    first = jobs.start(count=1)
    first.stdout.readline()
    second = jobs.start(count=1)
    assert WAITS in second.stderr.readline()
    first.kill()
    assert second.stdout.readline().startswith("cuda:0")


def test_what_needs_a_whole_gpu_is_not_overtaken_for_ever(jobs):
    """Others that would fit beside what runs wait behind it."""
    running = jobs.start(count=4)
    running.stdout.readline()
    whole = jobs.start(count=1)
    whole.stderr.readline()
    small = jobs.start(count=4)
    small.stderr.readline()
    running.kill()
    assert whole.stdout.readline()
    whole.kill()
    assert small.stdout.readline()


@pytest.mark.parametrize(
    ("slots", "memory_mb", "fit"),
    [
        (1, 100, 1),
        (3, None, 3),
        (3, 1000, 3),
        (3, 4000, 2),  # a stated number never overcommits what was measured
        (None, None, 1),  # nothing to go by: alone
        (None, 1000, 9),  # a tenth of the memory is nobody's
        (None, 1001, 8),
        (None, 50_000, 1),  # measured on a larger one
    ],
)
def test_room_is_what_slots_and_measured_memory_leave(slots, memory_mb, fit):
    share = Need(slots, memory_mb).share(GPU)
    assert fit * share <= 1 + 1e-9 < (fit + 1) * share


def test_what_was_measured_during_the_wait_counts(jobs, monkeypatch):
    """Three of a kind start at once: one alone, the others together when that one has ended."""
    monkeypatch.setattr(slots, "POLL_S", 0.01)
    jobs.start(memory=4500).stdout.readline()
    known = iter([None, None, 4500])
    assert wait_for([GPU], lambda: Need(None, next(known))) == GPU


def test_a_process_has_one_share(jobs):
    """Whatever trains several cells, such as `tsgbench verify`, does not wait for itself."""
    assert take([GPU], Need()) == take([GPU], Need()) == GPU
    job = jobs.start()
    assert WAITS in job.stderr.readline()
    again = threading.Thread(target=wait_for, args=([GPU], Need), daemon=True)
    again.start()
    again.join(10)
    assert not again.is_alive()  # nor for one that waits for it


def test_shares_of_the_dead_are_cleared_away(jobs, tmp_path):
    for _ in range(3):
        job = jobs.start(count=1)
        job.stdout.readline()
        job.kill()
        job.wait()
    assert take([GPU], Need()) == GPU
    assert len(list(tmp_path.glob(f"tsgbench-gpu-{os.getuid()}/*.slot"))) == 1
