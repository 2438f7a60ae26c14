"""Templates of pages and documents, and the style and script that pages carry.

They are read with the code, so that what a job was planned with is what it writes; the digest of
code covers every file here (jobs/code.py). jinja2 is imported when the first of them is rendered.
"""

import base64
import hashlib
import json
import os
import urllib.parse
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tsgbench.jobs.code import data_files
from tsgbench.reporting.document import DEMO, Document, Result
from tsgbench.reporting.numbers import NOT_RUN, VERDICT_MARKS, Shown
from tsgbench.reporting.tex import escape

if TYPE_CHECKING:
    from jinja2 import Environment

FILES = {path.name: path.read_text(encoding="utf-8") for path in data_files(__file__)}


def render_page(name: str, **context: object) -> str:
    """An HTML page. Text from anywhere stays text: only templates make markup."""
    return _html().get_template(name).render(context)


def render_document(name: str, **context: object) -> str:
    """A LaTeX document. Text from anywhere is escaped as `tex.escape` does."""
    return _latex().get_template(name).render(context)


def as_markup(html: str) -> object:
    """HTML that is markup already, for a page."""
    from markupsafe import Markup

    return Markup(html)


@cache
def _html() -> "Environment":
    from markupsafe import Markup

    env = _environment()
    for kind, name in (("style", "page.css"), ("script", "sort.js")):
        digest = hashlib.sha256(FILES[name].encode()).digest()
        env.globals[kind] = Markup(FILES[name])
        # The page's own policy forbids every request, and every script and style but these
        env.globals[f"{kind}_hash"] = "sha256-" + base64.b64encode(digest).decode()
    env.globals["relative"] = _relative
    env.filters["json"] = json.dumps
    env.filters["yaml"] = lambda content: yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True
    )
    return env


@cache
def _latex() -> "Environment":
    from markupsafe import Markup

    def finalize(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(escape(str(value)))

    # LaTeX is full of braces and percent signs
    return _environment(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        finalize=finalize,
    )


def _environment(**options: Any) -> "Environment":
    import jinja2
    from markupsafe import Markup

    env = jinja2.Environment(
        loader=jinja2.DictLoader(FILES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    env.filters["verbatim"] = lambda text: Markup(" ".join(str(text).split()))
    env.globals |= {"demo": DEMO, "marks": VERDICT_MARKS, "not_run": NOT_RUN, "shown": _shown}
    return env


def _shown(document: Document, result: Result) -> list[Shown]:
    """A result's values in the order of the columns."""
    return [Shown(result.values[metric]) for metric in document.metrics]


def _relative(path: str, folder: Path | str) -> str:
    """A file's address from the folder of a page: never one of another host, nor a script."""
    return urllib.parse.quote(Path(os.path.relpath(path, folder)).as_posix())
