"""How `tsgbench verify` says what it found."""

import json
from dataclasses import asdict

from tsgbench.cli.sources import as_size
from tsgbench.running.repeating import Retrained
from tsgbench.running.verification import Verification

SHOWN = 5  # records of a kind that are named


def as_json(found: Verification) -> str:
    """Everything, for programs."""
    return json.dumps(asdict(found), indent=2)


def as_text(found: Verification, study: str) -> str:
    """Problems first, then what was checked, then the verdict."""
    lines = [f"{path}: {problem}" for path, problem in found.problems]
    lines += [""] if lines else []
    lines.append(
        f"study {study}: {found.checked} results; {found.files} files"
        f" ({as_size(found.bytes)}) against their digests"
    )
    if found.repeated:
        counts = ", ".join(f"{number} {phase}" for phase, number in found.repeated.items())
        lines.append(f"made again and compared: {counts}")
    lines += [_of_cell(done) for done in found.retrained]
    if found.not_repeated:
        lines.append(
            f"{len(found.not_repeated)} were not made again, since what they read is wrong or not"
            f" here: {_some(found.not_repeated)}"
        )
    if found.stale:
        lines.append(
            f"{len(found.stale)} were made by other code than this checkout's, or from what was:"
            f" {_some(found.stale)}"
        )
    if found.missing:
        lines.append(f"{len(found.missing)} are not here: {_some(found.missing)}")
    wrong = len({path for path, _ in found.problems})
    lines.append(f"{wrong} results are wrong" if wrong else "all are as recorded")
    return "\n".join(lines)


def _some(records: list[str]) -> str:
    return ", ".join(records[:SHOWN]) + (", ..." if len(records) > SHOWN else "")


def _of_cell(done: Retrained) -> str:
    if done.is_same:
        return f"trained again: {done.cell}: the same to the byte"
    then, now = done.hardware
    where = f" (on {now}; recorded on {then})" if then != now else ""
    return f"trained again: {done.cell}: metrics differ by {done.worst:.2f} points at most{where}"
