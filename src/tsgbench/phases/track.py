"""Make MLflow agree with the study's cells: one finished run a cell, final metrics included."""

from pathlib import Path

from tsgbench.phases import Task
from tsgbench.tracking import default_uri, resolve_uri, sync


def run(task: Task):
    """Never fails for a store that is away: the facts say what is still to be logged."""
    runs = [record for role, record in task.inputs.items() if role.startswith("run:")]
    uri = resolve_uri(default_uri(Path.cwd()))
    rows = sync([record.path.parent for record in runs], study=task.study, uri=uri)
    return {"uri": uri, "runs": rows}, []
