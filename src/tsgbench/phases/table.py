"""Write one table of the study from its records and the published numbers."""

from pathlib import Path

from tsgbench.phases import Task
from tsgbench.reporting import build_table, write_table
from tsgbench.reporting.statistics_table import build_statistics_table

PUBLISHED = Path("published")


def run(task: Task):
    if task.settings.get("kind") == "statistics":
        statistics = _named(task, "statistics:")
        table = build_statistics_table(task.settings, statistics, PUBLISHED)
    else:
        cells = {name: record.path.parent for name, record in _named(task, "run:").items()}
        table = build_table(task.settings, cells, PUBLISHED)
    write_table(table, task.record.with_suffix(""), task.identity)
    return {"rows": len(table.rows), "cells": len(_named(task, "run:"))}, list(task.files.values())


def _named(task: Task, role: str) -> dict:
    """The records of one role, by the name behind it."""
    return {
        name.removeprefix(role): record
        for name, record in task.inputs.items()
        if name.startswith(role)
    }
