"""Plain text as Markdown, and Markdown as this project's own pages use it, as HTML.

Links that leave the page's folder tree by a scheme are kept as text: the page is to work offline,
and no file can bring in another address.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token


# What starts a mark, a tag or code, or ends the text of a link or picture; entities; addresses that
# some programs link
MARKS = re.compile(
    r"[\\`*<>|~]|\](?=\s?[(\[:])|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|:(?=//)|(?<=\bwww)\."
)
# What, at the start of a line, makes it a heading, a list or a rule
FIRST = re.compile(r"^(\d*)([#+=.)-])(?=[#=\s-]|$)")


def escape(text: str) -> str:
    """Plain text, of whatever origin, as Markdown that shows it on one line and does nothing.

    Mail addresses stay: some programs link them, however they are written.
    """
    marked = MARKS.sub(lambda match: f"\\{match[0]}", " ".join(text.split()))
    return FIRST.sub(r"\1\\\2", marked)


def link(text: str, target: str) -> str:
    """A link. text: Markdown, whose brackets become text; target: a path of this project."""
    marked = re.sub(r"\\.|[\[\]]", lambda m: m[0] if m[0][0] == "\\" else f"\\{m[0]}", text)
    return f"[{marked}]({target})"


def render_markdown(text: str, base: Path, folder: Path | str | None, level: int = 2) -> str:
    """text: the page. base: folder that its links start from; folder: of the page that is made.

    level: heading that its `##` becomes; its `#` title is left out. Tags in it stay text.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    tokens = _without_title(parser.parse(text))
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = f"h{min(6, level + int(token.tag[1]) - 2)}"
        _redirect(token.children or [], base, folder)
    _scope_heads(tokens)
    made = parser.renderer.render(tokens, parser.options, {})
    made = made.replace("<table>", '<div class="scroll"><table class="words">')
    return made.replace("</table>", "</table></div>")


def _without_title(tokens: "list[Token]") -> "list[Token]":
    titles = [index for index, token in enumerate(tokens) if token.tag == "h1"]
    left_out = {index for start in titles[::2] for index in (start, start + 1, start + 2)}
    return [token for index, token in enumerate(tokens) if index not in left_out]


def _redirect(tokens: "list[Token]", base: Path, folder: Path | str | None) -> None:
    """Make links start from the page's folder; one that leads elsewhere is left as its text."""
    is_left_out = False
    for token in tokens:
        if token.type == "link_open":
            url = str(token.attrs["href"])
            is_left_out = folder is None or ":" in url or url.startswith(("/", "#"))
            if not is_left_out:
                token.attrs["href"] = Path(os.path.relpath(base / url, folder)).as_posix()
        if token.type in ("link_open", "link_close"):
            token.hidden = is_left_out


def _scope_heads(tokens: "list[Token]") -> None:
    """The first cell of a row is its head; none has a style, which the page's policy forbids."""
    is_first = False
    for token in tokens:
        is_first = is_first or token.type == "tr_open"
        if token.type in ("td_open", "td_close", "th_open", "th_close"):
            token.attrs.pop("style", None)
            if token.type == "th_open":
                token.attrs["scope"] = "col"
            elif is_first and token.tag == "td":
                token.tag = "th"
                if token.type == "td_open":
                    token.attrs["scope"] = "row"
            is_first = is_first and not token.type.endswith("close")
