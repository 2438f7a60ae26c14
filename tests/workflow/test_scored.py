"""Others' predictions beside trained cells: scored by hand, on the real workflow's results."""

import csv
import gzip
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsgbench.evaluation.query_scores import read_query_scores
from tsgbench.evaluation.resampling import detectable, permutation_p_values, standard_errors
from tsgbench.files import sha256_file
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
    # As a table of this comparison alone would say it: at Holm's first step
    error = standard_errors(np.array([apart]), ours.video_ids)[0]
    level = 0.05 / sum(number["p"] is not None for number in found.values())
    assert found["mIoU"]["detectable"] == pytest.approx(detectable(error, level))
    assert facts["against"]["videos"] == len(set(ours.video_ids))
    told = project.run(
        *("tsgbench", "score", file, "--dataset", "shapes"),
        *("--against", "seqpan/shapes/full/seed0"),
    ).stdout
    miou = next(line for line in told.splitlines() if line.startswith("  mIoU "))
    assert miou.endswith(f", finds {found['mIoU']['detectable']:.2f}")
    same = score(project, file, "--against", CELL.format("prior"))["numbers"]
    assert all(number["p"] == 1 and number["detectable"] is None for number in same)
    other = project.run(
        *("tsgbench", "score", file, "--dataset", "shapes", "--keep-overlaps"),
        *("--against", CELL.format("seqpan")),
        check=False,
    )
    assert other.returncode == 1 and "was scored by other options of 'seconds'" in other.stderr


ADOPTED = """  - {predictions: p.csv.gz, title: Seen Elsewhere, source: "Somebody 2020, sec. 4"}
"""


def adopt(project: Project, more: str = "") -> None:
    """The predictions of a cell as those of a system of the study, above the trained one."""
    as_csv(project, "seqpan")
    entry = ADOPTED.replace("}", f"{more}}}")
    project.edit("config/demo.yaml", "  - {model: seqpan", entry + "  - {model: seqpan")


def shown(project: Project) -> dict:
    """Label of a row of Table 1 -> its means."""
    content = json.loads(project.read("results/table1.provenance.json"))
    return {
        row["results"]["shapes"]["label"]: {
            metric: value["mean"] for metric, value in row["results"]["shapes"]["values"].items()
        }
        for row in content["rows"]
    }


def test_predictions_of_others_are_a_row_of_the_table_with_their_provenance(project):
    before = shown(project)
    adopt(project)
    project.edit("config/demo.yaml", "demo: true", "demo: true\nfindings: true")
    assert project.planned("results/table1.tex") == {"adopt": 1, "evaluate": 1, "table": 1}
    project.snakemake("phase_report")
    assert project.planned("phase_report") == {}
    rows = shown(project)
    assert list(rows) == ["Whole video", "Prior", "Seen Elsewhere", "SeqPAN"]
    assert rows["Seen Elsewhere"] == rows["SeqPAN"] == before["SeqPAN"]
    page = project.read("results/table1.md")
    assert "Seen Elsewhere: predictions of another program, not run here; Somebody 2020" in page
    said = project.run(
        "tsgbench", "explain", "results/table1.tex", "--row", "seen elsewhere"
    ).stdout
    file = project.folder / "p.csv.gz"
    assert f"p.csv.gz, SHA-256 {sha256_file(file)}" in said and "Somebody 2020, sec. 4" in said
    assert "tsgbench job adopt seen_elsewhere/shapes/full/seed0" in said and "as recorded" in said
    refused = project.run(
        *("tsgbench", "ground", "data/raw/shapes/videos/shapes_test_0000.mp4", "a circle"),
        *("--cell", "seen_elsewhere/shapes/full/seed0"),
        check=False,
    )
    assert refused.returncode == 1 and "nothing runs here" in refused.stderr


def test_an_edited_file_is_adopted_again_and_says_what_it_lacks(project):
    adopt(project, ", max_missing: 0.5")
    project.snakemake("results/table1.tex")
    with gzip.open(project.folder / "p.csv.gz", "rt") as stream:
        header, *rows = stream.read().splitlines()
    gone = rows[0].partition(",")[0]
    text = "\n".join([header, *(row for row in rows if not row.startswith(f"{gone},"))])
    (project.folder / "p.csv.gz").write_text(text)  # a name is no format
    assert project.planned("results/table1.tex") == {"adopt": 1, "evaluate": 1, "table": 1}
    project.snakemake("results/table1.tex")
    assert project.planned("results/table1.tex") == {}
    of = json.loads(project.read(f"{CELL.format('seqpan')}/metrics.json"))["facts"]["of_queries"]
    assert f"Seen Elsewhere [{of - 1} of {of} queries]" in shown(project)
    assert "or its file lacks them" in " ".join(project.read("results/table1.md").split())
    # The others' rows came from their records: nothing else ran, and the file is still needed
    (project.folder / "p.csv.gz").unlink()
    missing = project.run("tsgbench", "plan", check=False)
    assert missing.returncode == 1
    assert "systems[2].predictions: p.csv.gz: no such file" in missing.stderr
