"""The report as one page that stands alone: contents, notes, tables, figures, runs, findings."""

import base64
from pathlib import Path

from tsgbench.reporting.html import (
    Markup,
    caption_of,
    demo_banner,
    element,
    gather_systems,
    render_blocks,
    render_notes,
    render_page,
    render_systems,
)
from tsgbench.reporting.html.elements import join, link_to_file
from tsgbench.reporting.html.markdown import render_markdown
from tsgbench.reporting.report.content import Entry, Report, Section


def render_report_html(report: Report, folder: Path | str) -> str:
    """folder: where the page will lie, for links to the files beside it."""
    title = f"Tables and figures of study {report.study}"
    return render_page(
        title,
        element(
            "header",
            element("p", f"Study {report.study} · {report.title}", cls="over"),
            element("h1", "Printed tables and figures, reproduced"),
            demo_banner() if report.is_demo else "",
            *(element("p", line) for line in report.summary),
            _contents(report),
        ),
        element(
            "main",
            _protocol(report),
            *(_section(section, folder) for section in report.sections),
            _findings(report, folder),
            render_systems(gather_systems(report.tables), folder),
        ),
        element(
            "footer",
            f"Report of study {report.study}, identity ",
            element("code", report.identity),
            ". Written by tsgbench.",
        ),
    )


def _contents(report: Report) -> Markup:
    parts = [element("li", _go("protocol", "Protocols and data"))]
    for section in report.sections:
        inner = (element("li", _go(e.anchor, _in_section(e, section))) for e in section.entries)
        parts.append(element("li", _go(_anchor(section), section.title), element("ul", *inner)))
    if report.findings:
        parts.append(element("li", _go("findings", "Findings")))
    if gather_systems(report.tables):
        parts.append(element("li", _go("cells", "Where each number comes from")))
    return element("nav", element("ol", *parts), aria_label="Contents")


def _go(anchor: str, text: str) -> Markup:
    return element("a", text, href=f"#{anchor}")


def _anchor(section: Section) -> str:
    return "section-" + "".join(c if c.isalnum() else "-" for c in section.title.lower())


def _in_section(entry: Entry, section: Section) -> str:
    """A name in the list of its own section, with what it shows."""
    name = entry.title.removeprefix(f"{section.title}, ")
    return f"{name}: {entry.about}" if entry.about else name


def _protocol(report: Report) -> Markup:
    ways = (
        element("li", element("strong", name), f": {about}.")
        for name, about in report.conventions.items()
    )
    data = (
        join(element("h3", name), element("ul", *(element("li", line) for line in lines)))
        for name, lines in report.data.items()
    )
    return element(
        "section",
        element("h2", "Protocols and data"),
        element("p", "Ways of scoring that the tables use:") if report.conventions else "",
        element("ul", *ways) if report.conventions else "",
        *data,
        id="protocol",
    )


def _section(section: Section, folder: Path | str) -> Markup:
    return element(
        "section",
        element("h2", section.title),
        element("p", section.about, cls="over") if section.about else "",
        *(
            (_table if entry.kind == "table" else _figure)(entry, folder)
            for entry in section.entries
        ),
        id=_anchor(section),
    )


def _table(entry: Entry, folder: Path | str) -> Markup:
    document = entry.document
    return element(
        "section",
        element("h3", entry.title),
        element("p", entry.about, cls="about") if entry.about else "",
        *render_blocks(document, level=4),
        element(
            "details",
            element("summary", "How to read this table"),
            element("p", caption_of(document), cls="caption"),
            render_notes(document),
        ),
        _files(entry, (".tex", ".csv", ".md", ".html", ".provenance.json"), folder),
        id=entry.anchor,
    )


def _figure(entry: Entry, folder: Path | str) -> Markup:
    """A picture, small; a click shows it in full, and its way back stands above it."""
    data = base64.b64encode(entry.file(".png").read_bytes()).decode()
    zoom = f"zoom-{entry.anchor}"
    about = entry.about or entry.title
    image = element("img", src=f"data:image/png;base64,{data}", alt=f"{entry.title}. {about}")
    return element(
        "section",
        element("h3", entry.title),
        element(
            "figure",
            element(
                "div",
                element("a", "← back to the report", href=f"#{entry.anchor}", cls="close"),
                element("a", image, href=f"#{zoom}", cls="thumb", title="Show in full size"),
                id=zoom,
                cls="zoom",
            ),
            element("figcaption", entry.caption, cls="notes"),
        ),
        _sources(entry, folder),
        _files(entry, (".pdf", ".png", ".csv"), folder),
        id=entry.anchor,
    )


def _sources(entry: Entry, folder: Path | str) -> Markup:
    """What a figure was drawn from."""
    rows = [
        element(
            "tr",
            element("th", role, scope="row"),
            element("td", element("code", source["identity"])),
            element("td", element("code", source["digest"])),
            element("td", link_to_file(source["record"], folder)),
        )
        for role, source in entry.record.content["inputs"].items()
    ]
    if not rows:
        return element("p", "Drawn from no result of this study: none was run.", cls="notes")
    heads = (element("th", name) for name in ("Drawn from", "Identity", "Digest", "Record"))
    grid = element(
        "table", element("thead", element("tr", *heads)), element("tbody", *rows), cls="plain"
    )
    return element(
        "details",
        element("summary", f"Drawn from {len(rows)} records, identity {entry.record.identity}"),
        element("div", grid, cls="scroll"),
    )


def _files(entry: Entry, ends: tuple[str, ...], folder: Path | str) -> Markup:
    links = (
        join(" ", link_to_file(entry.file(end).as_posix(), folder, entry.stem.name + end))
        for end in ends
    )
    return element("p", "Files:", *links, cls="notes")


def _findings(report: Report, folder: Path | str) -> Markup:
    if not report.findings:
        return Markup("")
    return element(
        "section",
        element("h2", "Findings"),
        render_markdown(report.findings, report.findings_folder, folder, level=3),
        id="findings",
    )
