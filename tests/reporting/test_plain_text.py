"""Texts of data are drawn as they stand: a `$` in a sentence is a dollar, not mathematics."""

import pkgutil
import re
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import tsgbench
from reporting import curve_samples
from reporting.qualitative_samples import PRINTED, inspection_record, invented, make_spec
from reporting.report_samples import statistics_record
from tsgbench.reporting import figures
from tsgbench.reporting.plotting import PLAIN_TEXT

HARD = r"pays $\frac$ of $5 and $x_{2$"  # matplotlib's parser ends at the first of these
# As sentences, names and titles: what a parser of mathematics or LaTeX would take for its own, what
# is no letter, what a font lacks, what is drawn from right to left or takes no room, and much of it
ODD = {
    "dollars": HARD,
    "a dollar at its end": "costs 5$",
    "LaTeX": "100% #1 _a^{b} & ~ \\end{document} \\",
    "lines": "a\nb\tc\r\nd\u2028e",
    "emoji": "a \U0001f600 \U0001f469\u200d\U0001f467 runs",
    "Chinese": "\u4e00\u4e2a\u4eba\u6253\u5f00\u95e8",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627",
    "composed": "e\u0301\u0323 a\u20dd n" + "\u0303" * 40,
    "invisible": "a\ufeffb\u200b\u00adc",
    "control": "a\0b\x1b[31m\x07",
    "no characters": "\ue000\U0010ffff",
    "long": "word " * 400,
}
KINDS = sorted(module.name for module in pkgutil.iter_modules(figures.__path__))


@pytest.fixture
def drawn(monkeypatch):
    """Every text of the figures that are saved from now on."""
    found, save = [], Figure.savefig

    def spy(self, *args, **more):
        save(self, *args, **more)
        found.extend(self.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


def statistics_figure(folder):
    spec = {"kind": "moment_distribution", "printed": None, "datasets": {"real": HARD}}
    return spec, {"statistics:real": statistics_record(folder)}


def curves(kind: str, folder):
    spec = curve_samples.spec_of(kind)
    for system in spec["systems"]:
        system["label"] = f"{system['ablation']} {HARD}"
    spec["datasets"] = {"real": HARD}
    spec["printed"] |= {"paper": HARD, "figure": HARD}
    if kind == "sweep":
        spec["options"] = spec["options"] | {"x_label": HARD}
        spec["options"]["baseline"] = spec["options"]["baseline"] | {"label": HARD}
    return spec, curve_samples.Cells(folder).write_all(kind).records


def single_queries(kind: str, folder):
    query = invented("q0", "best", sentence=HARD, video_id=HARD, split=HARD)
    spec = make_spec(kind, datasets={"real": HARD, "elsewhere": HARD})
    for system in spec["systems"]:
        system["label"] = f"{system['model']} {HARD}"
    examples = {"examples": [{"query": HARD + " always", "gt_s": [1.0, 2.0]}]}
    spec["printed"] = PRINTED | {"numbers": examples}
    return spec, {"inspection:model/real/full/seed0": inspection_record(folder, [query])}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", ["moment_distribution", "iou_histogram", "timelines"])
def test_any_text_is_drawn_as_pdf_and_png(kind, name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "HARD", ODD[name])
    spec, records = sample(kind, tmp_path / "records")
    common = {"id": f"paper/{kind}", "study": "invented", "title": ODD[name], "is_demo": True}
    pdf, png, _ = figures.write_figure(spec | common, records, tmp_path / "figure")
    assert pdf.read_bytes().startswith(b"%PDF") and png.read_bytes().startswith(b"\x89PNG")


def sample(kind: str, folder):
    if kind == "moment_distribution":
        return statistics_figure(folder)
    is_curve = kind in curve_samples.ABLATIONS
    return (curves if is_curve else single_queries)(kind, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_dollars(kind, tmp_path, drawn):
    spec, records = sample(kind, tmp_path / "records")
    common = {"id": f"paper/{kind}", "study": "invented", "title": HARD, "is_demo": True}
    paths = figures.write_figure(spec | common, records, tmp_path / "figure")
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert any("$" in text.get_text() for text in drawn)
    assert not [text for text in drawn if text.get_parse_math()]


def test_nothing_that_saves_a_figure_leaves_mathematics_on():
    root = Path(tsgbench.__file__).parent
    assert [path.name for path in root.rglob("*.py") if "savefig(" in path.read_text()] == [
        "plotting.py"
    ]
    saving = [
        path for path in root.rglob("*.py") if re.search(r"\bsave\(.*(?:150|DPI)", path.read_text())
    ]
    assert len(saving) == 3
    for path in saving:  # the style of all reports holds it
        assert re.search("rc_context\\((PLAIN_TEXT|STYLE)\\)", path.read_text()), path
    assert figures.STYLE.items() >= PLAIN_TEXT.items()
