"""Whether this machine can make PDFs, found out before a run starts."""

import os
import shutil
from pathlib import Path

import pytest

from tsgbench.reporting.pdf import why_no_pdf

needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine here")


def install_engine(folder: Path, script: str, monkeypatch) -> None:
    """A program in place of TeX."""
    engine = folder / "pdflatex"
    engine.write_text(script)
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@needs_tex
def test_a_tex_that_compiles_our_pages_is_fit():
    assert why_no_pdf() is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("! LaTeX Error: File `collectbox.sty' not found.", "TeX lacks collectbox.sty"),
        ("I can't find the format file `pdflatex.fmt'!", "TeX lacks pdflatex.fmt"),
        (
            "!pdfTeX error: pdflatex (file ec-lmr10): Font ec-lmr10 at 600 not found",
            "TeX lacks ec-lmr10",
        ),
        ("! Undefined control sequence.", "fails on a sample page: Undefined control sequence."),
        ("line 3: kpathsea.so: no such file", "fails on a sample page: line 3: kpathsea.so"),
        ("", "fails on a sample page: no page came out"),
    ],
)
def test_a_tex_that_lacks_something_says_what(said, reason, monkeypatch, tmp_path):
    """Also what only a package of a package loads, which no look at names would find."""
    install_engine(tmp_path, f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit 1\n", monkeypatch)
    message = why_no_pdf()
    assert message.startswith("PDFs are not made: ") and reason in message
    assert "\n" not in message and "the .tex files are complete" in message


def test_a_tex_that_hangs_or_does_not_start_is_named(monkeypatch, tmp_path):
    install_engine(tmp_path, "#!/nowhere/sh\n", monkeypatch)
    assert "does not start" in why_no_pdf()
    install_engine(tmp_path, "#!/bin/sh\nexec sleep 60\n", monkeypatch)
    monkeypatch.setattr("tsgbench.reporting.pdf.PROBE_S", 0.2)
    assert "did not finish a sample page within 0.2 s" in why_no_pdf()


@needs_tex
def test_what_a_package_lacks_in_turn_is_named(monkeypatch, tmp_path):
    """All that a table names is there; looking for names would have found nothing missing."""
    (tmp_path / "adjustbox.sty").write_text("\\RequirePackage{nosuchpackage}\n")
    monkeypatch.setenv("TEXINPUTS", f"{tmp_path}:")
    assert "TeX lacks nosuchpackage.sty (on Debian: " in why_no_pdf()
