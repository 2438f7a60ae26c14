"""The report as one page that stands alone: contents, notes, tables, figures, runs, findings."""

import base64
from pathlib import Path

from tsgbench.reporting.html import caption_of, gather_systems
from tsgbench.reporting.markdown import render_markdown
from tsgbench.reporting.report.content import Entry, Report
from tsgbench.reporting.templates import as_markup, render_page


def render_report_html(report: Report, folder: Path | str) -> str:
    """folder: where the page will lie, for links to the files beside it."""
    findings = ""
    if report.findings and report.findings_folder:
        findings = render_markdown(report.findings, report.findings_folder, folder, level=3)
    return render_page(
        "report.html",
        report=report,
        systems=gather_systems(report.tables),
        findings=as_markup(findings),
        caption_of=caption_of,
        picture=_picture,
        folder=folder,
    )


def _picture(entry: Entry) -> str:
    return base64.b64encode(entry.file(".png").read_bytes()).decode()
