# What all rules share: the checked study, its plan, and what makes stale results rerun.

import gc
import os
import sys
from functools import cache
from itertools import zip_longest
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.target_jobs import parse_target_jobs_cli_args

# The code of this checkout, whichever checkout the environment was installed from; a project without
# code of its own runs what is installed
if (Path(workflow.basedir) / "src" / "tsgbench").is_dir():
    sys.path.insert(0, str(Path(workflow.basedir) / "src"))
    for name in [name for name in sys.modules if name.split(".")[0] == "tsgbench"]:
        del sys.modules[name]

from tsgbench.config import export_study, extend_study
from tsgbench.errors import UserError
from tsgbench.jobs.cells import is_trained
from tsgbench.jobs.layout import RESULTS, apart, foreign_results, report_names, study_of
from tsgbench.planning.freshness import CURRENT, Freshness
from tsgbench.planning.passes import AND, find_passes, identity_of, jobs_of, key_of
from tsgbench.planning.sharing import KEEP, forget
from tsgbench.reporting.pdf import why_no_pdf
from tsgbench.reporting.provenance import heading
from tsgbench.planning.study import Study
from tsgbench.planning.targets import DEFAULT_RULE, find_targets, rule_targets, to_make

# A plan of a thousand jobs is many objects that stay: looking for garbage among them every few
# hundred took a fifth of a dry run
gc.freeze()
gc.set_threshold(50_000)

SOURCE = ", ".join(map(str, workflow.configfiles))
try:
    whole = extend_study(dict(config), SOURCE)
    config.clear()
    config.update(whole)
    STUDY = Study(config, source=SOURCE)
except UserError as error:
    raise WorkflowError(str(error))
FRESHNESS = Freshness(STUDY)
# In folders of the study's own, but for the default one
RECORDS, FILES = STUDY.layout.records, STUDY.layout.files
LOGS, BENCHMARKS = STUDY.layout.logs, STUDY.layout.benchmarks
REPORT = report_names(STUDY.name, STUDY.catalogue.published)


export_study(config, Path(workflow.basedir))
if "conda" in {str(method).lower() for method in workflow.deployment_settings.deployment_method}:
    # The rule's own environment has Python and the libraries, but not this package installed
    shell.prefix('tsgbench() {{ python -m tsgbench "$@"; }}; ')


