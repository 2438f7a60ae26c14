"""Invented inspections and prediction files; nothing here was measured or printed."""

from pathlib import Path

import numpy as np

from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.inspection.store import Inspected, write_inspection
from tsgbench.jobs.records import Record

LONG = (
    "the woman who was seen before walks over to the very long wooden table and then puts all of"
    " the remaining ingredients into a bowl"
)
EXAMPLE = {"query": "A printed one.", "gt_s": [30, 60.0], "ours_s": [31.0, 59.0]}
PRINTED = {
    "paper": "Model",
    "figure": "Figure 8",
    "series": ["GT", "Model w/o matching", "LGI", "Ours"],
    "numbers": {
        "examples": [
            EXAMPLE | {"lgi_s": [0.0, 12.5], "without_matching_s": [2.0, 3.0]},
            {"query": "Another.", "gt_s": [1.0, 2.0], "ours_s": None, "unassigned_s": [1, 2, 3, 4]},
        ]
    },
}


def invented(
    name: str,
    kind: str,
    *,
    sentence: str = "a man opens the door",
    places: int = 20,
    duration_s: float = 100.0,
    pads: int = 2,
    **more,
) -> Inspected:
    """A query with every map that a figure reads, and eight frames."""
    words = sentence.lower().split()
    rng = np.random.default_rng(len(name) + places)

    def weights(*shape: int) -> np.ndarray:
        found = rng.random(shape).astype(np.float32)
        return found / found.sum(axis=-1, keepdims=True)

    maps = {"attention": rng.random((places, len(words))).astype(np.float32)}
    for block in (1, 2, 3):
        maps[f"attention{block}_clips_over_words"] = weights(places, len(words) + pads)
        maps[f"attention{block}_clips_over_clips"] = weights(places, places)
    for layer in (1, 2):
        maps[f"attention{layer}_words_over_clips"] = weights(len(words), places)
    regions = np.zeros(places, np.int8)
    regions[5:8], regions[8:10], regions[10:13] = 1, 2, 3
    steps = np.linspace(0, duration_s, 9)
    values = {
        "query_id": name,
        "video_id": f"video_{name}",
        "video_shown": f"video_{name}",
        "sentence": sentence,
        "duration_s": duration_s,
        "moment": np.array([30.0, 60.0]) * duration_s / 100,
        "kind": kind,
        "split": "val_2",
        "role": "test",
        "iou": 1 / 3,
        "better": 3,
        "worse": 6,
        "of": 10,
        "words": words,
        "predictions": np.array([[45.0, 75.0], [0.0, 5.0]]) * duration_s / 100,
        "forward_gap_s": 0.0,
        "clips_s": np.linspace(0, duration_s, places)[:, None] + [0, 1],
        "maps": maps,
        "regions_true": regions,
        "regions_found": np.roll(regions, 2),
        "thumbnails": rng.integers(0, 255, (8, 16, 28, 3), dtype=np.uint8),
        "thumbnails_s": np.stack([steps[:-1], steps[1:]], axis=1),
    }
    return Inspected(**values | more)


def inspection_record(folder: Path, queries: list[Inspected]) -> Record:
    folder.mkdir(parents=True, exist_ok=True)
    write_inspection(folder / "inspection.npz", queries)
    return Record(folder / "inspection.json", {"outputs": {"inspection.npz": {}}})


def run_record(folder: Path, spans: dict[str, tuple[float, float]]) -> Record:
    """Predictions of another system: query id -> its first span; a second one follows."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(spans)
    table = Queries(names, names, names, np.ones(len(names)), np.tile([0.0, 1.0], (len(names), 1)))
    ranked = np.array([[[*span, 0.9], [0.0, 1.0, 0.1]] for span in spans.values()])
    write_predictions(folder / "predictions.parquet", table, ranked)
    return Record(folder / "run.json", {"outputs": {"predictions.parquet": {}}})


def make_spec(kind: str, **more) -> dict:
    systems = [
        {"model": "model", "ablation": "full", "label": "Model", "seeds": [0, 1]},
        {"model": "other", "ablation": "full", "label": "Other", "seeds": [0]},
        {"model": "absent", "ablation": "none", "label": "Model without it", "seeds": [0]},
    ]
    return {
        "id": "paper/figure8",
        "kind": kind,
        "study": "invented",
        "title": "invented numbers",
        "is_demo": False,
        "datasets": {"real": "Real", "elsewhere": "Elsewhere"},
        "stands_in": False,
        "printed": PRINTED,
        "options": {},
        "systems": systems,
    } | more
