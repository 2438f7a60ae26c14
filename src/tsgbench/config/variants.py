"""Variants: one model several times in a study, `{model: seqpan, as: lr2, train: {lr: 2.0e-4}}`.

A variant is a model of its own to all that follows: its entry is the model's with another name, its
settings the model's overrides with the differences on top. So its cells have their own folders, and
it stands as a row of its own.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from tsgbench.config.references import need_known
from tsgbench.config.values import merge
from tsgbench.errors import UserError

if TYPE_CHECKING:
    from tsgbench.config.catalogue import Catalogue

# As a system says it -> as an override does, where `model` is not the model's name
DIFFERENCES = {"inputs": "inputs", "model_settings": "model", "train": "train"}


def expand_variants(config: dict, catalogue: "Catalogue") -> tuple[dict, "Catalogue"]:
    """The study and the catalogue in which each variant is a model. config: with checked sections
    and variants."""
    variants = {system["as"]: system for system in config["systems"] if "as" in system}
    if not variants:
        return config, catalogue
    overrides, models = dict(config.get("overrides", {})), dict(catalogue.models)
    for name, system in variants.items():
        entry = models[system["model"]]
        models[name] = {
            **entry,
            "module": entry.get("module", entry["model"]),
            "title": f"{entry['title']} ({name.replace('_', ' ')})",
        }
        overrides[name] = _on_top(overrides.get(system["model"], {}), difference_of(system))
    systems = [_as_model(system) if "as" in system else system for system in config["systems"]]
    expanded = {**config, "systems": systems, "overrides": overrides}
    return expanded, replace(catalogue, models=models)


def is_variant(name: str, entry: dict) -> bool:
    """Whether an entry of the expanded catalogue is a variant, of which no paper prints numbers."""
    return entry["model"] != name


def check_variants(config: dict, catalogue: "Catalogue", source: str) -> None:
    """Refuse a variant without a name, of a name that is taken, or that means two things."""
    seen: dict[str, tuple[str, dict]] = {}
    for index, system in enumerate(config["systems"]):
        where = f"{source}: systems[{index}]"
        need_known(system["model"], catalogue.models, f"{where}.model", "model")
        difference = difference_of(system)
        if "as" not in system:
            if difference:
                raise UserError(
                    f"{where}: changes settings of {system['model']}; name the variant with `as`,"
                    " or change them in `overrides` for all of the model's cells"
                )
            continue
        name = system["as"]
        if name in catalogue.models:
            raise UserError(f"{where}.as: {name!r} is a model itself; choose another name")
        meant = (system["model"], difference)
        if seen.setdefault(name, meant) != meant:
            raise UserError(
                f"{where}.as: {name!r} stands above with another model or other settings; repeat"
                " these, or choose another name"
            )


def difference_of(system: dict) -> dict:
    """What a system changes of its model, as an override would say it."""
    return {part: system[key] for key, part in DIFFERENCES.items() if key in system}


def _on_top(override: dict, difference: dict) -> dict:
    """The override with the difference, which wins on every data set."""
    merged = merge(override, difference)
    by_data_set = override.get("datasets", {})
    if by_data_set:
        merged["datasets"] = {
            dataset: merge(layer, difference) for dataset, layer in by_data_set.items()
        }
    return merged


def _as_model(system: dict) -> dict:
    kept = {key: value for key, value in system.items() if key not in ("as", *DIFFERENCES)}
    return {**kept, "model": system["as"]}
