"""What a study's jobs will cost, by what such jobs took before (`planning/measurements.py`).

A cell that is to be trained is scored by the same job. An extraction in shards is as many jobs, and
one that joins what they made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tsgbench.jobs.layout import Job
from tsgbench.planning.measurements import Measured, Measurements
from tsgbench.planning.study import Study


@dataclass
class Cost:
    """Of some jobs. measured: phase -> jobs whose like was measured; unknown: those whose was not.

    seconds: by phase, one job after another; cpu_s, gpu_s: of processors and GPUs. chain_s: of the
    longest chain of jobs that wait for one another. disk_bytes: by phase, of what stays.
    by_threads: of `seconds`, those of jobs that the study reserves so many processors for.
    without_cpu, without_gpu, without_disk: measured jobs of which that is not known.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    gpu_s: dict[str, float] = field(default_factory=dict)
    disk_bytes: dict[str, float] = field(default_factory=dict)
    by_threads: dict[int, float] = field(default_factory=dict)
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
        """Seconds on so many processors, where none waits that is not reserved."""
        reserved_s = sum(min(n, cores) * seconds for n, seconds in self.by_threads.items())
        return max(reserved_s / cores, self.chain_s)

    def turns_s(self, at_once: int) -> float:
        """Seconds with always so many jobs at once, whatever each of them reserves."""
        return max(sum(self.seconds.values()) / at_once, self.chain_s)

    def count(self, phase: str, jobs: int, took: Measured | None, threads: int = 1) -> None:
        """Jobs of one phase that together take so much; None: nobody knows. threads: of each."""
        counted = self.unknown if took is None else self.measured
        counted[phase] = counted.get(phase, 0) + jobs
        self.seconds[phase] = self.seconds.get(phase, 0.0) + (took.seconds if took else 0.0)
        if took is None:
            return
        self.by_threads[threads] = self.by_threads.get(threads, 0.0) + took.seconds
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
    for record in due:
        job = study.jobs[record]
        if _is_scored_by_training(study, job) and job.inputs["run"] in ends:
            ends[record] = ends[job.inputs["run"]]
            continue
        took = measurements.of(job)
        if record in left_s:
            took = Measured(left_s[record], took.memory_mb if took else 0.0)
        reserved = study.config.get("resources", {}).get(job.phase, {})
        shards = reserved.get("shards", 1) if job.phase == "extract" else 1
        jobs = shards + 1 if shards > 1 else 1
        cost.count(job.phase, jobs, took, reserved.get("threads", 1))
        before = max((ends.get(path, 0.0) for path in job.inputs.values()), default=0.0)
        ends[record] = before + (_waited_s(took, shards) if took else 0.0)
    cost.chain_s = max(ends.values(), default=0.0)
    return cost


def _is_scored_by_training(study: Study, job: Job) -> bool:
    """Whether a job is part of another one, where that is due."""
    return job.phase == "evaluate" and study.jobs[job.inputs["run"]].phase == "train"


def _waited_s(took: Measured, shards: int) -> float:
    """Until a job is done whose shards run side by side. Joining them takes a small part of an
    extraction, which is taken for nothing where it was never measured."""
    alone_s = took.alone_s or 0.0
    return alone_s + (took.seconds - alone_s) / shards


def as_span(seconds: float) -> str:
    """`1 h 05 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
