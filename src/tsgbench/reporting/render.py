"""A table as CSV, Markdown and JSON; `write_table` writes every form."""

import csv
import io
from pathlib import Path

from tsgbench.files import write_json, write_text
from tsgbench.reporting.caption import (
    DOUBTFUL,
    NOT_RUN,
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
from tsgbench.reporting.html import render_html
from tsgbench.reporting.latex import render_latex
from tsgbench.reporting.provenance import DESCRIPTION_SCHEMA, check_traceable
from tsgbench.reporting.table import Result, Row, Table, Value

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
    "published",
    "published_uncertain",
    "published_source",
    "difference",
    "verdict",
    "departures",
    "cells",
)


def write_table(table: Table, stem: str | Path, identity: str) -> list[Path]:
    """Write `{stem}.tex`, `.csv`, `.md`, `.html` and `.provenance.json`; returns their paths.

    identity: digest of what made the table; it stands in every one of them. A number that cannot
    be traced to its run and code is a `UserError`, and nothing is written.
    """
    stem = Path(stem)
    description = describe(table, identity)
    check_traceable(description)
    ends = ("tex", "csv", "md", "provenance.json", "html")
    paths = [stem.with_name(f"{stem.name}.{end}") for end in ends]
    write_text(paths[0], render_latex(table, identity))
    write_text(paths[1], render_csv(table, identity))
    write_text(paths[2], render_markdown(table, identity))
    write_json(paths[3], description)
    write_text(paths[4], render_html(description, stem.parent))
    return paths


def render_csv(table: Table, identity: str) -> str:
    """One line a system, data set and metric; numbers in full, empty where there is none."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        for dataset, result in row.results.items():
            for metric, value in result.values.items():
                writer.writerow(
                    {
                        "study": table.study,
                        "is_demo": str(table.is_demo).lower(),
                        "table": table.id,
                        "identity": identity,
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
        "n_seeds": len(value.seeds),
        "n_wanted": len(result.wanted),
        "rank": value.rank or "",
        "published": _exact(value.printed),
        "published_uncertain": str(value.is_printed_uncertain).lower() if printed else "",
        "published_source": f"{printed.paper}/{printed.table}/{printed.method}" if printed else "",
        "difference": _exact(value.difference),
        "verdict": value.verdict,
        "departures": "; ".join(one.text for one in result.departures) if printed else "",
        "cells": " ".join(cell.name for cell in result.cells),
    }


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def render_markdown(table: Table, identity: str) -> str:
    """The table for reading in a terminal or a repository's pages."""
    lines = [
        f"<!-- {table.id} of study {table.study}, identity {identity}; written by tsgbench -->",
        "",
        f"**{_plain(table.id)}.** {_plain(caption(table))}",
    ]
    for place, dataset in enumerate(table.datasets):
        if not table.has_one_block:
            lines += ["", f"### {_plain(dataset['title'])}"]
        if place == 0 or not table.has_one_block:
            lines += ["", *_markdown_head(table)]
        for row in table.rows:
            if dataset["name"] in row.results:
                lines += _markdown_row(table, row, row.results[dataset["name"]])
    lines += ["", *(f"- {_plain(line)}" for line in legend(table))]
    return "\n".join(lines) + "\n"


def _markdown_head(table: Table) -> list[str]:
    first = "Data set" if table.has_one_block else "System"
    return [
        "| " + " | ".join([first, *table.metrics]) + " |",
        "|:---" + "|---:" * len(table.metrics) + "|",
    ]


def _markdown_row(table: Table, row: Row, result: Result) -> list[str]:
    values = [result.values[metric] for metric in table.metrics]
    if result.is_only_printed:
        lines = [[f"*{_plain(only_printed_label(row))}*", *(_markdown_printed(v) for v in values)]]
        return ["| " + " | ".join(cells) + " |" for cells in lines]
    lines = [[_plain(row_label(row, result)), *(_markdown_value(result, v) for v in values)]]
    if result.printed is not None:
        lines.append(
            [f"*{_plain(printed_label(table, result))}*", *(_markdown_printed(v) for v in values)]
        )
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _markdown_value(result: Result, value: Value) -> str:
    if not result.cells:
        return f"{NOT_RUN} not run"
    if value.mean is None:
        return UNDEFINED
    spread = "" if value.std is None else f" ± {value.std:.{value.decimals}f}"
    text = _marked(f"{value.mean:.{value.decimals}f}{spread}", value.rank)
    star = "\\*" if is_significant(value) else ""
    if value.interval is None:
        return text + star
    low, high = (f"{bound:.{value.decimals}f}" for bound in value.interval)
    return f"{text}{star} [{low}, {high}]"


def _marked(text: str, rank: int) -> str:
    """Best bold, second underlined."""
    return {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(rank, text)


def _markdown_printed(value: Value) -> str:
    if value.printed is None:
        return DOUBTFUL if value.is_printed_uncertain else UNDEFINED
    mark = DOUBTFUL if value.is_printed_uncertain else ""
    verdict = VERDICT_MARKS.get(value.verdict, "")
    difference = "" if value.difference is None else f" ({f'{signed(value)} {verdict}'.strip()})"
    spread = "" if value.printed_std is None else f" ± {value.printed_std:.{value.decimals}f}"
    number = _marked(f"{value.printed_text}{spread}", value.printed_rank)
    return number + mark + difference


def _plain(text: str) -> str:
    """Text that cannot break a Markdown table or start a tag."""
    for character in "|<>*_":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def describe(table: Table, identity: str) -> dict:
    """Every number with the cells, runs and printed rows it comes from."""
    return {
        "schema": DESCRIPTION_SCHEMA,
        "table": table.id,
        "identity": identity,
        "study": table.study,
        "title": table.title,
        "is_demo": table.is_demo,
        "caption": caption(table),
        "notes": legend(table),
        "heading": table.heading,
        "against": table.against,
        "convention": table.convention.get("name"),
        "has_one_block": table.has_one_block,
        "metrics": table.metrics,
        "datasets": table.datasets,
        "groups": table.groups,
        "rows": [
            {
                "label": row.label,
                "model": row.model,
                "ablation": row.ablation,
                "seeds": row.seeds,
                "group": row.group,
                "is_quoted": row.is_quoted,
                "results": {
                    name: _describe(table, row, result) for name, result in row.results.items()
                },
            }
            for row in table.rows
        ],
    }


def _describe(table: Table, row: Row, result: Result) -> dict:
    printed = result.printed
    return {
        "label": only_printed_label(row) if result.is_only_printed else row_label(row, result),
        "is_only_printed": result.is_only_printed,
        "status": result.status,
        "wanted": result.wanted,
        "departures": [vars(departure) for departure in result.departures],
        "cells": [cell.provenance() for cell in result.cells],
        "printed": printed
        and {
            "paper": printed.paper,
            "system": printed.system,
            "table": printed.table,
            "row": printed.method,
            "label": printed_label(table, result),
        },
        "values": {
            metric: {
                "mean": value.mean,
                "std": value.std,
                "interval": value.interval and list(value.interval),
                "seeds": value.seeds,
                "rank": value.rank or None,
                "p_value": value.p_value,
                "published": value.printed,
                "published_text": None if value.printed is None else value.printed_text,
                "published_std": value.printed_std,
                "published_uncertain": value.is_printed_uncertain,
                "published_rank": value.printed_rank or None,
                "difference": value.difference,
                "verdict": value.verdict or None,
                "decimals": value.decimals,
            }
            for metric, value in result.values.items()
        },
    }
