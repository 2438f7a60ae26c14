"""Draw one figure of the study from its records."""

from tsgbench.phases import Outcome, Task
from tsgbench.reporting.figures import write_figure


def run(task: Task) -> Outcome:
    """facts: what it was drawn from."""
    files = write_figure(task.settings, task.inputs, task.record.with_suffix(""))
    return {"drawn_from": sorted(task.inputs)}, files
