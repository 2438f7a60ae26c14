"""Write one table of the study from its records and the published numbers."""

from tsgbench.outside import shipped
from tsgbench.phases import Outcome, Task
from tsgbench.reporting.comparison import compare_rows
from tsgbench.reporting.describe import describe
from tsgbench.reporting.efficiency_table import build_efficiency_table
from tsgbench.reporting.render import write_table
from tsgbench.reporting.statistics_table import build_statistics_table
from tsgbench.reporting.systems_table import build_table

# By the settings' kind: what assembles the table, and the role of the records that it reads
KINDS = {
    "statistics": (build_statistics_table, "statistics:"),
    "efficiency": (build_efficiency_table, "efficiency:"),
}


def run(task: Task) -> Outcome:
    """settings: a table's specification (`specifications/grammar.py`). facts: rows and cells."""
    kind = task.settings["kind"]
    if kind in KINDS:
        build, role = KINDS[kind]
        table = build(task.settings, _named(task, role), shipped() / "published")
    else:
        cells = {name: record.path.parent for name, record in _named(task, "run:").items()}
        table = build_table(task.settings, cells, shipped() / "published")
        if table.against:
            for dataset in table.datasets:
                compare_rows(table.rows, dataset.name, table.against, table.metrics)
    write_table(describe(table, task.identity), task.record.with_suffix(""))
    return {"rows": len(table.rows), "cells": len(_named(task, "run:"))}, list(task.files.values())


def _named(task: Task, role: str) -> dict:
    """The records of one role, by the name behind it."""
    return {
        name.removeprefix(role): record
        for name, record in task.inputs.items()
        if name.startswith(role)
    }
