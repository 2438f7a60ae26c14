"""`tsgbench verify` on the real pipeline: silent where all is sound, and it names what is not."""

import hashlib
import json
import re
import shutil

import pyarrow.parquet as pq
import pytest

from workflow.conftest import Project

pytestmark = pytest.mark.slow

CELL = "results/cells/seqpan/shapes/full/seed0"
PREDICTIONS, METRICS, SCORES = (
    f"{CELL}/{name}" for name in ("predictions.parquet", "metrics.json", "scores.parquet")
)


def verify(project: Project, *words: str) -> tuple[int, dict]:
    done = project.run("tsgbench", "verify", "--json", *words, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def all_files(project: Project) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def relist(project: Project, record: str, name: str) -> None:
    """Make a record say of a file what it holds now, as somebody would who covers up an edit."""
    path = project.folder / record
    content = json.loads(path.read_text())
    file = path.parent / name
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    content["outputs"][name] = {"sha256": sha256, "bytes": file.stat().st_size}
    path.write_text(json.dumps(content, indent=2))


def test_sound_results_are_found_so_and_stay_as_they_are(project):
    before = all_files(project)
    status, found = verify(project, "--retrain", "1")
    assert status == 0 and found["problems"] == [] == found["stale"] == found["not_repeated"]
    assert found["repeated"] == {"evaluate": 3, "table": 1, "summary": 1}
    assert [(done["cell"], done["is_same"]) for done in found["retrained"]] == [
        ("seqpan/shapes/full/seed0", True)
    ]
    assert all_files(project) == before


def test_a_cell_trained_again_to_the_same_bytes_leaves_its_table_sound(project):
    """Its seconds, its MLflow run and its commit are others: the table, which no command would make
    again, was called wrong for that."""
    record = project.folder / CELL / "run.json"
    before = record.read_bytes()
    content = json.loads(before)
    content["facts"]["seconds"] += 1
    content["made"] |= {"seconds": 99.0, "git_commit": "0" * 40, "mlflow": None}
    record.write_text(json.dumps(content))
    try:
        status, found = verify(project, "results/table1.tex")
        assert status == 0 and found["problems"] == [] and found["repeated"]["table"] == 1
    finally:
        record.write_bytes(before)


def edit_metric(project):
    path = project.folder / METRICS
    content = json.loads(path.read_text())
    content["facts"]["metrics"]["mIoU"] += 0.01
    path.write_text(json.dumps(content))


def edit_score(project):
    """One query's score, and every trace of the edit in its own record."""
    path = project.folder / SCORES
    table = pq.read_table(path)
    name = next(name for name in table.schema.names if "mIoU" in name or "IoU" in name)
    values = table[name].to_pylist()
    values[0] = 100.0 - values[0]
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, table.schema.field(place), [values]), path)
    relist(project, METRICS, "scores.parquet")


def edit_table(project):
    text = project.read("results/table1.md")
    found = re.search(r"\d\d\.\d", text)
    project.edit("results/table1.md", found[0], "99.9")


def flip_prediction(project):
    path = project.folder / PREDICTIONS
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap_predictions(project):
    """Another system's predictions, listed as if they were the cell's own."""
    shutil.copy(
        project.folder / PREDICTIONS.replace("seqpan", "prior"), project.folder / PREDICTIONS
    )
    relist(project, f"{CELL}/run.json", "predictions.parquet")


@pytest.mark.parametrize(
    ("damage", "record", "said"),
    [
        (edit_metric, METRICS, "made again: facts.metrics.mIoU"),
        (edit_score, METRICS, "digest: is not that of the files it lists; the record was edited"),
        (edit_table, "results/table1.json", "results/table1.md: does not have the SHA-256"),
        (flip_prediction, f"{CELL}/run.json", "predictions.parquet: does not have the SHA-256"),
        (swap_predictions, f"{CELL}/run.json", "digest: is not that of the files it lists"),
    ],
)
def test_what_is_wrong_is_named(project, damage, record, said):
    damage(project)
    status, found = verify(project, "results/table1.tex")
    assert status == 1
    assert [path for path, problem in found["problems"] if said in problem] == [record]


def test_scores_edited_with_every_digest_are_still_found(project):
    """Digests prove nothing against somebody who computes them again; making scores again does."""
    from tsgbench.jobs.records import digest_of

    edit_score(project)
    path = project.folder / METRICS
    content = json.loads(path.read_text())
    content["digest"] = digest_of(content["outputs"], content["facts"])
    path.write_text(json.dumps(content))
    status, found = verify(project)
    assert status == 1
    problems = dict(reversed(found["problems"]))
    assert "made again: scores.parquet" in problems[METRICS] and "query_id" in problems[METRICS]


def test_what_other_code_made_is_said_and_compared(project):
    project.edit(
        "src/tsgbench/phases/evaluate.py",
        "import numpy as np\n",
        "import numpy as np\n\nADDED = 1\n",
    )
    status, found = verify(project)
    assert status == 0 and METRICS in found["stale"] and found["repeated"]["evaluate"] == 3


def test_what_is_not_there_is_not_called_sound(project):
    done = project.run("tsgbench", "verify", "results/seqpan/table2.tex", check=False)
    assert done.returncode == 1 and "not made yet, so there is nothing to verify" in done.stderr
    done = project.run("tsgbench", "verify", "--retrain", "9", check=False)
    assert done.returncode == 1 and "only 1 trained cells are here" in done.stderr
