"""The forms of a table: CSV, Markdown, LaTeX, PDF and provenance."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tsgbench.errors import UserError
from tsgbench.reporting import build_table, compile_pdf, describe, latex, write_table
from tsgbench.reporting.caption import caption, legend
from tsgbench.reporting.tex import escape

IDENTITY = "0123456789abcdef"
needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine here")


@pytest.fixture
def table(spec, cells, published):
    return build_table(spec, cells, published)


@pytest.fixture
def stem(table, tmp_path) -> Path:
    write_table(describe(table, IDENTITY), tmp_path / "table1")
    return tmp_path / "table1"


def read_csv(stem: Path) -> dict[tuple[str, str, str], dict]:
    with open(stem.with_suffix(".csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {(row["system"], row["dataset"], row["metric"]): row for row in rows}


def markdown_row(stem: Path, dataset: str, label: str) -> list[str]:
    block = stem.with_suffix(".md").read_text().split(f"### {dataset}\n")[1]
    line = next(line for line in block.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_caption_says_what_was_measured(table):
    text = caption(table)
    for part in (
        "DEMO numbers",
        "Study “demo”",
        "Scored by convention “seconds”: in seconds against the unquantised labels.",
        "Shapes: tested on “test”, 400 query–moment pairs; checkpoint chosen on “val”",
        "features: C3D_random",
        "seeds 0, 1;",
    ):
        assert part in text


def test_caption_says_in_what_precision_and_whose_if_they_differ(table):
    trained = [row for row in table.rows if any(x.cells for x in row.results.values())]
    assert len(trained) > 1 and "Precision" not in caption(table)  # records that do not say
    runs = [[c.run for x in row.results.values() for c in x.cells] for row in trained]
    for run in [run for some in runs for run in some]:
        run["facts"]["precision"] = "fp32"
    assert caption(table).endswith("Precision: fp32.")
    for run in runs[0]:
        run["facts"]["precision"] = "bf16 in training, fp32 in prediction"
    first, *others = (row.label for row in trained)
    assert caption(table).endswith(
        f"Precision: {first}: bf16 in training, fp32 in prediction; {', '.join(others)}: fp32."
    )


def test_only_demo_tables_are_called_demo(spec, cells, published):
    spec["is_demo"] = False
    assert "DEMO" not in caption(build_table(spec, cells, published))


def test_legend_explains_the_marks_that_occur(table, spec, cells, published):
    text = " ".join(legend(table))
    for mark in ("Bold", "not run", "n/m seeds", "n/a", "printed", "doubtful"):
        assert mark in text
    assert "second underlined" not in text
    assert text.endswith("Cost: 100 % of $0_0 & more.")
    spec["rows"], spec["datasets"], spec["metrics"] = (
        spec["rows"][:1],
        spec["datasets"][:1],
        ["mIoU"],
    )
    brackets, *rest = legend(build_table(spec, cells, published))
    assert "95 % bootstrap interval" in brackets and rest == spec["notes"]


def test_a_spread_of_nothing_is_explained(table):
    """A reader would take it for a mistake."""
    assert not any("seeds score alike" in line for line in legend(table))
    result = table.rows[0].results["real"]
    result.values["mIoU"] = replace(result.values["mIoU"], std=0.001)
    assert any(line.startswith("± 0.00: all seeds score alike") for line in legend(table))


def test_systems_with_one_moment_are_named_where_several_are_asked_for(table):
    """Their R@5 is no number of its own."""
    runs = {r.label: [c.run for x in r.results.values() for c in x.cells] for r in table.rows}
    labels = [label for label, of_row in runs.items() if of_row][:3]
    for label, most in zip(labels, (1, 1, 9), strict=True):
        for run in runs[label]:
            run["facts"]["candidates_per_query"] = {"mean": 1.0, "most": most}
    assert any(metric.startswith("R@5") for metric in table.metrics)
    line = f"One moment a query, so that R@n is R@1: {labels[0]}; {labels[1]}."
    assert line in legend(table)
    several, table.metrics = table.metrics, ["R@1,IoU=0.5", "mIoU"]
    assert "One moment" not in " ".join(legend(table))
    table.metrics = several
    runs[labels[0]][0]["facts"]["candidates_per_query"]["most"] = 2
    assert f"One moment a query, so that R@n is R@1: {labels[1]}." in legend(table)


def test_csv_has_a_line_for_every_number(table, stem):
    rows = read_csv(stem)
    assert len(rows) == len(table.rows) * 2 * len(table.metrics)
    full = rows["SeqPAN", "real", "R@1,IoU=0.5"]
    assert (full["mean"], full["std"], full["n_seeds"], full["n_wanted"]) == (
        "51",
        "1.41421",
        "2",
        "2",
    )
    assert (full["published"], full["difference"]) == ("60.86", "-9.86")
    assert full["published_source"] == "seqpan/table1/SeqPAN"
    assert full["cells"] == "seqpan/real/full/seed0 seqpan/real/full/seed1"
    assert full["identity"] == IDENTITY
    assert rows["SeqPAN", "shapes", "R@1,IoU=0.5"]["published"] == ""
    assert rows["Absent", "real", "mIoU"]["status"] == "not run"
    assert rows["Absent", "real", "mIoU"]["mean"] == ""
    assert rows["Whole video", "real", "R@5,IoU=0.5"]["status"] == "undefined"
    assert rows["SeqPAN", "real", "mIoU"]["published_uncertain"] == "true"


def test_markdown_shows_the_same(stem):
    assert markdown_row(stem, "Shapes", "SeqPAN")[1] == "**71.00 ± 1.41** [71.00, 71.00]"
    assert markdown_row(stem, "Shapes", "SeqPAN, blind (1/2 seeds)")[7] == "35.00 [35.00, 35.00]"
    assert set(markdown_row(stem, "Real", "Absent")[1:]) == {"— not run"}
    assert markdown_row(stem, "Real", "Whole video")[4:] == [*["n/a"] * 3, "27.10 [27.10, 27.10]"]
    printed = markdown_row(stem, "Real", r"*printed (SeqPAN, Table 1)*")
    assert printed[1:] == ["73.84 (-2.84 ↓)", "60.86 (-9.86 ↓)", *["n/a"] * 4, "53.92? (+2.08 ↑)"]
    assert IDENTITY in stem.with_suffix(".md").read_text().splitlines()[0]


def test_provenance_leads_every_number_to_its_cells(stem, cells):
    content = json.loads(Path(f"{stem}.provenance.json").read_text())
    assert content["identity"] == IDENTITY
    for row in content["rows"]:
        for found in row["results"].values():
            has_number = any(value["mean"] is not None for value in found["values"].values())
            assert has_number == bool(found["cells"])
            for cell in found["cells"]:
                run = json.loads((cells[cell["cell"]] / "run.json").read_text())
                assert cell["run"] == run["identity"]
                assert cell["git_commit"] == "d" * 40


def test_latex_names_its_identity_and_marks(stem):
    text = stem.with_suffix(".tex").read_text()
    assert IDENTITY in text.splitlines()[0]
    assert "\\begin{table}" in text
    number = "\\href{table1.html\\#cell-seqpan-shapes-full}{\\textbf{71.00}}"
    assert f"{number} & {{\\tiny$\\pm$\\,\\num{{1.41}}}}" in text
    assert re.search(r"SeqPAN, blind \(1/2 seeds\) & \\href\{[^}]*\}\{\\num\{50.00\}\} &  &", text)
    assert re.search(r"^Absent( & \\multicolumn\{2\}\{c\}\{---\}){7} \\\\$", text, re.MULTILINE)
    assert "\\num{60.86}} & \\textcolor{gray}{\\tiny ($-9.86$) $\\downarrow$}" in text
    assert text.count("printed (SeqPAN, Table 1)") == 1
    assert "C3D\\_random" in text
    assert "100 \\% of \\$0\\_0 \\& more" in text


def test_writing_twice_gives_the_same_bytes(table, stem):
    before = {path: path.read_bytes() for path in stem.parent.glob("table1.*")}
    write_table(describe(table, IDENTITY), stem)
    assert {path: path.read_bytes() for path in stem.parent.glob("table1.*")} == before
    assert len(before) == 5


def test_many_data_sets_go_on_in_a_second_table(spec, cells, published, tmp_path):
    spec["datasets"] = [{**spec["datasets"][0], "title": f"Copy {n}"} for n in range(8)]
    write_table(describe(build_table(spec, cells, published), IDENTITY), tmp_path / "many")
    text = (tmp_path / "many.tex").read_text()
    assert text.count("\\begin{table}") == 3
    assert text.count("\\label") == 1
    assert all(f"\\textbf{{Copy {n}}}" in text for n in range(8))


def test_special_characters_are_escaped():
    assert escape("a_b & 50% #1 {x} ~^ $") == (
        r"a\_b \& 50\% \#1 \{x\} \textasciitilde{}\textasciicircum{} \$"
    )
    assert escape("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert escape("é ≥ 一") == r"é $\geq$ U+4E00"


@needs_tex
def test_the_page_compiles_and_repeats(stem):
    pdf = stem.with_suffix(".pdf")
    assert compile_pdf(stem.with_suffix(".tex"), pdf) == (True, "")
    first = pdf.read_bytes()
    assert first.startswith(b"%PDF")
    assert [path.name for path in stem.parent.glob("*.tmp")] == []
    compile_pdf(stem.with_suffix(".tex"), pdf)
    assert pdf.read_bytes() == first


@needs_tex
def test_nasty_labels_compile(spec, cells, published, tmp_path):
    nasty = "\\input{/etc/passwd} % $x_1^2$ & <b> {un|balanced é ñ ł ø ß 一 🙂 ±"
    spec["rows"][1]["label"] = spec["title"] = spec["datasets"][0]["title"] = nasty
    spec["study"] = "two\nlines"
    write_table(describe(build_table(spec, cells, published), IDENTITY), tmp_path / "nasty")
    assert compile_pdf(tmp_path / "nasty.tex", tmp_path / "nasty.pdf") == (True, "")
    if shutil.which("pdftotext"):
        command = ["pdftotext", str(tmp_path / "nasty.pdf"), "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "root:" not in text


@needs_tex
def test_a_latex_error_is_quoted_and_the_old_page_kept(stem):
    tex, pdf = stem.with_suffix(".tex"), stem.with_suffix(".pdf")
    pdf.write_bytes(b"old")
    tex.write_text("\\undefinedcommand")
    with pytest.raises(UserError, match="Undefined control sequence"):
        compile_pdf(tex, pdf)
    assert pdf.read_bytes() == b"old"


@needs_tex
def test_a_missing_package_is_a_message(stem, monkeypatch):
    monkeypatch.setattr("tsgbench.reporting.pdf.PACKAGES", ("nosuchpackage",))
    is_made, message = compile_pdf(stem.with_suffix(".tex"), stem.with_suffix(".pdf"))
    assert not is_made
    assert "nosuchpackage.sty" in message
    assert not stem.with_suffix(".pdf").exists()


def test_without_an_engine_there_is_a_message(stem, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    is_made, message = compile_pdf(stem.with_suffix(".tex"), stem.with_suffix(".pdf"))
    assert not is_made
    assert "no TeX engine" in message
    assert not stem.with_suffix(".pdf").exists()


def test_compiling_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such table"):
        compile_pdf(tmp_path / "none.tex", tmp_path / "none.pdf")


def test_every_page_names_its_data_sets(spec, cells, published, monkeypatch):
    """Also where one data set fills a page of a table that has several."""
    monkeypatch.setattr(latex, "ROWS_PER_PAGE", 8)
    document = describe(build_table(spec, cells, published), "0")
    pages = latex.render_latex(document).split("\\begin{table}")[1:]
    assert len(pages) == 2
    for page, title in zip(pages, ("Shapes", "Real"), strict=True):
        assert f"\\textbf{{{title}}}" in page


def test_caption_says_how_many_videos_do_not_last_as_annotated(table):
    """And only of a data set that has any: by the features with the most."""
    said = "videos last more than 2 s and 5 % longer or shorter than annotated"
    runs = [c.run for row in table.rows for x in row.results.values() for c in x.cells]
    for run in runs:
        run["facts"]["durations"] = {"compared": 1500, "differ": 0, "first": []}
    runs[0]["facts"]["durations"] = None  # features that state no duration of their own
    assert said not in caption(table)
    runs[-1]["facts"]["durations"] = {"compared": 1500, "differ": 12, "first": ["v: …"]}
    assert caption(table).count(f"12 of 1,500 {said}") == 1
