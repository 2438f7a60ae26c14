"""Statements that set systems without video beside the papers' printed rows."""

from tsgbench.reporting.evidence import ROOT, Evidence, PrintedRow, System, as_table
from tsgbench.reporting.statements import (
    MAIN,
    is_printed,
    main_metric,
    name_row,
    name_system,
    scope_of,
    statement,
)

WHOLE_VIDEO = "whole_video"
PRIORS = ("prior_frequency", "prior_action")
# A printed row and a system are called equal if no shared metric differs by more points
EQUAL = 0.25


@statement(
    "Printed rows that equal predicting the whole video",
    "the baseline whole_video on a data set that the papers report on",
)
def whole_video(evidence: Evidence) -> list[str] | None:
    systems = [s for s in evidence.select(model=WHOLE_VIDEO) if is_printed(evidence, s)]
    if not systems:
        return None
    found, seen = [], 0
    for system in systems:
        for row in evidence.printed_rows(system.dataset, "comparison", "ablation"):
            for part in (None, *system.parts):
                shared = _shared(system, row, part)
                if len(shared) < 2:
                    continue
                seen += part is None
                gap = max(abs(system.mean(m, part=part) - row.value(m)) for m in shared)
                if gap <= EQUAL:
                    found.append(_equal_row(system, row, part, shared, gap))
    head = ["Printed row", "data set, split", "metrics", "printed", "whole video", "largest gap"]
    said = (
        f"Of {seen} printed rows with at least two of R@1 and mIoU on these data sets,"
        f" {len(found)} {'is' if len(found) == 1 else 'are'} the score of always answering with the"
        f" whole video: no shared metric differs by more than {EQUAL} points."
    )
    return [said, *(["", *as_table(head, found)] if found else [])]


def _shared(system: System, row: PrintedRow, part: str | None) -> list[str]:
    """Metrics of a first answer that both have."""
    return [
        metric
        for metric in row.printed.values
        if (metric == "mIoU" or metric.startswith("R@1,"))
        and row.value(metric) is not None
        and system.mean(metric, part=part) is not None
    ]


def _equal_row(
    system: System, row: PrintedRow, part: str | None, shared: list[str], gap: float
) -> list[str]:
    return [
        f"“{row.printed.method}” ({row.place})",
        f"`{system.dataset}`, {part or system.split}",
        "; ".join(shared),
        " / ".join(f"{row.value(metric):.2f}" for metric in shared),
        " / ".join(system.show(metric, part=part) for metric in shared),
        f"{gap:.2f}",
    ]


@statement(
    "Printed systems below a prior that never sees the video",
    "a text-only prior (prior_action, prior_frequency) on a data set that the papers report on",
)
def priors(evidence: Evidence) -> list[str] | None:
    systems = [s for s in evidence.systems if s.model in PRIORS and is_printed(evidence, s)]
    lines: list[str] = []
    for system in systems:
        for table in _tables(evidence.printed_rows(system.dataset, "comparison")):
            lines += _below(evidence, system, table)
    if not lines:
        return None
    said = (
        "How many of a table's printed rows lie below each prior, metric by metric, of those that"
        " print a number there. Scored by the paper's own convention where the predictions allow"
        " it. Papers test on other splits too, so a count is an indication, not a ranking."
    )
    return [said, *lines]


def _below(evidence: Evidence, system: System, rows: list[PrintedRow]) -> list[str]:
    """One bullet: counts for each metric, then who is below at the main one."""
    scope = scope_of(system, rows[0].printed.paper)
    metrics = [m for m in rows[0].printed.values if system.mean(m, **scope) is not None]
    counts, names = [], ""
    for metric in metrics:
        mean = system.mean(metric, **scope)
        printed = [row for row in rows if row.value(metric) is not None]
        below = [row for row in printed if row.value(metric) < mean]
        if printed:
            counts.append(
                f"{metric} {system.show(metric, **scope)}: **{len(below)} of {len(printed)}**"
            )
        if metric in MAIN and below:
            listed = ", ".join(f"{name_row(row)} {row.value(metric):.2f}" for row in below)
            names = f". Below it at {metric}: {listed}"
    if not counts:
        return []
    where = evidence.datasets[system.dataset]["title"]
    return ["", f"- {system.title}, {where} ({system.split}) in {rows[0].place}: "] + [
        "  " + "; ".join(counts) + names + "."
    ]


def _tables(rows: list[PrintedRow]) -> list[list[PrintedRow]]:
    """Rows by the table they stand in."""
    grouped: dict[tuple[str, str], list[PrintedRow]] = {}
    for row in rows:
        grouped.setdefault((row.printed.paper, row.printed.table), []).append(row)
    return list(grouped.values())


@statement(
    "What a blind twin reaches of its own printed number",
    "a trained model without video (ablation blind) on a data set of its paper",
)
def blind_twins(evidence: Evidence) -> list[str] | None:
    rows, shares = [], []
    for system in evidence.select(sees_video=False, is_trained=True):
        printed = evidence.own_row(system)
        if printed is None:
            continue
        scope = scope_of(system, printed.paper)
        metric = main_metric(system, **scope)
        if metric is None or printed.values.get(metric) is None or metric in printed.uncertain:
            continue
        share = 100 * system.mean(metric, **scope) / printed.values[metric]
        shares.append(share)
        place = (
            f"[{printed.table.replace('table', 'Table ')}]({ROOT}published/{printed.paper}.yaml)"
        )
        title = evidence.datasets[system.dataset]["title"]
        rows.append(
            [
                system.title,
                f"{title}, {system.split}",
                metric,
                system.show(metric) if metric in MAIN[:1] else "n/a",
                f"{system.show(metric, **scope)} (`{scope.get('convention', 'headline')}`)",
                f"{printed.values[metric]:.2f} ({place})",
                f"{share:.0f} %",
            ]
        )
    if not rows:
        return None
    said = (
        "The same models trained with every clip set to zero. The share is of the paper's own"
        f" number by its own convention: between {min(shares):.0f} and {max(shares):.0f} % of it needs no"
        " video."
    )
    head = ["Model", "data set, split", "metric", "headline", "own convention", "printed", "share"]
    return [said, "", *as_table(head, rows)]


@statement(
    "DiDeMo: baselines among the printed systems",
    "a system on DiDeMo (or didemo_without_train) scored by its official protocol",
)
def ranked_moments(evidence: Evidence) -> list[str] | None:
    lines: list[str] = []
    metrics = ("Rank@1", "Rank@5", "mIoU")
    for dataset, entry in evidence.datasets.items():
        ladder = []
        for system in evidence.select(dataset=dataset):
            scope = scope_of(system)
            if system.mean("Rank@1", **scope) is not None:
                shown = [system.show(metric, **scope) for metric in metrics]
                ladder.append(
                    (system.mean("Rank@1", **scope), [f"**{name_system(system)}**", *shown])
                )
        if not ladder:
            continue
        for row in evidence.printed_rows(dataset, "comparison"):
            if row.value("Rank@1") is not None:
                values = [row.value(metric) for metric in metrics]
                shown = ["—" if value is None else f"{value:.2f}" for value in values]
                ladder.append((row.value("Rank@1"), [f"{name_row(row)} ({row.place})", *shown]))
        ladder.sort(key=lambda entry: -entry[0])
        lines += ["", *as_table([entry["title"], *metrics], [cells for _, cells in ladder])]
    if not lines:
        return None
    return ["Systems of this study in bold, between the printed ones, by Rank@1.", *lines]
