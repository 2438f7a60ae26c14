"""What the results took, as their records have it: hours by phase and model, on which hardware."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tsgbench.jobs.records import Record
from tsgbench.planning.cost import as_span
from tsgbench.reporting.markdown import escape

UNSAID = "not recorded"
UNMEASURED = "not measured"
NOTES = (
    "Hours are by the clock, from a job's start to the end of its work. Jobs ran side by side, so"
    " that their sum is no waiting time, and other work on the machine lengthens them.",
    "A training that was killed and went on counts from its last start; what its epochs took,"
    " before and after, is the column of epochs.",
    "Only the jobs whose results are in this bundle count: no record is kept of failed runs, of"
    " results that were replaced, or of searches for settings.",
    "Energy was not measured, and is not estimated.",
)


@dataclass
class Effort:
    """Of some jobs. unknown: how many of them do not say how long they took. gpu_seconds: of those
    that computed on a GPU. epoch_seconds: of trainings, over all epochs."""

    jobs: int = 0
    unknown: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    epoch_seconds: float = 0.0
    hardware: set[str] = field(default_factory=set)

    def add(self, record: Record) -> None:
        """Count a job in."""
        took = record.content.get("made", {}).get("seconds")
        self.jobs += 1
        self.unknown += took is None
        self.seconds += took or 0.0
        if str(record.facts.get("device", "")).startswith("cuda"):
            self.gpu_seconds += took or 0.0
        self.epoch_seconds += sum(record.facts.get("epoch_seconds", ()))
        self.hardware.add(record.facts.get("hardware") or UNSAID)

    def as_json(self) -> dict[str, Any]:
        """With hours in the place of seconds."""
        return {
            "jobs": self.jobs,
            "jobs_of_unknown_time": self.unknown,
            "hours": _hours(self.seconds),
            "gpu_hours": _hours(self.gpu_seconds),
            "hours_in_epochs": _hours(self.epoch_seconds),
            "hardware": sorted(self.hardware),
        }


def report_compute(records: Iterable[Record]) -> dict[str, Any]:
    """The report: `total`, `by_phase` (and model, of cells), `by_hardware`, `software`,
    `energy`."""
    total = Effort()
    by_phase: dict[tuple[str, str], Effort] = {}
    by_hardware: dict[str, Effort] = {}
    software: set[str] = set()
    for record in records:
        content = record.content
        phase = content.get("phase", UNSAID)
        model = _model_of(content.get("key", ""))
        groups = [
            total,
            by_phase.setdefault((phase, model), Effort()),
            by_hardware.setdefault(record.facts.get("hardware") or UNSAID, Effort()),
        ]
        for effort in groups:
            effort.add(record)
        versions = record.facts.get("versions")
        if isinstance(versions, dict):
            software.update(f"{name} {version}" for name, version in versions.items())
    return {
        "total": total.as_json(),
        "by_phase": [
            {"phase": phase, "model": model or None, **effort.as_json()}
            for (phase, model), effort in by_phase.items()
        ],
        "by_hardware": [
            {**effort.as_json(), "hardware": name} for name, effort in sorted(by_hardware.items())
        ],
        "software": sorted(software),
        "energy": {"kwh": None, "said": UNMEASURED},
        "notes": list(NOTES),
    }


def _model_of(key: str) -> str:
    """The model of a cell's key; nothing of others."""
    parts = key.split("/")
    return parts[0] if len(parts) == 4 and parts[-1].startswith("seed") else ""


def as_text(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    total = report["total"]
    lines = [
        "# Compute report",
        "",
        f"{total['jobs']} jobs took {of_hours(total['hours'])} one by one,"
        f" {of_hours(total['gpu_hours'])} of it on a GPU. Energy: {report['energy']['said']}.",
        "",
        "| phase | model | jobs | time | on a GPU | in epochs | hardware |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for row in report["by_phase"]:
        hardware = "; ".join(row["hardware"])
        cells = [
            row["phase"],
            row["model"] or "",
            str(row["jobs"]),
            of_hours(row["hours"]),
            of_hours(row["gpu_hours"]),
            of_hours(row["hours_in_epochs"]) if row["phase"] == "train" else "",
            hardware,
        ]
        lines.append("| " + " | ".join(map(escape, cells)) + " |")
    lines += ["", "| hardware | jobs | time |", "|---|---:|---:|"]
    for row in report["by_hardware"]:
        lines.append(f"| {escape(row['hardware'])} | {row['jobs']} | {of_hours(row['hours'])} |")
    lines += ["", f"Software, as trainings recorded it: {', '.join(report['software']) or UNSAID}."]
    if total["jobs_of_unknown_time"]:
        lines += ["", f"{total['jobs_of_unknown_time']} jobs do not say how long they took."]
    return "\n".join([*lines, "", *(f"- {note}" for note in report["notes"]), ""])


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 6)


def of_hours(hours: float) -> str:
    """As people say it: `1 h 05 min`, `12 min`, `40 s`, `0.2 s`."""
    seconds = hours * 3600
    return f"{seconds:.1f} s" if 0 < seconds < 10 else as_span(seconds)
