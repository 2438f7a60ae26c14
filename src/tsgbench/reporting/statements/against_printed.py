"""Statements that set systems without video beside the papers' printed rows."""

from dataclasses import replace

from tsgbench.reporting.cells import FIXED_ORDER
from tsgbench.reporting.evidence import Evidence, PrintedRow, System, as_table, link_table
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
    """How many printed rows equal answering with the whole video, and which."""
    systems = [s for s in evidence.select(model=WHOLE_VIDEO) if is_printed(evidence, s)]
    if not systems:
        return None
    found: dict[tuple, list[str]] = {}  # by row and split: protocols may test the same one
    seen = set()
    for system in systems:
        for row in evidence.printed_rows(system.dataset, "comparison", "ablation"):
            for part in (None, *system.parts):
                shared = _shared(system, row, part)
                if len(shared) < 2:
                    continue
                seen.add((system.dataset, *row.key))
                gap = max(
                    abs(ours - theirs)
                    for m in shared
                    if (ours := system.mean(m, part=part)) is not None
                    and (theirs := row.value(m)) is not None
                )
                if gap <= EQUAL:
                    where = (system.dataset, part or system.split, *row.key)
                    found.setdefault(where, _equal_row(system, row, part, shared, gap))
    head = ["Printed row", "data set, split", "metrics", "printed", "whole video", "largest gap"]
    equal = len({(dataset, *key) for dataset, _, *key in found})
    said = (
        f"Of {len(seen)} printed rows with at least two of R@1 and mIoU on these data sets,"
        f" {equal} {'is' if equal == 1 else 'are'} the score of always answering with the"
        f" whole video: no shared metric differs by more than {EQUAL} points."
    )
    return [said, *(["", *as_table(head, list(found.values()))] if found else [])]


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
        f"“{row.method}” ({row.source})",
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
    """How many printed numbers priors without video exceed, by data set."""
    summary, tables = [], []
    for dataset, entry in evidence.datasets.items():
        printed = _tables(evidence.printed_rows(dataset, "comparison"))
        systems = [system for system in evidence.select(dataset=dataset) if system.model in PRIORS]
        if not printed or not systems:
            continue
        metrics = sorted({m for rows in printed for m in rows[0].printed.values})
        lines, names = [], []
        for system in systems:
            own = [rows for rows in printed if evidence.follows(system, rows[0].printed.paper)]
            summary += _summary(system, own, entry["title"])
            for rows in own:
                cells = [_count(system, rows, metric) for metric in metrics]
                lines.append([f"{system.title} ({system.split}); {rows[0].source}", *cells])
                names += _names_below(system, rows)
        head = [entry["title"], *metrics]
        tables += ["", *as_table(head, lines), "", *names]
    if not summary:
        return None
    said = (
        "Below: the prior's own score, and how many of the table's rows with a number there are"
        " smaller. Scored by the paper's own convention where the predictions allow it, and by its"
        " protocol. The rows that it quotes may have others, so a count is an indication and not a"
        " ranking."
    )
    return [*summary, "", said, *tables]


def _summary(system: System, printed: list[list[PrintedRow]], title: str) -> list[str]:
    """One line: at the main metric, over all tables."""
    below = total = 0
    metric = ""
    for rows in printed:
        scope = scope_of(system, rows[0].printed.paper)
        metric = main_metric(system, **scope) or metric
        with_value = [row for row in rows if row.value(metric) is not None]
        total += len(with_value)
        below += len(_below(system, with_value, metric))
    if not total:
        return []
    said = f"{title} ({system.split}), {system.title}"
    return [f"- {said}: above {below} of {total} printed numbers at {metric}."]


def _below(system: System, rows: list[PrintedRow], metric: str) -> list[PrintedRow]:
    """Rows with a smaller number than the system's, by the convention of their paper."""
    mean = system.mean(metric, **scope_of(system, rows[0].printed.paper)) if rows else None
    if mean is None:
        return []
    return [row for row in rows if (value := row.value(metric)) is not None and value < mean]


def _count(system: System, rows: list[PrintedRow], metric: str) -> str:
    """`score: k of n`, or n/a where one of both has no such number."""
    scope = scope_of(system, rows[0].printed.paper)
    total = sum(row.value(metric) is not None for row in rows)
    if not total or system.mean(metric, **scope) is None:
        return "n/a"
    return f"{system.show(metric, **scope)}: {len(_below(system, rows, metric))} of {total}"


