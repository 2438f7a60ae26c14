"""Fixtures for reports. All numbers are invented, the printed ones too."""

import json
from pathlib import Path

import pytest
import yaml

from invented import METRICS, write_cell
from tsgbench.reporting.document import read_document

PRINTED = {
    "schema": 1,
    "paper": {"key": "seqpan", "system": "SeqPAN"},
    "tables": [
        {
            "id": "table1",
            "kind": "comparison",
            "rows": [
                {"method": "Other", "dataset": "real", "own": False, "values": {"mIoU": 99.0}},
                {
                    "method": "SeqPAN",
                    "dataset": "real",
                    "own": True,
                    "values": {"R@1,IoU=0.3": 73.84, "R@1,IoU=0.5": 60.86, "mIoU": 53.92},
                    "uncertain": ["mIoU"],
                },
            ],
        },
        {
            "id": "table5",
            "kind": "ablation",
            "rows": [{"method": "SeqPAN", "dataset": "real", "own": True, "values": {"mIoU": 1.0}}],
        },
    ],
}


@pytest.fixture
def as_document(tmp_path):
    """What a table's file, changed by a test, is read as."""

    def read(content: dict):
        path = tmp_path / "changed.provenance.json"
        path.write_text(json.dumps(content))
        return read_document(path)

    return read


@pytest.fixture
def published(tmp_path) -> Path:
    """A folder of invented printed numbers for the data set `real`."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "seqpan.yaml").write_text(yaml.safe_dump(PRINTED))
    return folder


@pytest.fixture
def cells(tmp_path) -> dict[str, Path]:
    """Three systems on two data sets, two seeds; the last seed of the blind one is missing."""
    written = {}
    for dataset in ("shapes", "real"):
        for seed, base in enumerate((70.0, 72.0)):
            for model, ablation, less in (("seqpan", "full", 0), ("other", "full", 5)):
                name = f"{model}/{dataset}/{ablation}/seed{seed}"
                written[name] = write_cell(tmp_path / "cells", name, base=base - less)
        name = f"seqpan/{dataset}/blind/seed0"
        written[name] = write_cell(tmp_path / "cells", name, base=50.0)
        name = f"whole/{dataset}/full/seed0"
        metrics = {"R@1,IoU=0.3": 90.0, "R@1,IoU=0.5": 0.4, "R@1,IoU=0.7": 0.0, "mIoU": 27.1}
        written[name] = write_cell(tmp_path / "cells", name, metrics=metrics, parameters=0)
    return written


def system(label, cell, *, blocks=("shapes", "real"), seeds=(0, 1), group=None, **more) -> dict:
    """A row of a specification (specifications/grammar.py). blocks: names, or data sets by name."""
    model, ablation = cell.split("/")
    blocks = blocks if isinstance(blocks, dict) else {name: name for name in blocks}
    row = {"label": label, "cell": cell, "group": group, "is_quoted": False}
    row |= {"prefixes": {name: f"{model}/{data}/{ablation}" for name, data in blocks.items()}}
    row |= {"seeds": {name: list(seeds) for name in blocks}}
    return row | {"printed": {}, "practice": {}} | more


@pytest.fixture
def spec() -> dict:
    seconds = {
        "name": "seconds",
        "about": "in seconds against the unquantised labels",
        "is_headline": True,
    }
    return {
        "id": "table1",
        "study": "demo",
        "title": "invented numbers",
        "is_demo": True,
        "notes": ["Cost: 100 % of $0_0 & more."],
        "metrics": list(METRICS),
        "datasets": [
            {"name": "shapes", "title": "Shapes", "features": "C3D_random", "convention": seconds},
            {
                "name": "real",
                "title": "Real",
                "test_split": "test",
                "select_split": "val",
                "convention": seconds,
            },
        ],
        "rows": [
            system("Whole video", "whole/full", seeds=[0]),
            system("SeqPAN", "seqpan/full", group="own", printed={"real": ["seqpan", "table1", 1]}),
            system("SeqPAN, blind", "seqpan/blind", group="own"),
            system("Other", "other/full", group="own"),
            system("Absent", "absent/full", group="own"),
        ],
        "against": None,
    }
