"""The report as a LaTeX document: title, contents, notes, every table and figure by its number."""

import os
from pathlib import Path

from tsgbench.reporting.latex import PACKAGES, lay_out
from tsgbench.reporting.report.content import Entry, Report
from tsgbench.reporting.templates import render_document

PAGE = "report.html"  # whose sections the numbers link to: one page holds them all


def render_report_latex(report: Report, folder: Path | str) -> str:
    """folder: where the document will lie; figures are named relative to it."""

    def path_of(figure: Entry) -> str:
        return Path(os.path.relpath(figure.file(".pdf"), folder)).as_posix()

    return render_document(
        "report.tex",
        report=report,
        page=PAGE,
        packages=",".join(PACKAGES),
        sheet_of=lay_out,
        caption_of=_caption,
        path_of=path_of,
    )


def _caption(entry: Entry) -> str:
    """A table's caption without what the caption's label says already."""
    caption = entry.document.caption if entry.document else ""
    return caption.replace(f"{entry.title}: ", "", 1)
