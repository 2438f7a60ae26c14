"""How `tsgbench plan --cost` says what is left to do and what it will take."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from tsgbench.cli.sources import as_size, list_sources, total
from tsgbench.errors import UserError
from tsgbench.planning.cost import Cost, as_span, estimate
from tsgbench.planning.freshness import CURRENT, Freshness
from tsgbench.planning.measurements import Measurements, Taken, read_measurements, with_records
from tsgbench.planning.study import Study

UNKNOWN = "?"


def show(
    study: Study, freshness: Freshness, wanted: list[str], options: argparse.Namespace
) -> None:
    """Print the cost of the results that are not current."""
    due = [path for path in wanted if freshness.state(path) != CURRENT]
    cost = estimate(study, due, Measurements(_measured(Path(options.logs))))
    cores = options.cores or os.cpu_count() or 1
    if options.json:
        print(_as_json(cost, cores))
        return
    print(_as_text(cost, cores))
    downloads = [job for job in map(study.jobs.__getitem__, due) if job.phase == "download"]
    if downloads:
        print(_of_downloads(study, [job.wildcards["source"] for job in downloads]))


def _measured(logs: Path) -> list[Taken]:
    """What jobs took; what they left on the disk, too, where results lie beside the logs."""
    if not logs.exists() and logs != Path("logs"):
        raise UserError(
            f"--logs: there is no {logs}; name a folder of logs, or a file of measurements"
        )
    taken = read_measurements(logs)
    if logs.is_file():
        return taken
    return [each for each, _ in with_records(taken, logs.parent)]


def _as_json(cost: Cost, cores: int) -> str:
    facts = {**asdict(cost), "jobs": cost.jobs, "cores": cores, "wall_s": cost.wall_s(cores)}
    del facts["steps"]  # a line a job, for `wall_s` alone
    return json.dumps(facts, indent=2)


def _of_downloads(study: Study, sources: list[str]) -> str:
    folder = Path(study.layout.records["download"]).parent
    totals = total(list_sources(study.catalogue.sources, folder, sources), folder)
    unknown = totals["unknown_sizes"]
    return f"to download: {as_size(totals['bytes_to_fetch'])}" + (
        f" and {unknown} sources of unknown size (tsgbench sources)" if unknown else ""
    )


def _as_text(cost: Cost, cores: int) -> str:
    if not cost.jobs:
        return "nothing is left to do"
    lines = [f"{'phase':12}{'jobs':>6}{'one by one':>14}{'processors':>14}{'GPUs':>12}{'disk':>10}"]
    for phase, seconds in cost.seconds.items():
        known, unknown = cost.measured.get(phase, 0), cost.unknown.get(phase, 0)
        of_phase = (one.get(phase) for one in (cost.cpu_s, cost.gpu_s, cost.disk_bytes))
        more = f"  {unknown} of them never measured" if known and unknown else ""
        lines.append(_row(phase, known + unknown, seconds if known else None, *of_phase) + more)
    sums = (sum(one.values()) for one in (cost.cpu_s, cost.gpu_s, cost.disk_bytes))
    lines.append(_row("together", cost.jobs, sum(cost.seconds.values()), *sums))
    unknown_jobs = cost.unknown_jobs
    lines += [
        "",
        f"on {cores} processors without a GPU {'more than' if unknown_jobs else 'about'}"
        f" {as_span(cost.wall_s(cores))}, on many no less than {as_span(cost.chain_s)};"
        f" up to {cost.memory_mb:,.0f} MB a job",
    ]
    if cost.measured == {}:
        del lines[-2:]
    if unknown_jobs:
        lines.append(
            f"?: {unknown_jobs} jobs, of whose kind none has run here; --logs FOLDER reads the logs"
            " of a machine where they have"
        )
    if cost.without_disk:
        lines.append(f"disk: not known of {cost.without_disk} jobs, whose records are not at hand")
    return "\n".join(lines)


def _row(
    phase: str,
    jobs: int,
    seconds: float | None,
    cpu_s: float | None,
    gpu_s: float | None,
    disk_bytes: float | None,
) -> str:
    """Of a phase, or of all."""
    spans = [UNKNOWN if value is None else as_span(value) for value in (seconds, cpu_s)]
    on_gpu = "-" if gpu_s == 0 else UNKNOWN if gpu_s is None else as_span(gpu_s)
    disk = UNKNOWN if disk_bytes is None else as_size(int(disk_bytes))
    return f"{phase:12}{jobs:6}{spans[0]:>14}{spans[1]:>14}{on_gpu:>12}{disk:>10}"
