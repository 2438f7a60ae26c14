"""Draw one figure of the study from its records."""

from tsgbench.phases import Task
from tsgbench.reporting.figures import write_figure


def run(task: Task):
    """facts: which of its data sets were drawn, and which are marked as not run."""
    records = {
        role.removeprefix("statistics:"): record
        for role, record in task.inputs.items()
        if role.startswith("statistics:")
    }
    files = write_figure(task.settings, records, task.record.with_suffix(""))
    missing = [name for name in task.settings["datasets"] if name not in records]
    return {"drawn": list(records), "not_run": missing}, files
