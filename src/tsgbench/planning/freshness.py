"""Which results on disk are what the study would make now, told to Snakemake in its own terms.

Snakemake decides by file times; a checkout, a pull or a killed run sets those at random, and an
edited setting sets none. The records know better, and speak through what a rule's input function
may return: a stale result gets one more input, a stamp that is newer than anything the pipeline
made, and is remade like any result whose input changed. Where file times accuse a result that its
record proves current, they are put right; where that is not ours to do (a dry run, files of
somebody else), the accusing input is returned as `ancient`.
"""

import atexit
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.files import read_json
from tsgbench.files.access import Inaccessible
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import current_record

if TYPE_CHECKING:
    from tsgbench.planning.study import Study

log = logging.getLogger(__name__)

MISSING, CURRENT, STALE = "missing", "current", "stale"
# Snakemake prints it as the reason of a job: "Updated input files: …/changed-since-it-was-made"
STAMP = "changed-since-it-was-made"
SECOND = 1_000_000_000


class Freshness:
    """The state of a study's results, for one run of the workflow.

    States are looked up once: a process that plans sees one state of the disk. `unmet` looks again.
    """

    def __init__(self, study: "Study"):
        self.study = study
        self._states: dict[str, str] = {}
        self._stamp: Path | None = None
        self._asked: dict[str, None] = {}

    def state(self, record: str) -> str:
        """`missing`, `current` or `stale`: the result that a record stands for.

        It is current if it has the identity that the study gives it, its files are whole, and no
        input has been remade with other content since.
        """
        if record not in self._states:
            self._states[record] = self._look(record)
        return self._states[record]

    def _look(self, record: str) -> str:
        if not Path(record).exists():
            return MISSING
        record_now = current_record(Path(record), self.study.identity(record))
        if record_now is None:
            return STALE
        recorded = record_now.content["inputs"]
        for role, path in self.study.jobs[record].inputs.items():
            read = recorded[role]["digest"] if role in recorded else None
            # An input that is not here (not pulled, or cleaned away) cannot contradict the result
            if Path(path).exists() and _digest(path) != read:
                return STALE
        return CURRENT

    # --- for Snakemake -----------------------------------------------------------------------

    def inputs(
        self, job: Job, ancient: Callable[[str], str], makes_too: Iterable[str] = ()
    ) -> list[str]:
        """What the input function of a job's rule returns.

        ancient: Snakemake's flag for inputs whose time does not matter. makes_too: records that the
        rule makes beside the job's, of which nothing is asked but that they are current in the end.
        """
        self._asked.update(dict.fromkeys((job.record, *makes_too)))
        paths = list(job.inputs.values())
        state = self.state(job.record)
        if state == STALE:
            return [*paths, str(self.stamp())]
        if state == CURRENT:
            oldest = min(_times(_outputs(job)), default=0)
            return [
                ancient(path) if max(_times([path]), default=0) > oldest else path for path in paths
            ]
        return paths

    def stamp(self) -> Path:
        """A file newer than every result, outside the project, gone when this process ends.

        Its content is never the same twice: Snakemake takes a newer file of known content for old.
        """
        if self._stamp is None:
            folder = tempfile.mkdtemp(prefix="tsgbench-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._stamp = Path(folder) / STAMP
            self._stamp.write_text(os.urandom(16).hex())
            newest = max(_times(self._results()), default=0)
            at = max(time.time_ns(), newest + 1)
            os.utime(self._stamp, ns=(at, at))
        return self._stamp

    def settle_stamp(self) -> None:
        """Once it is planned what runs: no stamp of a time to come, than which Snakemake would
        take what is made now for older."""
        now = time.time_ns()
        if self._stamp and _is_after(str(self._stamp), now):
            os.utime(self._stamp, ns=(now, now))

    def settle_times(self) -> None:
        """Make file times agree with the records, as far as the files are ours to touch.

        No time lies in the future, where Snakemake would take what is made now for too old; and no
        current result is older than its inputs.
        """
        now = time.time_ns()
        ahead = [path for path in self._results() if _is_after(path, now)]
        for path in ahead:
            _touch(path, now)
        if left := [path for path in ahead if _is_after(path, now)]:
            log.warning(
                "%s: its time lies in the future and is not ours to set, as that of %d files in"
                " all; no job that reads it can end before then: let its owner `touch` it",
                left[0],
                len(left),
            )
        for record, job in self.study.jobs.items():
            newest = max(_times(job.inputs.values()), default=0)
            old = [path for path in _outputs(job) if min(_times([path]), default=newest) < newest]
            if old and self.state(record) == CURRENT:
                for path in old:
                    _touch(path, newest)

    def unmet(self) -> list[str]:
        """Records of what this run was asked for and that are here, yet not current: none, unless
        something went wrong. Looks at the disk anew."""
        self._states.clear()
        return [record for record in self._asked if self.state(record) == STALE]

    def _results(self) -> Iterator[str]:
        for job in self.study.jobs.values():
            yield from _outputs(job)


def _outputs(job: Job) -> list[str]:
    # The benchmark counts: Snakemake takes it for an output
    return [job.record, *job.files.values(), job.benchmark]


def _digest(record: str) -> str | None:
    try:
        content = read_json(record)
    except Inaccessible:
        raise
    except UserError:
        return None
    return content.get("digest") if isinstance(content, dict) else None


def _times(paths: Iterable[str]) -> Iterator[int]:
    """Modification times of what is there: of a link, both its own and its target's."""
    for path in paths:
        for look in (os.stat, os.lstat):
            try:
                yield look(path).st_mtime_ns
            except OSError:
                continue


def _is_after(path: str, now: int) -> bool:
    """Whether a file's time lies in the future, by more than clocks and file systems round."""
    return max(_times([path]), default=0) > now + SECOND


def _touch(path: str, at: int) -> None:
    for follow in (True, False) if os.path.islink(path) else (True,):
        try:
            os.utime(path, ns=(at, at), follow_symlinks=follow)
        except OSError:  # somebody else's file: `inputs` does without
            continue
