"""Fetch one source of `config/sources.yaml`, from the mirror or upstream, and verify it."""

from tsgbench.config import Catalogue
from tsgbench.downloads import obtain
from tsgbench.downloads.manifest import files_of
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """facts: as `downloads.fetch` returns them: which files came, and from where."""
    facts = obtain(
        task.wildcards["source"],
        Catalogue.load().sources,
        task.folder,
        mirror=task.mirror,
        progress=True,
        ready={name: list(files_of(record).values()) for name, record in task.inputs.items()},
    )
    facts.pop("tried")  # addresses of this machine's mirror: for the log, not for the record
    return facts, [task.folder / file["path"] for file in facts["files"]]
