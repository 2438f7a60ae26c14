"""Config files: what is known (models, data sets, features, sources) and the check of a study.

A wrong key is refused here, before the first job, in one sentence that names the file and the key.
"""

import difflib
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from tsgbench.errors import UserError
from tsgbench.needs import Need, needs_of_all
from tsgbench.planning.layout import DEFAULT, MAKERS

# libyaml's parser where PyYAML was built with it: ten times as fast, and every command reads these
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MIRROR_VARIABLE = "TSGBENCH_MIRROR"
STUDY_VARIABLE = "TSGBENCH_STUDY"
DEFAULT_STUDY = "config/demo.yaml"
# As a study's features of a data set: every model reads those that its own entry names
OWN_FEATURES = "own"
ALL = "all"  # as a system's ablations: every one of the model
PRINTED = "printed"  # as a system's ablations, or protocols: those that a printed row needs
LAST = "last"  # in the place of a selecting split: the last epoch's weights are kept
# What may be set beside a model's own settings
CHOSEN_INPUTS = {"inputs": ("features",), "train": ("precision", "resident", "select")}
# The convention (config/conventions.yaml) whose numbers stand in every table.
HEADLINE = "seconds"
NOT_OPTIONS = ("title", "about", "source", "datasets")


def merge(base: dict, difference: dict) -> dict:
    """`base` with the values of `difference`; nested mappings merge, everything else replaces."""
    merged = dict(base)
    for key, value in difference.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; `UserError` names the file and the line at fault."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=SAFE_LOADER)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{where}: not valid YAML ({getattr(error, 'problem', error)})"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold a mapping of names to values")
    return content


@dataclass(frozen=True)
class Catalogue:
    """Everything a study can name, by name, as read from `config/` and `published/`."""

    models: dict[str, dict]
    datasets: dict[str, dict]
    clips: dict[str, dict]
    features: dict[str, dict]
    sources: dict[str, dict]
    published: dict[str, dict]
    conventions: dict[str, dict]

    @classmethod
    @cache
    def load(cls, root: Path = Path()) -> "Catalogue":
        """Read and validate all catalogue files below `root`."""
        config = root / "config"
        models = {}
        for path in sorted((config / "models").glob("*.yaml")):
            models[path.stem] = _validated(path, "model", config)
        datasets = _validated(config / "datasets.yaml", "datasets", config)
        check_protocols(datasets, str(config / "datasets.yaml"))
        features = _validated(config / "features.yaml", "features", config)
        return cls(
            models=models,
            datasets=datasets,
            clips=features["clips"],
            features=features["features"],
            sources=_validated(config / "sources.yaml", "sources", config),
            published={
                path.stem: read_yaml(path) for path in sorted((root / "published").glob("*.yaml"))
            },
            conventions=_validated(config / "conventions.yaml", "conventions", config),
        )

    def needs_of(self, dataset: str) -> list[Need]:
        """What a prediction file must hold for every convention of the data set."""
        return needs_of_all(self.conventions_of(dataset).values())

    def conventions_of(self, dataset: str) -> dict[str, dict]:
        """Options of the headline and of every convention that the data set names, in that order.

        Only what decides the numbers, with the data set's own differences applied: a new title, or
        a change that concerns another data set, evaluates nothing again.
        """
        where = f"config/datasets.yaml: {dataset}.conventions"
        chosen = {}
        for name in [HEADLINE, *self.datasets[dataset].get("conventions", [])]:
            _known(name, self.conventions, where, "convention")
            options = merge(
                self.conventions[name], self.conventions[name].get("datasets", {}).get(dataset, {})
            )
            chosen[name] = {key: options[key] for key in options if key not in NOT_OPTIONS}
        return chosen


def load_study(path: str | Path | None = None) -> tuple[dict, str]:
    """The study's config and where it came from: a file, or the running workflow's environment.

    Without `path`: the resolved config that Snakemake hands its jobs in `TSGBENCH_STUDY`, else the
    demo study.
    """
    if path is None and STUDY_VARIABLE in os.environ:
        return json.loads(os.environ[STUDY_VARIABLE]), "the workflow's config"
    path = path or DEFAULT_STUDY
    return read_yaml(path), str(path)


def export_study(config: dict, root: Path) -> None:
    """Let every job run the code below `root` on the very `config` of the running workflow.

    Called by the Snakefile, which is read again wherever a job runs. The environment's own programs
    come first, so that the workflow works without the environment being activated.
    """
    os.environ[STUDY_VARIABLE] = json.dumps(config)
    os.environ["PYTHONPATH"] = str(root / "src")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def mirror_of(config: dict) -> str | None:
    """Folder or base URL that downloads try first: the environment's, else the study's."""
    return os.environ.get(MIRROR_VARIABLE) or config.get("mirror")


