"""Statements on the study's own systems: parts of the test split, conventions, seeds."""

from statistics import median

from tsgbench.reporting.evidence import Evidence, System, as_table
from tsgbench.reporting.statements import main_metric, name_system, scope_of, statement

SHIFTED = ("R@1,IoU=0.5", "dR@1,IoU=0.5", "R@1,IoU=0.7", "dR@1,IoU=0.7", "mIoU")
COMPARED = ("R@1,IoU=0.5", "R@1,IoU=0.7", "R@5,IoU=0.5", "R@5,IoU=0.7", "mIoU")


@statement(
    "Changing distributions: iid against ood",
    "a system on a data set that is scored on the parts iid and ood (charades_cd, activitynet_cd)",
)
def changed_distributions(evidence: Evidence) -> list[str] | None:
    """What systems lose where test moments lie elsewhere than training moments."""
    lines: list[str] = []
    for dataset, entry in evidence.datasets.items():
        systems = [s for s in evidence.select(dataset=dataset) if {"iid", "ood"} <= set(s.parts)]
        metrics = [m for m in SHIFTED if any(s.mean(m, part="iid") is not None for s in systems)]
        if not systems:
            continue
        rows = [[name_system(s), *(_shift(s, metric) for metric in metrics)] for s in systems]
        head = [entry["title"], *(f"{metric}: iid → ood" for metric in metrics)]
        lines += ["", *as_table(head, rows)]
    if not lines:
        return None
    said = (
        "Each system is trained once and scored on a part whose moments lie as in training (iid)"
        " and on one where they lie elsewhere (ood). What falls was learned from where moments lie;"
        " dR discounts a hit by how far its ends are off."
    )
    return [said, *lines]


def _shift(system: System, metric: str) -> str:
    return f"{system.show(metric, part='iid')} → {system.show(metric, part='ood')}"


@statement(
    "The same predictions under the papers' own conventions",
    "a system that is scored by a convention beside the headline",
)
def conventions(evidence: Evidence) -> list[str] | None:
    """How far a paper's way of scoring moves numbers from the headline's."""
    rows = []
    for dataset, entry in evidence.datasets.items():
        systems = evidence.select(dataset=dataset)
        names = dict.fromkeys(name for system in systems for name in system.conventions())
        for name in names:
            cells = [_range(systems, name, metric) for metric in COMPARED]
            if any(cells):
                rows.append([f"{entry['title']}, `{name}`", *(cell or "n/a" for cell in cells)])
    if not rows:
        return None
    said = (
        "Official minus headline, in points, for the same prediction files: the smallest and the"
        " largest difference among all systems, and the system of the larger one in size."
    )
    return [said, "", *as_table(["Data set, convention", *COMPARED], rows)]


def _range(systems: list[System], convention: str, metric: str) -> str:
    """`-0.10 … +2.42 (system)`, or one number; empty if no system has both numbers."""
    pairs = []
    for system in systems:
        official, headline = system.mean(metric, convention=convention), system.mean(metric)
        if official is not None and headline is not None:
            pairs.append((official - headline, system))
    if not pairs:
        return ""
    low, high = (limit(difference for difference, _ in pairs) for limit in (min, max))
    most = max(pairs, key=lambda pair: abs(pair[0]))[1]
    if low == high == 0:
        return "0.00 for all"
    reach = f"{low:+.2f}" if low == high else f"{low:+.2f} … {high:+.2f}"
    return f"{reach} ({most.link(most.title)})"


@statement("How far seeds differ", "a system with at least two seeds")
def seeds(evidence: Evidence) -> list[str] | None:
    """The deviation over seeds of each data set's systems: the middle one and the largest."""
    rows = []
    for dataset, entry in evidence.datasets.items():
        spreads = []
        for system in evidence.select(dataset=dataset):
            scope = {} if main_metric(system) else scope_of(system)
            metric = main_metric(system, **scope)
            if metric and len(system.cells) > 1:
                scores = system.scores(metric, **scope)
                deviation = system.deviation(metric, **scope)
                if deviation is not None:
                    spread = (deviation, max(scores) - min(scores))
                    spreads.append((spread, metric, system))
        if spreads:
            (deviation, reach), metric, most = max(spreads, key=lambda item: item[0])
            middle = median(spread[0] for spread, _, _ in spreads)
            worst = f"{most.link(f'{deviation:.2f}')} ({most.title}; {reach:.2f} from end to end)"
            rows.append([entry["title"], metric, str(len(spreads)), f"{middle:.2f}", worst])
    if not rows:
        return None
    said = "Sample standard deviation over seeds, in points; differences below it say nothing."
    head = ["Data set", "metric", "systems", "median", "largest"]
    return [said, "", *as_table(head, rows)]