def _names_below(system: System, rows: list[PrintedRow]) -> list[str]:
    metric = main_metric(system, **scope_of(system, rows[0].printed.paper))
    below = _below(system, rows, metric) if metric else []
    if not metric or not below:
        return []
    listed = ", ".join(f"{name_row(row)} {row.value(metric):.2f}" for row in below)
    said = f"{rows[0].source}, below {system.title} ({system.split})"
    return [f"- {said} at {metric}: {listed}."]


def _tables(rows: list[PrintedRow]) -> list[list[PrintedRow]]:
    """Rows by the table they stand in."""
    grouped: dict[tuple[str, str], list[PrintedRow]] = {}
    for row in rows:
        grouped.setdefault((row.printed.paper, row.printed.table), []).append(row)
    return list(grouped.values())


@statement(
    "What a blind twin reaches of its own printed number",
    "a trained model without video (ablation blind) by the protocol of its paper",
)
def blind_twins(evidence: Evidence) -> list[str] | None:
    """The share of its printed number that a model reaches with every clip zero."""
    rows, shares = [], []
    departing: dict[str, list[str]] = {}  # what departs -> the rows of which that is so
    for system in evidence.select(sees_video=False, is_trained=True):
        printed = evidence.own_row(system)
        if printed is None or not evidence.follows(system, printed.paper):
            continue
        scope = scope_of(system, printed.paper)
        metric = main_metric(system, **scope)
        if metric is None or metric in printed.uncertain:
            continue
        mean, number = system.mean(metric, **scope), printed.values.get(metric)
        if mean is None or number is None:
            continue
        share = 100 * mean / number
        shares.append(share)
        title = evidence.datasets[system.dataset]["title"]
        for text in evidence.departures(system, scope.get("convention")):
            departing.setdefault(text, []).append(f"{system.title} on {title}")
        rows.append(
            [
                system.title,
                f"{title}, {system.split}",
                metric,
                system.show(metric) if metric in MAIN[:1] else "n/a",
                f"{system.show(metric, **scope)} (`{scope.get('convention', 'headline')}`)",
                f"{number:.2f} ({link_table(printed, evidence.root)})",
                f"{share:.0f} %",
            ]
        )
    if not rows:
        return None
    said = (
        "The papers' models trained with every clip set to zero. They reach between"
        f" {min(shares):.0f} and {max(shares):.0f} % of their papers' own numbers, by the papers'"
        " own conventions. So much at least needs no video: another network, or a prior, may reach"
        " more without."
    )
    listed = [f"- {text}: {', '.join(names)}." for text, names in departing.items()]
    if listed:
        said += " They depart from the papers' as the list below says."
        listed = ["", *listed]
    head = ["Model", "data set, split", "metric", "headline", "own convention", "printed", "share"]
    return [said, "", *as_table(head, rows), *listed]


@statement(
    "DiDeMo: baselines among the printed systems",
    "a system on DiDeMo (or didemo_without_train) scored by its official protocol",
)
def ranked_moments(evidence: Evidence) -> list[str] | None:
    """The study's systems on DiDeMo and the printed ones, ordered by Rank@1."""
    lines: list[str] = []
    lent: list[str] = []
    metrics = ("Rank@1", "Rank@5", "mIoU")
    for dataset, entry in evidence.datasets.items():
        ladder: list[tuple[float, list[str]]] = []
        for system in evidence.select(dataset=dataset):
            scope = scope_of(system)
            if (mean := system.mean("Rank@1", **scope)) is not None:
                lent += _lent(system, scope["convention"])
                shown = [system.show(metric, **scope) for metric in metrics]
                ladder.append((mean, [f"**{name_system(system)}**", *shown]))
        if not ladder:
            continue
        for row in evidence.printed_rows(dataset, "comparison"):
            if (first := row.value("Rank@1")) is not None:
                values = [row.value(metric) for metric in metrics]
                shown = ["—" if value is None else f"{value:.2f}" for value in values]
                ladder.append((first, [f"{name_row(row)} ({row.source})", *shown]))
        ladder.sort(key=lambda entry: -entry[0])
        lines += ["", *as_table([entry["title"], *metrics], [cells for _, cells in ladder])]
    if not lines:
        return None
    said = "Systems of this study in bold, between the printed ones, by Rank@1."
    if lent:
        said += (
            f" {FIXED_ORDER}, so that Rank@5 of those that name few is that order's (share of"
            f" queries of which some are not named: {', '.join(dict.fromkeys(lent))})."
        )
    return [said, *lines]


def _lent(system: System, convention: str) -> list[str]:
    """`Whole video 100 %`; nothing of a system that names every run of every query."""
    cells = [replace(cell, convention=convention) for cell in system.cells]
    share = max(cell.not_all_ranked / cell.scored["queries"] for cell in cells)
    return [f"{system.title} {100 * share:.0f} %"] if share else []
