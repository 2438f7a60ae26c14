"""What MkDocs is told beyond mkdocs.yml: pages that stand elsewhere, and links that leave the docs.

README is the first page and CHANGELOG the last; the page of commands is what `--help` says, that of
messages what the source can say. A page named as `docs/NAME.md` becomes a link to it, which
`strict` then checks; what leads to a file that is no page is left as its name.
"""

import ast
import re
from functools import partial
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tsgbench.cli.main import command_parsers
from tsgbench.reporting.markdown import escape

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tsgbench"
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./|(?!docs/|images/)[\w.-]+/)[^)]*\)")
NAMED = re.compile(r"`docs/(\w+)\.md`|(?<![`(\w/])docs/(\w+)\.md")
IMAGE = re.compile(r"\(docs/(images/[^)]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made."""
    for name, content in (
        ("index.md", (ROOT / "README.md").read_text(encoding="utf-8")),
        ("changes.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        ("commands.md", commands()),
        ("messages.md", messages()),
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


def messages() -> str:
    """Every sentence of bad input in the source, by the room that says it."""
    lines = [
        "# Messages",
        "",
        "Every sentence with which the tool refuses an input, as the source has it: where, what and"
        " (after the semicolon) what to do. What stands *so* depends on the case."
        " `docs/troubleshooting.md` has what takes more than a sentence.",
    ]
    for room in sorted(path for path in SOURCE.iterdir() if path.is_dir()):
        said = {text for path in sorted(room.rglob("*.py")) for text in _sentences(path)}
        if said:
            about = (ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or "").strip()
            lines += ["", f"## {room.name}", "", about.partition("\n\n")[0], ""]
            lines += [f"- {text}" for text in sorted(said, key=str.lower)]
    return "\n".join(lines) + "\n"


def _sentences(path: Path) -> list[str]:
    """What a module's `UserError`s say, as Markdown; not of those that hand on another's words."""
    calls = [
        node.args[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UserError" and node.args
    ]
    said = [_shown(argument) for argument in calls]
    return [text for text in said if len(re.sub(r"\*[^*]*\*", "", text)) > 20]


def _as_markdown(text: str) -> str:
    return text if not text.strip() or text.startswith("`") else escape(text)


def _shown(node: ast.AST) -> str:
    """An expression of text; what is computed by its name, in italics, or as an ellipsis."""
    match node:
        case ast.Constant(value=str(text)):
            return "".join(map(_as_markdown, re.split(r"(`[^`]+`|\s+)", text)))
        case ast.JoinedStr(values=parts):
            return "".join(map(_shown, parts))
        case ast.BinOp(left=left, right=right):
            return _shown(left) + _shown(right)
        case ast.FormattedValue(value=ast.Name(id=name) | ast.Attribute(attr=name)):
            return f"*{escape(name.strip('_').replace('_', ' '))}*"
    return "*…*"
