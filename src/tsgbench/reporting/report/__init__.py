"""The report: every table and figure of a study, as one page and as one document.

`gather` reads the records, `render_report_html` and `render_report_latex` write the same content.
"""

from tsgbench.reporting.report.content import Report, gather
from tsgbench.reporting.report.document import render_report_latex
from tsgbench.reporting.report.page import render_report_html

__all__ = ["Report", "gather", "render_report_html", "render_report_latex"]
