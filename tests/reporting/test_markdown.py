"""Text of data in Markdown: shown as it stands, by whichever program, and never acted on."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from tsgbench.reporting import render
from tsgbench.reporting.describe import describe
from tsgbench.reporting.markdown import escape, link
from tsgbench.reporting.systems_table import build_table

# With tags and pictures on, as repositories' pages and terminals have them
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HARMLESS = {"text", "inline", "paragraph_open", "paragraph_close", "text_special"}
HOSTILE = (
    "[x](javascript:alert(1))",
    "[x][y]",
    "[x] (y) [x] [y] [x]",
    "[x]: http://example.org",
    "![x](http://example.org/x.png)",
    "<img src=x onerror=alert(1)>",
    "<http://example.org>",
    "<!-- gone -->",
    "</td></table><script>alert(1)</script>",
    "&lt;script&gt; &#60; &amp AT&T",
    "`code` ``x``",
    "**bold** _it_ __b__ a__b__c a_b_ _c *i* ~~gone~~ ~gone~",
    "a | b || c",
    "# head",
    "- item",
    "+ item",
    "12. item",
    "3) item",
    "===",
    "---",
    "> said",
    "```",
    "    code",
    "back\\slash \\[x](y) \\",
    "two\nlines\n\n# head",
    "trailing  \nbreak",
    "$x$ 5 % -0.5 2.5 R@1,IoU=0.5 n/m",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_is_text(text):
    made = PARSER.parse(escape(text))
    tokens = [*made, *(child for token in made for child in token.children or [])]
    assert {token.type for token in tokens} <= HARMLESS
    assert html.unescape(re.sub("<[^>]*>", "", PARSER.render(escape(text)))).strip() == " ".join(
        text.split()
    )


@pytest.mark.parametrize("text", ["http://example.org", "see ftp://a.b", "www.example.org"])
def test_addresses_are_not_linked_by_programs_that_look_for_them(text):
    assert not re.search(r"(https?|ftp)://|(?<!\w)www\.", escape(text))


def test_ordinary_text_stays_readable():
    for text in (
        "SeqPAN (ours), R@1 of 5 %",
        "w/o attention - a trial",
        "2.5 s, 3. and -1",
        "val_1",
        "Table 1 [a]",
    ):
        assert escape(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_link_has_one_target_whatever_its_text(text):
    made = PARSER.render(link(f"{escape(text)}, [a]", "a/b.json"))
    assert re.findall("<a.*?>", made) == ['<a href="a/b.json">']
    assert html.unescape(re.sub("<[^>]*>", "", made)).strip() == f"{' '.join(text.split())}, [a]"


def tags_of(page: str) -> set[str]:
    return set(re.findall(r"<(\w+)", PARSER.render(page)))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_shows_hostile_text_in_its_cells(spec, cells, published, text):
    plain = render.render_markdown(describe(build_table(spec, cells, published), "0"))
    spec["title"] = spec["rows"][1]["label"] = spec["datasets"][0]["title"] = text
    spec["notes"] = [text]
    page = render.render_markdown(describe(build_table(spec, cells, published), "0"))
    assert tags_of(page) == tags_of(plain)
    rows = [re.findall(r"<t[dh][ >]", row) for row in re.split("<tr", PARSER.render(page))[1:]]
    assert {len(row) for row in rows} == {1 + len(spec["metrics"])}
    shown = html.unescape(re.sub("<[^>]*>", "", PARSER.render(page)))
    assert shown.count(" ".join(text.split())) >= 4
