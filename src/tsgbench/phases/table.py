"""Write one table of the study from its cells' metrics and the published numbers."""

from pathlib import Path

from tsgbench.phases import Task
from tsgbench.reporting import build_table, write_table

PUBLISHED = Path("published")


def run(task: Task):
    cells = {
        role.removeprefix("run:"): record.path.parent
        for role, record in task.inputs.items()
        if role.startswith("run:")
    }
    table = build_table(task.settings, cells, PUBLISHED)
    write_table(table, task.record.with_suffix(""), task.identity)
    return {"rows": len(task.settings["rows"]), "cells": len(cells)}, list(task.files.values())
