"""docs/add_a_dataset.md, followed to the letter: from ten videos and a CSV to a table."""

import csv
import json

import pytest

from guides import block_of, lay_out
from workflow.conftest import check_out

pytestmark = pytest.mark.slow


def test_the_guide_leads_to_a_table(tmp_path, warm):
    project = check_out(tmp_path / "project", warm)
    lay_out(project.folder)
    (project.folder / "kitchen/videos/v04.mp4").write_bytes(b"no video")
    said = {}
    for line in block_of("add_a_dataset.md", "sh").splitlines():
        said[line.split()[1]] = project.run(*line.split()).stdout
    assert "My kitchen" in said["show"] and "SeqPAN" in said["show"]
    assert "dropped 1: video cannot be read" in said["datasets"]
    with open(project.folder / "data/annotations/kitchen/dropped.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["action"], row["reason"], row["row"]) for row in rows] == [
        ("dropped", "video cannot be read", "annotations:5")
    ]
    facts = json.loads(project.read("data/raw/kitchen.json"))["facts"]
    assert (facts["annotated"], facts["missing"], facts["unreadable"]) == (10, 0, 1)
    assert project.planned("results/kitchen/table1.tex", "--configfile", "kitchen.yaml") == {}
    project.edit("kitchen/annotations.csv", "the square shrinks", "the square shrinks fast")
    again = project.planned("results/kitchen/table1.tex", "--configfile", "kitchen.yaml")
    assert again["gather"] == again["annotations"] == 1 and again["cell"] == 3
