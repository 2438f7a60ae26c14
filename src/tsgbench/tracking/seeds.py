"""The seeds of one (model, data set, ablation) together: a parent run with their mean and spread.

MLflow folds the runs of the seeds under it, so that its first page has a row per system, as the
table has; its charts and comparisons of systems are then of means, and not of one seed's luck.
"""

from collections import defaultdict
from collections.abc import Collection
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from tsgbench.tracking.names import BEST, NOTE, SPREAD, TEST
from tsgbench.tracking.store import Run, create_run, search

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

PARENT = "mlflow.parentRunId"  # MLflow's own tag
SHARED = ("model", "dataset", "ablation", "study", "protocol", "convention", "split")


def average_seeds(client: "MlflowClient", experiment: str, groups: Collection[str]) -> None:
    """Make or complete the parent runs of some groups, `model/dataset/ablation`.

    A parent has, of every `test/` and `best/` metric, the mean over the current, finished runs of
    its seeds, and as `std/…` the sample standard deviation (n-1), where there are several.
    """
    if not groups:
        return
    parents: dict[str, MlflowRun] = {}
    seeds: dict[str, list[MlflowRun]] = defaultdict(list)
    for run in search(client, experiment, "tags.superseded = 'false'"):
        cell = run.data.tags.get("cell", "")
        if cell in groups:
            parents.setdefault(cell, run)
        elif run.info.status == "FINISHED":
            seeds[group_of(cell)].append(run)
    for group in sorted(groups & seeds.keys()):
        _average(client, experiment, group, parents.get(group), seeds[group])


def group_of(cell: str) -> str:
    """The cell's name without its seed."""
    return cell.rpartition("/")[0]


def _average(
    client: "MlflowClient",
    experiment: str,
    group: str,
    parent: "MlflowRun | None",
    seeds: list["MlflowRun"],
) -> None:
    means = _summary([run.data.metrics for run in seeds])
    if not any(name.startswith(TEST) for name in means):  # trained, and not evaluated yet
        return
    seeds = sorted(seeds, key=lambda run: int(run.data.tags.get("seed", 0)))
    start_ms = min(run.info.start_time for run in seeds)
    if parent is None:
        run = create_run(client, experiment, group, {}, start_ms)
    else:
        run = Run(client, parent.info.run_id)
    names = [run.data.tags.get("seed", "?") for run in seeds]
    tags = {name: seeds[0].data.tags.get(name) for name in SHARED}
    said = f"Mean over {len(names)} seed{'s' if len(names) > 1 else ''} ({', '.join(names)})"
    note = f"{said} of {group}; `std/…` is the sample standard deviation over them."
    run.log_tags({**tags, "seeds": " ".join(names), NOTE: note})
    run.set_values(means)
    if parent is None or parent.info.status != "FINISHED":
        end_ms = max(run.info.end_time or start_ms for run in seeds)
        client.set_terminated(run.run_id, status="FINISHED", end_time=end_ms)
    for seed in seeds:
        if seed.data.tags.get(PARENT) != run.run_id:
            client.set_tag(seed.info.run_id, PARENT, run.run_id)


def _summary(metrics: list[dict[str, float]]) -> dict[str, float]:
    """Mean, and spread of several, of every measured metric that all runs have."""
    summary = {}
    for name in set.intersection(*(set(of_run) for of_run in metrics)):
        if name.startswith((TEST, BEST)):
            values = [of_run[name] for of_run in metrics]
            summary[name] = fmean(values)
            if len(values) > 1:
                summary[SPREAD + name] = stdev(values)
    return summary
