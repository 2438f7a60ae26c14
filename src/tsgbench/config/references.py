"""Names that must stand somewhere else, and what a protocol may do: between sections and files."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tsgbench.config.values import LEARNED_VECTORS, OWN_FEATURES, as_list, protocols_of, roles_of
from tsgbench.config.wording import hint_at
from tsgbench.errors import UserError
from tsgbench.jobs.cells import DEFAULT
from tsgbench.jobs.layout import DEFAULT_STUDY, MAKERS, TAKEN

if TYPE_CHECKING:
    from tsgbench.config.catalogue import Catalogue


def need_known(name: str, known: Iterable[str], where: str, kind: str) -> None:
    """`UserError` unless `name` is among the known ones."""
    if name not in known:
        raise UserError(f"{where}: {name!r} is not a known {kind}; {hint_at(name, known)}")


def check_protocols(datasets: dict[str, dict], source: str) -> None:
    """Refuse a protocol whose test splits train, or select unless it is marked official."""
    for dataset, entry in datasets.items():
        for name, protocol in protocols_of(entry).items():
            field = "splits" if name == DEFAULT else f"protocols.{name}"
            _check_protocol(protocol, f"{source}: {dataset}.{field}")


def _check_protocol(protocol: dict, where: str) -> None:
    tested = as_list(protocol["test"])
    for split in as_list(protocol["train"]):
        if split in tested:
            raise UserError(f"{where}: {split!r} both trains and is tested; choose another split")
    for split in roles_of(protocol)["select"]:
        if split in tested and not protocol.get("official"):
            raise UserError(
                f"{where}: selects checkpoints on {split!r}, which it tests; select on another "
                "split, or make it a protocol with `official: true` for what a paper did"
            )
    for name, splits in protocol.get("score", {}).items():
        for split in as_list(splits):
            if split not in tested:
                raise UserError(f"{where}.score.{name}: {split!r} is not tested; add it to `test`")


def check_features(name: str, known: "Catalogue", where: str) -> None:
    """A recipe that a study or model names, and all that it is made of."""
    need_known(name, known.features, where, "feature recipe")


def check_datasets(found: dict, source: str) -> None:
    """Sources, conventions and printed data sets that the data sets name."""
    for dataset, entry in found["datasets"].items():
        where = f"{source}: {dataset}"
        for role, name in entry["files"].items():
            need_known(name, found["sources"], f"{where}.files.{role}", "source")
        if "videos" in entry:
            need_known(entry["videos"], found["sources"], f"{where}.videos", "source")
        for name in entry["conventions"]:
            need_known(name, found["conventions"], f"{where}.conventions", "convention")


def check_sources(sources: dict[str, dict], source: str) -> None:
    """Other sources that a source names."""
    for name, entry in sources.items():
        videos = entry.get("videos", {})
        for field, named in (
            ("needs", entry.get("needs", [])),
            ("videos.ids_from", videos.get("ids_from", [])),
            ("videos.spares", videos.get("spares", [])),
            ("videos.keys", as_list(videos.get("keys", []))),
        ):
            for other in named:
                need_known(other, sources, f"{source}: {name}.{field}", "source")


def check_recipes(found: dict, source: str) -> None:
    """Clips, releases and weights that feature recipes name."""
    clips, recipes = found["features"]["clips"], found["features"]["features"]
    released = [name for name, recipe in recipes.items() if "released" in recipe]
    for name, recipe in clips.items():
        if recipe["checkpoint"]:
            where = f"{source}: clips.{name}.checkpoint"
            need_known(recipe["checkpoint"], found["sources"], where, "source")
    for name, recipe in recipes.items():
        where = f"{source}: features.{name}"
        if "clips" in recipe:
            need_known(recipe["clips"], [*clips, *released], f"{where}.clips", "recipe")
        if "released" in recipe:
            release = recipe["released"]
            for named in as_list(release["source"]):
                need_known(named, found["sources"], f"{where}.released.source", "source")
            if "vectors" in release:
                named = release["vectors"]
                need_known(named, found["sources"], f"{where}.released.vectors", "source")


def check_conventions(found: dict, source: str) -> None:
    """Data sets on which a convention differs."""
    for name, convention in found["conventions"].items():
        for dataset in convention.get("datasets", {}):
            need_known(dataset, found["datasets"], f"{source}: {name}.datasets", "data set")


def check_model(entry: dict, found: dict, source: str) -> None:
    """Data sets, features and the paper that a model's entry names."""
    if "paper" in entry:
        need_known(entry["paper"], found["published"], f"{source}: paper", "paper")
    for path, section in layers_of(entry):
        where = f"{source}: {path}"
        if features := section.get("inputs", {}).get("features"):
            known = found["features"]["features"]
            need_known(features, known, f"{where}.inputs.features", "feature recipe")
        for dataset in section.get("datasets", []):
            need_known(dataset, found["datasets"], f"{where}.datasets", "data set")
    for dataset in entry.get("datasets", {}):
        need_known(dataset, found["datasets"], f"{source}: datasets", "data set")


