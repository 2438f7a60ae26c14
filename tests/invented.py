"""Cell folders with invented numbers, for tests of what reads them. Nothing here was measured."""

import json
from pathlib import Path

import numpy as np

from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.query_scores import write_query_scores
from tsgbench.files import digest

METRICS = [f"R@{n},IoU={t}" for n in (1, 5) for t in ("0.3", "0.5", "0.7")] + ["mIoU"]


def invented_metrics(base: float) -> dict[str, float]:
    """Seven numbers that depend on `base` only and look like metrics."""
    recall = {f"R@1,IoU={t}": base - 20 * i for i, t in enumerate(("0.3", "0.5", "0.7"))}
    recall |= {f"R@5,IoU={t}": base + 8 - 10 * i for i, t in enumerate(("0.3", "0.5", "0.7"))}
    return {**recall, "mIoU": base - 15}


def write_cell(
    root: Path,
    cell: str = "seqpan/shapes/full/seed0",
    *,
    base: float | None = 70.0,
    metrics: dict | None = None,
    epochs: int = 3,
    lr: float = 0.001,
    parameters: int = 1000,
    mlflow: dict | None = None,
    protocol: str = "default",
    select: list[str] | None = None,
    split: str = "test",
    conventions: dict | None = None,
    parts: dict | None = None,
) -> Path:
    """Write an invented cell; `base=None` leaves it unevaluated. Returns its folder."""
    model, dataset, ablation, seed = cell.split("/")
    settings = {
        "model": model,
        "dataset": dataset,
        "ablation": ablation.partition("@")[0],
        "seed": int(seed.removeprefix("seed")),
        "inputs": {"max_clips": 64, "features": "c3d_random_stats_w16s8_pca128"},
        "model_settings": {"width": 32, "dropout": 0.2},
        "train": {"lr": lr, "epochs": epochs},
        "splits": {"protocol": protocol, "select": ["val"] if select is None else select},
    }
    identity = digest(settings)
    folder = root / cell
    folder.mkdir(parents=True, exist_ok=True)
    run = {
        "schema": 1,
        "phase": "train",
        "key": cell,
        "identity": identity,
        "settings": settings,
        "code": "c0de" * 4,
        "inputs": {
            "features": {"record": "data/features.json", "identity": "f" * 16, "digest": "fd" * 8},
            "vocabulary": {
                "record": "data/vocabulary.json",
                "identity": "b" * 16,
                "digest": "bd" * 8,
            },
            "annotations": {
                "record": "data/annotations.json",
                "identity": "a" * 16,
                "digest": "ad" * 8,
            },
        },
        "outputs": {"checkpoint.pt": {"sha256": "0" * 64, "bytes": 9}},
        "facts": {
            "parameters": parameters,
            "best_epoch": 2,
            "epochs": epochs,
            "seconds": 12.0,
            "device": "cpu",
        },
        "made": {
            "study": "demo",
            "git_commit": "d" * 40,
            "mlflow": mlflow,
            "at": "2026-01-02T03:04:05+00:00",
            "seconds": 13.0,
        },
    }
    (folder / "run.json").write_text(json.dumps(run))
    lines = ["epoch,loss,loss/span,val/mIoU,lr"]
    lines += [f"{e},{3 / e},{2 / e},{10 * e},{lr}" for e in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    (folder / "predictions.parquet").write_bytes(b"invented")
    (folder / "checkpoint.pt").write_bytes(b"invented!")
    (folder / "metrics.json").unlink(missing_ok=True)
    if base is not None:
        evaluated = {
            "schema": 1,
            "phase": "evaluate",
            "identity": digest([identity, "evaluate"]),
            "inputs": {"run": {"record": "run.json", "identity": identity, "digest": "rd" * 8}},
            "settings": {"score": {part: [part] for part in parts or {}}},
            "facts": {
                "queries": 400,
                "protocol": "seconds",
                "headline": "seconds",
                "split": split,
                "nms_iou": 0.5,
                "metrics": invented_metrics(base) if metrics is None else metrics,
                "conventions": conventions or {},
                "parts": parts or {},
            },
        }
        (folder / "metrics.json").write_text(json.dumps(evaluated))
        write_scores(folder)
    return folder


def write_scores(folder: Path) -> None:
    """Scores of every query that agree with `metrics.json`: each query scores the mean."""
    facts = json.loads((folder / "metrics.json").read_text())["facts"]
    parts = facts["parts"] or {facts["split"]: facts}
    splits = np.repeat(list(parts), [part["queries"] for part in parts.values()])
    columns: dict[str, dict[str, np.ndarray]] = {}
    for convention in ("seconds", *facts["conventions"]):
        found = {name: _metrics(part, facts, convention) for name, part in parts.items()}
        for metric in next(iter(found.values())):
            values = np.array([found[name].get(metric) or 0.0 for name in splits])
            columns.setdefault(convention, {})[metric] = values
    ids = [f"q{place}" for place in range(len(splits))]
    videos = [f"v{place // 4}" for place in range(len(splits))]
    queries = Queries(ids, videos, ids, np.ones(len(ids)), np.zeros((len(ids), 2)))
    write_query_scores(folder / "scores.parquet", queries, splits, columns)


def _metrics(part: dict, facts: dict, convention: str) -> dict:
    found = part if part.get("metrics") else facts
    return found["metrics"] if convention == "seconds" else found["conventions"][convention]


def make_old_store(path: Path) -> None:
    """A store as an older MLflow would have made it: one schema before the newest."""
    import alembic.command
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    uri = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(uri)
    Base.metadata.create_all(engine)
    engine.dispose()
    config = _get_alembic_config(uri)
    newest = ScriptDirectory.from_config(config).get_current_head()
    alembic.command.upgrade(config, f"{newest}-1")
