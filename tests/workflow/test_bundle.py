"""`tsgbench bundle` on the real pipeline, judged by the public validators of what it writes."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from tsgbench.files import sha256_file
from workflow.conftest import Project
from workflow.validators import PROFILE, read_sheet, validate_crate

pytestmark = pytest.mark.slow

TABLE = "results/table1.tex"
RUN = "results/cells/seqpan/shapes/full/seed0/run.json"


def bundle(project: Project, *words: str) -> str:
    return project.run("tsgbench", "bundle", *words).stdout


@pytest.fixture(scope="module")
def packed(built, tmp_path_factory) -> Path:
    """A bundle of the table, unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    bundle(built, TABLE, "--out", str(folder / "table.zip"))
    with zipfile.ZipFile(folder / "table.zip") as archive:
        archive.extractall(folder / "table")
    return folder / "table"


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_crate_is_a_workflow_run_crate(packed):
    assert validate_crate(packed.with_suffix(".zip")) == {
        "profile": PROFILE,
        "passed": True,
        "issues": [],
    }


def test_what_the_profile_recommends_and_nobody_recorded_is_all_that_lacks(packed):
    """Who ran it, who publishes it, and addresses of the code."""
    messages = {issue["message"] for issue in validate_crate(packed, "RECOMMENDED")["issues"]}
    known = ("agent", "author", "publisher", "absolute URI", "url", "scheme 'ni'")
    assert [message for message in messages if not any(word in message for word in known)] == []


def test_the_validator_refuses_a_crate_without_its_workflow(packed, tmp_path):
    shutil.copytree(packed, tmp_path / "crate")
    path = tmp_path / "crate" / "ro-crate-metadata.json"
    content = read(path)
    content["@graph"] = [one for one in content["@graph"] if one["@id"] != "#run"]
    path.write_text(json.dumps(content))
    found = validate_crate(tmp_path / "crate")
    assert not found["passed"] and any("mainEntity" in one["message"] for one in found["issues"])


def test_every_data_set_and_feature_file_has_valid_croissant(packed):
    sheets = sorted((packed / "croissant").iterdir())
    assert [path.name for path in sheets] == [
        "shapes.c3d_random_stats_w16s8.clips.json",
        "shapes.c3d_random_stats_w16s8_pca128.json",
        "shapes.json",
    ]
    for path in sheets:
        read_sheet(path)
    for file in read(sheets[1])["distribution"]:
        record = read(packed / "data/features/shapes/c3d_random_stats_w16s8_pca128.json")
        name = Path(file["contentUrl"]).name
        if name in record["outputs"]:
            assert file["sha256"] == record["outputs"][name]["sha256"]


def test_entities_are_the_files_that_are_there_with_their_digests(packed):
    graph = {one["@id"]: one for one in read(packed / "ro-crate-metadata.json")["@graph"]}
    files = {name for name, one in graph.items() if "File" in one["@type"]}
    here = {path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file()} - {
        "ro-crate-metadata.json"
    }
    assert {name for name in files if not name.startswith("ni:")} == here
    assert all(graph[name]["sha256"] == sha256_file(packed / name) for name in here)
    assert all(graph[name]["contentSize"] == str((packed / name).stat().st_size) for name in here)


def test_actions_are_the_jobs_with_what_they_read_and_made(packed):
    graph = {one["@id"]: one for one in read(packed / "ro-crate-metadata.json")["@graph"]}
    record = read(packed / RUN)
    action = graph["#train/seqpan/shapes/full/seed0"]
    assert action["instrument"]["@id"] == "src/tsgbench/phases/train.py"
    assert record["identity"] in action["description"] and record["code"] in action["description"]
    assert action["endTime"] == record["made"]["at"]
    made = {graph[one["@id"]]["sha256"] for one in action["result"] if one["@id"] != RUN}
    assert made == {entry["sha256"] for entry in record["outputs"].values()}
    checkpoint = next(one for one in graph.values() if "checkpoint.pt" in one.get("name", ""))
    assert checkpoint["@id"].startswith("ni:///sha-256;")
    read_by = {one["@id"] for one in action["object"]}
    assert read_by == {entry["record"] for entry in record["inputs"].values()}
    assert graph["#run"]["instrument"] == {"@id": "Snakefile"}