def bound_by_machine():
    """Run no more at once than this machine has processors and memory for, whatever --cores says:
    eight trainings on two processors would take turns, each in the other's cache. A cluster's jobs
    run elsewhere, and a limit on memory that the command line gives stands."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return
    workflow.register_resource("_cores", min(workflow.cores, len(os.sched_getaffinity(0))))
    if "mem_mb" not in workflow.global_resources:
        pages = os.sysconf("SC_PHYS_PAGES")
        workflow.register_resource("mem_mb", pages * os.sysconf("SC_PAGE_SIZE") >> 20)


# A report, or whatever else runs no job, is asked for without cores
if (
    workflow.is_main_process
    and workflow.nodes is None
    and workflow.local_exec
    and workflow.resource_settings.cores is not None
):
    bound_by_machine()


# What a cluster gets as one submission, where a profile says so: a row of a table, seed by seed, each
# with its evaluation; and all reports. A machine on its own runs job by job.
CELLS, REPORTS = "cells_{model}_{dataset}_{ablation}", "reports"

if workflow.remote_exec:
    # A submission fails as a whole, and Snakemake deletes the results of all its jobs before the
    # next attempt: that one finds here what was made
    os.environ[KEEP] = "1"


wildcard_constraints:
    model="[a-z0-9_]+",
    dataset="[a-z0-9_]+",
    ablation="[a-z0-9_]+(@[a-z0-9_]+)?",
    seed=r"\d+",
    source="[a-z0-9_]+",
    clips="[a-z0-9_]+",
    features="[a-z0-9_]+",
    tokenizer="[a-z0-9_]+",
    table=REPORT,
    document=REPORT,
    figure=REPORT,


# PDFs among them, since TeX was tried out on this machine and not on the nodes of a cluster, and
# downloads, since nodes seldom reach the internet
localrules:
    of_another_study,
    fetch,
    all,
    download,
    phase_data,
    phase_features,
    phase_text,
    phase_cells,
    phase_report,
    pdf,
    papers,
    everything,


def refuse(wildcards):
    """Input function of the rule for results of other studies, of which this one makes none."""
    path = f"{RESULTS}/{wildcards.elsewhere}"
    raise WorkflowError(
        f"{path}: is of study {study_of(path, STUDY.catalogue.published)!r}, and this run of study"
        f" {STUDY.name!r}, which has its results in {STUDY.layout.folders['results']}/; ask for one"
        " of these, or choose the other study's file with --configfile"
    )


# Asked once per run: the process of a single job plans no targets
NO_PDF = why_no_pdf() if workflow.is_main_process else None
if NO_PDF:
    logger.info(NO_PDF)
RULE_TARGETS = rule_targets(STUDY)


def reads(phase, *roles, then=None):
    """Input function of a rule, for `unpack`: the records its job reads, by role, and a stamp that
    makes a stale job run. Roles beside the named ones are refused, but for `...`: files that a data
    set or a source calls as it likes. then: a phase whose job the rule goes on to.

    What is stale is for the records to say (src/tsgbench/planning/freshness.py), not for file times
    and Snakemake's notes on past jobs, which a checkout or a pull changes or leaves behind.
    """

    def of_job(wildcards):
        job = STUDY.find(phase, dict(wildcards.items()))
        paths = list(job.inputs.values())
        if workflow.is_main_process:
            following = [STUDY.find(then, job.wildcards).record] if then else []
            try:
                paths = FRESHNESS.inputs(job, ancient, following)
            except UserError as error:  # a file that cannot be read just now
                raise WorkflowError(str(error))
        named = {}
        for role, path in zip_longest(job.inputs, paths, fillvalue="stale"):
            named.setdefault(role.partition(":")[0], []).append(path)
        if unknown := set() if ... in roles else named.keys() - {*roles, "stale"}:
            raise WorkflowError(f"rule {phase} does not say that it reads {', '.join(unknown)}")
        return named

    return of_job


def makes(phase, *roles):
    """The outputs of a rule, by role: its record, and every file that stands beside it."""
    files = {"record": RECORDS[phase], **FILES.get(phase, {})}
    if files.keys() != set(roles):
        raise WorkflowError(f"rule {phase} makes {', '.join(files)}, and not {', '.join(roles)}")
    return {role: files[role] for role in roles}


def typeset(wildcards):
    """Input function of PDFs. Without TeX, one that is asked for by name ends the run at once."""
    job = STUDY.find("pdf", dict(wildcards.items()))
    if NO_PDF and FRESHNESS.state(job.record) != CURRENT:
        raise WorkflowError(f"{job.files['pdf']}: {NO_PDF}; ask for the .tex or the .html file")
    return reads("pdf", "document", "figure")(wildcards)


def planned(phase, wildcard):
    """Constraint for rules whose outputs look alike: only the names planned for this phase."""
    names = {job.wildcards[wildcard] for job in STUDY.jobs.values() if job.phase == phase}
    return "|".join(sorted(names)) or "(?!)"  # nothing planned: matches nothing


def unplanned(phase, wildcard):
    """Constraint for the other one of two such rules, which says of any further name that it is not
    planned."""
    return f"(?!(?:{planned(phase, wildcard)})/)[a-z0-9_]+"


def is_due(job):
    """Whether a job is to run."""
    try:
        return FRESHNESS.state(job.record) != CURRENT
    except UserError:  # cannot be read just now, which is said where it is asked for
        return True


def cells_to_train():
    """Keys of the cells that are trained and scored in one job.

    A part of a run, as of a cluster's submission, is told so on its command line, whatever it finds
    made: it may be started for the second time, as when a node was lost, or after another run's.
    """
    if workflow.is_main_process:
        return {job.key for job in map(STUDY.jobs.get, STUDY.targets("train")) if is_due(job)}
    told = parse_target_jobs_cli_args([word for word in sys.argv if word.startswith("cell:")])
    return {STUDY.find("train", cell.wildcards_dict).key for cell in told}


# Cells to train are scored in the same job. What is trained already is scored by itself, so that
# nothing is trained again because its scores are due
TO_TRAIN = cells_to_train()
OTHERS = {STUDY.jobs[record].key for record in STUDY.targets("evaluate")} - TO_TRAIN
IS_TO_TRAIN, IS_PREDICTED = apart(TO_TRAIN, OTHERS)


def configured(phase, resource, default):
    """What the study's config reserves for one job of a phase."""
    return STUDY.config.get("resources", {}).get(phase, {}).get(resource, default)


def reserved(phase, resource, default):
    """The same; memory and minutes as often as the job was attempted, since a cluster kills what
    needs more than it asked for."""
    value = configured(phase, resource, default)
    if resource not in ("mem_mb", "runtime"):
        return value
    return lambda wildcards, attempt: value * attempt


