# What all rules share: the checked study, its plan, and what makes stale results rerun.

import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The code of this checkout, whichever checkout the environment was installed from
sys.path.insert(0, str(Path(workflow.basedir) / "src"))
for name in [name for name in sys.modules if name.split(".")[0] == "tsgbench"]:
    del sys.modules[name]

from tsgbench.config import export_study
from tsgbench.errors import UserError
from tsgbench.planning.layout import BENCHMARKS, FILES, LOGS, RECORDS
from tsgbench.reporting.provenance import heading
from tsgbench.study import Study

try:
    STUDY = Study(config, source=", ".join(map(str, workflow.configfiles)))
except UserError as error:
    raise WorkflowError(str(error))


export_study(config, Path(workflow.basedir))
if "conda" in {str(method).lower() for method in workflow.deployment_settings.deployment_method}:
    # The rule's own environment has Python and the libraries, but not this package installed
    shell.prefix('tsgbench() {{ python -m tsgbench "$@"; }}; ')


wildcard_constraints:
    model="[a-z0-9_]+",
    dataset="[a-z0-9_]+",
    ablation="[a-z0-9_]+(@[a-z0-9_]+)?",
    seed=r"\d+",
    source="[a-z0-9_]+",
    clips="[a-z0-9_]+",
    features="[a-z0-9_]+",
    tokenizer="[a-z0-9_]+",
    table="[a-z0-9_]+(/[a-z0-9_]+)?",
    figure="[a-z0-9_]+(/[a-z0-9_]+)?",


localrules:
    all,
    download,
    phase_data,
    phase_features,
    phase_text,
    phase_cells,
    phase_report,
    papers,
    everything,


def ordinary(*phases):
    """Records of some phases, but for those that need cells which are trained on demand alone."""
    return [record for record in STUDY.targets(*phases) if not STUDY.needs_on_demand(record)]


REPORTS = ("table", "figure", "findings", "summary")
PHASE_TARGETS = {
    "download": STUDY.targets("download"),
    "data": STUDY.targets("download", "render", "annotations"),
    "features": STUDY.targets("reduce", "released", "blank"),
    "text": STUDY.targets("vocabulary"),
    "cells": ordinary("evaluate"),
    # The study's own; what is named after a printed table or figure has its paper's folder
    "report": [record for record in ordinary(*REPORTS) if record.count("/") == 1],
    "papers": [record for record in STUDY.targets("table", "figure") if record.count("/") > 1],
    "ordinary": ordinary(*REPORTS),
    "everything": STUDY.targets("evaluate", *REPORTS, "report"),
}


def inputs(phase):
    """Input function of a rule: the records its job reads; a stale job is forced on the way.

    Snakemake alone decides by file times and by its own notes on past jobs; a checkout or a pull
    changes the first behind its back and leaves it without the second, or with another version's.
    The records (src/tsgbench/records.py) know better. Snakemake asks for inputs while it builds
    the graph, and looks at `forcefiles` once the graph is there.
    """

    def of_job(wildcards):
        job = STUDY.find(phase, dict(wildcards.items()))
        if workflow.is_main_process and STUDY.is_stale(job.record):
            workflow.dag.forcefiles.add(job.record)
        return list(job.inputs.values())

    return of_job


def identity(phase):
    """Params function of a rule: what its job must find the plan to say when it runs."""
    return lambda wildcards: STUDY.identity(STUDY.find(phase, dict(wildcards.items())).record)


def planned(phase, wildcard):
    """Constraint for rules whose outputs look alike: only the names planned for this phase."""
    names = {job.wildcards[wildcard] for job in STUDY.jobs.values() if job.phase == phase}
    return "|".join(sorted(names)) or "(?!)"  # nothing planned: matches nothing


def reserved(phase, resource, default):
    """What the study's config reserves for one job of a phase."""
    return STUDY.config.get("resources", {}).get(phase, {}).get(resource, default)


def tracked(wildcards):
    """A table of cells waits until MLflow has them, but does not change because MLflow does."""
    job = STUDY.find("table", dict(wildcards.items()))
    reads_cells = any(role.startswith("run:") for role in job.inputs)
    return [ancient(RECORDS["track"].format(**dict(wildcards.items())))] if reads_cells else []


def as_pdf(records):
    """PDFs of the tables among some records, and of the report, if this machine can make them."""
    if not (shutil.which("latexmk") or shutil.which("pdflatex")):
        return []
    typeset = set(records) & set(STUDY.targets("table", "report"))
    return [str(Path(record).with_suffix(".pdf")) for record in sorted(typeset)]


def shown_as(kind, file):
    """Labels of a table's or figure's file in Snakemake's report: paper, number, study, format."""

    def labels(wildcards):
        name = wildcards[kind]
        paper, _, number = name.rpartition("/")
        return {
            "paper": paper_title(paper),
            kind: heading(number),
            "study": STUDY.name,
            "file": file,
        }

    return labels


def paper_of(kind):
    """Subcategory of a table or figure in Snakemake's report: the system of its paper."""
    return lambda wildcards: paper_title(wildcards[kind].rpartition("/")[0])


def paper_title(paper):
    """The name that readers know a paper by; the study's own tables have none."""
    published = STUDY.catalogue.published
    return published[paper]["paper"]["system"] if paper in published else "this study"


if workflow.is_main_process:
    try:
        STUDY.settle_times()
    except UserError as error:
        raise WorkflowError(str(error))
