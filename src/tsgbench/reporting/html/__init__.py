"""Tables as pages that stand alone: no server, no network, nothing beside the one file.

`render_html` takes a table's document; the report (`reporting/report/`)
puts several of them on one page with the same parts.
"""

from tsgbench.reporting.document import DEMO, Document
from tsgbench.reporting.html.cells import gather_systems, render_systems
from tsgbench.reporting.html.elements import Markup, element
from tsgbench.reporting.html.page import demo_banner, render_page
from tsgbench.reporting.html.tables import render_blocks, render_notes
from tsgbench.reporting.provenance import heading

__all__ = [
    "Markup",
    "caption_of",
    "demo_banner",
    "element",
    "gather_systems",
    "render_blocks",
    "render_html",
    "render_notes",
    "render_page",
    "render_systems",
]


def render_html(document: Document, folder: object = None) -> str:
    """The page of one table: caption, blocks of rows, notes, and a section for each system.

    folder: where the page will lie, so that files are linked from there; without it they are
    named only.
    """
    title = title_of(document)
    about = document.heading.partition(": ")[2]
    described = {title: document}
    return render_page(
        f"{title} · {document.study}",
        element(
            "header",
            element("p", f"Study {document.study} · {document.title}", cls="over"),
            element("h1", title),
            element("p", about, cls="about") if about else "",
            demo_banner() if document.is_demo else "",
            element("p", caption_of(document), cls="caption"),
        ),
        element(
            "main",
            *render_blocks(document),
            render_notes(document),
            render_systems(gather_systems(described), folder),
        ),
        element(
            "footer",
            f"Table {document.table} of study {document.study}, identity ",
            element("code", document.identity),
            ". Written by tsgbench.",
        ),
    )


def title_of(document: Document) -> str:
    """`SeqPAN, Table 5`."""
    named = document.heading.partition(": ")[0]
    return named or heading(document.table, _papers(document))


def caption_of(document: Document) -> str:
    """The caption without what stands above it on a page: that it is a demo, and its heading."""
    text = document.caption.removeprefix(DEMO).strip()
    return text.removeprefix(document.heading.rstrip(". ") + ".").strip()


def _papers(document: Document) -> dict[str, str]:
    """The papers' systems, as far as the printed rows of the table say them."""
    printed = [result.printed for result in document.results if result.printed]
    return {entry.paper: entry.system for entry in printed}
