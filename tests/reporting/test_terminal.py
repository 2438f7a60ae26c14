"""A table in a terminal: the document's numbers, in lines that fit."""

import re
from pathlib import Path

import pytest

from tsgbench.reporting import build_table, describe
from tsgbench.reporting.document import Document
from tsgbench.reporting.terminal import next_steps, render_terminal

STEM = Path("results/table1")


@pytest.fixture
def document(spec, cells, published) -> Document:
    return describe(build_table(spec, cells, published), "0123456789abcdef")


def test_means_and_spreads_are_the_documents(document):
    lines = render_terminal(document, STEM, 300).splitlines()
    for row in document.rows:
        for result in row.results.values():
            label = result.label[:17]
            for value in result.values.values():
                if result.cells and value.mean is not None:
                    spread = f" ± {value.std:.1f}" if value.std is not None else ""
                    shown = f"{value.mean:.1f}{spread}"
                    assert any(line.startswith(label) and shown in line for line in lines)
                elif not result.is_only_printed:
                    mark = "n/a" if result.cells else "—"
                    assert any(re.match(f"{re.escape(label)}.*{mark}", line) for line in lines)
            if result.printed:
                assert any(line.startswith(f"  {result.printed.label}"[:17]) for line in lines)


def test_it_says_demo_and_where_the_rest_is(document):
    text = render_terminal(document, STEM, 100)
    assert "DEMO numbers" in text and "results/table1.html, .md, .tex, .csv" in text


@pytest.mark.parametrize("width", [80, 100])
def test_lines_fit_and_lose_the_spread_first(document, width):
    text = render_terminal(document, STEM, width)
    assert max(map(len, text.splitlines())) <= width
    assert "±" in render_terminal(document, STEM, 200)


def test_next_steps_name_this_table(document):
    steps = next_steps(document, STEM).splitlines()
    assert any(
        line.strip().startswith("tsgbench explain results/table1.tex --row") for line in steps
    )
    assert any("tsgbench verify results/table1.tex" in line for line in steps)
