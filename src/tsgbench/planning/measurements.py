"""What jobs took: from the logs of runs, on this machine or another one.

Snakemake writes the time and the memory of every job beside its log. Where the results lie beside
the logs, their records say what a job wrote and whether it computed on a GPU. What one job took is
told from jobs of its phase on the same data set; of cells, from the same model and ablation, or at
least from the same model in the same study. Another study's cell counts only where its record says
that it is set the same: one of a few narrow layers and epochs says nothing of the paper's. Seconds
are the clock's: no more jobs run at once than a machine has processors, and the processor time that
Snakemake samples misses the end of every job. So logs of a machine that was busy with other things
say too much.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from tsgbench.errors import UserError
from tsgbench.files import digest, read_json
from tsgbench.jobs.layout import DEFAULT_STUDY, KEYS, LOGS, PHASES, Job, Layout
from tsgbench.jobs.records import Record, read_record
from tsgbench.planning.passes import AND

# What jobs must have in common to be alike, the most telling first
NEAREST: tuple[tuple[str, ...], ...] = (("model", "dataset", "ablation"), ("model", "dataset"))
ON_DATA: tuple[tuple[str, ...], ...] = (("dataset", "clips"), ("dataset", "features"), ("dataset",))
# The settings of a cell that say how much work it is; an evaluation has none of them
OF_SIZE = ("inputs", "model_settings", "train")
# The log of a job that did no work, since another study had its result
TAKEN_OVER = ": taken over from"
# An extraction's, of which every shard has a file of its own (workflow/rules/features.smk)
OF_SHARD = re.compile(r"(?P<key>.+)\.shards/(?P<identity>[0-9a-f]+)\.(?P<shard>\d+-of-\d+)")
FORM = "what jobs took, 2"


@dataclass(frozen=True)
class Measured:
    """What one job took.

    seconds: by the clock, of all its shards one after another. memory_mb: at its peak. cpu_s: as
    Snakemake sampled it. alone_s: of `seconds`, what no shard did; None: it ran in one piece.
    gpu_s: of `seconds`, what a job with a GPU took. disk_bytes: what it left.
    None where nothing says it.
    """

    seconds: float
    memory_mb: float
    cpu_s: float | None = None
    alone_s: float | None = None
    gpu_s: float | None = None
    disk_bytes: float | None = None


@dataclass(frozen=True)
class Taken:
    """A job that was measured: by its study's folder of logs, its phase, and its name in that.

    size: of a cell, by its record (`size_of`); empty where there is none.
    """

    study: str
    phase: str
    key: str
    measured: Measured
    size: str = ""

    @property
    def wildcards(self) -> dict[str, str]:
        """Those of its phase."""
        return wildcards_of(self.phase, self.key)

    @property
    def record(self) -> str:
        """Where its record lies, from the folder of the project."""
        return Layout(self.study).records[self.phase].format(**self.wildcards)


def wildcards_of(phase: str, key: str) -> dict[str, str]:
    """The wildcards of a job's name, such as `seqpan/shapes/full/seed0`."""
    match = re.fullmatch(_pattern(phase), key)
    return match.groupdict() if match else {}


@cache
def _pattern(phase: str) -> str:
    """Of the names of a phase's jobs; the last wildcard may hold a slash, as in `seqpan/table5`."""
    *names, last = re.split(r"\{(\w+)\}", KEYS[phase])
    groups = [
        re.escape(part) if number % 2 == 0 else f"(?P<{part}>[^/]+)"
        for number, part in enumerate(names)
    ]
    if groups:
        groups[-1] = groups[-1].replace("[^/]+", ".+")
    return "".join(groups) + re.escape(last)


def alike(wildcards: dict[str, str]) -> list[tuple[str, ...]]:
    """Which wildcards a job must have in common with others to be measured by them, the most
    telling first."""
    if "model" in wildcards:
        nearest = NEAREST
    elif "dataset" in wildcards:
        nearest = ON_DATA
    else:  # tables are like tables, but no download is like another
        nearest = (tuple(wildcards), *(() if "source" in wildcards else ((),)))
    return [names for names in nearest if all(name in wildcards for name in names)]


