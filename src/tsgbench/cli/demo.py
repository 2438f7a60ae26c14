"""`tsgbench demo`: which cells and videos the page offers."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.grounding.parts import Parts, find_cell, find_parts, refuse_unasked
from tsgbench.jobs.cells import CellId, split_ablation
from tsgbench.jobs.records import read_record
from tsgbench.planning.printed import system_label
from tsgbench.serving.desk import Offered

if TYPE_CHECKING:
    from tsgbench.planning.study import Study

MEGABYTE = 1_000_000


def trained_cells(study: "Study") -> list[Path]:
    """The folders of the study's cells that are trained here; `UserError` if none is."""
    records = (Path(study.layout.cell_record("train", str(cell))) for cell in study.cells)
    found = [path.parent for path in records if path.is_file()]
    if not found:
        train = "make table1" if study.name == "demo" else "snakemake --cores 8 phase_cells"
        raise UserError(f"study {study.name!r} has no trained cell here; train some first: {train}")
    return found


def find_offered(
    names: Iterable[str | Path], catalogue: Catalogue, *, strict: bool
) -> tuple[list[Offered], list[Parts]]:
    """The cells that can be asked, and the parts of one of them for each of their features.

    strict: refuse the others with a `UserError`; else they are left out, unless all are.
    """
    offered: list[Offered] = []
    parts: dict[str, Parts] = {}
    refused: list[UserError] = []
    for name in names:
        folder = find_cell(name)
        try:
            run = read_record(folder / "run.json")
            refuse_unasked(run)
            features = run.content["inputs"]["features"]["digest"]
            if features not in parts:
                parts[features] = find_parts(folder)
        except UserError as error:
            if strict:
                raise
            refused.append(error)
            continue
        offered.append(_offer(folder, run.content["key"], catalogue))
    if not offered:
        raise UserError(f"no cell here can be asked; of the first: {refused[0]}")
    return _told_apart(offered), list(parts.values())


def _offer(folder: Path, key: str, catalogue: Catalogue) -> Offered:
    cell = CellId.parse(key)
    entry, data = catalogue.models.get(cell.model, {}), catalogue.datasets.get(cell.dataset, {})
    label = system_label(entry.get("title", cell.model), *split_ablation(cell.ablation))
    about = f"{data.get('title', cell.dataset)}, seed {cell.seed}"
    return Offered(str(folder), label, about, folder)


def _told_apart(offered: list[Offered]) -> list[Offered]:
    """Cells of one name from several folders say theirs."""
    times = Counter((one.label, one.about) for one in offered)
    return [
        replace(one, about=f"{one.about}, {one.key}") if times[one.label, one.about] > 1 else one
        for one in offered
    ]


def check(folder: Path | None, max_upload: float) -> None:
    """`UserError`, before any work, for options that cannot be."""
    if folder and not folder.is_dir():
        raise UserError(f"--videos: {folder}: no such folder; check its name")
    if not 0 < max_upload < math.inf:
        raise UserError(f"--max-upload: {max_upload:g} is not above 0; name a number of MB")
