"""The shell of a page: head, style and the script that sorts tables, all of it inline.

The page's own policy forbids every request and every script but the one below, so that it works
offline and text that slipped through as markup could still do nothing.
"""

import base64
import hashlib

from tsgbench.reporting.document import DEMO
from tsgbench.reporting.html.elements import Markup, element
from tsgbench.reporting.html.style import STYLE

# Click a head: descending, ascending, as written. Cells without a value stay last either way.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], written = [...body.rows];
  const heads = [...table.tHead.querySelectorAll("th[data-column]")];
  for (const head of heads) head.querySelector("button").addEventListener("click", () => {
    const turn = {"none": "descending", "descending": "ascending"};
    const next = turn[head.getAttribute("aria-sort")] || "none";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    table.classList.toggle("sorted", next !== "none");
    const column = Number(head.dataset.column), sign = next === "ascending" ? 1 : -1;
    const value = row => row.cells[column] ? row.cells[column].dataset.sort : undefined;
    const compare = (one, two) => {
      const a = value(one), b = value(two);
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      const isNumber = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
      return sign * (isNumber ? a - b : a.localeCompare(b, "en"));
    };
    body.append(...(next === "none" ? written : [...written].sort(compare)));
  });
}
"""


def render_page(title: str, *parts: Markup) -> str:
    """A whole document. parts: what stands in its body."""
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(STYLE)}'; "
        f"script-src '{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = element("body", *parts, element("script", Markup(SCRIPT)))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def demo_banner() -> Markup:
    """What stands above numbers of generated data."""
    return element("p", DEMO, cls="demo", role="note")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
