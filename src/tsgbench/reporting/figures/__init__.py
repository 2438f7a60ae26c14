"""Figures of the papers: one module a kind, found by its name.

A kind is a module of this folder with one function, registered under the module's name:
`draw(spec, records) -> (figure, rows)`: a matplotlib figure, and every number drawn as rows of one
CSV. `write_figure` does what all kinds share, so that each can be read in black and white, carries
its fonts, is cut nowhere and repeats byte by byte.
"""

import csv
import importlib
import io
import logging
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tsgbench.reporting.figures as package
from tsgbench.errors import UserError
from tsgbench.files import atomic_path, write_text
from tsgbench.jobs.records import Record
from tsgbench.reporting.page import add_headline
from tsgbench.reporting.plotting import PLAIN_TEXT, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
STYLE: Any = PLAIN_TEXT | {
    "pdf.fonttype": 42,  # fonts whole, as text that can be searched
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

Draw = Callable[[dict, dict[str, Record]], tuple["Figure", list[dict]]]
_KINDS: dict[str, Draw] = {}


def register(kind: str) -> Callable[[Draw], Draw]:
    """Function decorator: make a kind of figure known under `kind`, its module's name."""

    def add(draw: Draw) -> Draw:
        _KINDS[kind] = draw
        return draw

    return add


def find_kind(kind: str) -> Draw:
    """The function that draws a kind; only its own module is imported."""
    known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if kind not in known:
        raise UserError(f"figures: kind {kind!r} is not known; use one of {', '.join(known)}")
    importlib.import_module(f"{package.__name__}.{kind}")
    return _KINDS[kind]


def write_figure(spec: dict, records: dict[str, Record], stem: str | Path) -> list[Path]:
    """Draw `spec["kind"]` and write `{stem}.pdf`, `.png` and `.csv`; returns their paths.

    spec: `id`, `kind`, `study`, `title`, `is_demo`, and what the kind reads.
    """
    from matplotlib import rc_context

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of a font
    stem = Path(stem)
    draw = find_kind(spec["kind"])
    paths = [stem.with_name(f"{stem.name}.{end}") for end in ("pdf", "png", "csv")]
    with rc_context(STYLE):
        figure, rows = draw(spec, records)
        add_headline(figure, spec)
        for path in paths[:2]:
            # No creation date: equal figures are equal files
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
            with atomic_path(path) as temporary:
                save(figure, temporary, path.suffix[1:], DPI, **metadata)
    write_text(paths[2], _as_csv(spec, rows))
    return paths


def _as_csv(spec: dict, rows: list[dict]) -> str:
    columns = dict.fromkeys(["figure", "study"])
    for row in rows:
        columns.update(dict.fromkeys(row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({"figure": spec["id"], "study": spec["study"], **row} for row in rows)
    return stream.getvalue()
