"""A table's document as CSV and Markdown; `write_table` writes every form."""

import csv
import io
from pathlib import Path

from tsgbench.files import write_text
from tsgbench.reporting.document import Block, Document, Result, Row, Value, write_document
from tsgbench.reporting.html import render_html
from tsgbench.reporting.latex import render_latex
from tsgbench.reporting.markdown import escape
from tsgbench.reporting.numbers import Shown, spread
from tsgbench.reporting.provenance import check_traceable, name_of

CSV_COLUMNS = (
    "study",
    "is_demo",
    "table",
    "identity",
    "system",
    "model",
    "ablation",
    "dataset",
    "metric",
    "status",
    "mean",
    "std",
    "interval_low",
    "interval_high",
    "n_seeds",
    "n_wanted",
    "rank",
    "p_value",
    "detectable_difference",
    "test_videos",
    "published",
    "published_uncertain",
    "published_source",
    "difference",
    "verdict",
    "departures",
    "cells",
)


def write_table(document: Document, stem: str | Path) -> list[Path]:
    """Write `{stem}.tex`, `.csv`, `.md`, `.html` and `.provenance.json`; returns their paths.

    A number that cannot be traced to its run and code is a `UserError`, and nothing is written.
    """
    stem = Path(stem)
    check_traceable(document)
    ends = ("tex", "csv", "md", "provenance.json", "html")
    paths = [stem.with_name(f"{stem.name}.{end}") for end in ends]
    write_text(paths[0], render_latex(document))
    write_text(paths[1], render_csv(document))
    write_text(paths[2], render_markdown(document))
    write_document(document, paths[3])
    write_text(paths[4], render_html(document, stem.parent))
    return paths


def render_csv(document: Document) -> str:
    """One line per system, data set and metric; numbers in full, empty where there is none."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in document.rows:
        for dataset, result in row.results.items():
            for metric, value in result.values.items():
                writer.writerow(
                    {
                        "study": document.study,
                        "is_demo": str(document.is_demo).lower(),
                        "table": document.table,
                        "identity": document.identity,
                        "system": row.label,
                        "model": row.model,
                        "ablation": row.ablation,
                        "dataset": dataset,
                        "metric": metric,
                        **_csv_value(row, result, value),
                    }
                )
    return stream.getvalue()


def _csv_value(row: Row, result: Result, value: Value) -> dict:
    low, high = value.interval or (None, None)
    is_undefined = bool(result.cells) and value.mean is None
    printed = result.printed
    return {
        "status": "quoted" if row.is_quoted else "undefined" if is_undefined else result.status,
        "mean": _exact(value.mean),
        "std": _exact(value.std),
        "interval_low": _exact(low),
        "interval_high": _exact(high),
        "p_value": _exact(value.p_value),
        "detectable_difference": _exact(value.detectable),
        "test_videos": value.test_videos,
        "n_seeds": len(value.seeds),
        "n_wanted": len(result.wanted),
        "rank": value.rank,
        "published": _exact(value.published),
        "published_uncertain": str(value.published_uncertain).lower() if printed else "",
        "published_source": f"{printed.paper}/{printed.table}/{printed.row}" if printed else "",
        "difference": _exact(value.difference),
        "verdict": value.verdict,
        "departures": "; ".join(one.text for one in result.departures) if printed else "",
        "cells": " ".join(name_of(cell["cell"]) for cell in result.cells),
    }


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def render_markdown(document: Document) -> str:
    """The table for reading in a terminal or a repository's pages."""
    lines = [
        f"<!-- {document.table} of study {document.study}, identity {document.identity};"
        " written by tsgbench -->",
        "",
        f"**{escape(document.table)}.** {escape(document.caption)}",
    ]
    if document.has_one_block:
        lines += ["", *_markdown_head("Data set", document.metrics)]
    for block in document.datasets:
        if not document.has_one_block:
            head = _markdown_head("System", document.metrics)
            lines += ["", f"### {escape(block.title)}", "", *head]
        lines += _markdown_rows(document, block)
    lines += ["", *(f"- {escape(line)}" for line in document.notes)]
    return "\n".join(lines) + "\n"


def _markdown_head(first: str, metrics: list[str]) -> list[str]:
    heads = " | ".join([first, *map(escape, metrics)])
    return [f"| {heads} |", "|:---" + "|---:" * len(metrics) + "|"]


def _markdown_rows(document: Document, block: Block) -> list[str]:
    lines = []
    for result in document.results_of(block):
        values = [result.values[metric] for metric in document.metrics]
        printed = [_markdown_printed(value) for value in values] if result.printed else []
        if result.is_only_printed:
            lines.append([f"*{escape(result.label)}*", *printed])
            continue
        lines.append([escape(result.label), *(_markdown_value(result, v) for v in values)])
        if result.printed and printed:
            lines.append([f"*{escape(result.printed.label)}*", *printed])
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _markdown_value(result: Result, value: Value) -> str:
    shown = Shown(value)
    if missing := shown.missing(result):
        return missing
    star = "\\*" if shown.star else ""
    return f"{_marked(shown.mean_std, value.rank)}{star} {shown.interval}".rstrip()


def _marked(text: str, rank: int | None) -> str:
    """Best bold, second underlined."""
    return {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(rank or 0, text)


def _markdown_printed(value: Value) -> str:
    shown = Shown(value)
    if shown.printed_missing:
        return shown.printed_missing
    number = _marked(shown.printed + spread(shown.printed_std), value.published_rank)
    difference = f" ({shown.difference} {shown.mark}".rstrip() + ")" if shown.difference else ""
    return number + shown.doubt + difference
