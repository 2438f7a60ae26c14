"""`tsgbench demo`: which cells and videos the page offers."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.config import Catalogue, extend_study, find_study, read_yaml
from tsgbench.errors import UserError
from tsgbench.grounding.parts import Parts, find_parts, project_of, refuse_unasked
from tsgbench.jobs.cells import CellId, split_ablation
from tsgbench.jobs.layout import layout_of_cell
from tsgbench.jobs.records import read_record
from tsgbench.serving.desk import Offered
from tsgbench.specifications.printed import system_label

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


@dataclass(frozen=True)
class Names:
    """What people call models and data sets, by name. rendered: data sets that code draws."""

    models: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, str] = field(default_factory=dict)
    rendered: frozenset[str] = frozenset()

    @classmethod
    def near(cls, cell: Path) -> "Names":
        """Those of the project in which a cell lies; none if its config is not there."""
        try:
            catalogue = Catalogue.load(project_of(cell))
        except UserError:
            return cls()
        titles = {name: entry["title"] for name, entry in catalogue.datasets.items()}
        return cls(
            {name: entry["title"] for name, entry in catalogue.models.items()},
            titles | _own_titles(cell),
            frozenset(name for name, entry in catalogue.datasets.items() if "render" in entry),
        )


def _own_titles(cell: Path) -> dict[str, str]:
    """What a cell's study calls its data sets of one's own; nothing if its file is not there."""
    root, name = project_of(cell), layout_of_cell(cell.absolute()).study
    try:
        file = find_study(name, root)
        datasets = extend_study(read_yaml(root / file), file, root)["datasets"] if file else {}
        return {
            one: chosen["own"].get("title", one)
            for one, chosen in datasets.items()
            if "own" in chosen
        }
    except (UserError, AttributeError, KeyError, TypeError):  # it was edited since
        return {}


@dataclass(frozen=True)
class Offer:
    """parts: of one cell for each of the features. title: of the cells' data sets. is_demo: whether
    one of them is made by code."""

    cells: list[Offered]
    parts: list[Parts]
    names: Names
    title: str
    is_demo: bool


def find_offer(folders: list[Path], *, strict: bool) -> Offer:
    """The cells that can be asked.

    strict: refuse the others with a `UserError`; else they are left out, unless all are.
    """
    names = Names.near(folders[0])
    offered: list[Offered] = []
    parts: dict[str, Parts] = {}
    refused: list[UserError] = []
    datasets: dict[str, None] = {}
    for folder in folders:
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
        cell = CellId.parse(run.content["key"])
        datasets[cell.dataset] = None
        offered.append(_offer(folder, cell, names))
    if not offered:
        raise UserError(f"no cell here can be asked; of the first: {refused[0]}")
    title = ", ".join(names.datasets.get(one, one) for one in datasets)
    is_demo = not names.rendered.isdisjoint(datasets)
    return Offer(_told_apart(offered), list(parts.values()), names, title, is_demo)


def _offer(folder: Path, cell: CellId, names: Names) -> Offered:
    label = system_label(names.models.get(cell.model, cell.model), *split_ablation(cell.ablation))
    about = f"{names.datasets.get(cell.dataset, cell.dataset)}, seed {cell.seed}"
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
