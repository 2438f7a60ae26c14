"""Pages of tables: every link leads somewhere, text stays text, and nothing is fetched."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tsgbench.errors import UserError
from tsgbench.reporting import build_table, describe, write_table
from tsgbench.reporting.caption import DEMO
from tsgbench.reporting.document import write_document
from tsgbench.reporting.html import render_html
from tsgbench.reporting.markdown import render_markdown
from tsgbench.reporting.provenance import anchor, check_traceable, heading
from tsgbench.reporting.templates import FILES

IDENTITY = "0123456789abcdef"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NASTY = "</title><script>alert(1)</script> & \"x\" 'y' <img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """What tests ask of a page. Raises where a tag is closed that is not open."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids, self.links, self.sources = Counter(), [], []
        self.tags, self.sorts, self.words = Counter(), [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.tags[tag] += 1
        self.ids.update([told["id"]] if "id" in told else [])
        self.links += [told["href"]] if "href" in told else []
        self.sources += [told["src"]] if "src" in told else []
        self.sorts += [told["data-sort"]] if tag == "td" and "data-sort" in told else []
        assert not any(name.startswith("on") or name == "style" for name in told)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def table(spec, cells, published):
    return build_table(spec, cells, published)


@pytest.fixture
def description(table, tmp_path) -> dict:
    """Of its file, with what only tables of papers have, on one row."""
    write_document(describe(table, IDENTITY), tmp_path / "table.json")
    found = json.loads((tmp_path / "table.json").read_text())
    for row in found["rows"]:
        if row["label"] == "SeqPAN":
            value = row["results"]["real"]["values"]["R@1,IoU=0.5"]
            value |= {"interval": [49.0, 53.5], "verdict": "below", "p_value": 0.0123}
    return found


def test_a_page_is_well_formed_and_its_links_lead_somewhere(description, as_document):
    page = Page(render_html(as_document(description), "results"))
    assert max(page.ids.values()) == 1
    inner = [link[1:] for link in page.links if link.startswith("#")]
    assert inner and set(inner) <= set(page.ids)
    # Every number of a system that was run is a link to its own section
    numbers = [
        result
        for row in description["rows"]
        for result in row["results"].values()
        for value in result["values"].values()
        if value["mean"] is not None
    ]
    assert len(inner) == len(numbers)
    assert Counter(inner) == Counter(anchor(found["cells"][0]["cell"]) for found in numbers)


def test_the_section_of_a_system_tells_everything(description, as_document, cells):
    page = Page(render_html(as_document(description))).text
    for name in ("seqpan/real/full/seed0", "seqpan/real/full/seed1"):
        run = json.loads((cells[name] / "run.json").read_text())
        evaluation = json.loads((cells[name] / "metrics.json").read_text())
        for told in (name, run["identity"], evaluation["identity"], run["code"]):
            assert told in page
        for entry in run["inputs"].values():
            assert entry["identity"] in page and entry["digest"] in page
    for told in ("d" * 40, "max_clips: 64", "lr: 0.001", "1,000", "seed 1", "[49.00, 53.50]"):
        assert told in page
    for told in ("↓ below", "p = 0.0123", "printed 60.86 (−9.86)", "— not run", DEMO):
        assert told in page
    assert "seed: 0" not in page  # settings are those that the seeds share


def test_files_are_linked_from_where_the_page_lies(spec, cells, published, tmp_path):
    (page_path,) = (
        path
        for path in write_table(
            describe(build_table(spec, cells, published), IDENTITY), tmp_path / "paper" / "table1"
        )
        if path.suffix == ".html"
    )
    page = Page(page_path.read_text())
    files = [link for link in page.links if link.endswith(("run.json", "predictions.parquet"))]
    assert files and all((page_path.parent / link).exists() for link in files)
    assert not any(os.path.isabs(link) or ":" in link for link in page.links)
    assert page.sources == []


def test_demo_is_said_once_above_and_only_in_a_demo(description, as_document):
    assert Page(render_html(as_document(description))).text.count(DEMO) == 1
    description["is_demo"], description["caption"] = False, "Plain."
    assert "DEMO" not in Page(render_html(as_document(description))).text


def test_sort_values_are_the_numbers_and_missing_ones_have_none(description, as_document):
    page = Page(render_html(as_document(description)))
    means = sorted(
        f"{value['mean']:.10g}"
        for row in description["rows"]
        for result in row["results"].values()
        for value in result["values"].values()
        if value["mean"] is not None
    )
    assert sorted(page.sorts) == means


def test_text_from_anywhere_stays_text(spec, cells, published):
    spec["title"] = spec["study"] = spec["rows"][1]["label"] = NASTY
    spec["datasets"][0]["title"] = spec["notes"][0] = NASTY
    found = describe(build_table(spec, cells, published), NASTY)
    for result in found.results:
        for cell in result.cells:
            cell["settings"]["note"] = cell["hardware"] = cell["git_commit"] = NASTY
    text = render_html(found, "results")
    page = Page(text)
    assert page.tags["script"] == 1 and page.tags["img"] == 0
    assert text.count("alert(1)") == text.count("&lt;script&gt;alert(1)")
    assert page.text.count("<img src=x onerror=alert(2)>") > 5


def test_a_link_to_a_file_is_never_a_scheme_or_another_host(description, as_document):
    """On a page of the same folder, the name of a record alone would be the link."""
    names = ["javascript:alert(1)", "data:text/html,x", "a#b?c%d.json", "http://example.org/x"]
    row = next(row for row in description["rows"] if row["results"]["shapes"]["cells"])
    row["results"]["shapes"]["cells"][0]["files"] = dict.fromkeys(names) | {
        name: name for name in names
    }
    links = Page(render_html(as_document(description), ".")).links
    assert {"javascript%3Aalert%281%29", "a%23b%3Fc%25d.json"} <= set(links)
    assert not [link for link in links if ":" in link]


def test_equal_tables_are_equal_pages(description, as_document):
    one, two = as_document(description), as_document(description)
    assert render_html(one, "results") == render_html(two, "results")


def test_rows_that_are_only_printed_are_quoted(description, as_document):
    row = next(row for row in description["rows"] if row["label"] == "Absent")
    result = row["results"]["real"]
    result |= {"is_only_printed": True, "label": "Elsewhere"}
    result["printed"] = {"paper": "seqpan", "system": "SeqPAN", "table": "t", "row": "E"}
    result["printed"]["label"] = "printed (E)"
    result["values"]["mIoU"] |= {
        "published": 61.25,
        "published_text": "61.25",
        "published_rank": 1,
    }
    text = render_html(as_document(description))
    assert '<span class="best">61.25</span>' in text and "61.25" in Page(text).sorts


def test_names_of_tables_and_sections():
    assert heading("seqpan/table5", {"seqpan": "SeqPAN"}) == "SeqPAN, Table 5"
    assert heading("cma/figure10") == "cma, Figure 10"
    assert heading("table1") == "Table 1"
    assert anchor("ia_net/shapes/full/seed12") == "cell-ia_net-shapes-full"
    assert anchor("statistics/real") == "cell-statistics-real"


# Refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("run", "the identity of its run"),
        ("evaluation", "the identity of its evaluation"),
        ("code", "the digest of its code"),
        ("cell", "its name"),
    ],
)
@pytest.mark.parametrize("is_removed", [True, False])
def test_a_number_that_cannot_be_traced_is_refused(
    description, as_document, field, said, is_removed
):
    check_traceable(as_document(description))
    cell = description["rows"][1]["results"]["real"]["cells"][1]
    if is_removed:
        del cell[field]
    else:
        cell[field] = None
    with pytest.raises(UserError, match=f"'SeqPAN' on real.*lacks {said}"):
        check_traceable(as_document(description))


