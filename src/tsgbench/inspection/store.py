"""Inspection files: what one cell does on a few queries, as arrays in a `.npz` without pickles."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import DAMAGED_ARRAYS, atomic_path
from tsgbench.files.access import readable


@dataclass
class Inspected:
    """One query. T positions of the video's sequence, L words as the model is given them."""

    query_id: str
    video_id: str  # the query's own
    video_shown: str  # another one under the ablation `mismatched`
    sentence: str
    duration_s: float
    moment: np.ndarray  # (2,) annotated seconds
    kind: str  # why it was chosen (choice.py)
    split: str  # of the data set's annotations
    role: str  # the split's, for the cell: `test`, `select`, `train`, or empty
    iou: float  # of the first prediction with the moment, in seconds
    # Among the predicted queries of the test split: those of higher and of lower IoU, and all of
    # them. Zero for a query of another split, which has no rank.
    better: int
    worse: int
    of: int
    words: list[str]  # L, as spelt
    # (at most 5, 2) seconds, best first: as in the prediction file, or for a query of another split
    # the best one of this very pass
    predictions: np.ndarray
    forward_gap_s: float  # between the file's first prediction, if any, and that of these maps
    clips_s: np.ndarray  # (T, 2) seconds of the frames that each position was computed from
    # Outputs of the model's forward pass under their names, without the batch: its docstring
    # gives their shapes. Columns beyond T or L are slots or padding that the model attends to.
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    # Region of each position, (T,): 0 outside, 1 begin, 2 inside, 3 end (SeqPAN); empty without.
    regions_true: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    regions_found: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    # Frames (F, H, W, 3) uint8 and when they are on screen (F, 2); none where not decoded.
    thumbnails: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    thumbnails_s: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


MAPS = "maps."


def write_inspection(path: str | Path, inspected: list[Inspected]) -> None:
    """Write the queries in their order, atomically; equal content gives equal bytes."""
    arrays = {"queries": np.array(len(inspected))}
    for index, query in enumerate(inspected):
        for item in fields(Inspected):
            value = getattr(query, item.name)
            if item.name == "maps":
                arrays |= {f"{index}/{MAPS}{name}": x for name, x in value.items()}
            elif item.name == "words":
                arrays[f"{index}/words"] = np.array(value, dtype=np.str_)
            else:
                arrays[f"{index}/{item.name}"] = np.asarray(value)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # none of its options


def read_inspection(path: str | Path) -> list[Inspected]:
    """Read the queries; `UserError` if the file is missing, damaged or of another layout."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such inspection; name it to snakemake, which makes it")
    what, remedy = "not an inspection of this version", "move it away and run snakemake again"
    with readable(path, DAMAGED_ARRAYS, what, remedy):
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as content:
            arrays = dict(content)
        return [_read_query(arrays, f"{index}/") for index in range(int(arrays["queries"]))]


def _read_query(arrays: dict[str, np.ndarray], prefix: str) -> Inspected:
    values: dict[str, Any] = {}
    for item in fields(Inspected):
        if item.name == "maps":
            start = prefix + MAPS
            values["maps"] = {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}
        elif item.name == "words":
            values["words"] = arrays[f"{prefix}words"].tolist()
        else:
            value = arrays[f"{prefix}{item.name}"]
            values[item.name] = value.item() if value.ndim == 0 else value
    return Inspected(**values)
