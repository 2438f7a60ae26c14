"""What a trained cell was made from, found by its records and checked by their digests."""

from dataclasses import dataclass
from pathlib import Path

from tsgbench.downloads.manifest import files_of
from tsgbench.errors import UserError
from tsgbench.features.failures import name_by_video
from tsgbench.files import sha256_file
from tsgbench.jobs.asking import BLANK, ON_FEATURES, RELEASED, why_unasked
from tsgbench.jobs.cells import CellId
from tsgbench.jobs.layout import Layout, studies_with_cells
from tsgbench.jobs.records import Record, damages, read_record, repair

AGAIN = "run snakemake, or `dvc pull`, in the project that trained the cell"


@dataclass(frozen=True)
class Parts:
    """run: the training's record. inputs: its `annotations`, `features` and `vocabulary`.
    extraction: the record of the raw clips. checkpoint: of the extractor, None for random weights.
    """

    run: Record
    inputs: dict[str, Record]
    extraction: Record
    checkpoint: Path | None


def find_cell(name: str | Path) -> Path:
    """The folder of a cell, given so or as `model/dataset/ablation/seed0` of any study here."""
    folder = Path(name)
    if folder.name == "run.json":
        folder = folder.parent
    if folder.is_dir():
        if not (folder / "run.json").is_file():
            raise UserError(
                f"{folder}: holds no run.json, so no trained cell; train it first, or name the"
                " folder of one that is: results/cells/seqpan/shapes/full/seed0"
            )
        return folder
    try:
        cell = CellId.parse(str(name))
    except UserError as error:
        raise UserError(f"cell {name}: no folder, and {error}") from None
    paths = [Path(Layout(s).cell_record("train", str(cell))) for s in studies_with_cells()]
    folders = [path.parent for path in paths if path.is_file()]
    if len(folders) != 1:
        said = f"several studies have it, name one: {', '.join(map(str, folders))}"
        raise UserError(f"cell {name}: {said if folders else 'not trained here; train it first'}")
    return folders[0]


def find_parts(folder: Path) -> Parts:
    """All that the cell needs; `UserError` for what is missing, damaged or remade since."""
    run = read_record(folder / "run.json")
    refuse_unasked(run)
    _check(run)
    root = project_of(folder)
    inputs = {role: _follow(run, role, root) for role in ("annotations", "features", "vocabulary")}
    extraction = _extraction(inputs["features"], root)
    checkpoint = None
    if "checkpoint" in extraction.content["inputs"]:
        (checkpoint,) = files_of(_follow(extraction, "checkpoint", root)).values()
        if sha256_file(checkpoint) != extraction.facts["weights"]:
            raise UserError(
                f"{checkpoint}: not the weights that {extraction.path} names; delete it and {AGAIN}"
            )
    return Parts(run, inputs, extraction, checkpoint)


def refuse_unasked(run: Record) -> None:
    """`UserError` if the record of a training is of a cell that cannot answer a question."""
    if reason := why_unasked(run.content):
        raise UserError(f"{run.path}: {reason}")


def data_videos(parts: Parts) -> dict[str, Path]:
    """The files of the videos behind a cell's features, by name without ending."""
    return name_by_video(files_of(_follow(parts.extraction, "videos", project_of(parts.run.path))))


def _extraction(features: Record, root: Path) -> Record:
    """The record of the raw clips behind a cell's features."""
    phase = features.content["phase"]
    if phase == "reduce":
        clips = _follow(features, "clips", root)
        if clips.content["phase"] == "extract":
            return clips
        phase = clips.content["phase"]
    raise UserError(f"{features.path}: {ON_FEATURES[BLANK if phase == BLANK else RELEASED]}")


def project_of(folder: Path) -> Path:
    """The project's folder, to which the paths in records are relative."""
    parents = [parent for parent in folder.absolute().parents if parent.name == "results"]
    return parents[0].parent if parents else Path()


def _follow(record: Record, role: str, root: Path) -> Record:
    entry = record.content["inputs"][role]
    path = root / entry["record"]
    if not path.is_file():
        raise UserError(
            f"{path}: missing, and {record.path} was made from it; run snakemake --cores 8"
            f" {entry['record']}, or `dvc pull`, in the project that trained the cell"
        )
    current = read_record(path)
    if current.digest != entry["digest"]:
        raise UserError(
            f"{path}: made anew since {record.path} was: its digest is {current.digest}, not"
            f" {entry['digest']}; {AGAIN}"
        )
    _check(current)
    return current


def _check(record: Record) -> None:
    for problem in damages(record):
        raise UserError(f"{repair(problem)}{AGAIN}")
