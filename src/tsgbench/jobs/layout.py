"""Where results live, and the job: one unit of the plan.

Patterns are in Snakemake's wildcard syntax, relative to the working directory. Nothing else knows
them: rules, command line and records ask the study's `Layout`, which fills in the one thing that
differs between studies, the folders of its own, `{results}` and `{logs}`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from tsgbench.jobs.cells import CellId
from tsgbench.jobs.code import code_digest

DEFAULT_STUDY = "demo"  # has the folders themselves; every other study one of its name in them
RESULTS, LOGS = "results", "logs"

# The phases that make a data set's videos and annotations: each is the key of its settings in
# config/datasets.yaml and in a study
MAKERS = ("render", "join", "gather")
# {ablation} names the protocol too, where it is not the data set's default (`cells.join_ablation`)
_CELL = "{results}/cells/{model}/{dataset}/{ablation}/seed{seed}"
_RECORDS = {
    "download": "data/raw/{source}.json",
    "render": "data/raw/{dataset}.json",
    "join": "data/raw/{dataset}.json",
    "gather": "data/raw/{dataset}.json",
    "annotations": "data/annotations/{dataset}/annotations.json",
    "statistics": "data/annotations/{dataset}/statistics.json",
    "extract": "data/features/{dataset}/{clips}.clips.json",
    "reduce": "data/features/{dataset}/{features}.json",
    "released": "data/features/{dataset}/{features}.json",
    "blank": "data/features/{dataset}/{features}.json",
    "vectors": "data/text/{dataset}/vectors.json",
    "vocabulary": "data/text/{dataset}/{tokenizer}.json",
    "train": _CELL + "/run.json",
    "adopt": _CELL + "/run.json",
    "evaluate": _CELL + "/metrics.json",
    "measure": _CELL + "/efficiency.json",
    "inspect": _CELL + "/inspection.json",
    "table": "{results}/{table}.json",
    "figure": "{results}/{figure}.json",
    "findings": "{results}/findings.json",
    "summary": "{results}/summary.json",
    "report": "{results}/report.json",
    "pdf": "{results}/{document}.pdf.json",
}
# Files with fixed names that a phase makes beside its record.
_FILES = {
    "extract": {
        "features": "data/features/{dataset}/{clips}.clips.h5",
        "failed": "data/features/{dataset}/{clips}.clips.failed.csv",
    },
    "reduce": {"features": "data/features/{dataset}/{features}.h5"},
    "released": {
        "features": "data/features/{dataset}/{features}.h5",
        "failed": "data/features/{dataset}/{features}.failed.csv",
    },
    "blank": {"features": "data/features/{dataset}/{features}.h5"},
    "vectors": {"vectors": "data/text/{dataset}/vectors.txt"},
    "vocabulary": {"words": "data/text/{dataset}/{tokenizer}.npz"},
    "train": {
        "checkpoint": _CELL + "/checkpoint.pt",
        "history": _CELL + "/history.csv",
        "predictions": _CELL + "/predictions.parquet",
    },
    "adopt": {"predictions": _CELL + "/predictions.parquet"},
    "evaluate": {"scores": _CELL + "/scores.parquet"},
    "inspect": {"maps": _CELL + "/inspection.npz"},
    "table": {
        "tex": "{results}/{table}.tex",
        "csv": "{results}/{table}.csv",
        "markdown": "{results}/{table}.md",
        "html": "{results}/{table}.html",
        "provenance": "{results}/{table}.provenance.json",
    },
    "figure": {
        "pdf": "{results}/{figure}.pdf",
        "png": "{results}/{figure}.png",
        "csv": "{results}/{figure}.csv",
    },
    "findings": {"markdown": "{results}/findings.md"},
    "summary": {
        "learning": "{results}/plots/learning.csv",
        "systems": "{results}/plots/systems.csv",
        "vega": "{results}/plots/vega.js",
    },
    "report": {"html": "{results}/report.html", "tex": "{results}/report.tex"},
    "pdf": {"pdf": "{results}/{document}.pdf"},
}
# What a job is called among its phase's, and so its log and benchmark.
KEYS = {
    "download": "{source}",
    "render": "{dataset}",
    "join": "{dataset}",
    "gather": "{dataset}",
    "annotations": "{dataset}",
    "statistics": "{dataset}",
    "extract": "{dataset}/{clips}",
    "reduce": "{dataset}/{features}",
    "released": "{dataset}/{features}",
    "blank": "{dataset}/{features}",
    "vectors": "{dataset}",
    "vocabulary": "{dataset}/{tokenizer}",
    "train": "{model}/{dataset}/{ablation}/seed{seed}",
    "adopt": "{model}/{dataset}/{ablation}/seed{seed}",
    "evaluate": "{model}/{dataset}/{ablation}/seed{seed}",
    "measure": "{model}/{dataset}/{ablation}/seed{seed}",
    "inspect": "{model}/{dataset}/{ablation}/seed{seed}",
    "table": "{table}",
    "figure": "{figure}",
    "findings": "cells",
    "summary": "cells",
    "report": "study",
    "pdf": "{document}",
}
# What the records of a cell are called as inputs of other jobs.
CELL_ROLES = {
    "run": "train",
    "metrics": "evaluate",
    "inspection": "inspect",
    "efficiency": "measure",
}
PHASES = tuple(_RECORDS)
# Not to be called by a study, whose folder would be the default one's of cells, plots or logs
TAKEN = ("cells", "metrics", "plots", "benchmarks", *PHASES)


@dataclass(frozen=True)
class Layout:
    """Where one study's results and logs lie; `data/`, and the logs of what makes it, is shared."""

    study: str = DEFAULT_STUDY

    @cached_property
    def folders(self) -> dict[str, str]:
        """What stands for `{results}` and `{logs}`."""
        inner = "" if self.study == DEFAULT_STUDY else f"/{self.study}"
        return {"results": f"{RESULTS}{inner}", "logs": f"{LOGS}{inner}"}

    @cached_property
    def cell(self) -> str:
        """The folder of a cell."""
        return self._fill(_CELL)

    @cached_property
    def records(self) -> dict[str, str]:
        """Phase -> the record of its job."""
        return {phase: self._fill(pattern) for phase, pattern in _RECORDS.items()}

    @cached_property
    def files(self) -> dict[str, dict[str, str]]:
        """Phase -> role -> file with a fixed name that it makes beside its record."""
        return {
            phase: {role: self._fill(pattern) for role, pattern in patterns.items()}
            for phase, patterns in _FILES.items()
        }

    @cached_property
    def logs(self) -> dict[str, str]:
        """Phase -> the log of its job."""
        return {phase: f"{self._logs(phase)}/{phase}/{key}.log" for phase, key in KEYS.items()}

    @cached_property
    def benchmarks(self) -> dict[str, str]:
        """Phase -> the time and memory that its job took, as Snakemake writes them."""
        return {
            phase: f"{self._logs(phase)}/benchmarks/{phase}/{key}.tsv"
            for phase, key in KEYS.items()
        }

    def _fill(self, pattern: str) -> str:
        for name, folder in self.folders.items():
            pattern = pattern.replace(f"{{{name}}}", folder)
        return pattern

    def _logs(self, phase: str) -> str:
        return self.folders["logs"] if _RECORDS[phase].startswith("{results}") else LOGS

    def cell_record(self, phase: str, cell: str) -> str:
        """Path of a phase's record of the cell `model/dataset/ablation/seed0`."""
        return self.records[phase].format(**CellId.parse(cell).wildcards)

    def cell_records(self, cells: list[str], *roles: str) -> dict[str, str]:
        """Inputs of a job: `role:cell` -> the record of that role."""
        return {
            f"{role}:{cell}": self.cell_record(CELL_ROLES[role], cell)
            for role in roles
            for cell in cells
        }

    def job(
        self,
        phase: str,
        wildcards: dict[str, str],
        settings: dict,
        inputs: dict[str, str],
        modules: tuple[str, ...] = (),
        own_files: dict[str, str] | None = None,
    ) -> "Job":
        """A job whose results lie here; see `Job`."""
        return Job(self, phase, wildcards, settings, inputs, modules, own_files or {})


