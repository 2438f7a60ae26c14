"""Reports: tables in every form, and what plotting tools read. From files alone: never trains."""

from tsgbench.reporting.pdf import compile_pdf
from tsgbench.reporting.plots import (
    write_learning_curves,
    write_metrics,
    write_systems,
)
from tsgbench.reporting.render import write_table
from tsgbench.reporting.rows import build_table
from tsgbench.reporting.table import Table

__all__ = [
    "Table",
    "build_table",
    "compile_pdf",
    "write_learning_curves",
    "write_metrics",
    "write_systems",
    "write_table",
]
