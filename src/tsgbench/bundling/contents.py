"""What goes into a bundle: sound results with all that they were made from, and the code."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tsgbench.downloads.manifest import MANIFEST, read_manifest
from tsgbench.errors import UserError
from tsgbench.files import sha256_file
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import Record, read_record
from tsgbench.outside import HERE, PACKAGE
from tsgbench.planning.accepting import with_ancestors
from tsgbench.planning.study import Study
from tsgbench.running.digests import objections
from tsgbench.running.verified import path_of, read_verified

# Larger files are referenced, as data and checkpoints are
MAX_PACKED_BYTES = 32 << 20
FEW = 4  # targets that a remedy names
CHECKPOINT = "checkpoint.pt"
# What of a project is packed, as far as it is there, beside the package itself. Not its README:
# the bundle has one of its own
PROJECT = (
    "CITATION.cff",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "Snakefile",
    "config",
    "datasets",
    "dvc.yaml",
    "envs",
    "models",
    "profiles",
    "published",
    "pyproject.toml",
    "setup.py",
    "workflow",
)
SNAKEFILE = "Snakefile"
LEFTOVERS = (".pyc", "~")


@dataclass(frozen=True)
class File:
    """A file of the bundle. path: in the archive and, but for the package's code, in the project.

    location: where it lies. is_packed: else it is referenced, by its digest and size alone.
    """

    path: str
    location: Path
    sha256: str
    bytes: int
    is_packed: bool = True


@dataclass(frozen=True)
class Result:
    """What one job made. files: without the record, which is always packed."""

    job: Job
    record: Record
    record_file: File
    files: list[File]


@dataclass(frozen=True)
class Contents:
    """Everything that is known of a bundle before anything is written.

    targets: records of what was asked for; results: by record, inputs before what reads them;
    missing: records of the study's results that are not here, where everything was asked for.
    source: the study's file, unless it is the default one. verified: what the last verification
    found, if that was kept, and its file.
    """

    study: Study
    targets: list[str]
    results: dict[str, Result]
    code: list[File]
    missing: list[str] = field(default_factory=list)
    source: str | None = None
    verified: dict[str, Any] | None = None
    verified_file: File | None = None

    @property
    def records(self) -> list[Record]:
        """The records of all results."""
        return [result.record for result in self.results.values()]

    @property
    def files(self) -> list[File]:
        """All files but those that the bundle adds, each once."""
        files = {file.path: file for file in self.code}
        for result in self.results.values():
            files |= {file.path: file for file in (result.record_file, *result.files)}
        if self.verified_file:
            files[self.verified_file.path] = self.verified_file
        return [files[path] for path in sorted(files)]

    def of_phase(self, *phases: str) -> list[Result]:
        """The results of some phases, in the plan's order."""
        return [result for result in self.results.values() if result.job.phase in phases]


def collect(
    study: Study,
    targets: Iterable[str] = (),
    *,
    with_data: bool = False,
    source: str | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Contents:
    """What a bundle of some results holds; `UserError` if one of them is missing, stale or damaged.

    targets: records; none of them: every result that is here. with_data: pack data, checkpoints and
    large files, too. source: the study's file, for a remedy; the default one needs none.
    """
    if not Path(SNAKEFILE).is_file():
        raise UserError(f"{SNAKEFILE}: not here; go to the folder of the project, and run it there")
    options = f" --configfile {source}" if source else ""
    chosen, missing = list(targets), []
    remedy = f"snakemake --cores 8 {' '.join(chosen[:FEW])}{options}"
    if not chosen:
        chosen = [path for path in study.jobs if Path(path).exists()]
        missing = [path for path in study.jobs if not Path(path).exists()]
        remedy = f"snakemake --cores 8{options}, or name the results that the bundle is to hold"
    if not chosen:
        raise UserError(f"study {study.name!r}: no result is here yet; make it: {remedy}")
    for path in chosen:  # before anything that it is made from, which a user may not know
        _need(path, remedy)
    wanted = with_ancestors(study, chosen)
    results = {}
    for path in progress([path for path in study.jobs if path in wanted]):
        job = study.jobs[path]
        record = _sound(study, job, remedy)
        results[path] = Result(
            job, record, _measure(path, Path(path)), list(_outputs(study, job, record, with_data))
        )
    verified, kept = read_verified(study), path_of(study)
    file = _measure(kept.as_posix(), kept) if verified else None
    return Contents(study, chosen, results, _code(), missing, source, verified, file)


def _need(path: str, remedy: str) -> None:
    if not Path(path).exists():
        raise UserError(f"{path}: not made yet, or not pulled; make it: {remedy}")


def _sound(study: Study, job: Job, remedy: str) -> Record:
    """The record of a result that is here, whole, and what the study would make now."""
    _need(job.record, remedy)
    record = read_record(job.record)
    for problem in objections(study, job, record):
        raise UserError(
            f"{job.record}: {problem}; `tsgbench verify` lists all that is wrong, and what is out"
            f" of date is made again by: {remedy}"
        )
    if not record.stands_for(study.identity(job.record)):
        raise UserError(
            f"{job.record}: stale, made by other code than this checkout's, or from what was; make"
            f" it again: {remedy}; or, after a harmless change of code, `tsgbench accept`"
        )
    return record


def _outputs(study: Study, job: Job, record: Record, with_data: bool) -> Iterator[File]:
    """The files of a result. Data may be somebody else's, so that it is packed on request alone;
    what a manifest lists, with it."""
    is_data = not job.record.startswith(f"{study.layout.folders['results']}/")
    for name, location in record.files().items():
        entry = record.content["outputs"][name]
        is_light = (
            not is_data and location.name != CHECKPOINT and entry["bytes"] <= MAX_PACKED_BYTES
        ) or location.name == MANIFEST
        yield File(
            location.as_posix(), location, entry["sha256"], entry["bytes"], with_data or is_light
        )
        if location.name == MANIFEST and with_data:
            for inner, listed in read_manifest(location).items():
                path = location.parent / inner
                yield File(path.as_posix(), path, listed.sha256, listed.bytes)
    if job.phase == "adopt":
        yield from _adopted(job, with_data)


def _adopted(job: Job, with_data: bool) -> Iterator[File]:
    """Another program's predictions, as they were handed over; packed where they lie in the
    project."""
    given = job.settings["predictions"]
    path = PurePosixPath(given["file"])
    is_inside = not path.is_absolute() and ".." not in path.parts
    size = Path(path).stat().st_size
    yield File(str(path), Path(path), given["sha256"], size, with_data and is_inside)


def _code() -> list[File]:
    """The package, as the repository has it, and what the project adds."""
    places = {PurePosixPath("src", PACKAGE): HERE}
    places |= {PurePosixPath(part): Path(part) for part in PROJECT}
    code = []
    for path, location in places.items():
        inner = (
            [location]
            if location.is_file()
            else [file for file in location.rglob("*") if file.is_file()]
        )
        for file in sorted(inner):
            name = path / file.relative_to(location)
            if not any(part.startswith(".") for part in name.parts) and not name.name.endswith(
                LEFTOVERS
            ):
                code.append(_measure(str(name), file))
    return code


def _measure(path: str, location: Path) -> File:
    return File(path, location, sha256_file(location), location.stat().st_size)
