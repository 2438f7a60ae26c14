"""A table's blocks: one number a cell of the grid, and below it what it has to be read with."""

from tsgbench.reporting.document import Block, Document, Result, Value
from tsgbench.reporting.html.elements import Markup, element, join
from tsgbench.reporting.numbers import VERDICT_MARKS, Shown, spread
from tsgbench.reporting.provenance import anchor

RANKS = {1: "best", 2: "second"}
TONES = {"within interval": "v-within", "above": "v-above", "below": "v-below"}


def render_blocks(document: Document, level: int = 2) -> list[Markup]:
    """One sortable table for each data set, or a single one whose rows are data sets.

    level: of the headings above them.
    """
    blocks = [(block, _rows(document, block)) for block in document.datasets]
    if document.has_one_block:
        rows = [row for _, found in blocks for row in found]
        return [_table(document, rows, "Data set", document.title)]
    return [
        element(
            "section",
            element(f"h{level}", block.title),
            _table(document, rows, "System", block.title),
        )
        for block, rows in blocks
    ]


def render_notes(document: Document) -> Markup:
    """The legend: what the marks mean, and how to use the page."""
    notes = document.notes
    hint = "A number leads to the runs behind it; the head of a column sorts by it."
    listed = element("ul", *(element("li", note) for note in notes)) if notes else ""
    return element("div", element("p", hint, cls="hint"), listed, cls="notes")


def _table(document: Document, rows: list[Markup], first: str, title: str) -> Markup:
    columns = [first, *document.metrics]
    heads = (
        element(
            "th",
            element("button", name.replace(",", ", "), type="button", title="Sort"),
            scope="col",
            aria_sort="none",
            data_column=place,
        )
        for place, name in enumerate(columns)
    )
    grid = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        cls="sortable full",
        aria_label=title,
    )
    return element("div", grid, cls="scroll", tabindex=0, role="region", aria_label=title)


def _rows(document: Document, block: Block) -> list[Markup]:
    titles = {group.id: group.title for group in document.groups}
    rows, group = [], None
    width = 1 + len(document.metrics)
    for row, result in document.rows_of(block):
        if row.group != group:
            group = row.group
            if group in titles:
                head = element("th", titles[group], scope="rowgroup", colspan=width)
                rows.append(element("tr", head, cls="group"))
        rows.append(_row(document, result))
    return rows


def _row(document: Document, result: Result) -> Markup:
    below = []
    if result.printed and not result.is_only_printed:
        below.append(_below(result.printed.label))
    for departure in result.departures if result.printed else []:
        mark = f"{VERDICT_MARKS['protocol differs']} " if departure.is_material else ""
        below.append(_below(mark + departure.text))
    return element(
        "tr",
        element("th", result.label, *below, scope="row", data_sort=result.label),
        *(_number(result, result.values[metric]) for metric in document.metrics),
        cls="quoted" if result.is_only_printed else None,
    )


def _below(text: str) -> Markup:
    return element("span", text, cls="below-number")


def _number(result: Result, value: Value) -> Markup:
    """A reproduced number over its interval and its printed value, or what stands for it."""
    shown = Shown(value)
    sort = value.published if result.is_only_printed else value.mean
    if result.is_only_printed:
        lines = [element("span", write_printed(shown), cls=RANKS.get(value.published_rank))]
    else:
        lines = [_reproduced(result, value)]
        lines += [_below(shown.interval)] if shown.interval else []
        lines += _printed(shown) if result.printed else []
    if shown.p_value:
        lines.append(_below(f"{shown.star} p = {shown.p_value}".lstrip()))
    return element("td", *lines, data_sort=None if sort is None else f"{sort:.10g}")


def _reproduced(result: Result, value: Value) -> Markup:
    """Mean and spread, linked to the section of its cells."""
    shown = Shown(value)
    if missing := shown.missing(result):
        return element("span", missing, cls="missing")
    mean = element("span", shown.mean, cls=RANKS.get(value.rank))
    std = join(" ", element("span", f"± {shown.std}", cls="std")) if shown.std else ""
    return element("a", mean, std, cls="mean", href="#" + anchor(result.cells[0]["cell"]))


def write_printed(shown: Shown) -> str:
    """The paper's number with a mark of doubt; what stands where it has none."""
    return shown.printed_missing or shown.printed + spread(shown.printed_std) + shown.doubt


def write_difference(shown: Shown) -> str:
    """With a minus sign, as typesetters have it."""
    return shown.difference.replace("-", "−")


def write_verdict(shown: Shown) -> Markup | str:
    """The verdict in words, with its mark."""
    verdict = shown.value.verdict
    if not verdict:
        return ""
    tone = " ".join(filter(None, ["verdict", TONES.get(verdict)]))
    return element("span", f"{shown.mark} {verdict}".strip(), cls=tone)


def _printed(shown: Shown) -> list[Markup]:
    difference = f" ({write_difference(shown)})" if shown.difference else ""
    lines = [_below(f"printed {write_printed(shown)}{difference}")]
    return (
        [*lines, element("span", verdict, cls="below-number")]
        if (verdict := write_verdict(shown))
        else lines
    )
