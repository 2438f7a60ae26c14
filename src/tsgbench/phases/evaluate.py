"""Score a cell's predictions with the one evaluator."""

from tsgbench.datasets.table import read_queries
from tsgbench.evaluation import NMS_IOU, evaluate, read_predictions
from tsgbench.phases import Task


def run(task: Task):
    """facts: the metrics in percent, with the protocol that gave them."""
    split = task.settings["split"]
    queries = read_queries(task.inputs["annotations"].file(f"{split}.jsonl"))
    ranked = read_predictions(task.inputs["run"].file("predictions.parquet"), queries)
    return {
        "protocol": task.settings["protocol"],
        "split": split,
        "queries": len(queries),
        "nms_iou": NMS_IOU,
        "metrics": evaluate(ranked, queries.moments, task.settings["metrics"]),
    }, []
