"""How `tsgbench plan --cost` says what is left to do and what it will take."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from tsgbench.cli.sources import as_size, list_sources, total
from tsgbench.planning.cost import Cost, Measurements, as_span, estimate
from tsgbench.planning.freshness import CURRENT, Freshness
from tsgbench.planning.study import Study


def show(
    study: Study, freshness: Freshness, wanted: list[str], options: argparse.Namespace
) -> None:
    """Print the cost of the results that are not current."""
    due = [path for path in wanted if freshness.state(path) != CURRENT]
    cost = estimate(study, due, Measurements(study, options.logs))
    cores = options.cores or os.cpu_count() or 1
    if options.json:
        print(_as_json(cost, cores))
        return
    print(_as_text(cost, cores))
    downloads = [job for job in map(study.jobs.__getitem__, due) if job.phase == "download"]
    if downloads:
        print(_of_downloads(study, [job.wildcards["source"] for job in downloads]))


def _as_json(cost: Cost, cores: int) -> str:
    facts = {**asdict(cost), "jobs": cost.jobs, "cores": cores, "wall_s": cost.wall_s(cores)}
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
    lines = [f"{'phase':12}{'jobs':>6}{'one by one':>14}"]
    for phase, seconds in cost.seconds.items():
        known, unknown = cost.measured.get(phase, 0), cost.unknown.get(phase, 0)
        said = as_span(seconds) if known else "?"
        more = f"  {unknown} of them never measured" if known and unknown else ""
        lines.append(f"{phase:12}{known + unknown:6}{said:>14}{more}")
    together = as_span(sum(cost.seconds.values()))
    lines.append(f"{'together':12}{cost.jobs:6}{together:>14}")
    unknown_jobs = sum(cost.unknown.values())
    lines += [
        "",
        f"on {cores} processors without a GPU {'more than' if unknown_jobs else 'about'}"
        f" {as_span(cost.wall_s(cores))}, on many no less than {as_span(cost.chain_s)};"
        f" up to {cost.memory_mb:,.0f} MB a job",
    ]
    if unknown_jobs:
        lines.append(
            f"?: {unknown_jobs} jobs, of whose kind none has run here; --logs FOLDER reads the logs"
            " of a machine where they have"
        )
    return "\n".join(lines)
