"""A table as LaTeX (booktabs, siunitx) to be `\\input`; its numbers link to its page's sections."""

import re
import unicodedata

from tsgbench.reporting.caption import (
    DOUBTFUL,
    UNDEFINED,
    VERDICT_MARKS,
    caption,
    is_significant,
    legend,
    only_printed_label,
    printed_label,
    row_label,
    signed,
)
from tsgbench.reporting.provenance import anchor
from tsgbench.reporting.table import Result, Row, Table, Value

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


def render_latex(table: Table, identity: str) -> str:
    """The table environment(s). The first line names the identity of the table."""
    lines = [
        f"% {table.id} of study {_comment(table.study)}, identity {identity}; written by tsgbench",
        "% needs: " + " ".join(f"\\usepackage{{{name}}}" for name in PACKAGES),
        # Numbers are links where hyperref is loaded, and plain numbers elsewhere
        "\\providecommand{\\href}[2]{#2}",
    ]
    for place, datasets in enumerate(_pages(table)):
        lines += _render_page(table, datasets, is_first=place == 0)
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return " ".join(text.split())


def _pages(table: Table) -> list[list[dict]]:
    """Data sets, as many to a page as fit; one data set is never torn apart."""
    pages, used = [], ROWS_PER_PAGE
    for dataset in table.datasets:
        rows = 2 + sum(
            _height(row, row.results[dataset["name"]])
            for row in table.rows
            if dataset["name"] in row.results
        )
        if used + rows > ROWS_PER_PAGE:
            pages.append([])
            used = 0
        pages[-1].append(dataset)
        used += rows
    return pages


def _height(row: Row, result: Result) -> float:
    """Lines that a row takes: its numbers, small ones of their intervals, the printed ones."""
    has_interval = any(value.interval for value in result.values.values())
    has_printed = result.printed is not None and not result.is_only_printed
    return 1 + 0.7 * has_interval + has_printed


def _render_page(table: Table, datasets: list[dict], *, is_first: bool) -> list[str]:
    columns = "".join("@{\\hspace{7pt}}r@{\\,}l" for _ in table.metrics)
    text = escape(caption(table)) if is_first else f"{escape(table.title)} (continued)."
    # On every page, though it may hold one data set alone
    has_titles = len(table.datasets) > 1 and not table.has_one_block
    blocks = [_render_block(table, dataset, has_titles) for dataset in datasets]
    body = blocks[0]
    for block in blocks[1:]:
        body += ["\\addlinespace" if table.has_one_block else "\\midrule", *block]
    notes = " ".join(escape(line) for line in legend(table)) if is_first else ""
    return [
        "\\begin{table}[htbp]",
        "\\centering\\footnotesize",
        "\\setlength{\\belowcaptionskip}{6pt}",
        f"\\caption{{{text}}}",
        *([f"\\label{{tab:{re.sub('[^a-z0-9]', '', table.id.lower())}}}"] if is_first else []),
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


def _render_head(table: Table) -> list[str]:
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


def _render_block(table: Table, dataset: dict, has_title: bool) -> list[str]:
    name, width = dataset["name"], 1 + 2 * len(table.metrics)
    lines = []
    if has_title:
        title = f"\\textbf{{{escape(dataset['title'])}}}"
        lines.append(f"\\multicolumn{{{width}}}{{@{{}}l}}{{{title}}} \\\\")
    titles = {group["id"]: group["title"] for group in table.groups}
    group = None
    for row in table.rows:
        if name not in row.results:
            continue
        if row.group != group:
            group = row.group
            if lines:
                lines.append("\\addlinespace")
            if group in titles:
                title = escape(titles[group])
                lines.append(f"\\multicolumn{{{width}}}{{@{{}}l}}{{\\textit{{{title}}}}} \\\\")
        lines += _render_row(table, row, row.results[name])
    return lines


def _render_row(table: Table, row: Row, result: Result) -> list[str]:
    values = [result.values[metric] for metric in table.metrics]
    if result.is_only_printed:
        label = f"\\textcolor{{gray}}{{{escape(only_printed_label(row))}}}"
        return [_line(label, [_printed(value) for value in values])]
    lines = [_line(escape(row_label(row, result)), [_reproduced(table, result, v) for v in values])]
    if any(value.interval for value in values):
        lines.append(_line("", [_interval(value) for value in values]))
    if result.printed is not None:
        label = f"\\quad\\textcolor{{gray}}{{{escape(printed_label(table, result))}}}"
        lines.append(_line(label, [_printed(v) for v in values]))
    return lines


def _line(label: str, entries: list[str]) -> str:
    return " & ".join([label, *entries]) + " \\\\"


def _reproduced(table: Table, result: Result, value: Value) -> str:
    if not result.cells:
        return _centred("---")
    if value.mean is None:
        return _centred(UNDEFINED)
    mean = _number(value.mean, value.decimals)
    if value.rank == 1:
        mean = f"\\textbf{{{value.mean:.{value.decimals}f}}}"  # \num has its own idea of weight
    elif value.rank == 2:
        mean = f"\\underline{{{mean}}}"
    star = "$^*$" if is_significant(value) else ""
    spread = "" if value.std is None else f"{{\\tiny$\\pm$\\,{_number(value.std, value.decimals)}}}"
    return f"{_link(table, result, mean)} & {star}{spread}"


def _link(table: Table, result: Result, text: str) -> str:
    """A number that leads to the section of its cells in the table's own page beside it."""
    page = table.id.rpartition("/")[2] + ".html"
    return f"\\href{{{page}\\#{anchor(result.cells[0].provenance()['cell'])}}}{{{text}}}"


def _interval(value: Value) -> str:
    """Under the mean: the bounds, small and to one digit."""
    if value.interval is None:
        return _centred("")
    low, high = (f"{bound:.1f}" for bound in value.interval)
    return _centred(f"\\textcolor{{gray}}{{\\tiny [{low}, {high}]}}")


def _printed(value: Value) -> str:
    if value.printed is None:
        text = DOUBTFUL if value.is_printed_uncertain else UNDEFINED
        return _centred(f"\\textcolor{{gray}}{{{text}}}")
    mark = DOUBTFUL if value.is_printed_uncertain else ""
    verdict = escape(VERDICT_MARKS.get(value.verdict, ""))
    difference = "" if value.difference is None else f"(${signed(value)}$) {verdict}"
    number = f"\\num{{{value.printed_text}}}"
    if value.printed_rank == 1:
        number = f"\\textbf{{{value.printed_text}}}"
    elif value.printed_rank == 2:
        number = f"\\underline{{{number}}}"
    spread = ""
    if value.printed_std is not None:
        spread = f"$\\pm$\\,{_number(value.printed_std, value.decimals)} "
    beside = f"{spread}{mark}{difference}".strip()
    return f"\\textcolor{{gray}}{{{number}}} & \\textcolor{{gray}}{{\\tiny {beside}}}"


def _centred(text: str) -> str:
    return f"\\multicolumn{{2}}{{c}}{{{text}}}"


def _number(value: float, decimals: int) -> str:
    return f"\\num{{{value:.{decimals}f}}}"
