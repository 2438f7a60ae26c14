"""What MkDocs is told beyond mkdocs.yml: pages that stand elsewhere, and links that leave the docs.

README is the first page and CHANGELOG the last; the page of commands is what `--help` says. A page
named as `docs/NAME.md` becomes a link to it, which `strict` then checks; what leads to a file that
is no page is left as its name.
"""

import re
from functools import partial
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tsgbench.cli.main import command_parsers

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./|(?!docs/|images/)[\w.-]+/)[^)]*\)")
NAMED = re.compile(r"`docs/(\w+)\.md`|(?<![`(\w/])docs/(\w+)\.md")
IMAGE = re.compile(r"\(docs/(images/[^)]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made."""
    for name, content in (
        ("index.md", (ROOT / "README.md").read_text(encoding="utf-8")),
        ("changes.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        ("commands.md", commands()),
    ):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links to pages; code stays as it is."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    own = Path(page.file.src_uri).stem
    for index in range(0, len(parts), 2):
        text = IMAGE.sub(r"(\1)", parts[index])
        text = OUTSIDE.sub(r"\1", text)
        parts[index] = NAMED.sub(lambda match: _link(match[1] or match[2], own), text)
    return "".join(parts)


def _link(name: str, own: str) -> str:
    return name if name == own else f"[{name}]({name}.md)"


def commands() -> str:
    """Every verb as its `--help` has it."""
    lines = ["# Commands", "", "As `tsgbench VERB --help` says it.", ""]
    for name, parser in command_parsers():
        parser.formatter_class = partial(parser.formatter_class, width=90)
        lines += [f"## `{name}`", "", "```text", parser.format_help().rstrip(), "```", ""]
    return "\n".join(lines)
