"""Predictions of other programs as systems: planned beside the trained ones, refused in words."""

import gzip
from pathlib import Path

import pytest

from tsgbench.config import Catalogue, read_yaml
from tsgbench.errors import UserError
from tsgbench.files import sha256_file
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]
CELL = "seen_elsewhere/shapes/full/seed0"


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TSGBENCH_STUDY", raising=False)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "p.csv"
    path.write_text("query_id,start_s,end_s\nq,1,2\n")
    return path


@pytest.fixture
def entry(file) -> dict:
    return {"predictions": str(file), "title": "Seen Elsewhere", "source": "Somebody 2020"}


def study(*systems: dict, **more) -> Study:
    config = read_yaml("config/demo.yaml")
    return Study({**config, "systems": [*config["systems"], *systems], **more}, source="s.yaml")


def test_only_the_file_decides_and_no_other_cell_notices(entry, file):
    planned, before = study(entry), study()
    job = planned.find_key("adopt", CELL)
    assert job.settings["predictions"] == {
        "file": file.as_posix(),
        "sha256": sha256_file(file),
        "source": "Somebody 2020",
    }
    assert list(job.inputs) == ["annotations"] and job.record == f"results/cells/{CELL}/run.json"
    evaluation = planned.find_key("evaluate", CELL)
    assert evaluation.inputs["run"] == job.record
    assert evaluation.settings == before.find_key("evaluate", "prior/shapes/full/seed0").settings
    for record, other in before.jobs.items():
        if other.phase not in ("table", "summary", "findings", "report", "pdf"):
            assert planned.identity(record) == before.identity(record), record
    before_edit = planned.identity(job.record)
    file.write_text("query_id,start_s,end_s\nq,1,3\n")
    assert study(entry).identity(job.record) != before_edit
    assert "seen_elsewhere" not in Catalogue.load().models


def test_the_row_stands_in_the_order_of_the_systems_with_its_note(entry, file):
    tables = {"table1": {"metrics": ["mIoU"], "against": "seen_elsewhere/full"}}
    settings = study(entry, tables=tables).find_key("table", "table1").settings
    row = settings["rows"][-1]
    assert row["label"] == settings["against"] == "Seen Elsewhere"
    assert row["prefixes"] == {"shapes": "seen_elsewhere/shapes/full"} and row["printed"] == {}
    said = f"Somebody 2020 (p.csv, SHA-256 {sha256_file(file)[:16]}…)."
    assert settings["notes"][-1].endswith(said)


def test_another_protocol_is_answered_where_the_entry_says_so(entry):
    config = read_yaml("config/blind.yaml")
    more = {"datasets": ["activitynet_captions"], "protocols": ["val_1"]}
    planned = Study({**config, "systems": [*config["systems"], {**entry, **more}]})
    cell = "seen_elsewhere/activitynet_captions/full@val_1/seed0"
    assert planned.find_key("adopt", cell).settings["splits"]["test"] == ["val_1"]
    assert planned.find_key("evaluate", cell).settings["splits"] == ["val_1"]


def test_a_study_may_consist_of_others_predictions_alone(entry):
    config = read_yaml("config/demo.yaml")
    alone = Study({**config, "systems": [entry], "overrides": {}})
    assert {job.phase for job in alone.jobs.values()}.isdisjoint({"train", "extract", "vocabulary"})
    assert alone.find_key("table", "table1").settings["datasets"][0]["features"] == ""


def test_printed_tables_do_not_count_it_among_those_that_see_no_video(entry):
    planned = study(entry)
    tables = [job for job in planned.jobs.values() if job.phase == "table" and "/" in job.key]
    assert tables and not any(
        "seen_elsewhere" in str(job.settings["rows"]) for job in tables if "rows" in job.settings
    )


def test_what_is_wrong_with_an_entry_is_said(entry, tmp_path):
    for system, said in (
        ({**entry, "predictions": "gone.csv"}, r"systems\[\d+\]\.predictions: gone\.csv: no such"),
        ({**entry, "title": "SeqPAN"}, r"title: 'SeqPAN' is called 'seqpan' like another model"),
        ({**entry, "title": "…"}, r"title: '…' has no letter or digit"),
        ({**entry, "title": ""}, r"title: '' is not allowed; use text that is not empty"),
        ({"predictions": "p.csv", "title": "A"}, r"systems\[\d+\]: key 'source' is missing"),
        ({**entry, "seeds": [0]}, r"unknown key 'seeds'; it takes"),
        ({**entry, "datasets": ["shpaes"]}, r"datasets: 'shpaes' is not a known data set"),
        ({**entry, "max_missing": 5}, r"max_missing: 5 is not allowed; use a number, at least 0"),
        ({"seeds": [0]}, r"systems\[\d+\]: key 'model' is missing"),
    ):
        with pytest.raises(UserError, match=said):
            study(system)
    with pytest.raises(UserError, match="like another model; choose another title"):
        study(entry, entry)
    with pytest.raises(UserError, match="is a model itself"):
        study(entry, {"model": "prior", "as": "seen_elsewhere", "seeds": [0]})


def test_a_packed_file_is_another_file_and_its_folder_is_not_one(entry, file, tmp_path):
    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    found = study({**entry, "predictions": str(packed)}).find_key("adopt", CELL)
    assert found.settings["predictions"]["sha256"] == sha256_file(packed)
    with pytest.raises(UserError, match="no such file"):
        study({**entry, "predictions": str(tmp_path)})