def layers_of(entry: dict) -> list[tuple[str, dict]]:
    """Every section of a model's entry that states settings, with its path in the file."""
    layers = [("settings", entry["settings"])]
    for group in ("datasets", "presets", "ablations"):
        layers += [(f"{group}.{name}", layer) for name, layer in entry.get(group, {}).items()]
    for name, preset in entry.get("presets", {}).items():
        layers += [
            (f"presets.{name}.datasets.{dataset}", layer)
            for dataset, layer in preset.get("datasets", {}).items()
        ]
    return layers


def check_names_of_study(config: dict, catalogue: "Catalogue", source: str) -> None:
    """Every name by which a study means something of the catalogue, or of itself."""
    _check_folders(config, catalogue, source)
    for dataset, chosen in config["datasets"].items():
        where = f"{source}: datasets.{dataset}"
        need_known(dataset, catalogue.datasets, f"{source}: datasets", "data set")
        if chosen["features"] != OWN_FEATURES:
            check_features(chosen["features"], catalogue, f"{where}.features")
        if chosen["vectors"] != LEARNED_VECTORS:
            need_known(chosen["vectors"], catalogue.sources, f"{where}.vectors", "source")
        for maker in MAKERS:
            known = catalogue.datasets[dataset].get(maker, {})
            for key in chosen.get(maker, {}):
                need_known(key, known, f"{where}.{maker}", "setting")
    for index, system in enumerate(config["systems"]):
        _check_system(system, config, catalogue, f"{source}: systems[{index}]")
    for table, spec in config["tables"].items():
        _check_table(spec, config, catalogue, f"{source}: tables.{table}")
    for model, override in config.get("overrides", {}).items():
        need_known(model, catalogue.models, f"{source}: overrides", "model")
        _check_override(override, config, catalogue, model, f"{source}: overrides.{model}")


def _check_folders(config: dict, catalogue: "Catalogue", source: str) -> None:
    """Refuse a study, or a table of the default one, whose folder would be somebody else's."""
    name = config["study"]
    if name in TAKEN or name in catalogue.published:
        raise UserError(
            f"{source}: study: {name!r} is a folder of study {DEFAULT_STUDY!r} in results/ or"
            " logs/, where this study's would be; choose another name"
        )
    for table in config["tables"] if name == DEFAULT_STUDY else ():
        folder, slash, _ = table.partition("/")
        if slash and folder not in catalogue.published:
            raise UserError(
                f"{source}: tables.{table}: results/{folder}/ is for a study called {folder!r}; put"
                f" a paper's key before the slash ({', '.join(catalogue.published)}), or neither"
            )


def _check_system(system: dict, config: dict, catalogue: "Catalogue", where: str) -> None:
    need_known(system["model"], catalogue.models, f"{where}.model", "model")
    named, model = system.get("ablations", []), catalogue.models[system["model"]]
    for ablation in [] if isinstance(named, str) else named:
        kind = f"ablation of {system['model']}"
        need_known(ablation, model["ablations"], f"{where}.ablations", kind)
    _check_part(system, config, catalogue, where)


def _check_table(spec: dict, config: dict, catalogue: "Catalogue", where: str) -> None:
    _check_part(spec, config, catalogue, where)
    if "convention" in spec:
        named = f"{where}.convention"
        need_known(spec["convention"], catalogue.conventions, named, "convention")
    models = list(dict.fromkeys(system["model"] for system in config["systems"]))
    for model in spec.get("models", []):
        need_known(model, models, f"{where}.models", "model of the study's systems")
    known = list(
        dict.fromkeys(name for model in models for name in catalogue.models[model]["ablations"])
    )
    for ablation in spec.get("ablations", []):
        need_known(ablation, known, f"{where}.ablations", "ablation of the study's models")


def _check_part(spec: dict, config: dict, catalogue: "Catalogue", where: str) -> None:
    """The data sets of a system or table, and protocols that at least one of them has."""
    chosen = spec.get("datasets", list(config["datasets"]))
    for dataset in chosen:
        need_known(dataset, config["datasets"], f"{where}.datasets", "data set of this study")
    known = ["printed"]
    for dataset in chosen:
        known += protocols_of(catalogue.datasets[dataset])
    for protocol in spec.get("protocols", []):
        need_known(protocol, list(dict.fromkeys(known)), f"{where}.protocols", "protocol")


def _check_override(
    override: dict, config: dict, catalogue: "Catalogue", model: str, where: str
) -> None:
    entry = catalogue.models[model]
    if "preset" in override:
        known = entry.get("presets", {})
        need_known(override["preset"], known, f"{where}.preset", "preset")
    parts = {where: override}
    for dataset, difference in override.get("datasets", {}).items():
        within = f"{where}.datasets.{dataset}"
        need_known(dataset, config["datasets"], within, "data set of this study")
        parts[within] = difference
    for within, part in parts.items():
        if "features" in part.get("inputs", {}):
            check_features(part["inputs"]["features"], catalogue, f"{within}.inputs.features")
