"""Statements on who stands above whom: whether that depends on how predictions are scored, and
where people stand."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from tsgbench.reporting.cells import describe_coverage
from tsgbench.reporting.evidence import Evidence, System, as_table
from tsgbench.reporting.numbers import PEOPLE, SIGNIFICANT
from tsgbench.reporting.statements import name_system, statement
from tsgbench.reporting.uncertainty import compare

ORDERED_BY = ("R@1,IoU=0.5", "R@1,IoU=0.7", "mIoU")
LISTED = 3  # changes of order per data set and convention, beside those that are sure


@dataclass(frozen=True)
class Change:
    """Two systems of which the first is better by the headline, the second by a convention.

    size: the smaller of the two differences, in points. is_sure: whether both can be told from
    chance.
    """

    above: System
    below: System
    convention: str
    metric: str
    size: float
    is_sure: bool

    def say(self, title: str) -> str:
        """A line of a list."""
        numbers = [
            f"{self.above.show(self.metric, **scope)} to {self.below.show(self.metric, **scope)}"
            for scope in ({}, {"convention": self.convention})
        ]
        return (
            f"- {title}, {self.metric}: {name_system(self.above)} against"
            f" {name_system(self.below)} is {numbers[0]} by the headline, {numbers[1]} by"
            f" `{self.convention}`; " + ("sure by both" if self.is_sure else "may be chance")
        )


@statement(
    "Whose order a convention changes",
    "two systems of one data set that are scored by a convention beside the headline",
)
def changes_of_order(evidence: Evidence) -> list[str] | None:
    """How many pairs of systems change places where the same predictions are scored otherwise."""
    rows: list[list[str]] = []
    listed: list[str] = []
    for dataset, entry in evidence.datasets.items():
        systems = evidence.select(dataset=dataset)
        for name in dict.fromkeys(name for system in systems for name in system.conventions()):
            changes: list[Change] = []
            cells = []
            for metric in ORDERED_BY:
                pairs = _pairs(systems, name, metric)
                changed = _changes(pairs, name, metric)
                changes += changed
                cells.append(_count(changed, len(pairs)))
            if any(cells):
                rows.append([f"{entry['title']}, `{name}`", *(cell or "n/a" for cell in cells)])
            changes.sort(key=lambda change: (not change.is_sure, -change.size))
            shown = [change for n, change in enumerate(changes) if change.is_sure or n < LISTED]
            listed += [change.say(entry["title"]) for change in shown]
    if not rows:
        return None
    said = (
        "Pairs of systems that stand the other way round by a convention than by the headline, for"
        " the same prediction files. Sure are those of which both differences can be told from"
        " chance (paired permutation tests over videos; 5 % shared by all pairs of the data set)."
    )
    head = ["Data set, convention", *ORDERED_BY]
    return [said, "", *as_table(head, rows), *(["", *listed] if listed else [])]


def _pairs(systems: list[System], convention: str, metric: str) -> list[tuple[System, System]]:
    """Pairs that have the metric both ways, were tested by one protocol and on the same queries."""
    scored = [
        system
        for system in systems
        if system.mean(metric) is not None
        and system.mean(metric, convention=convention) is not None
    ]
    return [
        (one, other)
        for one, other in combinations(scored, 2)
        if one.protocol == other.protocol
        and {cell.asked for cell in one.cells} == {cell.asked for cell in other.cells}
    ]


def _changes(pairs: list[tuple[System, System]], convention: str, metric: str) -> list[Change]:
    changes = []
    for one, other in pairs:
        by_headline = _difference(one, other, metric)
        by_convention = _difference(one, other, metric, convention=convention)
        if by_headline * by_convention >= 0:
            continue
        above, below = (one, other) if by_headline > 0 else (other, one)
        is_sure = all(
            _p_value(one, other, metric, name) < SIGNIFICANT / len(pairs)
            for name in (None, convention)
        )
        size = min(abs(by_headline), abs(by_convention))
        changes.append(Change(above, below, convention, metric, size, is_sure))
    return changes


def _difference(one: System, other: System, metric: str, **scope: Any) -> float:
    ours, theirs = one.mean(metric, **scope), other.mean(metric, **scope)
    assert ours is not None and theirs is not None  # as `_pairs` has made sure
    return ours - theirs


def _p_value(one: System, other: System, metric: str, convention: str | None) -> float:
    """Of no difference, by one convention; 1 where some query has no such score."""
    ours, theirs = (
        [replace(cell, convention=convention) for cell in system.cells] for system in (one, other)
    )
    tested = compare(ours, theirs, [metric])
    return tested[metric].p_value if metric in tested else 1.0


def _count(changed: list[Change], pairs: int) -> str:
    """`3 of 45 (1 sure)`; empty without a pair."""
    if not pairs:
        return ""
    sure = sum(change.is_sure for change in changed)
    return f"{len(changed)} of {pairs}" + (f" ({sure} sure)" if changed else "")


@statement(
    "Where people stand",
    "a data set whose queries were annotated by several people, with a convention that scores them",
)
def people(evidence: Evidence) -> list[str] | None:
    """What annotators of the same queries reach by the same convention, beside the systems."""
    lines: list[str] = []
    for dataset, entry in evidence.datasets.items():
        systems = evidence.select(dataset=dataset)
        marked: dict[str, dict[str, float]] = {}
        for system in systems:
            for name in system.conventions():
                # What a system that lacks some queries says nothing of, another may say
                if reached := system.people(name):
                    marked.setdefault(name, reached)
        for name, reached in marked.items():
            metrics = [metric for metric in ORDERED_BY if metric in reached]
            if not metrics:
                continue
            scored = [s for s in systems if s.mean(metrics[0], convention=name) is not None]
            scored.sort(key=lambda s: s.mean(metrics[0], convention=name) or 0.0, reverse=True)
            head = [f"{entry['title']}, `{name}`", *metrics]
            rows = [[PEOPLE, *(f"{reached[metric]:.2f}" for metric in metrics)]]
            rows += [
                [
                    name_system(s) + describe_coverage(s.cells[0].coverage),
                    *(s.show(metric, convention=name) for metric in metrics),
                ]
                for s in scored
            ]
            lines += ["", *as_table(head, rows)]
    if not lines:
        return None
    said = (
        "Each annotator's moment, scored as if it were a system's: against those of the others"
        " where a convention knows several moments, else against the query's original one; the mean"
        " over annotators. What stands above people fits the data set better than they do."
    )
    return [said, *lines]