def test_a_number_without_cells_is_refused(description, as_document):
    description["rows"][1]["results"]["real"]["cells"] = []
    with pytest.raises(UserError, match="without a cell"):
        check_traceable(as_document(description))


def test_nothing_is_written_of_a_table_that_is_refused(spec, cells, published, tmp_path):
    for seed in (0, 1):
        path = cells[f"seqpan/real/full/seed{seed}"] / "run.json"
        run = json.loads(path.read_text())
        path.write_text(json.dumps(run | {"code": None}))
    table = build_table(spec, cells, published)
    with pytest.raises(UserError, match="the digest of its code"):
        write_table(describe(table, IDENTITY), tmp_path / "out" / "table1")
    assert not (tmp_path / "out").exists()


# Links of the LaTeX table -----------------------------------------------------------------------


def test_latex_numbers_lead_to_sections_of_the_page(table, tmp_path):
    table.id = "seqpan/table5"
    write_table(describe(table, IDENTITY), tmp_path / "table5")
    page = Page((tmp_path / "table5.html").read_text())
    text = (tmp_path / "table5.tex").read_text()
    links = re.findall(r"\\href\{table5\.html\\#([^}]*)\}", text)
    assert links and set(links) <= set(page.ids)
    assert "\\providecommand{\\href}[2]{#2}" in text


