"""Where results live, and the job: one unit of the plan.

Patterns are in Snakemake's wildcard syntax, relative to the working directory. Nothing else knows
them: rules, command line and records ask here.
"""

from dataclasses import dataclass
from functools import cached_property

from tsgbench.code import code_digest

# The phases that make a data set's videos and annotations: each is the key of its settings in
# config/datasets.yaml and in a study
MAKERS = ("render", "join")
DEFAULT = "default"  # the protocol that a data set's `splits` state
# {ablation} names the protocol too, where it is not the data set's default (`join_ablation`)
CELL = "results/cells/{model}/{dataset}/{ablation}/seed{seed}"
RECORDS = {
    "download": "data/raw/{source}.json",
    "render": "data/raw/{dataset}.json",
    "join": "data/raw/{dataset}.json",
    "annotations": "data/annotations/{dataset}/annotations.json",
    "statistics": "data/annotations/{dataset}/statistics.json",
    "extract": "data/features/{dataset}/{clips}.clips.json",
    "reduce": "data/features/{dataset}/{features}.json",
    "released": "data/features/{dataset}/{features}.json",
    "blank": "data/features/{dataset}/{features}.json",
    "vectors": "data/text/{dataset}/vectors.json",
    "vocabulary": "data/text/{dataset}/{tokenizer}.json",
    "train": f"{CELL}/run.json",
    "evaluate": f"{CELL}/metrics.json",
    "measure": f"{CELL}/efficiency.json",
    "inspect": f"{CELL}/inspection.json",
    "table": "results/{table}.json",
    "figure": "results/{figure}.json",
    "findings": "results/findings.json",
    "summary": "results/summary.json",
    "report": "results/report.json",
    "pdf": "results/{document}.pdf.json",
}
# Files with fixed names that a phase makes beside its record.
FILES = {
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
        "checkpoint": f"{CELL}/checkpoint.pt",
        "history": f"{CELL}/history.csv",
        "predictions": f"{CELL}/predictions.parquet",
    },
    "evaluate": {"scores": f"{CELL}/scores.parquet"},
    "inspect": {"maps": f"{CELL}/inspection.npz"},
    "table": {
        "tex": "results/{table}.tex",
        "csv": "results/{table}.csv",
        "markdown": "results/{table}.md",
        "html": "results/{table}.html",
        "provenance": "results/{table}.provenance.json",
    },
    "figure": {
        "pdf": "results/{figure}.pdf",
        "png": "results/{figure}.png",
        "csv": "results/{figure}.csv",
    },
    "findings": {"markdown": "results/findings.md"},
    "summary": {
        "metrics": "results/metrics.json",
        "learning": "results/plots/learning.csv",
        "systems": "results/plots/systems.csv",
    },
    "report": {"html": "results/report.html", "tex": "results/report.tex"},
    "pdf": {"pdf": "results/{document}.pdf"},
}
# What a job is called among its phase's, and so its log and benchmark.
KEYS = {
    "download": "{source}",
    "render": "{dataset}",
    "join": "{dataset}",
    "annotations": "{dataset}",
    "statistics": "{dataset}",
    "extract": "{dataset}/{clips}",
    "reduce": "{dataset}/{features}",
    "released": "{dataset}/{features}",
    "blank": "{dataset}/{features}",
    "vectors": "{dataset}",
    "vocabulary": "{dataset}/{tokenizer}",
    "train": "{model}/{dataset}/{ablation}/seed{seed}",
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
LOGS = {phase: f"logs/{phase}/{key}.log" for phase, key in KEYS.items()}
BENCHMARKS = {phase: f"logs/benchmarks/{phase}/{key}.tsv" for phase, key in KEYS.items()}


@dataclass(frozen=True)
class Job:
    """One unit of work: a phase applied to a key, with all that decides its result."""

    phase: str
    wildcards: dict[str, str]
    settings: dict
    inputs: dict[str, str]  # role -> record path
    modules: tuple[str, ...] = ()  # code chosen at run time, beside the phase's own

    @property
    def key(self) -> str:
        """Its name among the jobs of its phase, such as `seqpan/shapes/full/seed0`."""
        return KEYS[self.phase].format(**self.wildcards)

    @property
    def record(self) -> str:
        return RECORDS[self.phase].format(**self.wildcards)

    @property
    def files(self) -> dict[str, str]:
        patterns = FILES.get(self.phase, {})
        return {role: pattern.format(**self.wildcards) for role, pattern in patterns.items()}

    @cached_property
    def code(self) -> str:
        # A downloaded file is what its checksum says, whichever code fetched it
        if self.phase == "download":
            return "none"
        return code_digest(*self.roots)

    @property
    def roots(self) -> tuple[str, ...]:
        """The modules that its code starts from; what they import follows."""
        return (f"tsgbench.phases.{self.phase}", *self.modules)


# What the records of a cell are called as inputs of other jobs.
CELL_ROLES = {
    "run": "train",
    "metrics": "evaluate",
    "inspection": "inspect",
    "efficiency": "measure",
}


def join_ablation(ablation: str, protocol: str) -> str:
    """What a cell's name says of both: `full` by the default protocol, else `full@val_1`."""
    return ablation if protocol == DEFAULT else f"{ablation}@{protocol}"


def split_ablation(name: str) -> tuple[str, str]:
    """The ablation and the protocol that this part of a cell's name stands for."""
    ablation, _, protocol = name.partition("@")
    return ablation, protocol or DEFAULT


def cell_prefix(system: dict, dataset: str) -> str:
    """`model/dataset/ablation` of the cells of a figure's system, whose `protocols` say by which
    one of each data set; by the default one without them."""
    protocol = system.get("protocols", {}).get(dataset, DEFAULT)
    return f"{system['model']}/{dataset}/{join_ablation(system['ablation'], protocol)}"


def cell_name(cell: tuple[str, str, str, int]) -> str:
    """(model, dataset, ablation, seed) as `model/dataset/ablation/seed0`."""
    return "{}/{}/{}/seed{}".format(*cell)


def cell_record(phase: str, cell: str) -> str:
    """Path of a phase's record of the cell `model/dataset/ablation/seed0`."""
    model, dataset, ablation, seed = cell.split("/")
    return RECORDS[phase].format(
        model=model, dataset=dataset, ablation=ablation, seed=seed.removeprefix("seed")
    )


def cell_records(role: str, cells: list[str]) -> dict[str, str]:
    """Inputs of a job: `role:cell` -> the record of that role."""
    return {f"{role}:{cell}": cell_record(CELL_ROLES[role], cell) for cell in cells}


def describe_study(config: dict, name: str) -> dict:
    """What every table and figure says of itself and its study."""
    return {
        "id": name,
        "study": config["study"],
        "title": config["title"],
        "is_demo": config.get("demo", False),
    }
