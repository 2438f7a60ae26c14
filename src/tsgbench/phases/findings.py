"""Say in sentences what the study's numbers show."""

from tsgbench.files import write_text
from tsgbench.outside import shipped
from tsgbench.phases import Outcome, Task
from tsgbench.reporting.findings import gather, write_findings


def run(task: Task) -> Outcome:
    """facts: which statements were made, and which could not be for want of results."""
    roles: dict[str, dict] = {"run": {}, "statistics": {}}
    for role, record in task.inputs.items():
        kind, _, name = role.partition(":")
        if kind in roles:
            roles[kind][name] = record
    cells = {name: record.path.parent for name, record in roles["run"].items()}
    evidence = gather(
        task.settings, cells, roles["statistics"], shipped() / "published", task.folder
    )
    text, made, missing = write_findings(evidence, task.identity)
    write_text(task.files["markdown"], text)
    return {"made": made, "not_run": missing, "cells": len(cells)}, list(task.files.values())
