"""What a study's jobs will cost, by what such jobs took before (`planning/measurements.py`).

A cell that is to be trained is scored by the same job. An extraction in shards is as many jobs, and
one that joins what they made.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tsgbench.jobs.layout import Job
from tsgbench.planning.measurements import Measured, Measurements
from tsgbench.planning.study import Study


@dataclass(frozen=True)
class Step:
    """A job on its processors. after: numbers of the steps that it waits for."""

    seconds: float
    threads: int
    after: frozenset[int]


@dataclass
class Cost:
    """Of some jobs. measured: phase -> jobs whose like was measured; unknown: those whose was not.

    seconds: by phase, one job after another; cpu_s, gpu_s: of processors and GPUs. chain_s: of the
    longest chain of jobs that wait for one another. disk_bytes: by phase, of what stays.
    steps: the jobs, each behind those that it waits for.
    without_cpu, without_gpu, without_disk: measured jobs of which that is not known.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    gpu_s: dict[str, float] = field(default_factory=dict)
    disk_bytes: dict[str, float] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    measured: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    without_cpu: int = 0
    without_gpu: int = 0
    without_disk: int = 0
    memory_mb: float = 0.0
    chain_s: float = 0.0

    @property
    def jobs(self) -> int:
        """How many there are."""
        return sum(self.measured.values()) + sum(self.unknown.values())

    @property
    def unknown_jobs(self) -> int:
        """How many of them are of a kind that was never measured."""
        return sum(self.unknown.values())

    def wall_s(self, cores: int) -> float:
        """Seconds on so many processors, jobs started in the plan's order as soon as those that
        they wait for have ended and their processors are free."""
        return _play(self.steps, cores)

    def turns_s(self, at_once: int) -> float:
        """Seconds with always so many jobs at once, whatever each of them reserves."""
        return max(sum(self.seconds.values()) / at_once, self.chain_s)

    def count(self, phase: str, jobs: int, took: Measured | None) -> None:
        """Jobs of one phase that together take so much; None: nobody knows."""
        counted = self.unknown if took is None else self.measured
        counted[phase] = counted.get(phase, 0) + jobs
        self.seconds[phase] = self.seconds.get(phase, 0.0) + (took.seconds if took else 0.0)
        if took is None:
            return
        self.memory_mb = max(self.memory_mb, took.memory_mb)
        for sums, value in (
            (self.cpu_s, took.cpu_s),
            (self.gpu_s, took.gpu_s),
            (self.disk_bytes, took.disk_bytes),
        ):
            sums[phase] = sums.get(phase, 0.0) + (value or 0.0)
        self.without_cpu += jobs * (took.cpu_s is None)
        self.without_gpu += jobs * (took.gpu_s is None)
        self.without_disk += jobs * (took.disk_bytes is None)


def estimate(
    study: Study,
    due: Iterable[str],
    measurements: Measurements,
    left_s: Mapping[str, float] | None = None,
) -> Cost:
    """The cost of jobs. due: their records, inputs before what reads them. left_s: record ->
    seconds, of jobs of which more is known than by measurements."""
    left_s = left_s or {}
    cost = Cost()
    ends: dict[str, float] = {}
    steps: dict[str, int] = {}  # record -> its last one
    for record in due:
        job = study.jobs[record]
        if _is_scored_by_training(study, job) and job.inputs["run"] in ends:
            run = job.inputs["run"]
            ends[record], steps[record] = ends[run], steps[run]
            continue
        took = measurements.of(job)
        if record in left_s:
            took = Measured(left_s[record], took.memory_mb if took else 0.0)
        reserved = study.config.get("resources", {}).get(job.phase, {})
        shards = reserved.get("shards", 1) if job.phase == "extract" else 1
        cost.count(job.phase, shards + 1 if shards > 1 else 1, took)
        after = frozenset(steps[path] for path in job.inputs.values() if path in steps)
        steps[record] = _add_steps(cost.steps, took, shards, reserved.get("threads", 1), after)
        before = max((ends.get(path, 0.0) for path in job.inputs.values()), default=0.0)
        ends[record] = before + (_waited_s(took, shards) if took else 0.0)
    cost.chain_s = max(ends.values(), default=0.0)
    return cost


def _is_scored_by_training(study: Study, job: Job) -> bool:
    """Whether a job is part of another one, where that is due."""
    return job.phase == "evaluate" and study.jobs[job.inputs["run"]].phase == "train"


def _parts(took: Measured, shards: int) -> tuple[float, float]:
    """Seconds of each shard of a job, and of joining what they made, which is a small part, and
    taken for nothing where it was never measured."""
    alone_s = took.alone_s or 0.0
    return (took.seconds - alone_s) / shards, alone_s


def _waited_s(took: Measured, shards: int) -> float:
    """Until a job is done whose shards run side by side."""
    return sum(_parts(took, shards))


def _add_steps(
    steps: list[Step], took: Measured | None, shards: int, threads: int, after: frozenset[int]
) -> int:
    """Add a job, and its shards before it; the number of its last step."""
    shard_s, alone_s = _parts(took, shards) if took else (0.0, 0.0)
    if shards > 1:
        first = len(steps)
        steps += [Step(shard_s, threads, after)] * shards
        after = frozenset(range(first, first + shards))
        steps.append(Step(alone_s, threads, after))
    else:
        steps.append(Step(shard_s + alone_s, threads, after))
    return len(steps) - 1


def _play(steps: list[Step], cores: int) -> float:
    """When the last step ends, if each starts as soon as it can."""
    waits = [len(step.after) for step in steps]
    then: list[list[int]] = [[] for _ in steps]
    for number, step in enumerate(steps):
        for before in step.after:
            then[before].append(number)
    ready = [number for number, count in enumerate(waits) if not count]
    running: list[tuple[float, int]] = []
    now, free = 0.0, cores
    while ready or running:
        held = []
        while ready and free:
            number = heapq.heappop(ready)
            threads = min(steps[number].threads, cores)
            if threads > free:
                held.append(number)
                continue
            free -= threads
            heapq.heappush(running, (now + steps[number].seconds, number))
        for number in held:
            heapq.heappush(ready, number)
        now, number = heapq.heappop(running)
        free += min(steps[number].threads, cores)
        for following in then[number]:
            waits[following] -= 1
            if not waits[following]:
                heapq.heappush(ready, following)
    return now


def as_span(seconds: float) -> str:
    """`1 h 05 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
