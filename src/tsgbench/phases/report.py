"""Put every table and figure of the study on one page and into one document."""

from tsgbench.files import write_text
from tsgbench.phases import Outcome, Task
from tsgbench.reporting.report import gather, render_report_html, render_report_latex


def run(task: Task) -> Outcome:
    """facts: how many tables, figures and cells it shows, and cells that were not run."""
    report = gather(task.settings, task.inputs, task.identity)
    write_text(task.files["html"], render_report_html(report, task.folder))
    write_text(task.files["tex"], render_report_latex(report, task.folder))
    tables = len(report.tables)
    return {
        "tables": tables,
        "figures": len(report.entries) - tables,
        "cells": report.cells_run,
        "cells_not_run": report.cells_wanted - report.cells_run,
    }, list(task.files.values())