def check_study(config: dict, catalogue: Catalogue, source: str) -> None:
    """Refuse a study that the schema or the catalogue does not allow."""
    _check(config, read_schema("study"), source)
    for dataset, chosen in config["datasets"].items():
        where = f"{source}: datasets.{dataset}"
        _known(dataset, catalogue.datasets, f"{source}: datasets", "data set")
        if chosen["features"] != OWN_FEATURES:
            _check_features(chosen["features"], catalogue, f"{where}.features")
        if chosen["vectors"] != "learned":
            _known(chosen["vectors"], catalogue.sources, f"{where}.vectors", "source")
        for maker in MAKERS:
            known = catalogue.datasets[dataset].get(maker, {})
            for key in chosen.get(maker, {}):
                _known(key, known, f"{where}.{maker}", "setting")
    for place, system in enumerate(config["systems"]):
        where = f"{source}: systems[{place}]"
        _known(system["model"], catalogue.models, f"{where}.model", "model")
        named = system.get("ablations", ALL)
        for ablation in [] if isinstance(named, str) else named:
            known = catalogue.models[system["model"]]["ablations"]
            _known(ablation, known, f"{where}.ablations", f"ablation of {system['model']}")
        chosen = system.get("datasets", list(config["datasets"]))
        for dataset in chosen:
            _known(dataset, config["datasets"], f"{where}.datasets", "data set of this study")
        _check_protocol_names(system, chosen, catalogue, where)
    for table, spec in config["tables"].items():
        where = f"{source}: tables.{table}"
        for dataset in spec.get("datasets", []):
            _known(dataset, config["datasets"], f"{where}.datasets", "data set of this study")
        shown = spec.get("datasets", list(config["datasets"]))
        _check_protocol_names(spec, shown, catalogue, where)
        _known(spec.get("convention", HEADLINE), catalogue.conventions, where, "convention")
    for model, override in config.get("overrides", {}).items():
        _known(model, catalogue.models, f"{source}: overrides", "model")
        _check_override(override, catalogue, model, f"{source}: overrides.{model}", config)


def as_list(names: str | list[str]) -> list[str]:
    """A field that may be one name or a list of them."""
    return [names] if isinstance(names, str) else names


def maker_of(dataset: dict) -> str | None:
    """The phase that makes a data set's videos and annotations; None where they are downloaded."""
    return next((maker for maker in MAKERS if maker in dataset), None)


def protocols_of(dataset: dict) -> dict[str, dict]:
    """Every protocol of a data set's entry by name, the default one first."""
    return {DEFAULT: dataset["splits"], **dataset.get("protocols", {})}


def roles_of(protocol: dict) -> dict[str, list[str]]:
    """The splits that train, select and are tested; none selects where `select` is `last`."""
    roles = {role: as_list(protocol[role]) for role in ("train", "select", "test")}
    return roles | ({"select": []} if roles["select"] == [LAST] else {})


def check_protocols(datasets: dict[str, dict], source: str) -> None:
    """Refuse a protocol whose test splits train, or select unless it is marked official."""
    for dataset, entry in datasets.items():
        for name, protocol in protocols_of(entry).items():
            field = "splits" if name == DEFAULT else f"protocols.{name}"
            _check_protocol(protocol, f"{source}: {dataset}.{field}")


def _check_protocol_names(
    spec: dict, datasets: list[str], catalogue: Catalogue, where: str
) -> None:
    """A system's or table's `protocols` are each one of at least one of its data sets."""
    known = [PRINTED]
    for dataset in datasets:
        known += protocols_of(catalogue.datasets[dataset])
    for protocol in spec.get("protocols", []):
        _known(protocol, list(dict.fromkeys(known)), f"{where}.protocols", "protocol")


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


def _check_override(
    override: dict, catalogue: Catalogue, model: str, where: str, config: dict
) -> None:
    entry = catalogue.models[model]
    for section, values in override.items():
        if section == "preset":
            _known(values, entry.get("presets", {}), f"{where}.preset", "preset")
        elif section == "datasets":
            for dataset, difference in values.items():
                place = f"{where}.datasets.{dataset}"
                _known(dataset, config["datasets"], place, "data set of this study")
                _check_override(difference, catalogue, model, place, config)
        elif section != "note":
            known = [*entry["settings"].get(section, {}), *CHOSEN_INPUTS.get(section, ())]
            for key in values:
                _known(key, known, f"{where}.{section}", "setting")
            if "features" in values:
                _check_features(values["features"], catalogue, f"{where}.{section}.features")


def _check_features(name: str, catalogue: Catalogue, where: str) -> None:
    _known(name, catalogue.features, where, "feature recipe")
    if released := catalogue.features[name].get("released"):
        place = f"config/features.yaml: features.{name}.released.source"
        _known(released["source"], catalogue.sources, place, "source")
    if clips := catalogue.features[name].get("clips"):
        # A recipe of our own, or the name of features that were released
        if "released" in catalogue.features.get(clips, {}):
            return _check_features(clips, catalogue, where)
        _known(clips, catalogue.clips, f"config/features.yaml: features.{name}.clips", "recipe")
        if checkpoint := catalogue.clips[clips]["checkpoint"]:
            file = f"config/features.yaml: clips.{clips}.checkpoint"
            _known(checkpoint, catalogue.sources, file, "source")


def _known(name: str, known: dict | list, where: str, kind: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
        raise UserError(f"{where}: {name!r} is not a known {kind}; {hint}")


def read_schema(name: str, config: Path = Path("config")) -> dict:
    """A JSON schema from `config/schemas`."""
    return json.loads((config / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))


def _validated(path: Path, schema: str, config: Path) -> dict:
    content = read_yaml(path)
    _check(content, read_schema(schema, config), str(path))
    return content


def _check(content: dict, schema: dict, source: str) -> None:
    """Raise a `UserError` for the deepest, and so most telling, violation of the schema."""
    errors = sorted(
        Draft202012Validator(schema).iter_errors(content),
        key=lambda error: (-len(error.absolute_path), str(error.absolute_path)),
    )
    if not errors:
        return
    error = errors[0]
    where = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    ).lstrip(".")
    key = f"{source}: {where}" if where else source
    if error.validator == "additionalProperties":
        allowed = error.schema.get("properties", {})
        unknown = sorted(set(error.instance) - set(allowed))[0]
        close = difflib.get_close_matches(unknown, allowed, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(sorted(allowed))}"
        raise UserError(f"{key}: unknown key {unknown!r}; {hint}")
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        raise UserError(f"{key}: key {missing!r} is missing")
    raise UserError(f"{key}: {error.message}")
