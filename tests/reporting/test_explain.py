"""`tsgbench explain`: forgiving names, all that a number comes from, and what has changed since."""

import json
import os
import shutil
from pathlib import Path

import pytest
from report_samples import COLUMNS, REPRODUCE, printed_row, statistics_record, write_published

from invented import write_cell
from tsgbench.cli import main as cli
from tsgbench.errors import UserError
from tsgbench.files import digest
from tsgbench.reporting import build_table, describe, write_table
from tsgbench.reporting.explain import as_text, explain
from tsgbench.reporting.statistics_table import build_statistics_table

IDENTITY = "0123456789abcdef"


@pytest.fixture
def stem(spec, cells, published, tmp_path, monkeypatch) -> Path:
    """A table with its record, where a study's results lie: paths are relative as in a study."""
    monkeypatch.chdir(tmp_path)
    near = {name: Path(os.path.relpath(folder)) for name, folder in cells.items()}
    # Invented records lack what only real ones have
    for folder in near.values():
        for name in ("run.json", "metrics.json"):
            record = json.loads((folder / name).read_text())
            record = {"outputs": {}, "digest": digest(record)} | record
            (folder / name).write_text(json.dumps(record))
    write_table(describe(build_table(spec, near, published), IDENTITY), "results/table1")
    record = {"schema": 1, "identity": IDENTITY, "digest": "", "inputs": {}, "outputs": {}}
    Path("results/table1.json").write_text(json.dumps(record | {"facts": {}}))
    return Path("results/table1")


def only(facts: dict) -> dict:
    (number,) = facts["numbers"]
    return number


@pytest.mark.parametrize("end", [".tex", ".html", ".md", ".csv", ".pdf", ".provenance.json", ""])
def test_any_file_of_a_table_will_do(stem, end):
    facts = explain(f"{stem}{end}", "SeqPAN", "mIoU", "real")
    number = only(facts)
    assert facts["found"] == "as recorded" and facts["identity"] == IDENTITY
    assert number["values"]["mIoU"]["seeds"] == [55.0, 57.0]
    assert [cell["found"] for cell in number["cells"]] == ["as recorded"] * 2


@pytest.mark.parametrize(
    ("row", "metric", "dataset"),
    [
        ("SeqPAN", "R@1,IoU=0.7", "shapes"),
        ("seqpan", "r@1,iou=0.7", "Shapes"),
        ("seqpan/full", "R@1, IoU=0.7", "shap"),
    ],
)
def test_names_are_forgiving(stem, row, metric, dataset):
    number = only(explain(stem, row, metric, dataset))
    assert number["system"] == "seqpan/full" and number["dataset"] == "shapes"
    assert list(number["values"]) == ["R@1,IoU=0.7"]


def test_a_start_that_fits_one_row_is_enough(stem):
    assert only(explain(stem, "who", "miou", "real"))["row"] == "Whole video"
    assert only(explain(stem, "seqpan, b", "miou", "real"))["row"] == "SeqPAN, blind"


@pytest.mark.parametrize(
    ("row", "metric", "dataset", "said"),
    [
        ("SeqPn", None, None, "--row 'SeqPn': no such row in the table; did you mean 'SeqPAN'"),
        ("seqp", None, None, "fits several: 'SeqPAN', 'SeqPAN, blind'; name one"),
        ("zzz", None, None, "it has Whole video, SeqPAN, SeqPAN, blind, Other, Absent"),
        ("SeqPAN", "R@1", None, "--metric 'R@1' fits several: 'R@1,IoU=0.3'"),
        ("SeqPAN", "mIuO", None, "did you mean 'mIoU'?"),
        ("SeqPAN", None, "charades", "--dataset 'charades': no such data set of 'SeqPAN'"),
    ],
)
def test_names_that_fit_nothing_or_several_are_explained(stem, row, metric, dataset, said):
    with pytest.raises(UserError) as error:
        explain(stem, row, metric, dataset)
    assert said in str(error.value)


def test_rows_of_one_name_are_told_apart_by_their_system(stem):
    path = Path(f"{stem}.provenance.json")
    content = json.loads(path.read_text())
    content["rows"][3]["label"] = "SeqPAN"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="fits several: 'seqpan/full', 'other/full'"):
        explain(stem, "SeqPAN")
    assert only(explain(stem, "other/full", "mIoU", "real"))["system"] == "other/full"


def test_the_text_says_all_of_it(stem):
    text = as_text(explain(stem, "SeqPAN", "R@1,IoU=0.5", "real"))
    run = json.loads(Path("cells/seqpan/real/full/seed0/run.json").read_text())
    for told in (
        "DEMO",
        "R@1,IoU=0.5: 51.00 ± 1.41; 95 % interval [51.00, 51.00]",
        "printed (SeqPAN, Table 1) 60.86; difference -9.86; verdict: below",
        "seed0 50.00, seed1 52.00",
        f"run {run['identity']}",
        "code c0dec0dec0dec0de",
        "convention seconds, split test",
        f"commit {'d' * 40}",
        "features: identity ffffffffffffffff, digest fdfdfdfdfdfdfdfd",
        "cells/seqpan/real/full/seed1/metrics.json",
        "git checkout " + "d" * 40,
        "tsgbench job train seqpan/real/full/seed1",
        "snakemake --cores 8 results/table1.tex",
    ):
        assert told in text
    assert "not run; wanted absent/real/full/seed0" in as_text(explain(stem, "Absent"))


