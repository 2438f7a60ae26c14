"""Tracking from the files of finished cells: what live tracking missed, and final metrics."""

import logging
import math
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.files import digest, read_json, sha256_file
from tsgbench.tracking.database import Seen
from tsgbench.tracking.history import read_history
from tsgbench.tracking.live import first_line
from tsgbench.tracking.models import log_model, mark_models
from tsgbench.tracking.names import BEST, NOTE, VAL
from tsgbench.tracking.seeds import PARENT, average_seeds, group_of
from tsgbench.tracking.store import (
    Input,
    Run,
    alone,
    create_run,
    models_of,
    open_store,
    peek,
    resolve_uri,
    search,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

ARTIFACTS = ("run.json", "metrics.json", "history.csv", "predictions.parquet", "checkpoint.pt")

# Another number completes, once, runs that were logged before there was more to log (2: models)
LOGGED = 2


def record_tags(record: dict, metrics: dict | None = None) -> dict:
    """The tags of a cell's run, from its `run.json` and, once evaluated, its `metrics.json`."""
    settings, inputs, facts = record["settings"], record.get("inputs", {}), _facts(record)
    tags = {name: settings.get(name) for name in ("model", "dataset", "ablation", "seed")}
    tags |= {
        "study": facts.get("study"),
        "identity": record["identity"],
        "code_digest": record.get("code"),
        "data_digest": (inputs.get("annotations") or {}).get("digest"),
        "features_digest": (inputs.get("features") or {}).get("digest"),
        "vocabulary_digest": (inputs.get("vocabulary") or {}).get("digest"),
        "git_commit": facts.get("git_commit"),
        "device": facts.get("device"),
        "protocol": settings.get("splits", {}).get("protocol"),
        "convention": (metrics or {}).get("facts", {}).get("protocol"),
        "split": (metrics or {}).get("facts", {}).get("split"),
    }
    return tags


def _facts(record: dict) -> dict:
    """What a record reports: its facts, and how it was `made`, which differs between equal runs."""
    return {**(record.get("made") or {}), **(record.get("facts") or {})}


def sync(cells: list[Path], *, study: str, uri: str, glances: bool = False) -> list[dict]:
    """Make MLflow agree with the cells' folders; safe to repeat, and cheap when nothing changed.

    For each cell: the run of its identity is found, or made from the files; epochs, final metrics
    and artifacts are completed; the run is marked FINISHED; older runs of the same cell get the
    tag `superseded: "true"`; the seeds of a system get a parent run (seeds.py).
    Returns `{cell, run_id, status, reason}` per cell, where status is "logged" or "pending" (and
    the reason says what is missing). Never raises for a store. glances: first, without MLflow, at
    a local store's file, and is done if that has all; whether this MLflow can open it, nobody asks.
    """
    with ExitStack() as stack:
        with suppress(OSError):  # a folder that cannot be written to: the store will say so
            stack.enter_context(alone(resolve_uri(uri)))
        return (glances and _agreeing(cells, study, uri)) or _sync(cells, study, uri)


def _agreeing(cells: list[Path], study: str, uri: str) -> list[dict] | None:
    """The rows, if a store that can be read without MLflow has all cells as they are; else None."""
    try:
        runs = peek(resolve_uri(uri), study)
        found = [_look(Path(folder), runs) for folder in cells] if runs else []
    except Exception:  # the long way says what is wrong
        return None
    rows = [cell.row(run.run_id) for cell in found if cell and (run := cell.agreed)]
    return rows if len(rows) == len(cells) else None


def _sync(cells: list[Path], study: str, uri: str) -> list[dict]:
    rows, changed = [], set()
    try:
        client, experiment = open_store(resolve_uri(uri), study)
        runs = [
            Seen(run.info.run_id, run.info.status, run.data.tags)
            for run in search(client, experiment)
        ]
    except Exception as error:
        reason = f"tracking off: {first_line(error)}"
        log.warning("%s; nothing was logged", reason)
        return [_row(_cell_name(folder), None, reason) for folder in cells]
    for folder in map(Path, cells):
        try:
            row, is_new = _sync_cell(client, experiment, study, runs, folder)
            rows.append(row)
            if is_new:
                changed.add(group_of(row["cell"]))
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else first_line(error)
            log.warning("%s: not tracked: %s", folder, reason)
            rows.append(_row(_cell_name(folder), None, reason))
    try:
        average_seeds(client, experiment, changed)
    except Exception as error:  # the runs themselves are there
        log.warning("means over seeds are not in MLflow: %s", first_line(error))
    return rows


def _row(cell: str, run_id: str | None, reason: str) -> dict:
    return {
        "cell": cell,
        "run_id": run_id,
        "status": "pending" if reason else "logged",
        "reason": reason,
    }


def _cell_name(folder: Path) -> str:
    return "/".join(Path(folder).resolve().parts[-4:])


@dataclass(frozen=True)
class _Cell:
    """A cell as its folder has it, and the runs of its name; `logged` is that of its identity."""

    record: dict
    metrics: dict | None
    reason: str
    state: str
    runs: list[Seen]
    logged: Seen | None

    @property
    def agreed(self) -> Seen | None:
        """`logged`, if it is the cell as it is, and no other run counts as current."""
        run = self.logged
        if run is None or run.status != "FINISHED" or PARENT not in run.tags:
            return None
        is_same = run.tags.get("synced") == self.state and run.tags.get("superseded") == "false"
        others = (other for other in self.runs if other.run_id != run.run_id)
        is_alone = all(other.tags.get("superseded") == "true" for other in others)
        return run if is_same and is_alone else None

    def row(self, run_id: str) -> dict:
        return _row(self.record["key"], run_id, self.reason)


def _look(folder: Path, runs: list[Seen]) -> _Cell | None:
    """The cell of a folder beside the store's runs; None if it is not trained yet."""
    if not (folder / "run.json").exists():
        return None
    record = read_json(folder / "run.json")
    metrics, reason = _read_metrics(folder, record)
    same_cell = [run for run in runs if run.tags.get("cell") == record["key"]]
    return _Cell(record, metrics, reason, _state(folder), same_cell, _choose(same_cell, record))


def _sync_cell(
    client: "MlflowClient", experiment: str, study: str, runs: list[Seen], folder: Path
) -> tuple[dict, bool]:
    """The cell's row, and whether the means over its seeds are to be made anew."""
    cell = _look(folder, runs)
    if cell is None:
        return _row(_cell_name(folder), None, "no run.json: not trained yet"), False
    if agreed := cell.agreed:
        return cell.row(agreed.run_id), False
    record, metrics, logged = cell.record, cell.metrics, cell.logged
    name, tags = record["key"], {**record_tags(record, metrics), "study": study}
    if logged is None:
        run = create_run(client, experiment, name, tags, _start_ms(folder, record))
    else:
        run = Run(client, logged.run_id)
    is_finished = logged is not None and logged.status == "FINISHED"
    is_new = run.tags.get("synced") != cell.state or not is_finished
    if is_new:
        run.log_tags({**tags, NOTE: _describe(folder, record, metrics)})
        run.log_params(record["settings"])
        run.log_inputs(_inputs(record))
        points = _points(folder, record)
        run.log_points([*points, *_best(points, record)])
        if metrics:
            run.set_final(metrics["facts"]["metrics"])
        names = [name for name in ARTIFACTS if metrics or name != "metrics.json"]
        run.log_artifacts(folder, names, record["settings"])
        log_model(run, experiment, folder, record, _inputs(record))
        run.log_tags({"synced": cell.state})
        if not is_finished:
            end_ms = _end_ms(folder, record)
            client.set_terminated(run.run_id, status="FINISHED", end_time=end_ms)
    is_new |= PARENT not in run.tags
    if run.tags.get("superseded") != "false":  # it was, and its settings are back
        mark_models(client, run.models, "false")
        run.log_tags({"superseded": "false"})
    for other in cell.runs:
        if other.run_id != run.run_id and other.tags.get("superseded") != "true":
            mark_models(client, models_of(client.get_run(other.run_id)), "true")
            client.set_tag(other.run_id, "superseded", "true")
    return cell.row(run.run_id), is_new


def _inputs(record: dict) -> list[Input]:
    """What a training read: annotations, features, vocabulary."""
    return [
        Input(role, _data_name(entry["record"]), entry["digest"], entry["record"])
        for role, entry in record.get("inputs", {}).items()
        if entry.get("digest")
    ]


def _data_name(record: str) -> str:
    """`data/features/shapes/c3d.json` as `features/shapes/c3d`."""
    return str(Path(*Path(record).parts[1:]).with_suffix(""))


def _describe(folder: Path, record: dict, metrics: dict | None) -> str:
    """The run in a few lines of Markdown, for MLflow's page of it."""
    settings, facts = record["settings"], _facts(record)
    lines = [
        f"**{settings['model']}** on **{settings['dataset']}**, ablation `{settings['ablation']}`,"
        f" seed {settings['seed']}.",
        f"Files: `{folder}` (identity `{record['identity']}`).",
    ]
    if facts.get("best_epoch") is not None:
        lines.append(
            f"`best/…` and `test/…` are of epoch {facts['best_epoch']} of {facts.get('epochs')},"
            " chosen on the selection split."
        )
    if metrics:
        scored = metrics["facts"]
        lines.append(
            f"Tested on {scored['queries']} queries of {scored['split']!r}, by the convention"
            f" `{scored['protocol']}`."
        )
    return "\n\n".join(lines)


def _read_metrics(folder: Path, record: dict) -> tuple[dict | None, str]:
    """`metrics.json` if it belongs to this `run.json`; else None and why."""
    if not (folder / "metrics.json").exists():
        return None, "no metrics.json: not evaluated yet"
    metrics = read_json(folder / "metrics.json")
    of_run = metrics.get("inputs", {}).get("run", {}).get("identity")
    if of_run != record["identity"]:
        return None, "metrics.json belongs to another run: evaluate the cell again"
    return metrics, ""


def _choose(same_cell: list[Seen], record: dict) -> Seen | None:
    """The run of this identity: the one `run.json` names, else the newest finished or running."""
    same = [run for run in same_cell if run.tags.get("identity") == record["identity"]]
    named = (_facts(record).get("mlflow") or {}).get("run_id")
    for run in same:
        if run.run_id == named:
            return run
    return next((run for run in same if run.status in ("FINISHED", "RUNNING")), None)


def _state(folder: Path) -> str:
    """Digest of what would be logged; run.json speaks for the checkpoint, whose hash it holds."""
    names = ("run.json", "metrics.json", "history.csv")
    hashes = {n: sha256_file(folder / n) for n in names if (folder / n).exists()}
    present = [name for name in ARTIFACTS if (folder / name).exists()]
    return digest({"files": hashes, "present": present, "logged": LOGGED})


def _end_ms(folder: Path, record: dict) -> int:
    """When the training ended, by its record: a checkout or pull sets file times at random."""
    at = _facts(record).get("at")
    ended_s = (
        datetime.fromisoformat(at).timestamp() if at else (folder / "run.json").stat().st_mtime
    )
    return int(1000 * ended_s)


def _start_ms(folder: Path, record: dict) -> int:
    return _end_ms(folder, record) - int(1000 * float(_facts(record).get("seconds") or 0.0))


def _best(points: list[tuple[int, int, dict]], record: dict) -> list[tuple[int, int, dict]]:
    """What the epoch whose weights were kept scored on the selection split."""
    return [
        (
            epoch,
            time_ms,
            {BEST + n.removeprefix(VAL): v for n, v in values.items() if n.startswith(VAL)},
        )
        for epoch, time_ms, values in points
        if epoch == _facts(record).get("best_epoch")
    ]


def _points(folder: Path, record: dict) -> list[tuple[int, int, dict[str, float]]]:
    """Epochs of history.csv, spread evenly over the training's duration."""
    if not (folder / "history.csv").exists():
        return []
    rows = read_history(folder / "history.csv")
    start_ms = _start_ms(folder, record)
    step_ms = 1000 * float(_facts(record).get("seconds") or 0.0) / max(1, len(rows))
    return [
        (epoch, int(start_ms + step_ms * index), finite)
        for index, (epoch, values) in enumerate(rows, start=1)
        if (finite := {name: value for name, value in values.items() if math.isfinite(value)})
    ]
