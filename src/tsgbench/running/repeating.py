"""Make a result again from its recorded inputs, in a folder apart, and say what differs.

The folder is laid out as the project is, with links to the inputs: phases name what they read and
write relative to the project, and pages hold links between results.
"""

import importlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import read_json, sha256_file, write_json
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import Content, Output, Record, read_record
from tsgbench.planning.accepting import differences
from tsgbench.planning.study import Study
from tsgbench.running.comparing import difference
from tsgbench.running.job import task_of

# Read by phases beside their inputs; `published` is part of their settings, by its digest
PARTS = ("config", "published")


def repeat(study: Study, job: Job, record: Record) -> Iterator[str]:
    """In words, what a job gives otherwise than its record and the files beside it say."""
    kept = record.path.parent.resolve()
    with _apart(job.inputs.values()):
        try:
            if job.phase == "table":
                _put_as_told(kept / f"{record.path.stem}.provenance.json", job)
            facts, files = _run(study, job, record.identity)
        except UserError as error:
            yield f"cannot be made again: {error}"
            return
        listed = record.content["outputs"]
        made = {path.relative_to(Path(job.record).parent).as_posix(): path for path in files}
        if names := sorted(listed.keys() ^ made.keys()):
            yield f"made again: other files ({', '.join(names)})"
        for name in sorted(listed.keys() & made.keys()):
            if differing := difference(kept / name, made[name]):
                yield f"made again: {name}: {differing}"
        for differing in differences(record.facts, json.loads(json.dumps(facts))):
            yield f"made again: facts.{differing}"


def _put_as_told(document: Path, job: Job) -> None:
    """Put records of the runs that a table was written from in the place of links to those here.

    A cell that was trained again to the same bytes makes no table stale, and has another MLflow
    run, other seconds and the like. What of these decides no number is taken from the table's
    document, whose own digest was checked.
    """
    if not document.exists():  # of another kind
        return
    results = [one for row in read_json(document)["rows"] for one in row["results"].values()]
    for cell in (cell for one in results for cell in one["cells"]):
        if path := job.inputs.get(f"run:{cell.get('cell')}"):
            told = _told_so(read_record(path).content, cell)
            Path(path).unlink()
            write_json(path, told)


def _told_so(run: Content, cell: dict) -> dict:
    """A run whose training was as a document says of its cell (`Cell.provenance`)."""
    made, facts = dict(run.get("made") or {}), dict(run["facts"])
    made |= {name: cell[name] for name in ("study", "git_commit", "seconds")}
    made["mlflow"] = {"run_id": cell["mlflow_run"], "uri": cell["mlflow_store"]}
    made["taken_over"] = {"from": cell["taken_over"]} if cell["taken_over"] else None
    facts |= {name: cell[name] for name in ("device", "hardware", "seconds") if name in facts}
    return {**run, "made": made, "facts": facts}


@dataclass(frozen=True)
class Retrained:
    """A cell that was trained again. worst: the largest difference of a metric, in points."""

    cell: str
    is_same: bool  # to the byte: predictions and weights
    worst: float
    hardware: tuple[str, str]  # then, now
    problems: tuple[str, ...] = ()


def retrain(study: Study, job: Job, record: Record, tolerance: float) -> Retrained:
    """Train a cell again. Where its predictions differ, they are scored, and no metric of the
    headline may differ by more than `tolerance` points.

    It gets as many threads as then: with others, sums are rounded in another order."""
    kept = record.path.parent.resolve()
    scoring = study.find("evaluate", job.wildcards)
    before = read_record(kept / "metrics.json").facts["metrics"]
    with _apart([*job.inputs.values(), scoring.inputs["annotations"]]):
        facts, files = _run(study, job, record.identity, record.facts.get("threads", 1))
        hardware = (str(record.facts.get("hardware")), str(facts.get("hardware")))
        listed = record.content["outputs"]
        outputs: dict[str, Output] = {
            path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in files
        }
        if all(entry["sha256"] == listed[name]["sha256"] for name, entry in outputs.items()):
            return Retrained(job.key, True, 0.0, hardware)
        made = {"run": Record(Path(job.record), {**record.content, "outputs": outputs})}
        after = _run(study, scoring, record.identity, made=made)[0]["metrics"]
    apart = {name: abs(after[name] - value) for name, value in before.items() if value is not None}
    problems = tuple(
        f"trained again: {name}: {before[name]:.2f} -> {after[name]:.2f}, beyond the tolerance of"
        f" {tolerance:g} points"
        for name, by in apart.items()
        if by > tolerance
    )
    return Retrained(job.key, False, max(apart.values()), hardware, problems)


def _run(
    study: Study,
    job: Job,
    identity: str,
    threads: int = 1,
    made: dict[str, Record] | None = None,
) -> tuple[dict, list[Path]]:
    """Do a job's phase in this folder: its facts and files.

    identity: the recorded one, which tables print. made: inputs that have no record.
    """
    made = made or {}
    inputs = {role: made.get(role) or read_record(path) for role, path in job.inputs.items()}
    task = replace(task_of(study, job, inputs, threads), identity=identity)
    return importlib.import_module(f"tsgbench.phases.{job.phase}").run(task)


@contextmanager
def _apart(records: Iterable[str]) -> Iterator[None]:
    """Work in an empty folder with links to some records of the project, and to their files."""
    project = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="tsgbench-verify-") as folder:
        for part in PARTS:
            Path(folder, part).symlink_to(project / part)
        for path in dict.fromkeys(records):
            for file in (Path(path), *read_record(path).files().values()):
                link = Path(folder, file)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((project / file).absolute())
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(project)