# Markdown ---------------------------------------------------------------------------------------


def test_markdown_of_our_pages_becomes_html(tmp_path):
    text = """<!-- identity -->

# Title

## What <b>

A *plain* line with `code <x>`, **bold [in](a/b.json)** and [away](https://example.org/).
<https://example.org/> and ![a picture](https://example.org/x.png) <img src=x>

- one
  goes on
- two \\| three

| a | b |
| :--- | ---: |
| [x](c.json) | 1 |
"""
    made = render_markdown(text, Path("results"), "results/sub", level=3)
    page = Page(made)
    assert page.tags["li"] == 2 and page.tags["tr"] == 2 and page.tags["h3"] == 1
    assert page.links == ["../a/b.json", "../c.json"]  # nothing leads out of the folder
    assert page.sources == [] and "<img src=x>" in page.text and "style" not in made
    assert made.count('<th scope="row">') == 1 and made.count('<th scope="col">') == 2
    assert "code <x>" in page.text and "What <b>" in page.text and "Title" not in page.text
    assert "one goes on" in page.text and "two | three" in page.text


def test_the_findings_page_is_read_whole():
    source = Path(__file__).resolve().parents[2] / "docs" / "findings.md"
    page = Page(render_markdown(source.read_text(), source.parent, "results"))
    assert page.tags["table"] >= 5 and "|---" not in page.text and "**" not in page.text


# In a browser -----------------------------------------------------------------------------------

PROBE = """
<script>
const table = document.querySelector("table.sortable"), body = table.tBodies[0];
const column = [...table.tHead.rows[0].cells].findIndex(c => c.textContent.includes("mIoU"));
const read = () => [...body.rows].filter(r => r.cells[column])
  .map(r => r.cells[column].dataset.sort ?? "none").join(" ");
const written = read(), button = table.tHead.rows[0].cells[column].querySelector("button");
const seen = [];
for (let turn = 0; turn < 3; turn++) { button.click(); seen.push(read()); }
const asked = performance.getEntriesByType("resource").length;
document.body.textContent = JSON.stringify({written, seen, asked});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_sorts_and_asks_for_nothing(description, as_document, tmp_path):
    text = render_html(as_document(description))
    assert FILES["sort.js"] in text
    # The page's own policy would stop the probe, so that it is left out here
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    path = tmp_path / "page.html"
    path.write_text(text.replace("</body>", PROBE + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    body = re.search(r"<body>(\{.*\})\s*</body>", done.stdout, re.DOTALL)
    assert body, done.stdout[-500:] + done.stderr[-500:]
    found = json.loads(body[1])
    falling, rising, back = (turn.split() for turn in found["seen"])
    numbers = [float(value) for value in found["written"].split() if value != "none"]
    absent = ["none"] * (len(found["written"].split()) - len(numbers))
    assert absent and len(set(numbers)) > 2
    shown = [value for value in falling if value != "none"]
    assert [float(value) for value in shown] == sorted(numbers, reverse=True)
    assert [float(value) for value in rising if value != "none"] == sorted(numbers)
    assert falling[len(numbers) :] == rising[len(numbers) :] == absent
    assert " ".join(back) == found["written"]
    assert found["asked"] == 0
