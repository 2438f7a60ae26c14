"""Markdown as this project's own pages use it, as HTML: headings, lists, tables, links, marks.

Anything else is a paragraph. Links that leave the page's folder tree by a scheme are kept as text:
the page is to work offline, and no file can bring in another address.
"""

import os
import re
from pathlib import Path

from tsgbench.reporting.html.elements import Markup, element, join

INLINE = re.compile(
    r"(?P<code>`[^`]+`)|\*\*(?P<bold>.+?)\*\*|\[(?P<text>[^\]]*)\]\((?P<url>[^)\s]+)\)"
    r"|<u>(?P<under>.+?)</u>|\\(?P<plain>[\\|<>*_\[\]`])"
)


def render_markdown(text: str, base: Path, folder: Path | str | None, level: int = 2) -> Markup:
    """text: the page. base: folder that its links start from; folder: of the page that is made.

    level: heading that its `##` becomes; its `#` title is left out.
    """
    blocks = re.split(r"\n\s*\n", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip())
    return join(*(_block(block.strip(), base, folder, level) for block in blocks if block.strip()))


def _block(block: str, base: Path, folder: Path | str | None, level: int) -> Markup:
    def inline(text: str) -> Markup:
        return _inline(text.strip(), base, folder)

    lines = block.splitlines()
    marked = re.match(r"(#+) (.*)", lines[0])
    if marked:
        depth = len(marked[1])
        if depth == 1:
            return Markup("")
        rest = "\n".join(lines[1:])
        head = element(f"h{min(6, level + depth - 2)}", inline(marked[2]))
        return join(head, _block(rest, base, folder, level) if rest.strip() else "")
    if all(line.startswith(("- ", "  ")) for line in lines):
        items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
        return element("ul", *(element("li", inline(" ".join(i.split()))) for i in items))
    if len(lines) > 1 and re.fullmatch(r"\|?[\s:|-]+\|?", lines[1]) and "|" in lines[1]:
        head, *rows = ([inline(cell) for cell in _cells(line)] for line in lines if "|" in line)
        return element(
            "div",
            element(
                "table",
                element("thead", element("tr", *(element("th", c, scope="col") for c in head))),
                element("tbody", *(_table_row(row) for row in rows[1:])),
                cls="words",
            ),
            cls="scroll",
        )
    return element("p", inline(" ".join(lines)))


def _cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))


def _table_row(cells: list[Markup]) -> Markup:
    first, *rest = cells
    return element("tr", element("th", first, scope="row"), *(element("td", c) for c in rest))


def _inline(text: str, base: Path, folder: Path | str | None) -> Markup:
    parts, end = [], 0
    for found in INLINE.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        if found["code"]:
            parts.append(element("code", found["code"].strip("`")))
        elif found["bold"]:
            parts.append(element("strong", _inline(found["bold"], base, folder)))
        elif found["under"]:
            parts.append(element("u", _inline(found["under"], base, folder)))
        elif found["plain"]:
            parts.append(found["plain"])
        else:
            parts.append(_link(found["text"], found["url"], base, folder))
    return join(*parts, text[end:])


def _link(text: str, url: str, base: Path, folder: Path | str | None) -> Markup:
    shown = _inline(text, base, folder)
    if folder is None or ":" in url or url.startswith(("/", "#")):
        return shown
    return element("a", shown, href=Path(os.path.relpath(base / url, folder)).as_posix())
