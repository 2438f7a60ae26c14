"""Write what `dvc metrics` and `dvc plots` show: scores and learning curves of all cells."""

from tsgbench.phases import Task
from tsgbench.reporting.plots import write_learning_curves, write_metrics, write_systems


def run(task: Task):
    cells = {
        role.removeprefix("run:"): record.path.parent
        for role, record in task.inputs.items()
        if role.startswith("run:")
    }
    write_metrics(cells, task.files["metrics"])
    write_learning_curves(cells, task.files["learning"])
    write_systems(cells, task.files["systems"])
    return {"cells": len(cells)}, list(task.files.values())
