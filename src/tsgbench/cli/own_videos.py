"""Features of one's own video files, by a recipe of config/features.yaml, without a study."""

from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.features.extract import extract
from tsgbench.features.failures import listed_if_stopped, write_failures
from tsgbench.features.recipe import bearing_all_but_one
from tsgbench.features.store import check_name
from tsgbench.features.video import shown
from tsgbench.files import digest, sha256_file
from tsgbench.training.devices import choose_device

WITHOUT_WEIGHTS = ("thumbnail",)


def find_recipe(name: str, clips: dict[str, dict]) -> dict:
    """The recipe `name`, or the first of the extractor `name`, one with a checkpoint if any is."""
    if name in clips:
        return clips[name]
    fitting = [recipe for recipe in clips.values() if recipe["extractor"] == name]
    for recipe in [*(recipe for recipe in fitting if recipe["checkpoint"]), *fitting]:
        return recipe
    extractors = sorted({recipe["extractor"] for recipe in clips.values()})
    raise UserError(
        f"--extractor: {name!r} is neither an extractor ({', '.join(extractors)}) nor a recipe of"
        f" config/features.yaml ({', '.join(clips)})"
    )


def extract_files(
    paths: list[Path],
    out: Path,
    *,
    recipe: dict,
    checkpoint: Path | None = None,
    threads: int = 1,
) -> dict:
    """Features of video files, each called by its name without the ending, in the feature file
    `out`; returns `extract`'s facts. Without a checkpoint the weights are random.

    Files that cannot be read are listed in the facts and, beside `out`, in `{name}.failed.csv`; if
    none can, that is a `UserError`.
    """
    videos: dict[str, Path] = {}
    for path in paths:
        check_name(path.stem, shown(path))
        if path.stem in videos:
            raise UserError(
                f"{path}: has the same name as {videos[path.stem]}, and a feature file knows videos"
                " by their names; rename one of them"
            )
        videos[path.stem] = path
    recipe = bearing_all_but_one(recipe, len(videos))
    if checkpoint is None:
        recipe |= {"checkpoint": None}
    elif recipe["extractor"] in WITHOUT_WEIGHTS:
        raise UserError(
            f"{checkpoint}: extractor {recipe['extractor']!r} has no weights that it could hold;"
            " leave --checkpoint out, or choose another extractor"
        )
    weights = sha256_file(checkpoint) if checkpoint and checkpoint.is_file() else None
    listed = out.with_name(f"{out.stem}.failed.csv")
    with listed_if_stopped(listed):
        facts = extract(
            videos,
            out,
            recipe=recipe,
            identity=digest({"recipe": recipe, "weights": weights, "videos": sorted(videos)}),
            threads=threads,
            checkpoint=checkpoint,
            device=str(choose_device(waits=False)),
        )
    if facts["failed"]:
        write_failures(listed, facts["failed"])
    return facts
