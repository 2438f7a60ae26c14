"""A table as LaTeX (booktabs, siunitx) to be `\\input`; its numbers link to its page's sections."""

import re
import unicodedata

from tsgbench.reporting.document import Block, Document, Result, Value
from tsgbench.reporting.numbers import UNDEFINED, Shown
from tsgbench.reporting.provenance import anchor

PACKAGES = ("adjustbox", "booktabs", "siunitx", "xcolor")
# More rows than this do not fit on a page under a full caption; the table goes on in a second one
ROWS_PER_PAGE = 34
SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "−": r"$-$",
    "—": "---",
    "–": "--",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "…": r"\dots{}",
    "≠": r"$\neq$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "θ": r"$\theta$",
    "\n": " ",
}


def escape(text: str) -> str:
    """Plain text as LaTeX that pdflatex accepts, whatever the text.

    Latin letters keep their accents; a character of another script becomes its code, `U+4E00`.
    """
    return "".join(SPECIAL.get(character) or _latin(character) for character in text)


def _latin(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    base, *accents = unicodedata.normalize("NFD", character)
    if base.isascii() and base.isalpha() and accents and ord(character) < 0x180:
        return character
    return f"U+{ord(character):04X}"


def render_latex(document: Document) -> str:
    """The table environment(s). The first line names the identity of the table."""
    lines = [
        f"% {document.table} of study {' '.join(document.study.split())}, identity"
        f" {document.identity}; written by tsgbench",
        "% needs: " + " ".join(f"\\usepackage{{{name}}}" for name in PACKAGES),
        # Numbers are links where hyperref is loaded, and plain numbers elsewhere
        "\\providecommand{\\href}[2]{#2}",
    ]
    for place, blocks in enumerate(_pages(document)):
        lines += _render_page(document, blocks, is_first=place == 0)
    return "\n".join(lines) + "\n"


def _pages(document: Document) -> list[list[Block]]:
    """Data sets, as many to a page as fit; one data set is never torn apart."""
    pages, used = [], ROWS_PER_PAGE
    for block in document.datasets:
        rows = 2 + sum(_height(result) for _, result in document.rows_of(block))
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


def _render_page(table: Document, datasets: list[Block], *, is_first: bool) -> list[str]:
    columns = "".join("@{\\hspace{7pt}}r@{\\,}l" for _ in table.metrics)
    text = escape(table.caption) if is_first else f"{escape(table.title)} (continued)."
    # On every page, though it may hold one data set alone
    has_titles = len(table.datasets) > 1 and not table.has_one_block
    blocks = [_render_block(table, dataset, has_titles) for dataset in datasets]
    body = blocks[0]
    for block in blocks[1:]:
        body += ["\\addlinespace" if table.has_one_block else "\\midrule", *block]
    notes = " ".join(escape(line) for line in table.notes) if is_first else ""
    return [
        "\\begin{table}[htbp]",
        "\\centering\\footnotesize",
        "\\setlength{\\belowcaptionskip}{6pt}",
        f"\\caption{{{text}}}",
        *([f"\\label{{tab:{re.sub('[^a-z0-9]', '', table.table.lower())}}}"] if is_first else []),
        "\\begin{adjustbox}{max width=\\linewidth}",
        f"\\begin{{tabular}}{{@{{}}l{columns}@{{}}}}",
        "\\toprule",
        *_render_head(table),
        "\\midrule",
        *body,
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{adjustbox}",
        *(["", f"\\smallskip\\parbox{{\\linewidth}}{{\\scriptsize {notes}}}"] if notes else []),
        "\\end{table}",
    ]


def _render_head(table: Document) -> list[str]:
    """Two lines: R@1 and R@5 above their IoU thresholds; other metrics alone on the second."""
    spans: list[list] = []
    for metric in table.metrics:
        recall, _, iou = metric.partition(",")
        name = recall if iou else ""
        if spans and name and spans[-1][0] == name:
            spans[-1][1] += 1
        else:
            spans.append([name, 1])
    upper, rules, column = [], [], 2
    for name, width in spans:
        upper.append(f"\\multicolumn{{{2 * width}}}{{c}}{{{escape(name)}}}")
        if name:
            rules.append(f"\\cmidrule(lr){{{column}-{column + 2 * width - 1}}}")
        column += 2 * width
    lower = [
        f"\\multicolumn{{2}}{{c}}{{{escape(metric.partition(',')[2] or metric)}}}"
        for metric in table.metrics
    ]
    return [
        " & ".join(["", *upper]) + " \\\\",
        " ".join(rules),
        " & ".join(["Data set" if table.has_one_block else "System", *lower]) + " \\\\",
    ]


def _render_block(table: Document, dataset: Block, has_title: bool) -> list[str]:
    width = 1 + 2 * len(table.metrics)
    lines = []
    if has_title:
        title = f"\\textbf{{{escape(dataset.title)}}}"
        lines.append(f"\\multicolumn{{{width}}}{{@{{}}l}}{{{title}}} \\\\")
    titles = {group.id: group.title for group in table.groups}
    group = None
    for row, result in table.rows_of(dataset):
        if row.group != group:
            group = row.group
            if lines:
                lines.append("\\addlinespace")
            if group in titles:
                title = escape(titles[group])
                lines.append(f"\\multicolumn{{{width}}}{{@{{}}l}}{{\\textit{{{title}}}}} \\\\")
        lines += _render_row(table, result)
    return lines


def _render_row(table: Document, result: Result) -> list[str]:
    values = [result.values[metric] for metric in table.metrics]
    if result.is_only_printed:
        label = f"\\textcolor{{gray}}{{{escape(result.label)}}}"
        return [_line(label, [_printed(value) for value in values])]
    lines = [_line(escape(result.label), [_reproduced(table, result, v) for v in values])]
    if any(value.interval for value in values):
        lines.append(_line("", [_interval(value) for value in values]))
    if result.printed is not None:
        label = f"\\quad\\textcolor{{gray}}{{{escape(result.printed.label)}}}"
        lines.append(_line(label, [_printed(v) for v in values]))
    return lines


def _line(label: str, entries: list[str]) -> str:
    return " & ".join([label, *entries]) + " \\\\"


def _reproduced(table: Document, result: Result, value: Value) -> str:
    shown = Shown(value)
    if shown.missing(result):
        return _centred("---" if not result.cells else UNDEFINED)
    star = f"$^{shown.star}$" if shown.star else ""
    spread = f"{{\\tiny$\\pm$\\,\\num{{{shown.std}}}}}" if shown.std else ""
    return f"{_link(table, result, _ranked(shown.mean, value.rank))} & {star}{spread}"


def _ranked(number: str, rank: int | None) -> str:
    """Best bold, second underlined; `\\num` has its own idea of weight."""
    ways = {1: f"\\textbf{{{number}}}", 2: f"\\underline{{\\num{{{number}}}}}"}
    return ways.get(rank, f"\\num{{{number}}}")


def _link(table: Document, result: Result, text: str) -> str:
    """A number that leads to the section of its cells in the table's own page beside it."""
    page = table.table.rpartition("/")[2] + ".html"
    return f"\\href{{{page}\\#{anchor(result.cells[0]['cell'])}}}{{{text}}}"


def _interval(value: Value) -> str:
    """Under the mean: the bounds, small and to one digit."""
    text = Shown(value).interval_to(1)
    return _centred(f"\\textcolor{{gray}}{{\\tiny {text}}}" if text else "")


def _printed(value: Value) -> str:
    shown = Shown(value)
    if shown.printed_missing:
        return _centred(f"\\textcolor{{gray}}{{{shown.printed_missing}}}")
    difference = f"(${shown.difference}$) {escape(shown.mark)}" if shown.difference else ""
    spread = f"$\\pm$\\,\\num{{{shown.printed_std}}} " if shown.printed_std else ""
    number, beside = _ranked(shown.printed, value.published_rank), f"{spread}{shown.doubt}"
    return (
        f"\\textcolor{{gray}}{{{number}}} &"
        f" \\textcolor{{gray}}{{\\tiny {(beside + difference).strip()}}}"
    )


def _centred(text: str) -> str:
    return f"\\multicolumn{{2}}{{c}}{{{text}}}"
