"""Statements on the data sets themselves."""

from pathlib import Path

from tsgbench.reporting.evidence import Evidence, as_table, link_table
from tsgbench.reporting.markdown import escape, link
from tsgbench.reporting.numbers import Shown
from tsgbench.reporting.statements import statement
from tsgbench.reporting.statistics_table import build_statistics_table, count_exact, is_exact


@statement(
    "Where annotated moments lie",
    "statistics of a data set",
)
def places(evidence: Evidence) -> list[str] | None:
    """Where moments lie: shares at the start, at the end, over the whole, and the densest cell."""
    rows = []
    for dataset, record in evidence.statistics.items():
        moments = record.facts["moments"][record.facts["all"]]
        total, bins = moments["queries"], len(moments["start"])
        shares = [
            moments["start"][0],
            moments["end"][-1],
            moments["start_end"][0][-1],
            max(max(line) for line in moments["start_end"]),
        ]
        linked = link(f"{total:,}", f"{evidence.root}{Path(record.path).as_posix()}")
        title = evidence.datasets[dataset]["title"]
        rows.append([title, linked, *(f"{100 * share / total:.1f}" for share in shares)])
        rows[-1].append(f"{moments['ratio']:.3f}")
    if not rows:
        return None
    said = (
        f"Shares of all kept sentences in percent, on a grid of {bins} x {bins} over start and end"
        " in parts of the video. Two points drawn at random, the earlier as start, would put"
        f" {100 * (1 - (1 - 1 / bins) ** 2):.1f} % into the first bin of starts and into the last"
        f" of ends, and {200 / bins**2:.1f} % into both."
    )
    head = ["Data set", "sentences", "start in the first bin", "end in the last", "both"]
    return [said, "", *as_table([*head, "fullest cell", "mean length / video"], rows)]


@statement("Printed statistics of the data sets", "statistics of a data set that a paper describes")
def printed_statistics(evidence: Evidence) -> list[str] | None:
    """How many printed statistics of data sets our count gives exactly, and which differ."""
    lines = []
    for one in evidence.printed_tables("statistics"):
        spec = {**evidence.spec, "paper": one.paper, "table": one.table}
        table = build_statistics_table(spec, evidence.statistics, evidence.published)
        exact, compared = count_exact(table)
        if not compared:
            continue
        differing = "; ".join(
            f"{escape(row.label)}, {metric.lower()}: {Shown(value).mean},"
            f" printed {Shown(value).printed}"
            for row in table.rows
            for dataset, result in row.results.items()
            for metric, value in result.values.items()
            if value.difference is not None and not is_exact(value)
        )
        lines.append(
            f"- {link_table(one, evidence.root)}: {exact} of {compared} counted numbers are the"
            f" printed ones, to every printed digit. Others: {differing or 'none'}."
        )
    if not lines:
        return None
    records = ", ".join(
        link(evidence.datasets[name]["title"], f"{evidence.root}{Path(record.path).as_posix()}")
        for name, record in evidence.statistics.items()
    )
    return [f"Counted from the public files: {records}.", "", *lines]