def size_of(wildcards: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """What a cell and another study's must share to be the same work; empty of what is no cell.

    settings: the cell's, or of a job that has them under `model`, as an inspection.
    """
    if "model" not in wildcards:
        return ""
    cell = settings["model"] if isinstance(settings.get("model"), Mapping) else settings
    return digest({name: cell[name] for name in OF_SIZE if name in cell})


class Measurements:
    """What jobs took, by what they have in common. Of several alike, the mean."""

    def __init__(self, taken: Iterable[Taken]) -> None:
        self._found: dict[tuple[str, ...], list[Measured]] = {}
        self._means: dict[tuple[str, ...], Measured] = {}
        for each in taken:
            keys = _keys(each.study, each.phase, each.wildcards, each.size)
            self._add(keys, each.measured)

    def _add(self, keys: Iterable[tuple[str, ...]], measured: Measured) -> None:
        for key in keys:
            self._found.setdefault(key, []).append(measured)
            self._means.pop(key, None)

    def add(self, job: Job) -> bool:
        """Read what a job took that has ended since; False if Snakemake has not written it yet."""
        try:
            measured = _read_tsv(Path(job.benchmark))
        except OSError:
            return False
        if measured:
            self._add(_keys_of(job), measured)
        return True

    def of(self, job: Job) -> Measured | None:
        """What a job is likely to take; None if no job was measured that is alike."""
        for key in _keys_of(job):
            if key not in self._means and (costs := self._found.get(key)):
                self._means[key] = _mean(costs)
            if key in self._means:
                return self._means[key]
        return None


def _keys_of(job: Job) -> Iterator[tuple[str, ...]]:
    size = size_of(job.wildcards, job.settings)
    return _keys(job.layout.study, job.phase, job.wildcards, size)


def _keys(
    study: str, phase: str, wildcards: dict[str, str], size: str
) -> Iterator[tuple[str, ...]]:
    """By what a job is found, the most telling first: in its own study before others, of whose
    cells only the same ones are alike."""
    keys = [
        (phase, *names, *(wildcards[name] for name in names))
        for names in dict.fromkeys(alike(wildcards))
    ]
    yield from ((study, *key) for key in keys)
    if "model" not in wildcards:
        yield from (("", *key) for key in keys)
    elif size:
        yield ("", *keys[0], size)


def _mean(costs: list[Measured]) -> Measured:
    """Of each figure, over the jobs that have it."""
    columns = zip(*map(astuple, costs), strict=True)
    known = [[value for value in column if value is not None] for column in columns]
    return Measured(*(fmean(column) if column else None for column in known))  # type: ignore[arg-type]


# --- reading ------------------------------------------------------------------------------------


def read_measurements(source: str | Path = LOGS) -> list[Taken]:
    """source: logs of the default study, below which every other has its own folder; or a file that
    `write_measurements` wrote. `UserError` for a file of anything else."""
    source = Path(source)
    return read_file(source)[1] if source.is_file() else list(read_logs(source))


def read_logs(logs: Path) -> Iterator[Taken]:
    """Every job that Snakemake measured and that did its work, but for shards, which are counted
    into their extraction."""
    for phase in PHASES:
        for folder in sorted(logs.glob(f"**/benchmarks/{phase}")):
            of_study = folder.parents[1]
            study = DEFAULT_STUDY if of_study in (logs, logs.parent) else of_study.name
            yield from _read_phase(study, phase, folder)


def _read_phase(study: str, phase: str, folder: Path) -> Iterator[Taken]:
    for path in sorted(folder.rglob("*.tsv")):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if OF_SHARD.fullmatch(key) or _did_nothing(path, phase, folder):
            continue
        if measured := _read_tsv(path):
            if shards := _of_shards(folder, key):
                measured = _with_shards(measured, _mean(shards))
            yield Taken(study, phase, key, measured)


def _did_nothing(path: Path, phase: str, folder: Path) -> bool:
    """Whether its log says that another study's result was taken."""
    log = folder.parents[1] / phase / path.relative_to(folder).with_suffix(".log")
    return log.is_file() and TAKEN_OVER in log.read_text(encoding="utf-8", errors="replace")


def _of_shards(folder: Path, key: str) -> list[Measured]:
    """What all shards of an extraction took together; several times, where it was made in several
    numbers of them or for several identities. Of a pass that several shared, an equal part."""
    found: dict[tuple[str, ...], list[Measured]] = {}
    dataset, _, clips = key.rpartition("/")
    for path in sorted((folder / dataset).glob("*.shards/*.tsv")):
        match = OF_SHARD.fullmatch(f"{path.parent.name}/{path.stem}")
        sharing = match["key"].split(AND) if match else []
        if match and clips in sharing and (measured := _read_tsv(path)):
            total = match["shard"].partition("-of-")[2]
            part = replace(
                measured,
                seconds=measured.seconds / len(sharing),
                cpu_s=(measured.cpu_s or 0.0) / len(sharing),
            )
            found.setdefault((match["key"], match["identity"], total), []).append(part)
    return [
        Measured(
            sum(each.seconds for each in shards),
            max(each.memory_mb for each in shards),
            sum(each.cpu_s or 0.0 for each in shards),
        )
        for (*_, total), shards in found.items()
        if len(shards) == int(total)
    ]


def _with_shards(joining: Measured, shards: Measured) -> Measured:
    return replace(
        joining,
        seconds=joining.seconds + shards.seconds,
        memory_mb=max(joining.memory_mb, shards.memory_mb),
        cpu_s=(joining.cpu_s or 0.0) + (shards.cpu_s or 0.0),
        alone_s=joining.seconds,
    )


def _read_tsv(path: Path) -> Measured | None:
    """The first row of a benchmark; None where Snakemake could not measure (a job of no time)."""
    with open(path, newline="", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream, delimiter="\t"), {})
    seconds, memory_mb, cpu_s = (_number(row.get(name)) for name in ("s", "max_rss", "cpu_time"))
    if seconds is None or memory_mb is None:
        return None
    return Measured(seconds, memory_mb, cpu_s)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


