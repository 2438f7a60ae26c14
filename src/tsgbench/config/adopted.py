"""Predictions of other programs as systems of a study: each a model that nothing trains.

`{predictions: FILE, title: …, source: …}` under `systems` gets a row and cells beside the trained
ones. Expanded, its model is called after its title and has the ablation `full` alone; the plan
adopts the file where it would train. The file's digest is a setting, so that an edited file is
adopted again, and nothing else is.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.errors import UserError
from tsgbench.files import sha256_file
from tsgbench.files.access import named

if TYPE_CHECKING:
    from tsgbench.config.catalogue import Catalogue

SEEDS = [0]  # one file, one run


def expand_adopted(config: dict, catalogue: "Catalogue", source: str) -> tuple[dict, "Catalogue"]:
    """The study and the catalogue in which every file of predictions is a model.

    config: with checked sections. source: what to call it. `UserError` for a file that is not here,
    and for a title that gives no name of its own.
    """
    if not any("predictions" in system for system in config["systems"]):
        return config, catalogue
    models, systems = dict(catalogue.models), []
    for index, system in enumerate(config["systems"]):
        if "predictions" not in system:
            systems.append(system)
            continue
        where = f"{source}: systems[{index}]"
        name = re.sub("[^a-z0-9]+", "_", system["title"].lower()).strip("_")
        if not name or name in models:
            said = f"is called {name!r} like another model" if name else "has no letter or digit"
            raise UserError(f"{where}.title: {system['title']!r} {said}; choose another title")
        models[name] = {
            "model": name,
            "title": system["title"],
            "ablations": {"full": {}},
            "predictions": _predictions(system, where),
        }
        kept = {key: system[key] for key in ("datasets", "protocols") if key in system}
        systems.append({"model": name, "seeds": SEEDS, **kept})
    return {**config, "systems": systems}, replace(catalogue, models=models)


def note_of_adopted(model: dict) -> str | None:
    """Whose predictions a model of the expanded catalogue has; None of one that is trained."""
    if "predictions" not in model:
        return None
    predictions = model["predictions"]
    return (
        f"{model['title']}: predictions of another program, not run here; {predictions['source']}"
        f" ({Path(predictions['file']).name}, SHA-256 {predictions['sha256'][:16]}…)."
    )


def _predictions(system: dict, where: str) -> dict:
    """What decides the result, and what `tsgbench explain` says of it."""
    path = Path(system["predictions"])
    if not path.is_file():
        raise UserError(
            f"{where}.predictions: {path}: no such file; paths start at the project's folder"
        )
    with named(path):
        digest = sha256_file(path)
    more = {key: system[key] for key in ("max_missing",) if key in system}
    return {"file": path.as_posix(), "sha256": digest, "source": system["source"], **more}
