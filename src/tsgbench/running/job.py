"""Run one job: check its inputs, do its phase (or take over a result), and write its record."""

import importlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tsgbench.config import mirror_of
from tsgbench.errors import UserError
from tsgbench.jobs.cells import is_trained
from tsgbench.jobs.code import import_as_digested
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import Record, check_input, write_record
from tsgbench.phases import Task
from tsgbench.planning import sharing
from tsgbench.planning.passes import identity_of, jobs_of
from tsgbench.planning.study import Study
from tsgbench.running.gpu import with_gpu
from tsgbench.tracking import CellTracker, default_uri, public_uri, resolve_uri, sync

log = logging.getLogger(__name__)


def run_job(study: Study, job: Job, *, expected: str | None = None, threads: int = 1) -> None:
    """Make the results of one job.

    expected: the identity that the workflow planned with; another one means that settings or code
    changed since, and the job refuses rather than file a result under the wrong name. Without it,
    by hand, the job runs whatever there is; else what another study has is taken over.
    """
    identity, inputs = _check(study, job, expected)
    if expected is None or job.phase not in sharing.PHASES:
        _make(study, job, inputs, threads)
        return
    with sharing.hold(identity):
        if sharing.is_made(job, identity, inputs):
            return
        if sharing.take_back(job, identity, inputs):
            log.info("%s %s: made by an earlier attempt, and kept", job.phase, job.key)
            return
        twin = sharing.find_twin(job, identity, inputs)
        if twin is None:
            _make(study, job, inputs, threads)
        else:
            sharing.take_over(twin, job, inputs)
            log.info(
                "%s %s: taken over from %s, of the same identity", job.phase, job.key, twin.path
            )
        if os.environ.get(sharing.KEEP):
            sharing.keep(job, identity)


def run_cell(
    study: Study,
    job: Job,
    score: str,
    *,
    expected: str | None = None,
    threads: int = 1,
) -> None:
    """Make a cell's predictions by `job`, and then its scores, in one process.

    score: the identity that the workflow planned the scores with. It and their code are looked at
    first, not after hours of training; and what was trained outlives scores that fail.
    """
    scores = study.find("evaluate", job.wildcards)
    _identity(study, scores, score)
    import_as_digested(*scores.roots)
    run_job(study, job, expected=expected, threads=threads)
    is_kept = bool(os.environ.get(sharing.KEEP))  # by `run_job`, until the whole run has ended
    trained = study.identity(job.record)
    if not is_kept:  # Snakemake deletes all results of a job that fails
        sharing.keep(job, trained)
    run_job(study, scores, expected=score)
    if not is_kept:
        sharing.forget({trained})


def run_shard(
    study: Study, key: str, shard: str, *, expected: str | None = None, threads: int = 1
) -> None:
    """Make a shard, `2-of-8`, of an extraction, for the job itself to go on from; or of several, in
    one pass over their videos. No record is written: what a shard leaves is work done early.

    key: of the extraction or the pass (planning/passes.py).
    """
    jobs = jobs_of(study, key)
    _expect(identity_of(study, jobs), expected, key)
    tasks = [task_of(study, job, _check(study, job, None)[1], threads) for job in jobs]
    import_as_digested(*dict.fromkeys(root for job in jobs for root in job.roots))
    phase = importlib.import_module("tsgbench.phases.extract")
    from tsgbench.features.shards import Shard

    with with_gpu(study, jobs[0], {}, *jobs[1:]):
        phase.run_shard(tasks, Shard.parse(shard))
    log.info("extract %s: shard %s is done", key, shard)


def _check(study: Study, job: Job, expected: str | None) -> tuple[str, dict[str, Record]]:
    """The job's identity, which is the expected one, and its inputs, which are what it needs."""
    identity = _identity(study, job, expected)
    inputs = {role: check_input(path, study.identity(path)) for role, path in job.inputs.items()}
    return identity, inputs


def _identity(study: Study, job: Job, expected: str | None) -> str:
    """The job's identity, refused if it is not the expected one."""
    identity = study.identity(job.record)
    _expect(identity, expected, job.record)
    return identity


