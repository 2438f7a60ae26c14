"""The statements of the findings page: one function each, in the order of the page.

A statement reads evidence and returns Markdown lines, or None where the results it needs are not in
the study. It computes every number it prints.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tsgbench.reporting.evidence import OFFICIAL, Evidence, PrintedRow, System

Make = Callable[[Evidence], list[str] | None]
# The metric that sums a system up: the first that it has
MAIN = ("R@1,IoU=0.5", "Rank@1")


@dataclass(frozen=True)
class Statement:
    """title: heading of its section. needs: what must be in the study."""

    title: str
    needs: str
    make: Make


STATEMENTS: dict[str, Statement] = {}


def statement(title: str, needs: str) -> Callable[[Make], Make]:
    """Function decorator: make a statement part of the page."""

    def add(make: Make) -> Make:
        STATEMENTS[make.__name__] = Statement(title, needs, make)
        return make

    return add


def scope_of(system: System, paper: str | None = None) -> dict:
    """The paper's own convention, if the system is scored by it; else the headline.

    Where moments are ranked chunks (DiDeMo), the convention that says so: the headline has no
    Rank@n.
    """
    names = system.conventions()
    if paper and OFFICIAL + paper in names:
        return {"convention": OFFICIAL + paper}
    ranked = [name for name in names if system.mean("Rank@1", convention=name) is not None]
    return {"convention": ranked[0]} if ranked else {}


def main_metric(system: System, **scope: Any) -> str | None:
    """The metric that sums a system up, None if it has neither."""
    return next((metric for metric in MAIN if system.mean(metric, **scope) is not None), None)


def is_printed(evidence: Evidence, system: System) -> bool:
    """Whether any paper reports on the system's data set."""
    return bool(evidence.datasets[system.dataset]["published"])


def name_system(system: System) -> str:
    """Its title, and whether it looks at the video."""
    return system.title + ("" if system.sees_video else " (no video)")


def name_row(row: PrintedRow) -> str:
    """The printed system, and whether it is weakly supervised or the paper's own."""
    weak = ["weakly supervised"] if row.row.get("supervision") == "weak" else []
    own = ["the paper's own"] if row.row.get("own") else []
    return row.method + (f" ({', '.join([*weak, *own])})" if weak or own else "")
