"""Reports: tables in every form, and what plotting tools read. From files alone: never trains."""

from tsgbench.reporting.describe import describe
from tsgbench.reporting.pdf import compile_pdf
from tsgbench.reporting.plots import (
    write_learning_curves,
    write_metrics,
    write_systems,
)
from tsgbench.reporting.render import write_table
from tsgbench.reporting.systems_table import build_table

__all__ = [
    "build_table",
    "compile_pdf",
    "describe",
    "write_learning_curves",
    "write_metrics",
    "write_systems",
    "write_table",
]
