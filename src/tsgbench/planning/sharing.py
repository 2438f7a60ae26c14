"""Take over from another study what is due in this one, where it has the same identity.

Studies have folders of their own, and may share cells all the same: a sweep shares its baseline. A
training costs hours and an identity says all that decides its result, so that what one study has
made is linked into the other's folder, with a record that says so.
"""

import logging
import math
import os
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import locked, write_json
from tsgbench.jobs.layout import Job, Layout, studies_with_cells
from tsgbench.jobs.records import Record, damages, read_record

log = logging.getLogger(__name__)

PHASES = ("train", "evaluate")  # what is worth it
LOCKS = Path("scratch/locks")
# Set for jobs of a cluster's submission. It fails as a whole, and Snakemake deletes the results of
# all its jobs before the next attempt: what is kept here, by identity, is not made again.
KEEP = "TSGBENCH_KEEP"
KEPT = Path("scratch/kept")


def hold(identity: str) -> ExitStack:
    """Context in which no other run makes what has this identity: of two studies that run at once
    and share a cell, the second waits and takes it over."""
    stack = ExitStack()
    try:
        stack.enter_context(locked(LOCKS / identity, ""))
    except UserError:
        log.info("%s: another process makes this very cell; waiting for it", LOCKS / identity)
        stack.enter_context(locked(LOCKS / identity, "", patience_s=math.inf))
    return stack


def is_made(job: Job, identity: str, inputs: dict[str, Record]) -> bool:
    """Whether the job's own result is here after all: what was killed in name only went on."""
    record = _read(job.record) if Path(job.record).exists() else None
    return record is not None and _is_twin(record, identity, inputs)


def find_twin(job: Job, identity: str, inputs: dict[str, Record]) -> Record | None:
    """The whole record of this job in another study's folder, made from the very inputs."""
    for study in studies_with_cells():
        path = Layout(study).records[job.phase].format(**job.wildcards)
        if path != job.record and Path(path).exists():
            record = _read(path)
            if record and _is_twin(record, identity, inputs):
                return record
    return None


def take_over(twin: Record, job: Job, inputs: dict[str, Record]) -> None:
    """Link the files of the twin, or copy them, and write the job's record, last.

    `made` goes on saying how the result came about, and names the record it was taken from.
    """
    for name, file in twin.files().items():
        _link(file, Path(job.record).parent / name)
    taken = {
        "from": twin.path.as_posix(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    content = {
        **twin.content,
        "inputs": {
            role: {**entry, "record": str(inputs[role].path)}
            for role, entry in twin.content["inputs"].items()
        },
        "made": {**twin.content.get("made", {}), "taken_over": taken},
    }
    write_json(Path(job.record), content)


def keep(job: Job, identity: str) -> None:
    """Further names for the files of a result, which outlive those in its folder."""
    folder = KEPT / identity
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*map(Path, job.files.values()), Path(job.record)):
        _link(path, folder / path.name)


def take_back(job: Job, identity: str, inputs: dict[str, Record]) -> bool:
    """Give a kept result its names again, the record's last; False if none is whole."""
    path = KEPT / identity / Path(job.record).name
    record = _read(str(path)) if path.exists() else None
    if record is None or not _is_twin(record, identity, inputs):
        return False
    for name, file in record.files().items():
        _link(file, Path(job.record).parent / name)
    _link(path, Path(job.record))
    return True


def forget(identities: set[str]) -> None:
    """Keep these no longer: the run that made them has ended well."""
    for folder in KEPT.glob("*"):
        if folder.name in identities:
            shutil.rmtree(folder, ignore_errors=True)


def _read(path: str) -> Record | None:
    try:
        return read_record(path)
    except UserError:  # of no use here; its own study says what is wrong with it
        return None


def _is_twin(record: Record, identity: str, inputs: dict[str, Record]) -> bool:
    recorded = record.content["inputs"]
    if not record.stands_for(identity) or recorded.keys() != inputs.keys():
        return False
    is_made_from_these = all(
        (recorded[role]["identity"], recorded[role]["digest"]) == (read.identity, read.digest)
        for role, read in inputs.items()
    )
    return is_made_from_these and not any(damages(record))


def _link(source: Path, target: Path) -> None:
    """Both names for one file; nothing writes into a result in place, so that neither can spoil
    the other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or somebody else's file
        shutil.copyfile(source, target)
