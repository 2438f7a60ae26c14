"""Splits of the mirror's public files as queries, in a few lines each: no reader is needed."""

import csv
import json
from pathlib import Path

import numpy as np

from tsgbench.datasets.queries import Queries


def table(rows: list[tuple], annotators: list[np.ndarray] | None = None) -> Queries:
    """rows: (video, duration, start, end, sentence), kept as they stand."""
    return Queries(
        [f"{row[0]}_{place}" for place, row in enumerate(rows)],
        [row[0] for row in rows],
        [row[4] for row in rows],
        np.array([row[1] for row in rows], dtype=np.float64),
        np.array([row[2:4] for row in rows], dtype=np.float64),
        annotators or [],
    )


def inside(queries: Queries) -> Queries:
    """Moments cut to their videos; those with start after end left out."""
    cut = np.minimum(queries.moments, queries.durations[:, None])
    queries.moments = np.maximum(cut, 0)
    return queries.take(np.flatnonzero(queries.moments[:, 0] < queries.moments[:, 1]))


def charades_sta(mirror: Path, split: str) -> Queries:
    folder = mirror / "charades_sta"
    with open(folder / f"Charades_v1_{split}.csv", newline="") as stream:
        durations = {row["id"]: float(row["length"]) for row in csv.DictReader(stream)}
    rows = []
    for line in (folder / f"charades_sta_{split}.txt").read_text().splitlines():
        place, sentence = line.split("##")
        video, start, end = place.split()
        rows.append((video, durations[video], float(start), float(end), sentence))
    return inside(table(rows))


def activitynet(mirror: Path, split: str) -> Queries:
    content = json.loads((mirror / "activitynet_captions" / f"{split}.json").read_text())
    return inside(
        table(
            [
                (video, entry["duration"], *moment, sentence)
                for video, entry in content.items()
                for moment, sentence in zip(entry["timestamps"], entry["sentences"], strict=True)
            ]
        )
    )


def tacos(mirror: Path, split: str) -> Queries:
    """The original version, whose files lack the durations that the 2D-TAN version's have."""
    durations = {}
    for name in ("train", "val", "test"):
        other = json.loads((mirror / "tacos_2dtan" / f"{name}.json").read_text())
        for video, entry in other.items():
            durations[video.removesuffix(".avi")] = entry["num_frames"] / entry["fps"]
    content = json.loads((mirror / "tacos" / f"{split}.json").read_text())
    return inside(
        table(
            [
                (video, durations[video], *moment, sentence)
                for video, entry in content.items()
                for moment, sentence in zip(entry["timestamps"], entry["sentences"], strict=True)
            ]
        )
    )


def didemo(mirror: Path, split: str) -> Queries:
    """Every annotator's moment in seconds; the first one stands as the query's."""
    content = json.loads((mirror / "didemo" / f"{split}_data.json").read_text())
    marked = [5.0 * (np.array(entry["times"]) + [0, 1]) for entry in content]
    rows = [
        (entry["video"], 5.0 * entry["num_segments"], *moments[0], entry["description"])
        for entry, moments in zip(content, marked, strict=True)
    ]
    return table(rows, marked)
