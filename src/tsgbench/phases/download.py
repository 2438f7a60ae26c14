"""Fetch one source of `config/sources.yaml`, from the mirror or upstream, and verify it."""

from tsgbench.config import Catalogue
from tsgbench.downloads import fetch
from tsgbench.phases import Task


def run(task: Task):
    name = task.wildcards["source"]
    facts = fetch(Catalogue.load().sources[name], task.folder, mirror=task.mirror, progress=True)
    facts.pop("tried")  # addresses of this machine's mirror: for the log, not for the record
    return facts, [task.folder / file["path"] for file in facts["files"]]
