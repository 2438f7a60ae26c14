"""Invented statistics records and printed tables; nothing here was measured or printed."""

import json
from pathlib import Path

import numpy as np
import yaml

from tsgbench.datasets.queries import Queries, join
from tsgbench.datasets.statistics import average_moments, count_moments, describe
from tsgbench.jobs.records import Record

TRAIN = Queries(
    ["a_0", "a_1", "b_0"],
    ["a", "a", "b"],
    ["open a door .", "close it", "open it"],
    np.array([10.0, 10.0, 20.0]),
    np.array([[0.0, 5.0], [0.0, 5.0], [4.0, 20.0]]),
)
TEST = Queries(["c_0"], ["c"], ["sit"], np.array([8.0]), np.array([[2.0, 4.0]]))


def statistics_record(folder: Path, dataset: str = "real", bins: int = 4) -> Record:
    """A record with the facts of the statistics phase, of TRAIN and TEST."""
    splits = {"train": TRAIN, "test": TEST}
    facts = {"counts": {}, "described": {}, "moments": {}, "all": "train+test"}
    for names in (["train"], ["test"], ["train", "test"]):
        queries = join([splits[name] for name in names])
        found = describe(queries, str.split)
        words = {key: found.pop(key) for key in ("vocabulary", "query_words")}
        facts["described"]["+".join(names)] = {
            "rows": found | average_moments(queries),
            "words": {"blanks": words},
        }
        facts["moments"]["+".join(names)] = count_moments(queries, bins)
    content = {
        "identity": "5" * 16,
        "code": "c" * 16,
        "digest": "d" * 16,
        "inputs": {},
        "outputs": {},
    }
    path = folder / f"data/annotations/{dataset}/statistics.json"
    return Record(path, content | {"facts": facts})


def printed_row(dataset: str, videos: float | None, moment_s: float, **more) -> dict:
    values = {"videos": videos, "moment_s": moment_s}
    return {"method": dataset.title(), "dataset": dataset, "own": False, "values": values} | more


REPRODUCE = {"tokenizer": "blanks", "parts": {"all": ["train", "test"], "test": ["test"]}}
COLUMNS = {
    "videos": {"title": "Videos, test", "statistic": "videos", "part": "test", "decimals": 0},
    "moment_s": {"title": "Moment (s)", "statistic": "moment_s", "part": "all", "decimals": 2},
}


def comparison(dataset: str, method: str, values: dict, **more) -> dict:
    return {"method": method, "dataset": dataset, "own": False, "values": values} | more


def write_published(folder: Path, paper: str, system: str, tables: list[dict]) -> None:
    folder.mkdir(exist_ok=True)
    content = {"schema": 1, "paper": {"key": paper, "system": system}, "tables": tables}
    plain = json.loads(json.dumps(content))  # no two rows share a value: YAML would write an alias
    (folder / f"{paper}.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
