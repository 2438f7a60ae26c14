"""Write what `dvc metrics` and `dvc plots` show: scores and learning curves of all cells."""

from tsgbench.files import write_text
from tsgbench.phases import Outcome, Task
from tsgbench.reporting.plots import write_learning_curves, write_metrics, write_systems
from tsgbench.reporting.vega import read_scripts


def run(task: Task) -> Outcome:
    """Metrics, learning curves and systems as DVC shows them. facts: how many cells."""
    cells = {
        role.removeprefix("run:"): record.path.parent
        for role, record in task.inputs.items()
        if role.startswith("run:")
    }
    metrics = write_metrics(cells, task.folder / "metrics")
    write_learning_curves(cells, task.files["learning"])
    write_systems(cells, task.files["systems"])
    write_text(task.files["vega"], read_scripts())
    return {"cells": len(cells)}, [*metrics, *task.files.values()]
