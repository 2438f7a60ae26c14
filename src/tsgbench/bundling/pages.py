"""The bundle for people: what is in it and how to repeat it, and all that as one page."""

import html
from pathlib import Path

from tsgbench.bundling import names
from tsgbench.bundling.contents import Contents
from tsgbench.bundling.names import ABOUT, CROISSANT, LOCK
from tsgbench.reporting.markdown import escape, link, render_markdown

FEW = 4  # targets that are named in a command
SECTIONS = {
    "This bundle": names.README,
    "Checklist": names.CHECKLIST,
    "Compute": names.COMPUTE,
    "Terms of use": names.LICENCES,
}
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: 14px }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid
#ccc; overflow-wrap: break-word; font-weight: normal }}
tbody th {{ min-width: 10rem }}
td:last-child {{ overflow-wrap: anywhere }}
thead th {{ font-weight: bold; white-space: nowrap }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def describe_bundle(contents: Contents) -> str:
    """`README.md`."""
    study = contents.study
    demo = " These are demo results on generated data." if study.config.get("demo") else ""
    left_out = sum(not file.is_packed for file in contents.files)
    shown = [
        file.path
        for result in contents.of_phase("table", "figure", "report", "findings")
        for file in result.files
        if file.path.endswith((".html", ".pdf", ".md"))
    ]
    targets = contents.targets if len(contents.targets) <= FEW else []
    run = ["snakemake", "--cores", "8", *targets]
    check = ["tsgbench", "verify", *targets]
    if contents.source:
        run += ["--configfile", contents.source]
        check += ["--study", contents.source]
    lines = [
        f"# {_title(contents)}",
        "",
        f"{len(contents.results)} results of temporal sentence grounding, with the code,"
        f" configuration and record of all that they were made from.{demo} `{names.PREVIEW}` is"
        " this, the checklist, the compute report and the terms of use on one page.",
        "",
        "| file | what it is |",
        "|---|---|",
        *(f"| {link(path, path)} | {about} |" for path, about in ABOUT.items()),
        f"| `{CROISSANT}/` | Croissant metadata of each data set and feature file |",
        *(
            f"| {link(escape(path), path)} | a table, figure or page of the study |"
            for path in shown
        ),
        "",
        "## Check and repeat",
        "",
        f"{left_out} files (data, features, checkpoints) are known by SHA-256 and size and not"
        " packed: their records beside them in `data/` and `results/` list them."
        if left_out
        else "All files are packed.",
        "",
        f"In this folder, with `src` as PYTHONPATH, in an environment{_environment(contents)}:",
        "",
        "```sh",
        " ".join(run),
        " ".join(check),
        "```",
        "",
    ]
    return "\n".join(lines)


def _environment(contents: Contents) -> str:
    """Where the bundle pins it, and what makes it."""
    paths = [file.path for file in contents.code]
    lock = next((path for path in paths if path.endswith(LOCK)), None)
    made = " (`make env` makes it)" if "Makefile" in paths else ""
    return f" as `{lock}` pins it{made}" if lock else " with tsgbench's dependencies"


def render_preview(contents: Contents, texts: dict[str, str]) -> str:
    """`ro-crate-preview.html`. texts: what the bundle adds, by path."""
    body = "\n".join(
        f"<h2>{name}</h2>\n{render_markdown(texts[path], Path(), Path(), level=3)}"
        for name, path in SECTIONS.items()
    )
    return PAGE.format(title=html.escape(_title(contents)), body=body)


def _title(contents: Contents) -> str:
    return f"Study {contents.study.name}: {contents.study.config['title']}"
