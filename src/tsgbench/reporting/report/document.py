"""The report as a LaTeX document: title, contents, notes, every table and figure by its number."""

import os
from pathlib import Path

from tsgbench.reporting.latex import PACKAGES, escape
from tsgbench.reporting.report.content import Entry, Report, Section

PAGE = "report.html"  # whose sections the numbers link to
PREAMBLE = r"""\documentclass[a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
\usepackage[margin=1.8cm]{geometry}
\usepackage{graphicx,float,%(packages)s}
\usepackage[hidelinks]{hyperref}
\ifdefined\pdftrailerid\pdftrailerid{}\fi
%% Titles of sections are the papers' own numbers; LaTeX counts nothing itself
\setcounter{secnumdepth}{0}
\setcounter{tocdepth}{2}
\renewcommand{\theHtable}{\arabic{table}}
\renewcommand{\theHfigure}{\arabic{figure}}
\makeatletter
\renewcommand{\@makecaption}[2]{%%
  \vskip\abovecaptionskip\small\textbf{#1.} #2\par\vskip\belowcaptionskip}
\makeatother
\setlength{\parindent}{0pt}\setlength{\parskip}{4pt plus 1pt}
\emergencystretch=2em
"""


def render_report_latex(report: Report, folder: Path | str) -> str:
    """folder: where the document will lie; figures are named relative to it."""
    lines = [
        f"% report of study {' '.join(report.study.split())}, identity {report.identity}; "
        "written by tsgbench",
        PREAMBLE % {"packages": ",".join(PACKAGES)},
        "\\begin{document}",
        *_title(report),
        "\\tableofcontents",
        "\\clearpage",
        *_protocol(report),
    ]
    for section in report.sections:
        lines += ["\\clearpage", *_section(section, folder)]
    return "\n".join([*lines, "\\end{document}"]) + "\n"


def _title(report: Report) -> list[str]:
    demo = (
        "\\medskip\\fbox{\\parbox{\\dimexpr\\linewidth-2\\fboxsep-2\\fboxrule}{"
        "\\textbf{DEMO numbers} on generated data, not results on any public data set: they show "
        "that the pipeline works and nothing else.}}"
    )
    links = f"Every reproduced number is a link to its runs in {PAGE} beside this document" + (
        ", which also holds the study's findings." if report.findings else "."
    )
    study = f"Study “{report.study}”: {report.title}"
    return [
        "\\thispagestyle{empty}",
        "{\\LARGE\\bfseries Printed tables and figures, reproduced\\par}",
        f"\\smallskip{{\\large {escape(study)}\\par}}",
        *([demo] if report.is_demo else []),
        "\\par\\medskip",
        *(f"{escape(line)}\\par" for line in report.summary),
        escape(links),
        "",
        f"Identity of this report: \\texttt{{{escape(report.identity)}}}.",
        "\\bigskip",
    ]


def _protocol(report: Report) -> list[str]:
    lines = ["\\section{Protocols and data}"]
    if report.conventions:
        lines += ["Ways of scoring that the tables use:", "\\begin{itemize}"]
        lines += [
            f"\\item \\textbf{{{escape(name)}}}: {escape(about)}."
            for name, about in report.conventions.items()
        ]
        lines.append("\\end{itemize}")
    for name, notes in report.data.items():
        lines += [f"\\subsection{{{escape(name)}}}", "\\begin{itemize}"]
        lines += [f"\\item {escape(note)}" for note in notes]
        lines.append("\\end{itemize}")
    return lines


def _section(section: Section, folder: Path | str) -> list[str]:
    lines = [f"\\section{{{escape(section.title)}}}", escape(section.about), ""]
    for entry in section.entries:
        lines += _table(entry) if entry.kind == "table" else _figure(entry, folder)
    return lines


def _head(entry: Entry) -> list[str]:
    """The entry in the contents, and its printed number for the captions that follow."""
    label, _, number = entry.title.rpartition(" ")
    if not number[:1].isdigit():
        label, number = entry.title, ""
    kind = entry.kind
    return [
        "\\phantomsection",
        f"\\addcontentsline{{toc}}{{subsection}}{{{escape(_in_contents(entry))}}}",
        f"\\renewcommand{{\\{kind}name}}{{{escape(label)}}}",
        f"\\renewcommand{{\\the{kind}}}{{{escape(number)}}}",
    ]


def _in_contents(entry: Entry) -> str:
    """Title and the first words of what it shows: one line of the contents."""
    about = entry.about.split(";")[0].split(":")[0].rstrip(". ")
    words = about if len(about) <= 70 else about[:70].rsplit(" ", 1)[0].rstrip(",;") + " …"
    return f"{entry.title}: {words}" if words else entry.title


def _table(entry: Entry) -> list[str]:
    text = entry.file(".tex").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("%", "\\providecommand"))]
    text = "\n".join(lines)
    text = text.replace("\\begin{table}[htbp]", "\\begin{table}[H]")
    # One page holds all sections here; a table alone links to its own
    text = text.replace(f"\\href{{{entry.stem.name}.html\\#", f"\\href{{{PAGE}\\#")
    # The caption's label says it already
    text = text.replace(f"{escape(entry.title)}: ", "", 1)
    return [*_head(entry), text, ""]


def _figure(entry: Entry, folder: Path | str) -> list[str]:
    path = Path(os.path.relpath(entry.file(".pdf"), folder)).as_posix()
    demo = "DEMO data. " if entry.settings.get("is_demo") else ""
    caption = f"{demo}{entry.caption}"
    return [
        *_head(entry),
        "\\begin{figure}[H]",
        "\\centering",
        f"\\includegraphics[width=\\linewidth,height=.78\\textheight,keepaspectratio]{{{path}}}",
        f"\\caption{{{escape(caption)}}}",
        "\\end{figure}",
        "",
    ]
