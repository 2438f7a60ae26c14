"""Check a study's results as a reviewer would: files against digests, numbers by making them again.

Three questions of every result, each answered from what lies on disk:

1. Are its files those that its record lists, was it made with the study's settings, and from the
   very inputs that are here now?
2. Of scores, tables, figures and what is written from them: do they come out the same, made again
   from their own inputs, in a folder apart?
3. Of some trained cells, on request: do they, trained again?

Each result is made from the *recorded* inputs, so what fails is named where it went wrong: a score
that was edited, together with its checksums, fails by itself and not by the tables that print it.
"""

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files.access import Inaccessible
from tsgbench.jobs.cells import is_trained
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import Record, read_record
from tsgbench.planning.accepting import with_ancestors
from tsgbench.planning.study import Study
from tsgbench.running.digests import objections
from tsgbench.running.repeating import Retrained, repeat, retrain

# What is computed from records within seconds, and is the same on every machine
REPEATED = ("evaluate", "statistics", "table", "figure", "findings", "summary", "report")


@dataclass
class Verification:
    """What was looked at, and what was found.

    problems: (record, what is wrong) in words. bytes: of the files whose digests were computed.
    repeated: phase -> results made again. Records of results that were not made again, because what
    they read is wrong or not here (not_repeated); that are not here (missing); and that other code
    than this checkout's made (stale). sound: record -> digest, of those without a problem.
    """

    checked: int = 0
    files: int = 0
    bytes: int = 0
    repeated: dict[str, int] = field(default_factory=dict)
    retrained: list[Retrained] = field(default_factory=list)
    not_repeated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    sound: dict[str, str] = field(default_factory=dict)


def verify(
    study: Study,
    targets: Iterable[str] = (),
    *,
    cells: int = 0,
    seed: int = 0,
    tolerance: float = 1.0,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Verification:
    """Check results, with all that they were made from. Changes nothing in the project.

    targets: records; none of them: every result that is here. cells: how many trained cells, drawn
    with `seed`, are trained again; tolerance: points by which a metric of such a cell may differ
    where its predictions do not come out the same to the byte. progress: shows how far the records
    are.
    """
    verified = Verification()
    here = _present(study, targets, verified)
    sound: dict[str, Record] = {}
    for path in progress(here):
        record = _check(study, study.jobs[path], verified)
        if record is not None:
            sound[path] = record
    for path in _draw(study, sound, cells, seed):
        done = retrain(study, study.jobs[path], sound[path], tolerance)
        verified.retrained.append(done)
        verified.problems += [(path, problem) for problem in done.problems]
    wrong = {path for path, _ in verified.problems} | set(verified.not_repeated)
    verified.sound = {path: one.digest for path, one in sound.items() if path not in wrong}
    return verified


def _present(study: Study, targets: Iterable[str], found: Verification) -> list[str]:
    """The records that are here, inputs before what is made from them; `UserError` for a target
    that is not, and if none is."""
    targets = list(targets)
    for path in targets:
        if not Path(path).exists():
            raise UserError(f"{path}: not made yet, so there is nothing to verify; run snakemake")
    wanted = with_ancestors(study, targets)
    paths = [path for path in study.jobs if path in wanted]
    here = [path for path in paths if Path(path).exists()]
    if not here:
        raise UserError(
            f"study {study.name!r} has no result here, so there is nothing to verify; run snakemake"
        )
    found.missing = [path for path in paths if not Path(path).exists()]
    return here


def _check(study: Study, job: Job, found: Verification) -> Record | None:
    """Look at one result; its record, unless that alone tells that it is not what it should be."""
    found.checked += 1
    try:
        record = read_record(job.record)
    except Inaccessible:
        raise
    except UserError as error:
        found.problems.append((job.record, str(error)))
        return None
    found.files += len(record.content["outputs"])
    found.bytes += sum(entry["bytes"] for entry in record.content["outputs"].values())
    problems = list(objections(study, job, record))
    if not record.stands_for(study.identity(job.record)):
        found.stale.append(job.record)
    if not problems and job.phase in REPEATED:
        wrong = {path for path, _ in found.problems}
        if wrong.isdisjoint(job.inputs.values()) and all(map(os.path.exists, job.inputs.values())):
            found.repeated[job.phase] = found.repeated.get(job.phase, 0) + 1
            problems = list(repeat(study, job, record))
        else:
            found.not_repeated.append(job.record)
    found.problems += [(job.record, problem) for problem in problems]
    return None if problems else record


def _draw(study: Study, sound: dict[str, Record], number: int, seed: int) -> list[str]:
    """Cells to train again, of those that take epochs and whose inputs are all here."""
    if not number:
        return []
    trained = [
        path
        for path in sorted(sound)
        if study.jobs[path].phase == "train"
        and is_trained(study.jobs[path].settings)
        and all(Path(read).exists() for read in study.jobs[path].inputs.values())
    ]
    if len(trained) < number:
        raise UserError(
            f"--retrain {number}: only {len(trained)} trained cells are here, sound and with their"
            " inputs"
        )
    return random.Random(seed).sample(trained, number)
