"""Which results each rule of the workflow asks for that makes several: `snakemake papers`."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.jobs.layout import MAKERS
from tsgbench.planning.study import Study

DEFAULT_RULE = "all"
WRITTEN = ("table", "figure", "findings", "summary")


def rule_targets(study: Study) -> dict[str, list[str]]:
    """Rule -> records, without PDFs, which not every machine can make."""
    written = _ordinary(study, *WRITTEN)
    return {
        DEFAULT_RULE: written,
        "papers": [path for path in study.targets("table", "figure") if _is_printed(study, path)],
        "download": study.targets("download"),
        "everything": study.targets("evaluate", *WRITTEN, "report"),
        "phase_data": study.targets("download", *MAKERS, "annotations"),
        "phase_features": study.targets("reduce", "released", "blank"),
        "phase_text": study.targets("vocabulary"),
        "phase_cells": _ordinary(study, "evaluate"),
        "phase_report": [path for path in written if not _is_printed(study, path)],
    }


def find_targets(study: Study, names: Iterable[str]) -> list[str]:
    """The records of results, each named by one of its files or with others by a rule."""
    rules = rule_targets(study)
    return [path for name in names for path in rules.get(name) or [find_target(study, name)]]


def find_target(study: Study, name: str) -> str:
    """The record of a result that a user names by any of its files, or as `tsgbench plan` does."""
    wanted = os.path.relpath(name)  # however it leads there: by .., or from the root
    for record, job in study.jobs.items():
        if wanted in map(os.path.normpath, (record, *job.files.values())):
            return record
    stem = Path(wanted).with_suffix(".json").as_posix()  # a table's .md, .csv, .html
    if stem in study.jobs:
        return stem
    raise UserError(
        f"{name}: no result of study {study.name!r}; `tsgbench plan` lists them, by their records"
    )


def to_make(study: Study, targets: Iterable[str], is_due: Callable[[str], bool]) -> set[str]:
    """What a run would make: of what is due, that which something asked for needs."""
    waiting = list(targets)
    found: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in found and is_due(path):
            found.add(path)
            waiting += study.jobs[path].inputs.values()
    return found


def _ordinary(study: Study, *phases: str) -> list[str]:
    """Records of some phases, but for those that need cells which are trained on demand alone."""
    return [record for record in study.targets(*phases) if not study.needs_on_demand(record)]


def _is_printed(study: Study, record: str) -> bool:
    """Whether a report is named after a printed table or figure, and not the study's own."""
    return "/" in study.jobs[record].key
