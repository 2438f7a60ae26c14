"""The report: every table and figure once, links that resolve, and a document that compiles."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_samples import COLUMNS, REPRODUCE, printed_row, statistics_record, write_published

from reporting.test_html import NASTY, Page
from tsgbench.errors import UserError
from tsgbench.jobs.records import read_record, write_record
from tsgbench.phases import Task, report
from tsgbench.reporting import build_table, compile_pdf, describe, write_table
from tsgbench.reporting.figures import write_figure
from tsgbench.reporting.report import gather, render_report_html, render_report_latex
from tsgbench.reporting.statistics_table import build_statistics_table

IDENTITY = "0123456789abcdef"
FINDINGS = "# Findings\n\n## One thing\n\nIt is [55.0](cells/x/metrics.json).\n"
needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine here")


def record(path: str, files: list[Path], settings: dict, facts: dict | None = None):
    """Write the record of a finished job, and read it back."""
    write_record(
        path,
        phase="table",
        key=path,
        identity=IDENTITY,
        settings=settings,
        code="c" * 16,
        inputs={},
        files=files,
        facts=facts or {},
        made={},
    )
    return read_record(path)


@pytest.fixture
def task(spec, cells, published, tmp_path, monkeypatch) -> Task:
    """A study's own table, one of a paper, one of statistics, a figure, findings, statistics."""
    monkeypatch.chdir(tmp_path)
    near = {name: Path(os.path.relpath(folder)) for name, folder in cells.items()}
    inputs = {}
    for name in ("table1", "seqpan/table10", "seqpan/table2"):
        system, number = "SeqPAN", name.rpartition("table")[2]
        table = build_table(spec | {"id": name}, near, published)
        if "/" in name:
            table.heading = f"{system}, Table {number}: Full models; on one data set."
        files = write_table(describe(table, IDENTITY), f"results/{name}")
        inputs[f"table:{name}"] = record(f"results/{name}.json", files, {})
    rows = [printed_row("real", 1, 7.25, reproduce=REPRODUCE)]
    entry = {"id": "table1", "kind": "statistics", "columns": COLUMNS, "rows": rows}
    write_published(Path("published2"), "cma", "CMA", [entry])
    settings = {"id": "cma/table1", "study": "demo", "title": "t", "paper": "cma"}
    counted = statistics_record(Path())
    table = build_statistics_table(settings | {"table": "table1"}, {"real": counted}, "published2")
    files = write_table(describe(table, IDENTITY), "results/cma/table1")
    inputs["table:cma/table1"] = record("results/cma/table1.json", files, settings)
    settings = {
        "id": "cma/figure4",
        "kind": "moment_distribution",
        "study": "demo",
        "title": "t",
        "is_demo": True,
        "notes": ["Mine: chosen with moments."],
        "datasets": {"real": "Real", "absent": "Absent"},
        "stands_in": False,
        "printed": {"paper": "CMA", "figure": "Figure 4", "plots": "Lengths of moments."},
    }
    drawn = write_figure(settings, {"statistics:real": counted}, "results/cma/figure4")
    inputs["figure:cma/figure4"] = record("results/cma/figure4.json", drawn, settings)
    counted.facts["counts"] = {
        "test": {"rows": 5, "kept": 4, "videos": 3, "dropped": {"outside its video": 1}}
    }
    inputs["statistics:real"] = counted
    Path("results/findings.md").write_text(FINDINGS)
    inputs["findings:cells"] = record("results/findings.json", [Path("results/findings.md")], {})
    papers = {
        "cma": {"system": "CMA", "title": "A Method", "year": 2020, "venue": None},
        "seqpan": {"system": "SeqPAN", "title": "Parallel", "year": 2021, "venue": "ACL"},
        "fsan": {"system": "FSAN", "title": "Other", "year": 2021, "venue": None},
    }
    return Task(
        settings={"study": "demo", "title": "shapes", "is_demo": True, "papers": papers},
        inputs=inputs,
        identity=IDENTITY,
        record=Path("results/report.json"),
        files={"html": Path("results/report.html"), "tex": Path("results/report.tex")},
        wildcards={},
    )


@pytest.fixture
def made(task) -> Task:
    facts, files = report.run(task)
    assert all(path.exists() for path in files)
    assert facts == {"tables": 4, "figures": 1, "cells": 12, "cells_not_run": 6}
    return task


