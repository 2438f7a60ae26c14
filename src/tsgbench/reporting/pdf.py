"""PDF pages of tables and of the report, where TeX is installed."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import atomic_path
from tsgbench.reporting.latex import PACKAGES
from tsgbench.reporting.templates import render_document

REMEDY = "on Debian: texlive-science, texlive-latex-extra, lmodern"
COMPILE_S = 300
PROBE_S = 60
MISSING = (
    r"File [`'](\S+\.(?:sty|cls|def|cfg|fd|tex))' not found",
    r"can't find the format file [`'](\S+)'",
    r"\(file (\S+)\): Font \S+ at \d+ not found",
    r"^! Font \S+?=(\S+) .*not loadable",
)
PASSES = 3  # a document's table of contents settles in its third
OF_REPORTS = ("float", "graphicx")  # beside what the page of a table loads
# Every font and command that tables and the report take from a package
SAMPLE = r"""\begin{table}[htbp]\centering\footnotesize\caption{Sample}
\begin{adjustbox}{max width=\linewidth}
\begin{tabular}{@{}l@{\hspace{7pt}}r@{\,}l@{}}
\toprule & \multicolumn{2}{c}{\textbf{R@1}} \\ \cmidrule(lr){2-3} \midrule
\textit{it} & \href{page.html}{\num{1.25}} & $^*${\tiny$\pm$\,\num{0.5}} \\ \addlinespace
\textcolor{gray}{\texttt{tt}} & \underline{\num{2}} & $\geq\theta\uparrow$ \\ \bottomrule
\end{tabular}
\end{adjustbox}
\smallskip\parbox{\linewidth}{\scriptsize é ł ß {\LARGE\bfseries Title}}
\end{table}
"""


def why_no_pdf() -> str | None:
    """What keeps this machine from making PDFs, in a line; None if a page of ours compiles.

    Packages load others, which load fonts, which need a format: only compiling proves them all.
    """
    engine = shutil.which("pdflatex")
    if engine is None:
        reason: str | None = "no TeX engine (pdflatex) is installed"
    else:
        with tempfile.TemporaryDirectory(prefix="tsgbench-tex-") as name:
            reason = _try_out(engine, Path(name))
    return reason and f"PDFs are not made: {reason}; the .tex files are complete"


def _try_out(engine: str, folder: Path) -> str | None:
    """Compile the sample page; why that failed."""
    _wrap(SAMPLE, folder, (*PACKAGES, *OF_REPORTS))
    try:
        output = _run_engine(engine, folder, PROBE_S)
    except subprocess.TimeoutExpired:
        return f"TeX did not finish a sample page within {PROBE_S} s"
    except OSError as error:
        return f"{engine} does not start ({error.strerror})"
    if missing := _missing_file(output):
        return f"TeX lacks {missing} ({REMEDY})"
    if not (folder / "page.pdf").exists():
        return f"TeX fails on a sample page: {_complaint(output)} ({REMEDY})"
    return None


def compile_pdf(tex: str | Path, pdf: str | Path) -> tuple[bool, str]:
    """Compile a table to a PDF page, or a whole document such as the report. Returns (made,
    message).

    Without a TeX engine, or without one of the TeX packages, nothing is made and the message says
    what to install. A LaTeX error is a `UserError` with its first line.
    """
    tex, pdf = Path(tex), Path(pdf)
    if not tex.exists():
        raise UserError(f"{tex}: no such table; make it first: snakemake --cores 8 {tex}")
    engine = shutil.which("pdflatex")
    if engine is None:
        return False, (
            f"{pdf}: not made, no TeX engine (pdflatex) is installed; {tex} is complete without it"
        )
    with tempfile.TemporaryDirectory(prefix="tsgbench-tex-") as name:
        folder = Path(name)
        passes = _lay_out(tex, folder)
        for _ in range(passes):
            output = _compile(engine, folder, tex)
        made = folder / "page.pdf"
        if missing := _missing_file(output):
            return False, (
                f"{pdf}: not made, TeX lacks {missing}; install it ({REMEDY}); {tex} is complete"
                " without it"
            )
        # With --halt-on-error, a page of an earlier pass may be there still
        if _error(output) or not made.exists():
            raise UserError(f"{tex}: LaTeX says: {_complaint(output)}; write the table again")
        with atomic_path(pdf) as temporary:
            shutil.copyfile(made, temporary)
    return True, ""


def _lay_out(tex: Path, folder: Path) -> int:
    """Put all that LaTeX may read into a folder of its own; how many passes it takes."""
    text = tex.read_text(encoding="utf-8")
    if "\\documentclass" not in text:
        is_wide = max((line.count("&") for line in text.splitlines()), default=0) > 2 * 9
        _wrap(text, folder, PACKAGES, is_wide=is_wide)
        return 1
    (folder / "page.tex").write_text(text, encoding="utf-8")
    for name in sorted(set(re.findall(r"\\includegraphics(?:\[[^]]*\])?\{([^}]+)\}", text))):
        source, copy = tex.parent / name, folder / name
        if not copy.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{tex}: \\includegraphics: {name}: leaves the folder of the document")
        if not source.exists():
            raise UserError(
                f"{source}: no such figure, which {tex} shows; run snakemake --cores 8 {source}"
            )
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return PASSES


def _wrap(table: str, folder: Path, packages: Iterable[str], *, is_wide: bool = False) -> None:
    """Write a table and the page that shows it."""
    document = render_document("page.tex", is_wide=is_wide, packages=",".join(packages))
    (folder / "table.tex").write_text(table, encoding="utf-8")
    (folder / "page.tex").write_text(document, encoding="utf-8")


def _compile(engine: str, folder: Path, tex: Path) -> str:
    try:
        return _run_engine(engine, folder, COMPILE_S)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{tex}: LaTeX did not finish within {COMPILE_S} s; write the table again"
        ) from None


def _run_engine(engine: str, folder: Path, timeout_s: float) -> str:
    """One pass over `page.tex`; what TeX said."""
    command = [engine, "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
    # A fixed date makes equal tables equal files; the table may read nothing outside its folder
    environment = os.environ | {
        "SOURCE_DATE_EPOCH": "0",
        "FORCE_SOURCE_DATE": "1",
        "openin_any": "p",
        "openout_any": "p",
        "max_print_line": "1000",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
    )
    return done.stdout.decode("utf-8", errors="replace")


def _missing_file(output: str) -> str | None:
    """The package, font or format that TeX looked for in vain."""
    match = next(filter(None, (re.search(said, output, re.MULTILINE) for said in MISSING)), None)
    return match and match[1]


def _error(output: str) -> str | None:
    match = re.search(r"^!\s*(.+)$|^\S+:\d+: (.+)$", output, re.MULTILINE)
    return match and (match[1] or match[2])


def _complaint(output: str) -> str:
    return _error(output) or next(iter(output.strip().splitlines()), "no page came out")
