"""What a study's jobs will cost, by what such jobs took before.

Snakemake writes the time and the memory of every job beside its log. A job that is to run is taken
to need what jobs of its phase took on the same data set: of cells, of the same model, and of the
same ablation if there are any. A cell that is to be trained is scored by the same job. Seconds are
the clock's: no more jobs run at once than a machine has processors, and the processor time that
Snakemake samples misses the end of every job. So logs of a machine that was busy with other things
say too much.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from statistics import fmean

from tsgbench.jobs.layout import LOGS, PHASES, Job
from tsgbench.planning.study import Study

# What jobs must have in common to be alike, the most telling first
NEAREST = (("model", "dataset", "ablation"), ("model", "dataset"))
ON_DATA = (("dataset", "clips"), ("dataset", "features"), ("dataset",))


@dataclass(frozen=True)
class Measured:
    """What one job took: seconds, and MB at its peak."""

    seconds: float
    memory_mb: float


@dataclass
class Cost:
    """Of some jobs. measured: phase -> jobs whose like was measured; unknown: those whose was not.

    seconds: by phase, one job after another. chain_s: of the longest chain of jobs that wait for
    one another.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    memory_mb: float = 0.0
    chain_s: float = 0.0

    @property
    def jobs(self) -> int:
        """How many there are."""
        return sum(self.measured.values()) + sum(self.unknown.values())

    def wall_s(self, cores: int) -> float:
        """Seconds on so many processors, where none of them ever waits."""
        return max(sum(self.seconds.values()) / cores, self.chain_s)


def estimate(
    study: Study,
    due: Iterable[str],
    measurements: "Measurements",
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
        known_cost = measurements.of(job)
        if record in left_s:
            memory_mb = known_cost.memory_mb if known_cost else 0.0
            known_cost = Measured(left_s[record], memory_mb)
        counted = cost.unknown if known_cost is None else cost.measured
        counted[job.phase] = counted.get(job.phase, 0) + 1
        took = known_cost or Measured(0.0, 0.0)
        cost.seconds[job.phase] = cost.seconds.get(job.phase, 0.0) + took.seconds
        cost.memory_mb = max(cost.memory_mb, took.memory_mb)
        before = max((ends.get(path, 0.0) for path in job.inputs.values()), default=0.0)
        ends[record] = before + took.seconds
    cost.chain_s = max(ends.values(), default=0.0)
    return cost


def _is_scored_by_training(study: Study, job: Job) -> bool:
    """Whether a job is part of another one, where that is due."""
    return job.phase == "evaluate" and study.jobs[job.inputs["run"]].phase == "train"


def as_span(seconds: float) -> str:
    """`1 h 05 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


class Measurements:
    """What jobs took, by what they have in common. Of several alike, the mean."""

    def __init__(self, study: Study, logs: str | Path = LOGS) -> None:
        """logs: of the default study, below which every other has its own folder; of this machine
        or of another one."""
        self._found: dict[tuple[str, ...], list[Measured]] = {}
        self._means: dict[tuple[str, ...], Measured] = {}
        for phase in PHASES:
            for folder in sorted(Path(logs).glob(f"**/benchmarks/{phase}")):
                self._read(study, phase, folder)

    def _read(self, study: Study, phase: str, folder: Path) -> None:
        for path in folder.rglob("*.tsv"):
            measured = _read_tsv(path)
            if measured is None:
                continue
            parts = path.relative_to(folder).with_suffix("").parts
            self._add(phase, dict(zip(_names(study, phase), parts, strict=False)), measured)

    def _add(self, phase: str, wildcards: dict[str, str], measured: Measured) -> None:
        for key in _keys(phase, wildcards):
            self._found.setdefault(key, []).append(measured)
            self._means.pop(key, None)

    def add(self, job: Job) -> bool:
        """Read what a job took that has ended since; False if Snakemake has not written it yet."""
        try:
            measured = _read_tsv(Path(job.benchmark))
        except OSError:
            return False
        if measured:
            self._add(job.phase, job.wildcards, measured)
        return True

    def of(self, job: Job) -> Measured | None:
        """What a job is likely to take; None if no job was measured that is alike."""
        for key in _keys(job.phase, job.wildcards):
            if key not in self._means and (costs := self._found.get(key)):
                self._means[key] = Measured(*map(fmean, zip(*map(astuple, costs), strict=True)))
            if key in self._means:
                return self._means[key]
        return None


def _names(study: Study, phase: str) -> list[str]:
    """The wildcards of a phase, in the order of its key."""
    pattern = study.layout.benchmarks[phase]
    return [part.partition("}")[0] for part in pattern.split("{")[1:]]


def _keys(phase: str, wildcards: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for names in alike(wildcards):
        yield (phase, *names, *(wildcards[name] for name in names))


def alike(wildcards: dict[str, str]) -> list[tuple[str, ...]]:
    """Which wildcards a job must have in common with others to be measured by them, the most
    telling first."""
    nearest = NEAREST if "model" in wildcards else ON_DATA if "dataset" in wildcards else ((),)
    return [names for names in nearest if all(name in wildcards for name in names)]


def _read_tsv(path: Path) -> Measured | None:
    """The first row of a benchmark; None where Snakemake could not measure (a job of no time)."""
    with open(path, newline="", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream, delimiter="\t"), {})
    try:
        return Measured(float(row["s"]), float(row["max_rss"]))
    except (KeyError, ValueError):
        return None
