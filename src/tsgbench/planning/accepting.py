"""Declare existing results current after a change of code that the user knows to be harmless.

An edit that cannot change a number (a faster loop, a renamed helper) makes all that it touches
stale, because a digest cannot tell. Whoever can tell says so here: each result's record then names
who said it, when, why, and the identity that the result stands for from then on beside the one that
it was made with. What the files hold and their digests stay as they are, and nothing is accepted
that differs by more than code: other settings (unless asked for), other inputs, or damaged files.
"""

import getpass
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.files import digest, write_json
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import Record, damages, read_record

if TYPE_CHECKING:
    from tsgbench.planning.study import Study

LONGEST_VALUE = 60  # characters of a setting, as a refusal shows it


@dataclass(frozen=True)
class Verdict:
    """What would be accepted, and what would not and why, by record path."""

    accepted: dict[str, Record]
    refused: dict[str, str]

    def refuse_any(self, targets: Iterable[str]) -> None:
        """`UserError` if one of these results, or what it was made from, cannot be accepted."""
        lines = [f"{path}: {self.refused[path]}" for path in targets if path in self.refused]
        if lines:
            raise UserError("nothing was accepted: " + "; ".join(lines))


def judge(study: "Study", targets: Iterable[str] = (), *, settings: bool = False) -> Verdict:
    """Which results of a study, now stale, differ by code alone.

    targets: records; judged with all that they were made from. None: every result that is here.
    settings: other settings are acceptable, too, but for a download's, whose bytes they decide.
    """
    accepted: dict[str, Record] = {}
    refused: dict[str, str] = {}
    wanted = with_ancestors(study, targets)
    for path, job in study.jobs.items():  # inputs before what is made from them
        if path not in wanted or not Path(path).exists():
            continue
        try:
            record = read_record(path)
        except UserError as error:
            refused[path] = str(error)
            continue
        reason = next(_objections(study, job, record, accepted, refused, settings), None)
        if reason:
            refused[path] = reason
        elif not record.stands_for(study.identity(path)):
            accepted[path] = record
    return Verdict(accepted, refused)


def accept(study: "Study", verdict: Verdict, *, reason: str) -> None:
    """Write into the records of what was judged acceptable that it stands for the study's identity.

    Times of files stay, so that nothing that is made from them runs again.
    """
    said = {
        "by": _who(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "reason": reason,
    }
    for path, record in verdict.accepted.items():
        times = os.stat(path)
        entry = {
            **said,
            "from": record.identities[-1],
            "to": study.identity(path),
            "code": [record.content.get("code"), study.jobs[path].code],
        }
        content = {**record.content, "accepted": [*record.accepted, entry]}
        write_json(Path(path), content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def find_target(study: "Study", name: str) -> str:
    """The record of a result that a user names by any of its files, or as `tsgbench plan` does."""
    wanted = os.path.normpath(name)
    for record, job in study.jobs.items():
        if wanted in map(os.path.normpath, (record, *job.files.values())):
            return record
    stem = Path(wanted).with_suffix(".json").as_posix()  # a table's .md, .csv, .html
    if stem in study.jobs:
        return stem
    raise UserError(
        f"{name}: no result of study {study.name!r}; `tsgbench plan` lists them, by their records"
    )


def with_ancestors(study: "Study", targets: Iterable[str]) -> set[str]:
    """Some results and all that they are made from; of no targets, all of the study's."""
    waiting = list(targets) or list(study.jobs)
    reached: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += study.jobs[path].inputs.values()
    return reached


def _objections(
    study: "Study",
    job: Job,
    record: Record,
    accepted: dict[str, Record],
    refused: dict[str, str],
    settings: bool,
) -> Iterator[str]:
    """Why a result cannot be accepted, most telling first; nothing of one that is current."""
    content = record.content
    changed = list(differences(content.get("settings"), job.settings))
    if changed and job.phase == "download":
        yield f"another source was downloaded ({changed[0]})"
    if changed and not settings:
        yield f"made with other settings: {in_short(changed)} (--settings accepts that)"
    recorded = content["inputs"]
    if recorded.keys() != job.inputs.keys():
        names = sorted(recorded.keys() ^ job.inputs.keys())
        yield f"made from other inputs: {', '.join(names)}"
    for role, path in job.inputs.items():
        if path in refused:
            yield f"made from {path}, which cannot be accepted ({refused[path]})"
        elif Path(path).exists():
            held = accepted[path] if path in accepted else read_record(path)
            if held.digest != recorded[role]["digest"]:
                yield f"{path} has been made again since, with other content"
        elif recorded[role]["identity"] != study.identity(path):
            yield f"made from {path}, which is not here to be compared; pull it first"
    yield from damages(record)


def differences(old: object, new: object, name: str = "") -> Iterator[str]:
    """In words, the settings in which two differ: `train.lr: 0.001 -> 0.002`."""
    if digest(old) == digest(new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{name}.{key}" if name else str(key)
            if key not in old:
                yield f"{inner}: not set -> {_short(new[key])}"
            elif key not in new:
                yield f"{inner}: {_short(old[key])} -> not set"
            else:
                yield from differences(old[key], new[key], inner)
    else:
        yield f"{name}: {_short(old)} -> {_short(new)}"


def in_short(changed: list[str]) -> str:
    """The first of some differences, and how many more there are."""
    return changed[0] + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _who() -> str:
    """As git has it, else the name that the machine knows."""
    name, mail = _git("config", "user.name"), _git("config", "user.email")
    if name or mail:
        return " ".join(filter(None, (name, f"<{mail}>" if mail else None)))
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None
