"""Invented cells with scores per query for figures of curves: nothing was measured or printed."""

import json

import numpy as np

from invented import invented_metrics, write_cell
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.evaluation.query_scores import write_query_scores
from tsgbench.jobs.records import Record

COUNT = 40
LENGTHS = np.linspace(5, 100, COUNT)
SWEEP = {
    "metrics": ["R@1,IoU=0.5", "mIoU"],
    "x_label": "blocks",
    "best": "best_n",
    "points": [
        {"x": 1, "system": "seqpan/one"},
        {"x": 2, "system": "seqpan/full"},
        {"x": 4, "system": "seqpan/four"},
    ],
    "baseline": {"label": "vanilla", "system": "seqpan/vanilla"},
}
NUMBERS = {
    "best_n": 2,
    "shortest": {"range_s": [2, 12], "cases": 130, "mIoU": 42.99},
    "longest": {"range_s": [60, None], "cases": 140, "mIoU": 34.68},
}
OPTIONS = {"sweep": SWEEP, "iou_by_length": {"edges_s": [8, 12, 60, None]}, "iou_histogram": {}}
ABLATIONS = {
    "sweep": ["one", "full", "four", "vanilla"],
    "iou_by_length": ["full"],
    "iou_histogram": ["full", "other"],
}


def spec_of(kind, seeds=1, datasets=("real",), **more):
    systems = [
        {"model": "seqpan", "ablation": one, "label": f"System {one}", "seeds": list(range(seeds))}
        for one in ABLATIONS[kind]
    ]
    return {
        "id": f"paper/{kind}",
        "kind": kind,
        "study": "invented",
        "title": "invented numbers",
        "is_demo": False,
        "stands_in": False,
        "datasets": {name: f"The {name} data" for name in datasets},
        "systems": systems,
        "options": OPTIONS[kind],
        "printed": {
            "paper": "Paper",
            "figure": "Figure 1",
            "numbers": NUMBERS,
            "splits": {name: ["test"] for name in datasets},
        },
    } | more


class Cells:
    """Writes cells and annotations below a folder; `records` are what a figure gets."""

    def __init__(self, root):
        self.root, self.records, self.ious = root, {}, {}

    def write(
        self,
        ablation,
        dataset="real",
        seed=0,
        base=None,
        ids=None,
        split="test",
        videos=None,
        conventions=None,
    ):
        name = f"seqpan/{dataset}/{ablation}/seed{seed}"
        rng = np.random.default_rng(len(self.records))
        ious = rng.uniform(0, 100, COUNT)
        ious[:2] = 0, 100  # both ends belong to a range
        metrics = invented_metrics(60.0 + seed if base is None else base)
        folder = write_cell(
            self.root,
            name,
            metrics=metrics | {"mIoU": ious.mean()},
            split=split,
            conventions=conventions,
        )
        path = folder / "metrics.json"
        record = json.loads(path.read_text())
        record["facts"] |= {"headline": "seconds", "queries": COUNT}
        path.write_text(json.dumps(record))
        ids = ids or [f"q{row}" for row in range(COUNT)]
        moments = np.tile([0.0, 1.0], (COUNT, 1))
        queries = Queries(ids, videos or ids, ids, LENGTHS, moments)
        if videos:  # each as long as its first query says
            first = np.array([videos.index(video) for video in videos])
            queries.durations = LENGTHS[first]
        scores = {"seconds": {"mIoU": ious}, "official": {"mIoU": np.zeros(COUNT)}}
        write_query_scores(folder / "scores.parquet", queries, [split] * COUNT, scores)
        write_queries(self.root / "test.jsonl", queries)
        self.records[f"metrics:{name}"] = Record(path, {"outputs": {}})
        self.records[f"annotations:{dataset}"] = Record(
            self.root / "a.json", {"outputs": {"test.jsonl": {}}}
        )
        self.ious[name] = ious
        return self

    def write_all(self, kind, seeds=1, datasets=("real",), but=()):
        for dataset in datasets:
            for ablation in ABLATIONS[kind]:
                for seed in range(seeds if ablation not in but else 0):
                    self.write(ablation, dataset, seed)
        return self