def study_of(path: str | os.PathLike, papers: Iterable[str]) -> str:
    """Name of the study that a result belongs to. path: relative to the working directory.

    papers: keys of the papers, whose tables and figures have folders of their names.
    """
    parts = PurePosixPath(os.path.normpath(path)).parts
    is_inside = len(parts) > 2 and parts[0] == RESULTS
    return parts[1] if is_inside and parts[1] not in (*TAKEN, *papers) else DEFAULT_STUDY


def studies_with_cells() -> list[str]:
    """Names of the studies that have cells here, the default one first."""
    own = sorted(path.parent.name for path in Path(RESULTS).glob("*/cells") if path.is_dir())
    return [DEFAULT_STUDY, *own]


def foreign_results(study: str, papers: Iterable[str]) -> str:
    """Regular expression of what, below `results/`, `study_of` says is another study's."""
    if study != DEFAULT_STUDY:
        return rf"(?!{study}/).+"
    return rf"(?!(?:{'|'.join((*TAKEN, *papers))})/)[a-z0-9_]+/.+"


def apart(some: set[str], others: set[str]) -> tuple[str, str]:
    """Regular expressions that match nothing, where a path of the one or of the other set begins.

    Short if one set is small: Snakemake reads them again for every job.
    """
    fewer = min(some, others, key=len)
    these, not_these = (f"(?{sign}(?:{_any_of(fewer)})/)" for sign in "=!")
    if not fewer:
        these, not_these = "(?!)", ""
    return (these, not_these) if fewer is some else (not_these, these)


