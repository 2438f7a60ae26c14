"""A page that says in sentences what a study's numbers show, each number linked to its record."""

from tsgbench.reporting.evidence import Evidence, gather
from tsgbench.reporting.markdown import escape
from tsgbench.reporting.statements import (  # each module adds its statements, in this order
    STATEMENTS,
    against_printed,
    between_systems,
    controls,
    data,
    order_of_systems,
)

__all__ = [
    "against_printed",
    "between_systems",
    "controls",
    "data",
    "gather",
    "order_of_systems",
    "write_findings",
]

INTRODUCTION = (
    "Every number below was computed from this study's records when the page was written, and "
    "links to the one it comes from: a cell's `metrics.json`, or the folder of all its seeds. "
    "R@n, IoU=m and mIoU are in percent; unless a convention is named they are the headline's: "
    "seconds against unquantised labels. Printed numbers are the papers', with their features, "
    "splits and evaluation; those marked as doubtful in `published/` are left out."
)


def write_findings(evidence: Evidence, identity: str) -> tuple[str, list[str], list[str]]:
    """The page, the names of the statements it makes, and of those it cannot make.

    A statement whose results are not in the study is listed under “Not run” with what it needs.
    """
    sections, made, missing = [], [], []
    for name, statement in STATEMENTS.items():
        lines = statement.make(evidence)
        if lines is None:
            missing.append(name)
            continue
        made.append(name)
        sections += ["", f"## {statement.title}", "", *lines]
    spec = evidence.spec
    demo = ["**DEMO numbers on generated data: they show that the pipeline works.**", ""]
    lines = [
        f"<!-- findings of study {spec['study']}, identity {identity}; written by tsgbench -->",
        "",
        f"# Findings of study “{spec['study']}”: {escape(spec['title'])}",
        "",
        *(demo if spec.get("is_demo") else []),
        INTRODUCTION,
        *sections,
    ]
    if missing:
        lines += ["", "## Not run", ""]
        lines += [
            f"- {STATEMENTS[name].title}: needs {STATEMENTS[name].needs}." for name in missing
        ]
    return "\n".join(lines) + "\n", made, missing
