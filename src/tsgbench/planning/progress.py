"""How far a run is, from what its jobs leave in the project's folder: records and logs.

Only reads, and takes no lock, so that it may look on from any machine that sees the folder. What
writes no file for a long time cannot be told from what was killed: it is called silent.
"""

import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tsgbench.errors import UserError
from tsgbench.jobs.layout import Job
from tsgbench.planning.accepting import with_ancestors
from tsgbench.planning.cost import Cost, estimate
from tsgbench.planning.freshness import CURRENT, Freshness
from tsgbench.planning.measurements import Measurements, read_measurements, with_records
from tsgbench.planning.passes import AND
from tsgbench.planning.study import Study
from tsgbench.planning.targets import to_make

DONE, RUNNING, FAILED, SILENT, WAITING = "done", "running", "failed", "silent", "waiting"
STATES = (DONE, RUNNING, FAILED, SILENT, WAITING)
TELLING = (FAILED, RUNNING, SILENT, WAITING, DONE)  # of a cell, by what is said of its jobs
CELL_PHASES = ("train", "adopt", "evaluate")
TAIL_BYTES = 8192
# A training is silent that logs nothing for so many of its epochs, and at least so long. One before
# its first epoch, and any other job, says little and is given longer
PATIENCE_EPOCHS, PATIENCE_S, LONG_PATIENCE_S = 5, 120.0, 3600.0
Stamp = tuple[int, int, int]  # of a file: time in ns, size, inode
# What `tsgbench job` and the trainer log
LOGGED = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)
EPOCH = re.compile(
    r"epoch (?P<epoch>\d+) of (?P<epochs>\d+): loss [\d.]+"
    r"(?:, (?P<metric>\S+) (?P<score>[\d.]+) on the selection split)?, (?P<epoch_s>[\d.]+) s$",
    re.MULTILINE,
)
ENDED = re.compile(r": (?:done in [\d.]+ s, wrote|taken over from|made by an earlier attempt)")
REFUSED = re.compile(r"^tsgbench: error: .*", re.MULTILINE)
CRASHED = "Traceback (most recent call last)"
INTERRUPTED = "tsgbench: interrupted"


@dataclass(frozen=True)
class Said:
    """What the end of a job's log says.

    ending: how the job ended, DONE, FAILED or SILENT; None: it has not, as far as it says. line:
    the last one, or the error.
    """

    ending: str | None = None
    line: str = ""
    epoch: int | None = None
    epochs: int | None = None
    epoch_s: float | None = None
    metric: str | None = None
    score: float | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds until the last epoch; patience may end it earlier."""
        if self.epoch is None or self.epochs is None or self.epoch_s is None:
            return None
        return (self.epochs - self.epoch) * self.epoch_s

    @property
    def patience_s(self) -> float:
        """How long no line is no sign of trouble."""
        if self.epoch_s is None:
            return LONG_PATIENCE_S
        return max(PATIENCE_S, PATIENCE_EPOCHS * self.epoch_s)


def read_log(text: str) -> Said:
    """What the last lines of a job's log say."""
    lines = text.rstrip().splitlines()
    last = LOGGED.sub("", lines[-1]) if lines else ""
    if refusals := REFUSED.findall(text):
        return Said(FAILED, refusals[-1])
    _, crash, since = text.rpartition(CRASHED)
    if crash and not LOGGED.search(since):  # else what crashed was not the job
        return Said(FAILED, last)
    if INTERRUPTED in last:
        return Said(SILENT, last)
    if ENDED.search(last):
        return Said(DONE, last)
    epochs = list(EPOCH.finditer(text))
    if not epochs:
        return Said(None, last)
    seen = epochs[-1]
    return Said(
        None,
        last,
        int(seen["epoch"]),
        int(seen["epochs"]),
        float(seen["epoch_s"]),
        seen["metric"],
        float(seen["score"]) if seen["score"] else None,
    )


@dataclass(frozen=True)
class Sight:
    """A job as it was seen. age_s: since the last line of its log; None if there is no log. log:
    which may be that of a job that works for several."""

    job: Job
    state: str
    said: Said
    age_s: float | None = None
    log: str = ""