def test_the_study_is_named_where_its_config_lies(stem):
    Path("config").mkdir()
    Path("config/demo.yaml").write_text("study: demo\n")
    commands = explain(stem, "SeqPAN", "mIoU", "real")["commands"]
    assert "tsgbench job train seqpan/real/full/seed0 --study config/demo.yaml" in commands
    assert commands[-1] == "snakemake --cores 8 results/table1.tex --configfile config/demo.yaml"


def test_mlflow_runs_come_from_the_record_or_from_what_was_logged_later(stem):
    assert "MLflow run: none is known" in as_text(explain(stem, "SeqPAN", "mIoU", "real"))
    runs = [{"cell": f"seqpan/real/full/seed{seed}", "run_id": f"run{seed}"} for seed in (0, 1)]
    record = {"schema": 1, "identity": "i", "digest": "", "inputs": {}, "outputs": {}}
    logged = {"mlflow": {"uri": "sqlite:///mlflow.db", "runs": runs}}
    Path("results/table1.json").write_text(json.dumps(record | {"facts": {}, "made": logged}))
    text = as_text(explain(stem, "SeqPAN", "mIoU", "real"))
    assert "MLflow run run1 in sqlite:///mlflow.db" in text


def found(stem, metric="mIoU") -> list[str]:
    return [cell["found"] for cell in only(explain(stem, "SeqPAN", metric, "real"))["cells"]]


def test_what_has_changed_since_is_said(stem):
    folder = Path("cells/seqpan/real/full/seed1")
    metrics = (folder / "metrics.json").read_text()
    edited = json.loads(metrics)
    edited["facts"]["metrics"]["mIoU"] = 99.0
    (folder / "metrics.json").write_text(json.dumps(edited))
    assert found(stem) == [
        "as recorded",
        f"edited: {folder}/metrics.json says 99.0 for mIoU, not 57.0",
    ]
    assert found(stem, "R@1,IoU=0.5") == ["as recorded"] * 2
    again = json.loads(metrics) | {"identity": "e" * 16}
    (folder / "metrics.json").write_text(json.dumps(again))
    assert found(stem)[1].startswith("evaluated again since")
    (folder / "metrics.json").unlink()
    assert found(stem)[1].startswith("not evaluated any more")
    write_cell(Path("cells"), "seqpan/real/full/seed1", lr=0.5)
    run = json.loads((folder / "run.json").read_text()) | {"digest": "d"}
    (folder / "run.json").write_text(json.dumps(run))
    assert found(stem)[1].startswith(f"changed since: {folder}/run.json is of identity")
    shutil.rmtree(folder)
    assert found(stem) == ["as recorded", f"gone: {folder}/run.json is not here"]


def test_a_table_whose_record_is_of_another_making_says_so(stem):
    path = Path("results/table1.json")
    path.write_text(path.read_text().replace(IDENTITY, "f" * 16))
    assert "write the table again" in explain(stem, "SeqPAN")["found"]
    path.unlink()
    assert "no such file" in explain(stem, "SeqPAN")["found"]


def test_a_table_that_is_not_there_or_too_old_is_an_error(stem):
    with pytest.raises(UserError, match="none.provenance.json: no such file; make the table"):
        explain("results/none.tex")
    Path("results/old.provenance.json").write_text('{"schema": 1, "rows": []}')
    with pytest.raises(UserError, match="not a table's provenance of this version"):
        explain("results/old.tex")


def test_tables_of_statistics_are_explained_by_their_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [printed_row("real", 1, 7.25, reproduce=REPRODUCE)]
    entry = {"id": "table1", "kind": "statistics", "columns": COLUMNS, "rows": rows}
    write_published(Path("published"), "paper", "System", [entry])
    spec = {"id": "paper/table1", "study": "s", "title": "t", "paper": "paper", "table": "table1"}
    record = statistics_record(Path("here"))
    record.path.parent.mkdir(parents=True)
    record.path.write_text(json.dumps(record.content | {"schema": 1}))
    table = build_statistics_table(spec, {"real": record}, "published")
    write_table(describe(table, IDENTITY), "t1")
    (cell,) = only(explain("t1.md", "real"))["cells"]
    assert cell["found"] == "as recorded"
    assert f"digest {'d' * 16}" in as_text(explain("t1.md", "real"))
    record.path.write_text(json.dumps(record.content | {"schema": 1, "digest": "e" * 16}))
    assert only(explain("t1.md"))["cells"][0]["found"].startswith("changed since")
    record.path.unlink()
    assert only(explain("t1.md"))["cells"][0]["found"].startswith("gone")


def test_the_verb_prints_text_or_json(stem, capsys):
    words = ["explain", f"{stem}.tex", "--row", "SeqPAN", "--metric", "mIoU"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "SeqPAN (seqpan/full) on Shapes" in text and "on Real" in text
    assert cli.main([*words, "--dataset", "real", "--json"]) == 0
    assert only(json.loads(capsys.readouterr().out))["dataset"] == "real"
    assert cli.main(["explain", f"{stem}.tex", "--row", "SeqPn"]) == 1
    assert "did you mean" in capsys.readouterr().err
