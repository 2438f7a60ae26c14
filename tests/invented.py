"""Cell folders with invented numbers, for tests of what reads them. Nothing here was measured."""

import json
from pathlib import Path

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
    split: str = "test",
    conventions: dict | None = None,
    parts: dict | None = None,
) -> Path:
    """Write an invented cell; `base=None` leaves it unevaluated. Returns its folder."""
    model, dataset, ablation, seed = cell.split("/")
    settings = {
        "model": model,
        "dataset": dataset,
        "ablation": ablation,
        "seed": int(seed.removeprefix("seed")),
        "inputs": {"max_clips": 64, "extractor": "c3d_random_multi_w16s8"},
        "model_settings": {"width": 32, "dropout": 0.2},
        "train": {"lr": lr, "epochs": epochs},
        "splits": {"protocol": protocol},
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
            "features": {"identity": "f" * 16, "digest": "fd" * 8},
            "vocabulary": {"identity": "b" * 16, "digest": "bd" * 8},
            "annotations": {"identity": "a" * 16, "digest": "ad" * 8},
        },
        "outputs": {"checkpoint.pt": {"sha256": "0" * 64, "bytes": 9}},
        "facts": {
            "parameters": parameters,
            "best_epoch": 2,
            "epochs": epochs,
            "seconds": 12.0,
            "device": "cpu",
            "selected_on": "val",
        },
        "made": {"study": "demo", "git_commit": "d" * 40, "mlflow": mlflow, "seconds": 13.0},
    }
    (folder / "run.json").write_text(json.dumps(run))
    lines = ["epoch,loss,loss/span,val/mIoU,lr,seconds"]
    lines += [f"{e},{3 / e},{2 / e},{10 * e},{lr},4.0" for e in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    (folder / "predictions.parquet").write_bytes(b"invented")
    (folder / "checkpoint.pt").write_bytes(b"invented!")
    (folder / "metrics.json").unlink(missing_ok=True)
    if base is not None:
        evaluated = {
            "schema": 1,
            "phase": "evaluate",
            "identity": digest([identity, "evaluate"]),
            "inputs": {"run": {"identity": identity}},
            "facts": {
                "queries": 400,
                "protocol": "seconds",
                "split": split,
                "nms_iou": 0.5,
                "metrics": invented_metrics(base) if metrics is None else metrics,
                "conventions": conventions or {},
                "parts": parts or {},
            },
        }
        (folder / "metrics.json").write_text(json.dumps(evaluated))
    return folder
