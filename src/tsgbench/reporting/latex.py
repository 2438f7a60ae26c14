r"""A table as LaTeX (booktabs, siunitx) to be `\input`; its numbers link to its page's sections."""

import re

from tsgbench.reporting.document import Block, Document, Result
from tsgbench.reporting.templates import render_document

PACKAGES = ("adjustbox", "booktabs", "siunitx", "xcolor")
# More rows than this do not fit on a page under a full caption; the table goes on in a second one
ROWS_PER_PAGE = 34


def render_latex(document: Document) -> str:
    """The table environment(s). The first line names the identity of the table."""
    page = document.table.rpartition("/")[2] + ".html"
    return render_document(
        "table.tex", document=document, sheet=lay_out(document), page=page, packages=PACKAGES
    )


def lay_out(document: Document) -> dict:
    """What the template of the environments asks of a table, beside its document."""
    return {
        "document": document,
        "pages": _pages(document),
        "label": re.sub("[^a-z0-9]", "", document.table.lower()),
        "spans": _spans(document.metrics),
        "heads": [metric.partition(",")[2] or metric for metric in document.metrics],
        "width": 1 + 2 * len(document.metrics),
        # On every page, though it may hold one data set alone
        "has_titles": len(document.datasets) > 1 and not document.has_one_block,
    }


def _pages(document: Document) -> list[list[Block]]:
    """Data sets, as many to a page as fit; one data set is never torn apart."""
    pages: list[list[Block]] = []
    used: float = ROWS_PER_PAGE
    for block in document.datasets:
        rows = 2 + sum(_height(result) for result in document.results_of(block))
        if used + rows > ROWS_PER_PAGE:
            pages.append([])
            used = 0
        pages[-1].append(block)
        used += rows
    return pages


def _height(result: Result) -> float:
    """Lines that a row takes: its numbers, small ones of their intervals, the printed ones."""
    has_interval = any(value.interval for value in result.values.values())
    has_printed = result.printed is not None and not result.is_only_printed
    return 1 + 0.7 * has_interval + has_printed


def _spans(metrics: list[str]) -> list[dict]:
    """R@1 and R@5 above their IoU thresholds; nothing above other metrics. first, last: columns."""
    spans: list[dict] = []
    for index, metric in enumerate(metrics):
        recall, _, iou = metric.partition(",")
        name, last = recall if iou else "", 2 * index + 3
        if spans and name and spans[-1]["name"] == name:
            spans[-1]["last"] = last
        else:
            spans.append({"name": name, "first": last - 1, "last": last})
    return spans