def test_the_page_holds_everything_once_and_its_links_resolve(made):
    page = Page(made.files["html"].read_text())
    assert max(page.ids.values()) == 1
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    assert {"table-table1", "table-seqpan-table2", "figure-cma-figure4", "findings"} <= inner
    # One section a system on a data set, however many tables show it
    assert sum(name == "cell-seqpan-shapes-full" for name in page.ids) == 1
    files = {link for link in page.links if not link.startswith("#") and "/x/" not in link}
    folder = made.files["html"].parent
    lacking = {link for link in files if not (folder / link).exists()}
    assert {Path(link).suffix for link in lacking} <= {".log", ".json"}  # logs and invented inputs
    assert page.sources and all(source.startswith("data:image/png") for source in page.sources)
    for told in (
        "DEMO",
        "in seconds against the unquantised labels.",
        "One thing",
        "d" * 12,
        "1 figure",
        "outside its video: 1",
        "Real, Absent",
    ):
        assert told in page.text


def test_tables_stand_in_the_order_of_the_papers_and_their_numbers(task):
    found = gather(task.settings, task.inputs, IDENTITY)
    assert [section.title for section in found.sections] == ["This study's own", "CMA", "SeqPAN"]
    assert [entry.title for entry in found.entries] == [
        "Table 1",
        "CMA, Table 1",
        "CMA, Figure 4",
        "SeqPAN, Table 2",
        "SeqPAN, Table 10",
    ]


def test_the_document_numbers_tables_as_the_papers_do(made):
    text = made.files["tex"].read_text()
    assert text.count("\\begin{table}[H]") == 4 and "[htbp]" not in text
    assert "\\renewcommand{\\tablename}{SeqPAN, Table}\n\\renewcommand{\\thetable}{10}" in text
    assert "\\renewcommand{\\figurename}{CMA, Figure}\n\\renewcommand{\\thefigure}{4}" in text
    assert "SeqPAN, Table 10: Full" not in re.sub(r"\\addcontentsline.*", "", text)
    assert "{cma/figure4.pdf}" in text and "DEMO" in text and "d" * 12 in text
    page = Page(made.files["html"].read_text())
    links = set(re.findall(r"\\href\{([^}\\]*)\\#([^}]*)\}", text))
    assert links and {file for file, _ in links} == {"report.html"}
    assert {place for _, place in links} <= set(page.ids)


def test_a_note_on_a_figures_systems_stands_in_its_caption(made):
    caption = "Lengths of moments. Data sets: Real, Absent. Mine: chosen with moments."
    assert caption in made.files["html"].read_text()
    assert caption in made.files["tex"].read_text()


def test_equal_inputs_are_equal_bytes(made):
    before = [path.read_bytes() for path in made.files.values()]
    report.run(made)
    assert [path.read_bytes() for path in made.files.values()] == before


def test_titles_from_anywhere_stay_text(task):
    task.settings["study"] = task.settings["title"] = NASTY
    task.settings["papers"]["cma"] = {"system": NASTY, "title": NASTY, "year": 1, "venue": NASTY}
    found = gather(task.settings, task.inputs, IDENTITY)
    page = Page(render_report_html(found, "results"))
    assert page.tags["script"] == 1 and not any(s.startswith("x") for s in page.sources)
    assert "\\textless{}script\\textgreater{}" in render_report_latex(found, "results")


def test_a_study_without_anything_still_has_a_report(task):
    found = gather(task.settings, {}, IDENTITY)
    page = Page(render_report_html(found, "results"))
    assert "0 tables and 0 figures" in page.text
    assert {link[1:] for link in page.links} <= set(page.ids)


@needs_tex
def test_the_document_compiles_with_contents_and_links(made):
    pdf = Path("results/report.pdf")
    assert compile_pdf(made.files["tex"], pdf) == (True, "")
    first = pdf.read_bytes()
    compile_pdf(made.files["tex"], pdf)
    assert pdf.read_bytes() == first
    if shutil.which("pdftotext"):
        command = ["pdftotext", "-layout", str(pdf), "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert re.search(r"SeqPAN, Table 10: Full models[ .]+\d", text)  # the contents, settled
        assert "SeqPAN, Table 10." in text and "CMA, Figure 4." in text
        assert "??" not in text


@needs_tex
def test_a_figure_that_is_gone_or_elsewhere_is_named(made):
    tex = made.files["tex"]
    Path("results/cma/figure4.pdf").unlink()
    with pytest.raises(UserError, match=r"cma/figure4.pdf: no such figure"):
        compile_pdf(tex, tex.with_suffix(".pdf"))
    tex.write_text(tex.read_text().replace("{cma/figure4.pdf}", "{../../secret.pdf}"))
    with pytest.raises(UserError, match="leaves the folder"):
        compile_pdf(tex, tex.with_suffix(".pdf"))


def test_a_damaged_provenance_is_named(task):
    path = Path("results/seqpan/table2.provenance.json")
    path.write_text(json.dumps({"schema": 1}))
    with pytest.raises(UserError, match="table2.provenance.json: not a table's provenance"):
        gather(task.settings, task.inputs, IDENTITY)