def _any_of(paths: Iterable[str]) -> str:
    """These paths, of which those that begin alike share the attempt."""
    below: dict[str, list[str]] = {}
    for path in paths:
        first, _, rest = path.partition("/")
        below.setdefault(first, []).append(rest)
    return "|".join(
        f"{first}/(?:{_any_of(rests)})" if any(rests) else first for first, rests in below.items()
    )


def report_names(study: str, papers: Iterable[str]) -> str:
    """Regular expression of what tables and figures may be called: `table1`, `seqpan/table5`."""
    folder = "|".join(papers) if study == DEFAULT_STUDY else "[a-z0-9_]+"
    return rf"(?:(?:{folder})/)?[a-z0-9_]+"


def layout_of_cell(folder: str | os.PathLike) -> Layout:
    """The layout by which a cell's folder lies where it lies."""
    results = Path(folder).parents[len(PurePosixPath(_CELL).parts) - 2]
    return Layout(results.name) if results.parent.name == RESULTS else Layout()


@dataclass(frozen=True)
class Job:
    """One unit of work: a phase applied to a key, with all that decides its result; and, which
    does not decide it, where the result lies, and where its user's own files do (`own_files`)."""

    layout: Layout
    phase: str
    wildcards: dict[str, str]
    settings: dict
    inputs: dict[str, str]  # role -> record path
    modules: tuple[str, ...] = ()  # code chosen at run time, beside the phase's own
    own_files: dict[str, str] = field(default_factory=dict)  # role -> file or folder

    @property
    def key(self) -> str:
        """Its name among the jobs of its phase, such as `seqpan/shapes/full/seed0`."""
        return KEYS[self.phase].format(**self.wildcards)

    @property
    def record(self) -> str:
        """Path of the record, the file that other jobs read."""
        return self.layout.records[self.phase].format(**self.wildcards)

    @property
    def files(self) -> dict[str, str]:
        """Role -> path of the files with fixed names beside the record."""
        patterns = self.layout.files.get(self.phase, {})
        return {role: pattern.format(**self.wildcards) for role, pattern in patterns.items()}

    @property
    def log(self) -> str:
        """Path of the log."""
        return self.layout.logs[self.phase].format(**self.wildcards)

    @property
    def benchmark(self) -> str:
        """Path of Snakemake's measurements: time and memory."""
        return self.layout.benchmarks[self.phase].format(**self.wildcards)

    @cached_property
    def code(self) -> str:
        """Digest of the code that decides the result."""
        # A downloaded file is what its checksum says, whichever code fetched it
        if self.phase == "download":
            return "none"
        return code_digest(*self.roots)

    @property
    def roots(self) -> tuple[str, ...]:
        """The modules that its code starts from; what they import follows."""
        return (f"tsgbench.phases.{self.phase}", *self.modules)


def describe_study(config: dict, name: str) -> dict:
    """What every table and figure says of itself and its study."""
    return {
        "id": name,
        "study": config["study"],
        "title": config["title"],
        "is_demo": config.get("demo", False),
    }
