"""Reading cells for reports. A number without its identity, or of another run, is refused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.files import read_json
from tsgbench.jobs.cells import CellId
from tsgbench.jobs.layout import layout_of_cell

SCHEMA = 1
MADE_BY = ("train", "adopt")  # a cell's predictions
# What a convention does that ranks every run of chunks (evaluation.didemo)
FIXED_ORDER = (
    "Runs of chunks that a system does not name follow in a fixed order, single chunks first"
)


@dataclass(frozen=True)
class Cell:
    """One evaluated cell, seen under one convention and over one part of its test split.

    convention: None for the headline's. part: None for the whole test split.
    """

    name: str
    folder: Path
    run: dict
    evaluation: dict
    convention: str | None = None
    part: str | None = None

    @property
    def scored(self) -> dict:
        """The facts of the evaluation that concern the part: metrics, queries, conventions."""
        facts = self.evaluation["facts"]
        if self.part is None:
            return facts
        if self.part not in facts.get("parts", {}):
            raise UserError(
                f"{self.folder / 'metrics.json'}: facts.parts: has no part {self.part!r}; name one"
                " of the data set's `score`, or evaluate the cell again"
            )
        return facts["parts"][self.part]

    @property
    def metrics(self) -> dict[str, float | None]:
        """Name -> percent, None where undefined; nothing if the convention cannot be computed."""
        if self.convention is None:
            return self.scored["metrics"]
        return self.scored.get("conventions", {}).get(self.convention, {})

    def people(self, convention: str | None) -> dict[str, float]:
        """Metric -> percent that annotators of the same queries reach by a convention; nothing
        where it does not score them, or where some queries were not answered."""
        if self.coverage is not None:
            return {}
        reached: dict[str, float] = self.scored.get("annotators", {}).get(convention, {})
        return reached

    @property
    def seen_under(self) -> str:
        """Name of the convention: its own, or the headline's."""
        headline: str = self.evaluation["facts"].get("headline", "")
        return self.convention or headline

    @property
    def not_all_ranked(self) -> int:
        """Queries of which it does not name every run of chunks, where a convention ranks them all:
        the others follow in a fixed order, which is none of its own (evaluation.didemo)."""
        counts: dict[str, int] = self.scored.get("counts", {}).get(self.seen_under, {})
        return counts.get("queries_with_appended_candidates", 0)

    @property
    def of_queries(self) -> int:
        """Queries of the split or part: more than were scored where videos were not available."""
        return self.scored.get("of_queries", self.scored["queries"])

    @property
    def coverage(self) -> tuple[int, int] | None:
        """Queries scored and queries of the split or part, if these differ."""
        scored = self.scored["queries"]
        return None if scored == self.of_queries else (scored, self.of_queries)

    @property
    def asked(self) -> tuple[int, str | None]:
        """What tells apart the sets of queries that systems were scored on."""
        return self.scored["queries"], self.evaluation["facts"].get("unanswered")

    @property
    def protocol(self) -> str:
        """Which of the data set's protocols it was trained and tested by."""
        splits = self.run["settings"].get("splits", {})
        return splits.get("protocol", "default")

    @property
    def is_trained(self) -> bool:
        """Whether it has parameters to learn: baselines have none."""
        return bool(self.run["facts"].get("parameters"))

    def provenance(self) -> dict:
        """Where its numbers come from: everything that made them, and the files that hold them."""
        facts = {**(self.run.get("made") or {}), **self.run["facts"]}
        evaluated, mlflow = self.evaluation["facts"], facts.get("mlflow") or {}
        return {
            "cell": self.name,
            "run": self.run["identity"],
            "evaluation": self.evaluation["identity"],
            "code": self.run.get("code"),
            "evaluation_code": self.evaluation.get("code"),
            "inputs": self.run.get("inputs", {}),
            "settings": self.run["settings"],
            "protocol": self.protocol,
            "convention": self.convention or evaluated.get("protocol"),
            "split": evaluated.get("split"),
            "part": self.part,
            "queries": self.scored["queries"],
            "of_queries": self.of_queries,
            "selected_on": facts.get("selected_on"),
            "study": facts.get("study"),
            "taken_over": (facts.get("taken_over") or {}).get("from"),
            "git_commit": facts.get("git_commit"),
            "mlflow_run": mlflow.get("run_id"),
            "mlflow_store": mlflow.get("uri"),
            "device": facts.get("device"),
            "hardware": facts.get("hardware"),
            "seconds": facts.get("seconds"),
            "parameters": facts.get("parameters"),
            "files": self._files(),
        }

    def _files(self) -> dict[str, str]:
        """Paths of its records, of the files these list, and of the log of its training."""
        files = ["run.json", "metrics.json"]
        for record in (self.run, self.evaluation):
            files += record.get("outputs", {})
        paths = {name: (self.folder / name).as_posix() for name in files}
        log = layout_of_cell(self.folder).logs[self.run["phase"]]
        return paths | {"log": log.format(**CellId.parse(self.name).wildcards)}


def describe_coverage(coverage: tuple[int, int] | None) -> str:
    """What stands behind the name of a system that lacks queries; nothing of one that has all."""
    return " [{:,} of {:,} queries]".format(*coverage) if coverage else ""


def read_cell(
    name: str, folder: str | Path | None, convention: str | None = None, part: str | None = None
) -> Cell | None:
    """Read a cell's `run.json` and `metrics.json`; None if it was not trained or not evaluated.

    `UserError` if either lacks its identity, if they do not belong together, or if a metric is
    not a percentage.
    """
    if folder is None:
        return None
    run_path, metrics_path = Path(folder) / "run.json", Path(folder) / "metrics.json"
    if not run_path.exists() or not metrics_path.exists():
        return None
    run = _read_record(run_path, *MADE_BY)
    evaluation = _read_record(metrics_path, "evaluate")
    if run.get("key") != name:
        raise UserError(f"{run_path}: key: holds {run.get('key')!r}, not {name!r}; train it again")
    scored = evaluation.get("inputs", {}).get("run", {}).get("identity")
    if scored != run["identity"]:
        raise UserError(
            f"{metrics_path}: inputs.run.identity: scores run {scored}, but run.json beside it is "
            f"{run['identity']}; evaluate the cell again"
        )
    if (
        not isinstance(evaluation["facts"].get("metrics"), dict)
        or not evaluation["facts"]["metrics"]
    ):
        raise UserError(f"{metrics_path}: facts.metrics: holds no metric; evaluate the cell again")
    cell = Cell(name, Path(folder), run, evaluation, convention, part)
    for metric, value in cell.metrics.items():
        if value is not None and not _is_percentage(value):
            raise UserError(
                f"{metrics_path}: facts.metrics.{metric}: {value!r} is not a percentage; "
                "evaluate the cell again"
            )
    return cell


def read_cells(cells: Mapping[str, str | Path]) -> dict[str, Cell]:
    """Every evaluated cell, by name; those not run yet are left out."""
    read = {name: read_cell(name, folder) for name, folder in cells.items()}
    return {name: cell for name, cell in read.items() if cell is not None}


def _read_record(path: Path, *phases: str) -> dict:
    record = read_json(path)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(f"{path}: not a record of this version; run the cell again")
    if not record.get("identity"):
        raise UserError(f"{path}: identity: missing, so its numbers cannot be traced; run it again")
    if record.get("phase") not in phases or not isinstance(record.get("facts"), dict):
        raise UserError(f"{path}: phase: not the record of phase {phases[0]!r}; run the cell again")
    return record


def _is_percentage(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0.0 <= value <= 100.0