@dataclass
class View:
    """What is seen at one moment. cells: state -> how many. phases: phase -> jobs done, and of how
    many. cost: of the others."""

    cells: Counter[str]
    phases: dict[str, tuple[int, int]]
    cost: Cost
    running: list[Sight] = field(default_factory=list)
    failed: list[Sight] = field(default_factory=list)
    silent: list[Sight] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether everything that was asked for is there."""
        return all(done == total for done, total in self.phases.values())

    @property
    def at_once(self) -> int:
        """Jobs that run now."""
        return len({sight.log or sight.job.log for sight in self.running})

    @property
    def left_s(self) -> float:
        """Seconds until all is done, with as many jobs at once as now; what was never measured
        counts as nothing."""
        return self.cost.turns_s(max(1, self.at_once))


class Progress:
    """Looks at some results of a study, again and again; what has not changed is read once."""

    def __init__(self, study: Study, targets: Iterable[str]) -> None:
        """targets: records; looked at with all that they are made from."""
        self.study, self.targets = study, list(targets)
        wanted = with_ancestors(study, self.targets)
        # Names are put together once: a job's properties do it whenever they are asked
        self.jobs = {record: job for record, job in study.jobs.items() if record in wanted}
        self._log_names = {record: job.log for record, job in self.jobs.items()}
        self._cells = {r: j.key for r, j in self.jobs.items() if j.phase in CELL_PHASES}
        taken = with_records(read_measurements(), Path())
        self._measurements = Measurements(each for each, _ in taken)
        self._current: dict[str, tuple[tuple[Stamp | None, ...], bool]] = {}
        self._logs: dict[str, tuple[Stamp, Said]] = {}
        self._unmeasured: set[str] = set()
        self._is_first = True

    def look(self, now: float | None = None) -> View:
        """The state of every job. now: seconds since the epoch."""
        now = time.time() if now is None else now
        stamps = {record: _stamp(record) for record in self.jobs}
        done = {record for record in self.jobs if self._is_current(record, stamps)}
        due = to_make(self.study, self.targets, lambda record: record not in done)
        sights = {record: self._see(record, now) for record in self.jobs if record in due}
        self._is_first = False
        self._unmeasured -= {r for r in self._unmeasured if self._measurements.add(self.jobs[r])}
        by_state = {
            state: [sight for sight in sights.values() if sight.state == state] for state in STATES
        }
        states = dict.fromkeys(done, DONE) | {r: sight.state for r, sight in sights.items()}
        return View(
            self._count_cells(states),
            self._count_phases(states),
            estimate(self.study, sights, self._measurements, self._left_s(sights)),
            *(by_state[state] for state in (RUNNING, FAILED, SILENT)),
        )

    def _left_s(self, sights: dict[str, Sight]) -> dict[str, float]:
        """Record -> seconds, of trainings that run, by their epochs; and of those of the same model
        and data set that do not yet, where none has ended by which it could be told."""
        left_s, whole_s = {}, defaultdict(list)
        for record, sight in sights.items():
            said = sight.said
            if sight.state == RUNNING and said.epochs and said.epoch_s and said.left_s is not None:
                left_s[record] = said.left_s
                whole_s[_kind(sight.job)].append(said.epochs * said.epoch_s)
        for record, job in ((r, sight.job) for r, sight in sights.items() if r not in left_s):
            like_s = whole_s.get(_kind(job)) if job.phase == "train" else None
            if like_s and self._measurements.of(job) is None:
                left_s[record] = fmean(like_s)
        return left_s

    def _is_current(self, record: str, stamps: dict[str, Stamp | None]) -> bool:
        """Looked up again when its record or one that it read is another file than before."""
        if stamps[record] is None:
            return False
        stamp = (stamps[record], *(stamps[path] for path in self.jobs[record].inputs.values()))
        kept = self._current.get(record)
        if kept and kept[0] == stamp:
            return kept[1]
        try:
            is_current = Freshness(self.study).state(record) == CURRENT
        except UserError:  # written or moved away at this moment; the next look will tell
            return False
        self._current[record] = (stamp, is_current)
        # Without a log it was part of another job, and is measured with that
        if is_current and not self._is_first and _stamp(self._log_names[record]):
            self._unmeasured.add(record)
        return is_current

    def _see(self, record: str, now: float) -> Sight:
        """A job that is not done, by its log."""
        job, name = self.jobs[record], self._log_names[record]
        if job.phase == "extract":
            logs = [name, *_logs_of_shards(name)]
            name = max(logs, key=lambda path: _stamp(path) or (0, 0, 0))
        stamp = _stamp(name)
        if stamp is None:
            return Sight(job, WAITING, Said())
        kept = self._logs.get(name)
        if kept is None or kept[0] != stamp:
            kept = self._logs[name] = (stamp, read_log(_tail(name)))
        said, age_s = kept[1], max(0.0, now - stamp[0] / 1e9)
        if said.ending == DONE:  # of what was made before and is stale now
            return Sight(job, WAITING, Said())
        is_silent = age_s > said.patience_s
        return Sight(job, said.ending or (SILENT if is_silent else RUNNING), said, age_s, name)

    def _count_cells(self, states: dict[str, str]) -> Counter[str]:
        """A cell is done when all its jobs are, and waiting when nothing else is said of any."""
        cells: dict[str, set[str]] = {}
        for record, cell in self._cells.items():
            if record in states:
                cells.setdefault(cell, set()).add(states[record])
        return Counter(next(s for s in TELLING if s in theirs) for theirs in cells.values())

    def _count_phases(self, states: dict[str, str]) -> dict[str, tuple[int, int]]:
        phases = {r: job.phase for r, job in self.jobs.items() if r in states}
        done = Counter(phase for record, phase in phases.items() if states[record] == DONE)
        return {phase: (done[phase], count) for phase, count in Counter(phases.values()).items()}


def _logs_of_shards(log: str) -> Iterator[str]:
    """Of an extraction, by its own log (workflow/rules/features.smk)."""
    own = Path(log)
    for path in own.parent.glob("*.shards/*.log"):
        if own.stem in path.parent.stem.split(AND):
            yield str(path)


def _kind(job: Job) -> tuple[str, str]:
    return job.wildcards["model"], job.wildcards["dataset"]


def _stamp(path: str) -> Stamp | None:
    """Tells one state of a file from another; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _tail(path: str) -> str:
    """The last lines; nothing of a log that was taken away at this moment."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
