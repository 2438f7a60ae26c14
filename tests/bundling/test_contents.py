"""What goes into a bundle and what is refused, on a study whose results are made by hand."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from planning.little_study import CELL, CONFIG, METRICS, RUN, TABLE, make, make_all
from tsgbench.bundling import contents
from tsgbench.bundling.archive import EPOCH, write_archive
from tsgbench.bundling.contents import collect
from tsgbench.errors import UserError
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]
STATISTICS = "data/annotations/shapes/statistics.json"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    for part in ("config", "published", "Snakefile"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    made = Study(CONFIG)
    make_all(made)
    return made


def test_a_target_brings_all_that_it_is_made_from_and_nothing_else(study):
    found = collect(study, [TABLE])
    assert {RUN, METRICS, TABLE, "data/annotations/shapes/annotations.json"} <= set(found.results)
    assert STATISTICS not in found.results and "results/little/summary.json" not in found.results
    paths = [file.path for file in found.files]
    assert paths == sorted(set(paths))
    assert {"Snakefile", "config/datasets.yaml", "src/tsgbench/jobs/records.py"} <= set(paths)


def test_data_checkpoints_and_large_files_are_packed_on_request_alone(study, monkeypatch):
    monkeypatch.setattr(contents, "MAX_PACKED_BYTES", 3)
    left_out = {file.path for file in collect(study, [TABLE]).files if not file.is_packed}
    assert {
        f"{CELL}/checkpoint.pt",
        f"{CELL}/scores.parquet",
        "data/raw/shapes.json",
    } - left_out == {
        "data/raw/shapes.json"  # records are packed, whatever they stand for
    }
    assert all(file.is_packed for file in collect(study, [TABLE], with_data=True).files)


def test_the_bytes_follow_from_the_content(study, tmp_path):
    found = collect(study, [TABLE])
    texts = {"b.md": "two\n", "a.md": "ünö\n"}
    write_archive(tmp_path / "one.zip", found.files, texts)
    for path in tmp_path.rglob("*"):
        path.touch()
    write_archive(tmp_path / "two.zip", reversed(found.files), dict(reversed(texts.items())))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        assert {member.date_time for member in archive.infolist()} == {EPOCH}
        assert archive.read("a.md").decode() == "ünö\n"
        assert archive.read(f"{CELL}/predictions.parquet") == b"made"
        assert f"{CELL}/checkpoint.pt" not in archive.namelist()


def test_a_file_that_changes_meanwhile_leaves_no_archive(study, tmp_path):
    found = collect(study, [TABLE])
    (tmp_path / CELL / "predictions.parquet").write_text("edit")
    (tmp_path / "old.zip").write_text("as it was")
    with pytest.raises(UserError, match=r"predictions\.parquet: changed while it was packed"):
        write_archive(tmp_path / "old.zip", found.files, {})
    assert (tmp_path / "old.zip").read_text() == "as it was"
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".old*"))


def test_what_is_missing_is_named_with_the_command_that_makes_it(study):
    Path(RUN).unlink()
    said = rf"^{RUN}: not made yet.*: snakemake --cores 8 {TABLE} --configfile little\.yaml$"
    with pytest.raises(UserError, match=said):
        collect(study, [TABLE], source="little.yaml")
    Path(TABLE).unlink()
    with pytest.raises(UserError, match=f"^{TABLE}: not made yet"):
        collect(study, [TABLE])


def test_what_is_stale_damaged_or_of_other_settings_is_refused(study):
    before = Path(METRICS).read_text()
    changed = json.loads(before) | {"identity": "0" * 16}
    Path(METRICS).write_text(json.dumps(changed))
    with pytest.raises(UserError, match=f"^{METRICS}: stale.*snakemake --cores 8 {TABLE}"):
        collect(study, [TABLE])
    changed["settings"]["splits"] = ["other"]
    Path(METRICS).write_text(json.dumps(changed))
    with pytest.raises(UserError, match=f"^{METRICS}: made with other settings"):
        collect(study, [TABLE])
    Path(METRICS).write_text(before)
    Path(CELL, "scores.parquet").write_text("edit")
    with pytest.raises(UserError, match=r"scores\.parquet: does not have the SHA-256"):
        collect(study, [TABLE])


def test_without_targets_it_is_all_that_is_here_and_the_rest_is_told(study):
    gone = study.targets("pdf", "report", "summary")
    for record in gone:
        Path(record).unlink()
    found = collect(study)
    assert set(found.missing) == set(gone)
    assert set(found.targets) == set(found.results) == set(study.jobs) - set(found.missing)


def test_a_study_without_results_is_refused(study):
    shutil.rmtree("results")
    shutil.rmtree("data")
    with pytest.raises(UserError, match="no result is here yet; make it: snakemake"):
        collect(study)


def test_editors_leave_nothing_in_the_bundle(study):
    for name in (".secret", "config/.env", "config/demo.yaml~", "src.pyc"):
        Path(name).write_text("x")
    paths = {file.path for file in collect(study, [TABLE]).files}
    assert not {".secret", "config/.env", "config/demo.yaml~", "src.pyc"} & paths
    assert not any("__pycache__" in path for path in paths)


def test_a_result_made_anew_is_bundled_anew(study):
    first = collect(study, [TABLE])
    make(study, TABLE, "again")
    second = collect(study, [TABLE])
    digests = [{file.path: file.sha256 for file in one.files} for one in (first, second)]
    changed = {path for path, sha256 in digests[0].items() if digests[1][path] != sha256}
    assert changed == {TABLE, *study.jobs[TABLE].files.values()}