def test_the_checklist_points_at_files_that_are_there(packed):
    text = (packed / "checklist.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links and all((packed / path).is_file() for path in links)
    for line in rows:
        if "not answered:" not in line and "| question |" not in line:
            assert "](" in line, line
    assert "not answered: not measured" in text


def test_the_report_counts_what_records_say(packed):
    records = [read(packed / name) for name in (RUN, RUN.replace("run.json", "metrics.json"))]
    rows = {(row["phase"], row["model"]): row for row in read(packed / "compute.json")["by_phase"]}
    for record, phase in zip(records, ("train", "evaluate"), strict=True):
        hours = rows[phase, "seqpan"]["hours"]
        assert hours == pytest.approx(record["made"]["seconds"] / 3600, abs=1e-6)
    assert rows["train", "seqpan"]["hardware"] == [records[0]["facts"]["hardware"]]


def test_equal_results_give_equal_bytes_and_the_project_stays_as_it_is(built, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in built.folder.rglob("*.json")}
    for name in ("one.zip", "two.zip"):
        bundle(built, TABLE, "--out", str(tmp_path / name))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in built.folder.rglob("*.json")} == before


def test_with_its_data_a_bundle_is_a_project_that_is_found_sound(built, tmp_path):
    said = bundle(built, "--with-data", "--out", str(tmp_path / "all.zip"))
    assert "referenced" not in said
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path / "all")
    unpacked = Project(tmp_path / "all", built.warm)
    found = json.loads(unpacked.run("tsgbench", "verify", "--json").stdout)
    assert found["problems"] == found["stale"] == found["not_repeated"] == []
    assert found["repeated"]["evaluate"] == 3 and found["repeated"]["table"] == 1
    bundle(unpacked, "--with-data", "--out", str(tmp_path / "again.zip"))
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "all.zip").read_bytes()
    sheet = read_sheet(tmp_path / "all/croissant/shapes.json")
    rows = (tmp_path / "all/data/annotations/shapes/test.jsonl").read_text().splitlines()
    loaded = list(sheet.records("test"))
    first = json.loads(rows[0])
    assert len(loaded) == len(rows)
    assert loaded[0]["test/end_s"] == pytest.approx(first["end_s"])
    assert loaded[0]["test/sentence"] == first["sentence"].encode()


def test_an_anonymous_bundle_tells_no_name_and_is_found_sound(built, tmp_path):
    home = tmp_path / "home" / "adalovelace"
    home.mkdir(parents=True)
    (home / ".gitconfig").write_text(
        "[user]\n  name = Ada Lovelace\n  email = ada@quokka.example\n"
    )
    me = {"HOME": str(home), "USER": "adalovelace", "LOGNAME": "adalovelace"}
    assert "verified.json" not in str(list(built.folder.rglob("*.json")))
    built.run("tsgbench", "verify", "--retrain", "1", "--record")
    words = ["tsgbench", "bundle", "--anonymous", "--with-data", "--out", str(tmp_path / "a.zip")]
    said = built.run(*words, **me).stdout
    assert "replaced: " in said and "folders " in said and "look through what people wrote" in said
    names = [str(built.folder), str(home), "adalovelace", "Ada Lovelace", "ada@quokka.example"]
    host = read(built.folder / RUN)["made"]["host"]
    names += [host] if len(host) > 5 else []  # a shorter one is found everywhere
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for name in archive.namelist():
            content = archive.read(name).lower()
            assert not [one for one in names if one.lower().encode() in content], name
        archive.extractall(tmp_path / "a")
    record = read(tmp_path / "a" / RUN)
    assert record["made"]["host"] == "machine"
    assert record["made"]["mlflow"]["uri"] == "sqlite:////project/mlflow.db"
    found = json.loads(
        Project(tmp_path / "a", built.warm).run("tsgbench", "verify", "--json").stdout
    )
    assert found["problems"] == found["stale"] == found["not_repeated"] == []
    assert found["repeated"]["evaluate"] == 3 and found["repeated"]["table"] == 1
    assert validate_crate(tmp_path / "a.zip")["passed"]
    checklist = (tmp_path / "a/checklist.md").read_text()
    assert "seqpan/shapes/full/seed0: the same to the byte" in checklist
    # Of the table's new digest, too: its provenance named the folder
    count = found["checked"]
    assert f"{count} of {count} results as recorded, 5 of them made again" in checklist
    (built.folder / "results/verified.json").unlink()


def test_what_is_not_there_is_refused_with_the_remedy(project):
    done = project.run("tsgbench", "bundle", "results/seqpan/table2.tex", check=False)
    assert done.returncode == 1 and done.stderr.strip() == (
        "tsgbench: error: results/seqpan/table2.json: not made yet, or not pulled; make it:"
        " snakemake --cores 8 results/seqpan/table2.json"
    )
    project.edit(
        "src/tsgbench/phases/evaluate.py",
        "import numpy as np\n",
        "import numpy as np\n\nADDED = 1\n",
    )
    done = project.run("tsgbench", "bundle", TABLE, check=False)
    assert done.returncode == 1 and "metrics.json: stale" in done.stderr
    assert not (project.folder / "demo.zip").exists()
