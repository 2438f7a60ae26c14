"""What a verification found, kept where a bundle's checklist reads it (`verify --record`)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.files import read_json, write_json
from tsgbench.planning.study import Study
from tsgbench.running.job import git_commit
from tsgbench.running.verification import Verification

NAME = "verified.json"


def path_of(study: Study) -> Path:
    """Where it lies: beside the study's results, each verification in the place of the last."""
    return Path(study.layout.folders["results"]) / NAME


def write_verified(study: Study, targets: list[str], found: Verification) -> Path:
    """Write when, at which commit, what of it was sound, and by which digest each result is known.

    `UserError` if the study has a result of that name.
    """
    path = path_of(study)
    if str(path) in study.jobs:
        raise UserError(f"{path}: is a result of the study; call that otherwise, or leave --record")
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "targets": targets,
        "checked": found.checked,
        "files": found.files,
        "repeated": found.repeated,
        "retrained": [
            {"cell": one.cell, "is_same": one.is_same, "worst": one.worst, "hardware": one.hardware}
            for one in found.retrained
        ],
        "missing": len(found.missing),
        "stale": len(found.stale),
        "problems": found.problems,
        "sound": found.sound,
    }
    write_json(path, content)
    return path


def read_verified(study: Study) -> dict[str, Any] | None:
    """What was written last; None if nothing was."""
    path = path_of(study)
    if str(path) in study.jobs or not path.is_file():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("sound"), dict):
        raise UserError(
            f"{path}: holds no verification; move it away, or run tsgbench verify --record"
        )
    return content
