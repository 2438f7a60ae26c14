"""Others' predictions beside trained cells: scored by hand, on the real workflow's results."""

import csv
import gzip
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsgbench.evaluation.query_scores import read_query_scores
from tsgbench.evaluation.resampling import permutation_p_values
from workflow.conftest import Project

pytestmark = pytest.mark.slow

CELL = "results/cells/{}/shapes/full/seed0"


def score(project: Project, *words: str) -> dict:
    done = project.run("tsgbench", "score", *words, "--dataset", "shapes", "--json")
    return json.loads(done.stdout)


def numbers(facts: dict) -> dict[str, float]:
    return {number["metric"]: number["value"] for number in facts["numbers"]}


def as_csv(project: Project, model: str, name: str = "p.csv.gz") -> str:
    """A cell's predictions as another program might write them."""
    rows = pq.read_table(project.folder / CELL.format(model) / "predictions.parquet").to_pylist()
    with gzip.open(project.folder / name, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, ["query_id", "start_s", "end_s"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["rank"]))
    return name


def test_a_cell_s_own_file_and_its_rows_as_csv_get_the_cell_s_own_numbers(project):
    evaluated = json.loads(project.read(f"{CELL.format('seqpan')}/metrics.json"))["facts"]
    own = score(project, f"{CELL.format('seqpan')}/predictions.parquet")
    assert numbers(own) == evaluated["metrics"] and own["queries"] == evaluated["queries"]
    assert numbers(score(project, as_csv(project, "seqpan"))) == evaluated["metrics"]


def test_a_file_is_tested_against_a_cell_query_by_query(project):
    file = as_csv(project, "prior")
    facts = score(project, file, "--against", "seqpan/shapes/full/seed0")
    ours, theirs = (
        read_query_scores(project.folder / CELL.format(model) / "scores.parquet")
        for model in ("prior", "seqpan")
    )
    assert ours.query_ids.tolist() == theirs.query_ids.tolist()
    assert facts["against"]["queries"] == len(ours) == facts["queries"]
    found = {number["metric"]: number for number in facts["numbers"]}
    for convention, metric in theirs.names:
        assert found[metric]["there"] == pytest.approx(theirs.values(convention, metric).mean())
    apart = ours.values("seconds", "mIoU") - theirs.values("seconds", "mIoU")
    alone = permutation_p_values(np.array([apart]), ours.video_ids)[0]
    assert alone <= found["mIoU"]["p"] <= 1  # corrected for the others
    assert all(
        number["p"] == 1
        for number in score(project, file, "--against", CELL.format("prior"))["numbers"]
    )
    other = project.run(
        *("tsgbench", "score", file, "--dataset", "shapes", "--keep-overlaps"),
        *("--against", CELL.format("seqpan")),
        check=False,
    )
    assert other.returncode == 1 and "was scored by other options of 'seconds'" in other.stderr