def _expect(identity: str, expected: str | None, where: str) -> None:
    if expected is not None and expected != identity:
        raise UserError(
            f"{where}: settings or code changed while the workflow was running (planned "
            f"{expected}, now {identity}); run snakemake again"
        )


def _make(study: Study, job: Job, inputs: dict[str, Record], threads: int) -> None:
    """Do the phase and write its record. inputs: role -> checked record."""
    import_as_digested(*job.roots)
    identity = study.identity(job.record)
    task = task_of(study, job, inputs, threads)
    phase = importlib.import_module(f"tsgbench.phases.{job.phase}")
    made: dict[str, Any] = {"study": study.name, "git_commit": git_commit()}
    with with_gpu(study, job, made):
        started = time.perf_counter()  # not of the wait for a GPU
        with _tracked(study, job, task, made):
            facts, files = phase.run(task)
        if job.phase == "table":  # what is printed is in MLflow, too
            runs = [record for role, record in inputs.items() if role.startswith("run:")]
            made["mlflow"] = log_cells(study, runs, glances=True)
        made["at"] = datetime.now(UTC).isoformat(timespec="seconds")
        made["seconds"] = round(time.perf_counter() - started, 2)
        made["host"] = os.uname().nodename
    write_record(
        job.record,
        phase=job.phase,
        key=job.key,
        identity=identity,
        settings=job.settings,
        code=job.code,
        inputs=inputs,
        files=files,
        facts=facts,
        made=made,
    )
    for folder in task.done_with:
        shutil.rmtree(folder, ignore_errors=True)
    log.info("%s %s: done in %.1f s, wrote %s", job.phase, job.key, made["seconds"], job.record)


def task_of(study: Study, job: Job, inputs: dict[str, Record], threads: int = 1) -> Task:
    """A job as its phase is told of it."""
    return Task(
        settings=job.settings,
        inputs=inputs,
        identity=study.identity(job.record),
        record=Path(job.record),
        files={role: Path(path) for role, path in job.files.items()},
        wildcards=job.wildcards,
        own_files=job.own_files,
        study=study.name,
        threads=threads,
        mirror=mirror_of(study.config),
    )


@contextmanager
def _tracked(study: Study, job: Job, task: Task, made: dict) -> Iterator[None]:
    """Follow a training in MLflow while it runs. What has no epochs is logged with its table."""
    if job.phase != "train" or not is_trained(job.settings):
        yield
        return
    uri = resolve_uri(default_uri(Path.cwd()))
    tags = {"identity": task.identity, "code_digest": job.code, "git_commit": made["git_commit"]}
    tags |= {name: job.settings[name] for name in ("model", "dataset", "ablation", "seed")}
    tags["protocol"] = job.settings["splits"]["protocol"]
    tracker = CellTracker.start(
        cell=job.key,
        study=study.name,
        settings=job.settings,
        tags=tags,
        uri=uri,
        folder=task.folder,
    )
    task.on_epoch = tracker.log_epoch
    try:
        yield
    except BaseException:
        tracker.finish(None, status="FAILED")
        raise
    tracker.finish(None)
    logged = {"run_id": tracker.run_id, "uri": public_uri(uri)}
    made["mlflow"] = logged if tracker.run_id else None


def log_cells(study: Study, runs: list[Record], *, glances: bool = False) -> dict:
    """Make MLflow agree with trained cells; never fails for a store that is away.

    runs: records of trainings. glances: as of `tracking.sync`. Returns `uri`, without a password,
    and `runs`: what `tracking.sync` says of each.
    """
    uri = resolve_uri(default_uri(Path.cwd()))
    folders = [record.path.parent for record in runs]
    rows = sync(folders, study=study.name, uri=uri, glances=glances) if folders else []
    return {"uri": public_uri(uri), "runs": rows}


def git_commit() -> str | None:
    """The commit of the working tree, with `+` if tracked files differ; None outside git."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + "+" if changed else commit
