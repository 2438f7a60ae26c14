"""What each rule of the workflow runs: one module a phase, wiring rooms of the library together.

Every module has `run(task) -> (facts, files)`: what it counted, and every file it made (both go
into its record). A phase's module is the root of its code digest (jobs/code.py): what it imports
decides what an edit reruns, so it imports no more than it needs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tsgbench.jobs.records import Record

# The facts for the record, and every file that was made
Outcome = tuple[dict, list[Path]]


@dataclass
class Task:
    """A job about to run. Only the first group may shape the result."""

    settings: dict
    inputs: dict[str, Record]  # role -> checked record of what this job reads

    identity: str
    record: Path  # where the record will be written; other files go beside or below
    files: dict[str, Path]  # role -> path of the files with fixed names
    wildcards: dict[str, str]
    own_files: dict[str, str] = field(default_factory=dict)  # role -> the user's own file or folder
    study: str = ""
    threads: int = 1
    mirror: str | None = None
    on_epoch: Callable[[int, dict[str, float]], None] | None = None
    # Folders that are needed until the record is written, and deleted then
    done_with: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the record will lie, and files beside or below it."""
        return self.record.parent