# --- what records add ---------------------------------------------------------------------------


def with_records(taken: Iterable[Taken], project: Path) -> Iterator[tuple[Taken, Record | None]]:
    """Each with what its record says, and the record; as it is where there is none.

    project: the folder in which `results/` and `data/` are. A training's files count with those of
    its scores, which the same job writes.
    """
    for each in taken:
        record = _read(project / each.record)
        if record is None:
            yield each, None
            continue
        records = [record]
        if each.phase in ("train", "adopt"):
            scores = _read((project / each.record).with_name("metrics.json"))
            records += [scores] if scores else []
        on_gpu = str(record.facts.get("device", "")).startswith("cuda")
        measured = replace(
            each.measured,
            gpu_s=each.measured.seconds if on_gpu else 0.0,
            disk_bytes=float(
                sum(file["bytes"] for one in records for file in one.content["outputs"].values())
            ),
        )
        size = size_of(each.wildcards, record.content.get("settings", {}))
        yield replace(each, measured=measured, size=size), record


def _read(path: Path) -> Record | None:
    try:
        return read_record(path) if path.is_file() else None
    except UserError:  # of another version: says nothing
        return None


# --- a file of them -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A call of Snakemake. targets: what it was asked for. jobs: how many it ran, all of them done.
    seconds: by the clock, from its start to its end. machine: in general words."""

    study: str
    targets: str
    date: str
    commit: str
    machine: str
    cores: int
    jobs: int
    seconds: float


def write_measurements(path: Path, runs: list[Run], taken: Iterable[tuple[int, Taken]]) -> None:
    """One line a run and a job. taken: each with the number of its run, from 0."""
    rows = [
        [
            number,
            each.study,
            each.phase,
            each.key,
            each.size,
            *map(_rounded, astuple(each.measured)),
        ]
        for number, each in taken
    ]
    parts = [
        f'"form": {json.dumps(FORM)}',
        f'"columns": {json.dumps(_columns())}',
        f'"runs": [\n{_lines([vars(run) for run in runs])}\n]',
        f'"jobs": [\n{_lines(rows)}\n]',
    ]
    path.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


def read_file(path: Path) -> tuple[list[Run], list[Taken], list[int]]:
    """The runs, their jobs, and the number of each job's run."""
    content = read_json(path)
    try:
        if content["form"] != FORM or content["columns"] != _columns():
            raise KeyError("form")
        runs = [Run(**run) for run in content["runs"]]
        rows = content["jobs"]
        taken = [
            Taken(study, phase, key, Measured(*figures), size)
            for _, study, phase, key, size, *figures in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: no file of measurements of this version; name a folder of logs, or write the"
            " file again (docs/costs.md)"
        ) from error
    return runs, taken, [row[0] for row in rows]


def _columns() -> list[str]:
    return ["run", "study", "phase", "key", "size", *(each.name for each in fields(Measured))]


def _lines(rows: list[Any]) -> str:
    return ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def _rounded(value: float | None) -> float | int | None:
    """To hundredths; whole numbers as such."""
    return value and (int(value) if value == int(value) else round(value, 2))
