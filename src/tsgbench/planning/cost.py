"""What a study's jobs will cost, by what such jobs took before (`planning/measurements.py`).

A cell that is to be trained is scored by the same job. An extraction in shards is as many jobs, and
one that joins what they made; those of one data set share theirs (planning/passes.py), and are
taken to cost together what they did one by one.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tsgbench.jobs.layout import Job
from tsgbench.planning.measurements import Measured, Measurements
from tsgbench.planning.passes import find_passes
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
    left_s, due = left_s or {}, list(due)
    cost = Cost()
    ends: dict[str, float] = {}
    steps: dict[str, int] = {}  # record -> its last one
    passes = _Passes(study, due, measurements)
    for record in due:
        job = study.jobs[record]
        if _is_scored_by_training(study, job) and job.inputs["run"] in ends:
            run = job.inputs["run"]
            ends[record], steps[record] = ends[run], steps[run]
            continue
        took = measurements.of(job)
        if record in left_s:
            took = Measured(left_s[record], took.memory_mb if took else 0.0)
        after = frozenset(steps[path] for path in job.inputs.values() if path in steps)
        before = max((ends.get(path, 0.0) for path in job.inputs.values()), default=0.0)
        own_s, jobs = took.seconds if took else 0.0, 1
        if record in passes:
            jobs += passes.start(record, cost.steps, steps, ends)
            after, before = passes.done[record]
            own_s = (took.alone_s if took else None) or 0.0
        cost.count(job.phase, jobs, took)
        threads = study.config.get("resources", {}).get(job.phase, {}).get("threads", 1)
        cost.steps.append(Step(own_s, threads, after))
        steps[record] = len(cost.steps) - 1
        ends[record] = before + own_s
    cost.chain_s = max(ends.values(), default=0.0)
    return cost


class _Passes:
    """Jobs that come before extractions: their shards, of those of one data set in one pass over
    the videos. done: record -> the steps that it waits for, and when they have ended."""

    def __init__(self, study: Study, due: list[str], measurements: Measurements) -> None:
        reserved = study.config.get("resources", {}).get("extract", {})
        self.shards: int = reserved.get("shards", 1)
        self.threads: int = reserved.get("threads", 1)
        self.of = {
            job.record: jobs
            for jobs in find_passes(study, due)
            if self.shards > 1 or len(jobs) > 1
            for job in jobs
        }
        self.measurements = measurements
        self.done: dict[str, tuple[frozenset[int], float]] = {}

    def __contains__(self, record: str) -> bool:
        return record in self.of

    def start(
        self, record: str, all_steps: list[Step], steps: dict[str, int], ends: dict[str, float]
    ) -> int:
        """Add the shards of an extraction, if it is the first of its pass; how many were added.

        A shard has the threads of all its extractions, which are played side by side for that. They
        take what they did but for joining what shards made, which is a small part, and taken for
        nothing where it was never measured. steps, ends: of what is there already.
        """
        if record in self.done:
            return 0
        jobs = self.of[record]
        read = {path for job in jobs for path in job.inputs.values()}
        after = frozenset(steps[path] for path in read if path in steps)
        parts_s = [self._shard_s(job) for job in jobs]
        first = len(all_steps)
        for part_s in parts_s:
            all_steps += [Step(part_s, self.threads, after)] * self.shards
        numbers = frozenset(range(first, len(all_steps)))
        end_s = max((ends.get(path, 0.0) for path in read), default=0.0) + max(parts_s)
        self.done |= {job.record: (numbers, end_s) for job in jobs}
        return self.shards

    def _shard_s(self, job: Job) -> float:
        """Seconds of an extraction's part in a shard."""
        took = self.measurements.of(job)
        if took is None:
            return 0.0
        seconds = took.seconds - (took.alone_s or 0.0)
        if took.alone_s is not None and len(self.of[job.record]) > 1:
            # Measured in a pass, on more threads than its own, its part of the clock is too little
            seconds = max(seconds, (took.cpu_s or 0.0) / self.threads)
        return seconds / self.shards


def _is_scored_by_training(study: Study, job: Job) -> bool:
    """Whether a job is part of another one, where that is due."""
    return job.phase == "evaluate" and study.jobs[job.inputs["run"]].phase == "train"


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
