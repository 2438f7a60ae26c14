"""Tables as pages that stand alone: no server, no network, nothing beside the one file.

`render_html` takes a table's description (`render.describe`); the report (`reporting/report/`)
puts several of them on one page with the same parts.
"""

from tsgbench.reporting.caption import DEMO
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


def render_html(description: dict, folder: object = None) -> str:
    """The page of one table: caption, blocks of rows, notes, and a section for each system.

    folder: where the page will lie, so that files are linked from there; without it they are
    named only.
    """
    title = title_of(description)
    about = description["heading"].partition(": ")[2]
    described = {title: description}
    return render_page(
        f"{title} · {description['study']}",
        element(
            "header",
            element("p", f"Study {description['study']} · {description['title']}", cls="over"),
            element("h1", title),
            element("p", about, cls="about") if about else "",
            demo_banner() if description["is_demo"] else "",
            element("p", caption_of(description), cls="caption"),
        ),
        element(
            "main",
            *render_blocks(description),
            render_notes(description),
            render_systems(gather_systems(described), folder),
        ),
        element(
            "footer",
            f"Table {description['table']} of study {description['study']}, identity ",
            element("code", description["identity"]),
            ". Written by tsgbench.",
        ),
    )


def title_of(description: dict) -> str:
    """`SeqPAN, Table 5`."""
    named = description["heading"].partition(": ")[0]
    return named or heading(description["table"], _papers(description))


def caption_of(description: dict) -> str:
    """The caption without what stands above it on a page: that it is a demo, and its heading."""
    text = description["caption"].removeprefix(DEMO).strip()
    return text.removeprefix(description["heading"].rstrip(". ") + ".").strip()


def _papers(description: dict) -> dict[str, str]:
    """The papers' systems, as far as the printed rows of the table say them."""
    printed = [
        result["printed"]
        for row in description["rows"]
        for result in row["results"].values()
        if result["printed"]
    ]
    return {entry["paper"]: entry["system"] for entry in printed}
