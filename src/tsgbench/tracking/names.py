"""How metrics and settings are called in MLflow: one mapping, used everywhere."""

import re

PARAM_LENGTH = 500
# Where a metric was measured: on the selection split after each epoch (so that the latest value is
# the last epoch's), there at the epoch whose weights were kept, and by these on the test split
VAL, BEST, TEST = "val/", "best/", "test/"
# Before any of these: over the seeds of a system
SPREAD = "std/"
NOTE = "mlflow.note.content"  # MLflow's tag of a run's description
# The sum of all losses stands beside its parts, `loss/NAME`: MLflow cannot keep both as files
TOTAL = {"loss": "loss/total"}


def metric_key(name: str) -> str:
    """The name of a metric in MLflow, which forbids `@`, `,` and `=`.

    `R@1,IoU=0.5` becomes `R_at_1 IoU_0.5` (also behind a prefix such as `val/`); `mIoU` stays, and
    `loss` becomes `loss/total`. Any other character that MLflow refuses becomes `-`.
    """
    swapped = TOTAL.get(name, name).replace("@", "_at_").replace(",", " ").replace("=", "_")
    return re.sub(r"[^/\w.\- ]", "-", swapped)


def metric_name(key: str) -> str:
    """The table's name of a metric in MLflow: the inverse of `metric_key` for our metrics."""
    for name, total in TOTAL.items():
        if key == total:
            return name
    return re.sub(r"\bR_at_(\d+) IoU_([\d.]+)$", r"R@\1,IoU=\2", key)


def flatten(settings: dict, prefix: str = "") -> dict[str, str]:
    """Nested settings as MLflow parameters: `{"train": {"lr": 0.1}}` gives `{"train.lr": "0.1"}`.

    `model_settings` is called `model` so that names stay short (`model.width`), and the model's
    own name `model.name`. Values are cut to 500 characters; the whole is in `config.yaml`.
    """
    flat = {}
    for key, value in settings.items():
        if not prefix:
            key = {"model": "model.name", "model_settings": "model"}.get(key, key)
        name = re.sub(r"[^/\w.\- ]", "-", f"{prefix}{key}")
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = str(value)[:PARAM_LENGTH]
    return flat
