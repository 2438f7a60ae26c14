"""PDF pages of tables and of the report, where TeX is installed."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import atomic_path
from tsgbench.reporting.latex import PACKAGES
from tsgbench.reporting.templates import render_document

COMPILE_S = 300
PASSES = 3  # a document's table of contents settles in its third
# What the documents themselves load, beside the packages of tables
OF_DOCUMENTS = ("lmodern", "geometry", "graphicx", "float", "hyperref")


def why_no_pdf() -> str | None:
    """What this machine's TeX lacks, and how to get it; None if it can make PDFs."""
    if shutil.which("pdflatex") is None:
        return (
            "PDFs are not made: no TeX engine (pdflatex) is installed; the .tex files are complete"
        )
    if shutil.which("kpsewhich") is None:  # nothing to look packages up with: compiling tells
        return None
    wanted = [f"{package}.sty" for package in sorted({*PACKAGES, *OF_DOCUMENTS})]
    # Lists what it found, and fails if anything is missing
    found = subprocess.run(["kpsewhich", *wanted], capture_output=True, text=True).stdout
    names = {Path(line).name for line in found.splitlines()}
    if lacking := [name.removesuffix(".sty") for name in wanted if name not in names]:
        return (
            f"PDFs are not made: TeX lacks {', '.join(lacking)} (on Debian: texlive-science,"
            " texlive-latex-extra, lmodern); the .tex files are complete"
        )
    return None


def compile_pdf(tex: str | Path, pdf: str | Path) -> tuple[bool, str]:
    """Compile a table to a PDF page, or a whole document such as the report. Returns (made,
    message).

    Without a TeX engine, or without one of the TeX packages, nothing is made and the message says
    what to install. A LaTeX error is a `UserError` with its first line.
    """
    tex, pdf = Path(tex), Path(pdf)
    if not tex.exists():
        raise UserError(f"{tex}: no such table; make it first, with snakemake {tex}")
    engine = shutil.which("pdflatex")
    if engine is None:
        return False, (
            f"{pdf}: not made, no TeX engine (pdflatex) is installed; {tex} is complete without it"
        )
    with tempfile.TemporaryDirectory(prefix="tsgbench-tex-") as name:
        folder = Path(name)
        passes = _lay_out(tex, folder)
        for _ in range(passes):
            output = _run_engine(engine, folder, tex)
        made = folder / "page.pdf"
        missing = re.search(r"File [`'](\S+\.sty)' not found", output)
        if missing:
            return False, (
                f"{pdf}: not made, TeX lacks the package {missing[1]}; install it (on Debian: "
                f"texlive-science, texlive-latex-extra, lmodern); {tex} is complete without it"
            )
        error = re.search(r"^! (.+)$|^\S+:\d+: (.+)$", output, re.MULTILINE)
        if error or not made.exists():
            said = (error[1] or error[2]) if error else "no page came out"
            raise UserError(f"{tex}: LaTeX says: {said}; write the table again")
        with atomic_path(pdf) as temporary:
            shutil.copyfile(made, temporary)
    return True, ""


def _lay_out(tex: Path, folder: Path) -> int:
    """Put all that LaTeX may read into a folder of its own; how many passes it takes."""
    text = tex.read_text(encoding="utf-8")
    if "\\documentclass" not in text:
        is_wide = max((line.count("&") for line in text.splitlines()), default=0) > 2 * 9
        document = render_document("page.tex", is_wide=is_wide, packages=",".join(PACKAGES))
        (folder / "table.tex").write_text(text, encoding="utf-8")
        (folder / "page.tex").write_text(document, encoding="utf-8")
        return 1
    (folder / "page.tex").write_text(text, encoding="utf-8")
    for name in sorted(set(re.findall(r"\\includegraphics(?:\[[^]]*\])?\{([^}]+)\}", text))):
        source, copy = tex.parent / name, folder / name
        if not copy.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{tex}: \\includegraphics: {name}: leaves the folder of the document")
        if not source.exists():
            raise UserError(f"{source}: no such figure, which {tex} shows; run snakemake {source}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return PASSES


def _run_engine(engine: str, folder: Path, tex: Path) -> str:
    command = [engine, "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
    # A fixed date makes equal tables equal files; the table may read nothing outside its folder
    environment = os.environ | {
        "SOURCE_DATE_EPOCH": "0",
        "FORCE_SOURCE_DATE": "1",
        "openin_any": "p",
        "openout_any": "p",
        "max_print_line": "1000",
    }
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=COMPILE_S
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{tex}: LaTeX did not finish within {COMPILE_S} s; write the table again"
        ) from None
    return done.stdout.decode("utf-8", errors="replace")