def reserves(phase, gpu=0, mem_mb=1000, runtime=30, gpu_model=None, small=0):
    """Resources of a rule: what the study's config reserves for one job, or else these; minutes.

    small: of a submission's share of them (profiles/slurm); 0 for what is submitted on its own.
    """
    usual = {"gpu": gpu, "mem_mb": mem_mb, "runtime": runtime}
    usual |= {"gpu_model": gpu_model} if gpu else {}
    found = {name: reserved(phase, name, value) for name, value in usual.items()}
    return {**found, "small": small} if small else found


# Jobs that share a data set's videos, and the mark that each leaves until those who wait have gone on
SHARDS = configured("extract", "shards", 1)
SHARD = "scratch/shards/{dataset}/{clips}.{identity}.{shard}"


@cache
def passes():
    """Record of an extraction that this run makes -> those that are made in one pass with it."""
    targets = []
    for name in workflow.dag_settings.targets or [DEFAULT_RULE]:
        try:
            targets += find_targets(STUDY, [name])
        except UserError:  # of what this needs, each is extracted on its own
            continue
    due = to_make(STUDY, targets, lambda record: is_due(STUDY.jobs[record]))
    return {job.record: jobs for jobs in find_passes(STUDY, due) for job in jobs}


def shards_of(wildcards):
    """Input function of an extraction: the shards it goes on from, where it is due."""
    job = STUDY.find("extract", dict(wildcards.items()))
    if not workflow.is_main_process or not is_due(job):
        return []
    jobs = passes().get(job.record, [job])
    if SHARDS == 1 and len(jobs) == 1:
        return []
    dataset, _, clips = key_of(jobs).partition("/")
    of_pass = {"dataset": dataset, "clips": clips, "identity": identity_of(STUDY, jobs)}
    return [
        SHARD.format(**of_pass, shard=f"{number}-of-{SHARDS}") for number in range(1, SHARDS + 1)
    ]


def reads_of_pass(wildcards):
    """Input function of a shard: what all extractions read that it is of."""
    named = {}
    of_one = reads("extract", "annotations", "videos", "checkpoint")
    for job in jobs_of(STUDY, f"{wildcards.dataset}/{wildcards.clips}"):
        for role, paths in of_one(job.wildcards).items():
            known = named.setdefault(role, [])
            known += [path for path in paths if path not in known]
    return named


def side_by_side(resource, default):
    """Threads or memory of a pass: what its extractions would take together."""
    one = configured("extract", resource, default)

    def of_pass(wildcards, attempt=1):
        value = one * (wildcards.clips.count(AND) + 1)
        return value if resource == "threads" else value * attempt

    return of_pass


# Also what whatever else runs a trained model needs
TRAINING_THREADS = configured("train", "threads", 4)
TRAINING = {
    "gpu": configured("train", "gpu", 1),
    "gpu_model": configured("train", "gpu_model", None),
    "mem_mb": configured("train", "mem_mb", 16000),
}


def takes_epochs(wildcards):
    """Whether the cell of these wildcards is trained, and neither a baseline nor adopted."""
    job = STUDY.jobs.get(RECORDS["train"].format(**wildcards))
    return job is not None and is_trained(job.settings)


def where_trained(value, otherwise=None):
    """A resource of a cell that is trained, and of a baseline, which reads as much, but takes
    minutes and no GPU."""

    def of_cell(wildcards, attempt=1):
        if not takes_epochs(wildcards):
            return otherwise and otherwise * attempt
        return value(wildcards, attempt) if callable(value) else value

    return of_cell


def runs(phase, options="", then=None):
    """Params of a rule: its job's key, and what the job must find the plan to say when it runs.

    options: of the job, with the rule's wildcards, and `{then}`: what the plan says of the job of
    that phase, to which the rule goes on.
    """

    def identity(phase, wildcards):
        return STUDY.identity(STUDY.find(phase, dict(wildcards.items())).record)

    # By their second argument Snakemake takes them to follow from the outputs, and never for a reason
    # to run: cells that were scored as they were trained are planned in two pieces afterwards
    def planned_job(wildcards, output):
        following = then and identity(then, wildcards)
        key = STUDY.find(phase, dict(wildcards.items())).key
        return " ".join([phase, key, options.format(**wildcards, then=following)])

    return {"job": planned_job, "identity": lambda wildcards, output: identity(phase, wildcards)}


def as_pdf(records):
    """PDFs of the tables among some records, and of the report, if this machine can make them."""
    if NO_PDF:
        return []
    typeset = set(records)
    return [
        record
        for record in STUDY.targets("pdf")
        if STUDY.jobs[record].inputs["document"] in typeset
    ]


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


if workflow.is_main_process and not workflow.output_settings.dryrun:
    try:
        FRESHNESS.settle_times()
    except UserError as error:
        raise WorkflowError(str(error))
