"""The whole check of the catalogue and of a study: sections, names, and what does not fit together.

Imported only where a check is not remembered: it takes pydantic and the building of its models.
"""

from collections.abc import Callable, Iterable, Iterator

from tsgbench.config import references
from tsgbench.config.adopted import expand_adopted
from tsgbench.config.catalogue import Catalogue
from tsgbench.config.layers import Piece
from tsgbench.config.own import expand_own
from tsgbench.config.refusals import check
from tsgbench.config.sections import conventions, datasets, features, models, sources
from tsgbench.config.sections.study import study_type
from tsgbench.config.signatures import Signature
from tsgbench.config.values import merge
from tsgbench.config.variants import DIFFERENCES, check_variants, expand_variants
from tsgbench.errors import UserError
from tsgbench.outside import blaming
from tsgbench.settings import misfit_of_inputs, misfit_of_model

SettingsOf = Callable[[dict, Catalogue], Iterable[tuple[str, dict]]]

SECTIONS = {
    "datasets": datasets.FILE,
    "features": features.FILE,
    "sources": sources.FILE,
    "conventions": conventions.FILE,
}
# What a further file, beside the shipped one, need not hold
ADDED = {"conventions": conventions.ADDED}


def check_catalogue(found: dict, pieces: list[Piece]) -> None:
    """Refuse files of `config/` that a section, a name or a combination does not allow.

    found: `models` and `published`, by name; `datasets`, `features`, `sources`, `conventions`.
    pieces: the files that they were joined from.
    """
    seen: set[str] = set()
    for piece in pieces:
        if piece.section in SECTIONS and (piece.entries or piece.section not in seen):
            kind = ADDED.get(piece.section) if piece.section in seen else None
            with blaming(piece.module):
                check(kind or SECTIONS[piece.section], piece.entries, str(piece.path))
        seen.add(piece.section)
    # What names another entry may name one of any file; the last file is the user's own, if any
    source = {piece.section: str(piece.path) for piece in pieces}
    for name, entry in found["datasets"].items():
        where = f"{source['datasets']}: {name}.settings"
        with blaming(entry["reader"]):
            check(datasets.reader_type(entry["reader"]), entry.get("settings", {}), where)
    for name, clips in found["features"]["clips"].items():
        where = f"{source['features']}: clips.{name}.network"
        check(features.network_type(clips["extractor"]), clips.get("network", {}), where)
    references.check_protocols(found["datasets"], source["datasets"])
    references.check_datasets(found, source["datasets"])
    references.check_sources(found["sources"], source["sources"])
    references.check_recipes(found, source["features"])
    references.check_conventions(found, source["conventions"])
    for piece in pieces:
        for name, entry in piece.entries.items() if piece.section == "models" else ():
            with blaming(piece.module):
                _check_model(name, entry, found, str(piece.path))


def check_study(config: dict, catalogue: Catalogue, source: str, settings_of: SettingsOf) -> None:
    """Refuse a study whose sections, names or cells the catalogue does not allow.

    settings_of: what the plan makes of the study, each cell's name and settings, to be checked for
    what the study's overrides make of it: each part may be allowed and the whole not.
    """
    if "extends" in config:
        raise UserError(f"{source}: extends: is for a file; read it with `load_study`")
    known = {name: entry.get("module", name) for name, entry in catalogue.models.items()}
    check(study_type(*known.items()), config, source)
    owned = [name for name, chosen in config["datasets"].items() if "own" in chosen]
    config, catalogue = expand_own(config, catalogue, source)
    for name in owned:
        entry = {f"{name}.own": catalogue.datasets[name]}
        references.check_protocols(entry, f"{source}: datasets")
        for convention in entry[f"{name}.own"]["conventions"]:
            where = f"{source}: datasets.{name}.own.conventions"
            references.need_known(convention, catalogue.conventions, where, "convention")
    config, catalogue = expand_adopted(config, catalogue, source)
    check_variants(config, catalogue, source)
    for index, system in enumerate(config["systems"]):
        if system["model"] not in known:  # nothing to set: its predictions are there
            continue
        parts = models.parts_of(system["model"], known[system["model"]], partial=True)
        for key, part in DIFFERENCES.items():
            check(parts[part], system.get(key, {}), f"{source}: systems[{index}].{key}")
    config, catalogue = expand_variants(config, catalogue)
    references.check_names_of_study(config, catalogue, source)
    for cell, settings in settings_of(config, catalogue):
        if settings["model"] not in known:
            continue
        signature = models.signature_of(settings["model"], settings["module"])
        _refuse_misfit(
            signature, settings["model_settings"], settings["inputs"], f"{source}: {cell}"
        )


def _check_model(name: str, entry: dict, found: dict, source: str) -> None:
    if not isinstance(entry.get("module", name), str):
        raise UserError(f"{source}: module: should name a file of src/tsgbench/models")
    module = entry.get("module", name)
    check(models.entry_type(name, module), entry, source)
    references.check_model(entry, found, source)
    signature = models.signature_of(name, module)
    for combination, merged in _combinations(entry, list(found["datasets"])):
        _refuse_misfit(
            signature, merged.get("model", {}), merged["inputs"], f"{source}: {combination}"
        )


def _combinations(entry: dict, known: list[str]) -> Iterator[tuple[str, dict]]:
    """Settings of every data set, preset and ablation, merged as for a cell; what to call each."""
    presets = {None: {}, **entry.get("presets", {})}
    for preset, difference in presets.items():
        for dataset in known:
            base = entry["settings"]
            for layer in (
                difference,
                entry.get("datasets", {}).get(dataset, {}),
                difference.get("datasets", {}).get(dataset, {}),
            ):
                base = merge(base, _settings(layer))
            for name, ablation in entry["ablations"].items():
                if dataset in ablation.get("datasets", [dataset]):
                    with_preset = f" with preset {preset}" if preset else ""
                    called = f"ablations.{name} on {dataset}{with_preset}"
                    yield called, merge(base, _settings(ablation))


def _settings(layer: dict) -> dict:
    return {part: layer[part] for part in ("inputs", "model", "train") if part in layer}


def _refuse_misfit(signature: Signature, model: dict, inputs: dict, where: str) -> None:
    """`UserError` for settings that are each allowed and do not fit together."""
    settings = signature.defaults | model
    misfit = misfit_of_model(settings, signature.conflicts)
    if misfit := (misfit and f"model.{misfit}") or misfit_of_inputs(inputs, settings):
        raise UserError(f"{where}: {misfit}")
