"""A table's document for a terminal: what fits beside the systems' names, the rest by its files."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from tsgbench.reporting.document import DEMO, Block, Document, Result, Value
from tsgbench.reporting.numbers import NOT_RUN, UNDEFINED, Shown, spread

GAP = INDENT = "  "
SHORTEST_LABEL = 18  # which long ones are cut to before the spread goes
DECIMALS = 1


def render_terminal(document: Document, stem: Path, width: int) -> str:
    """Means and spread over seeds to one decimal; without the spread where lines would be longer
    than `width`, and what then still does not fit is broken by the terminal.

    stem: path of the table's files without their endings, which have intervals and notes.
    """
    said = f"{document.table} of study {document.study}: {document.title}; percent."
    lines = wrap(f"{said} {DEMO}" if document.is_demo else said, width)
    for block in document.datasets:
        rows = list(_rows(document, block))
        head = [_short(metric) for metric in document.metrics]
        for values in (1, 2):
            table = list(_aligned(head, [[row[0], *row[values]] for row in rows], width))
            if max(map(len, table)) <= width:
                break
        lines += ["", block.title, *table]
    if any(not result.cells and not result.is_only_printed for result in document.results):
        lines += ["", f"{NOT_RUN} not run"]
    ends = ", ".join(f".{end}" for end in ("html", "md", "tex", "csv"))
    lines += ["", *wrap(f"With intervals, notes and what differs from print: {stem}{ends}", width)]
    return "\n".join(lines)


def next_steps(document: Document, stem: Path) -> str:
    """What to type after having seen the table."""
    first = document.metrics[0]
    means = {
        row.label: result.values[first].mean or 0.0
        for row in document.rows
        for result in row.results.values()
        if result.cells and result.status != "people"
    }
    row = f' --row "{max(means, key=means.__getitem__)}"' if means else ""
    steps = {
        f"tsgbench explain {stem}.tex{row}": "where these numbers come from",
        f"tsgbench verify {stem}.tex": "checked and made again",
        "tsgbench ui": "curves of every run",
    }
    longest = max(map(len, steps))
    return "\n".join(f"{INDENT}{step.ljust(longest)}{GAP}{about}" for step, about in steps.items())


def _rows(document: Document, block: Block) -> Iterator[tuple[str, list[str], list[str]]]:
    """Of each line: its label, its values with their spread, and without."""
    for result in document.results_of(block):
        values = [result.values[metric] for metric in document.metrics]
        if not result.is_only_printed:
            yield (
                result.label,
                [_value(result, value, True) for value in values],
                [_value(result, value, False) for value in values],
            )
        if result.printed:
            printed = [Shown(value).quoted for value in values]
            yield f"{INDENT}{result.printed.label}", printed, printed


def _value(result: Result, value: Value, with_spread: bool) -> str:
    if not result.cells:
        return NOT_RUN
    if value.mean is None:
        return UNDEFINED
    decimals = min(DECIMALS, value.decimals)
    std = "" if value.std is None or not with_spread else f"{value.std:.{decimals}f}"
    return f"{value.mean:.{decimals}f}{spread(std)}"


def _short(metric: str) -> str:
    """`R@1,IoU=0.5` as `R@1 0.5`."""
    return metric.replace(",IoU=", " ")


def _aligned(head: list[str], rows: list[list[str]], width: int) -> Iterator[str]:
    """Lines with labels to the left, cut where that makes them fit, and numbers to the right."""
    columns = zip(head, *(row[1:] for row in rows), strict=True)
    widths = [max(map(len, column)) for column in columns]
    numbers = sum(widths) + len(GAP) * len(widths)
    longest = max((len(row[0]) for row in rows), default=0)
    label = min(longest, max(SHORTEST_LABEL, width - numbers))
    yield _line("", head, label, widths)
    yield "─" * (label + numbers)
    for row in rows:
        yield _line(row[0], row[1:], label, widths)


def _line(first: str, cells: list[str], label: int, widths: list[int]) -> str:
    shown = first if len(first) <= label else f"{first[: label - 1]}…"
    numbers = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return GAP.join([shown.ljust(label), *numbers]).rstrip()
