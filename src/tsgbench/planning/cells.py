"""The cells of a study: every (model, dataset, ablation, seed), and what decides each training."""

from collections.abc import Iterable, Iterator

from tsgbench.config import ALL, OWN_FEATURES, PRINTED, Catalogue, as_list, merge
from tsgbench.errors import UserError
from tsgbench.planning.printed import FULL, printed_ablations

# Phases whose feature files hold no pixels are told apart by this prefix of the recipe's name.
BLANK_PREFIX = "blank_"
SECTIONS = ("inputs", "model", "train")
DEFAULT = "default"  # the protocol that a data set's `splits` state


class Cells:
    """Iterates over the cells, in the order of the study's systems.

    config: a checked study.
    """

    def __init__(self, config: dict, catalogue: Catalogue):
        self.config, self.catalogue, self.study = config, catalogue, config["study"]
        self._settled: dict[tuple[str, str, str], dict] = {}
        self._is_on_demand: dict[tuple[str, str, str, int], bool] = {}
        for system in config["systems"]:
            if not system.get("run", True):
                continue
            for dataset in system.get("datasets", config["datasets"]):
                for ablation in self.ablations(system, dataset):
                    for seed in system["seeds"]:
                        cell = (system["model"], dataset, ablation, seed)
                        # Two systems may name a cell: it waits for a demand only if both say so
                        waits = system.get("on_demand", False)
                        self._is_on_demand[cell] = waits and self._is_on_demand.get(cell, True)

    def __iter__(self) -> Iterator[tuple[str, str, str, int]]:
        """Every (model, dataset, ablation, seed), in the order of the study's systems."""
        return iter(self._is_on_demand)

    def is_on_demand(self, model: str, dataset: str, ablation: str, seed: int) -> bool:
        """Whether a cell is trained only for a table or figure that is asked for by name."""
        return self._is_on_demand[model, dataset, ablation, seed]

    def ablations(self, system: dict, dataset: str | None = None) -> list[str]:
        """A system's ablations; of those, with a data set, the ones that mean anything there."""
        known = self.catalogue.models[system["model"]]["ablations"]
        named = system.get("ablations", [FULL])
        if named == PRINTED:
            named = printed_ablations(self.catalogue.published, system["model"])
        return [
            ablation
            for ablation in (known if named == ALL else named)
            if dataset in [None, *known[ablation].get("datasets", [dataset])]
        ]

    def settings(self, model: str, dataset: str, ablation: str, seed: int) -> dict:
        """Everything that decides one cell's training, and nothing else.

        Later sources win: the model's defaults, the preset that the study chose, the model's
        settings for the data set, the preset's for the data set, the study's features of the data
        set, the study's overrides, those for the data set, the ablation's difference.
        """
        key = (model, dataset, ablation)
        if key not in self._settled:
            self._settled[key] = self._settle(*key)
        return self._settled[key] | {"seed": seed}

    def _settle(self, model: str, dataset: str, ablation: str) -> dict:
        entry = self.catalogue.models[model]
        override = self.config.get("overrides", {}).get(model, {})
        preset = entry.get("presets", {}).get(override.get("preset"), {})
        features = self.config["datasets"][dataset]["features"]
        layers = [
            preset,
            entry.get("datasets", {}).get(dataset, {}),
            preset.get("datasets", {}).get(dataset, {}),
            {} if features == OWN_FEATURES else {"inputs": {"features": features}},
            override,
            override.get("datasets", {}).get(dataset, {}),
            entry["ablations"][ablation],
        ]
        merged = entry["settings"]
        for layer in layers:
            merged = merge(merged, {k: v for k, v in layer.items() if k in SECTIONS})
        if "features" not in merged["inputs"]:
            raise UserError(
                f"config/models/{model}.yaml: datasets.{dataset}.inputs.features: is missing, and"
                f" study {self.study!r} says 'own'; name a recipe of config/features.yaml there"
            )
        chosen = merged["inputs"]["features"]
        if chosen not in self.catalogue.features:
            raise UserError(
                f"config/models/{model}.yaml: datasets.{dataset}.inputs.features: {chosen!r} is not"
                f" in config/features.yaml; it has {', '.join(self.catalogue.features)}"
            )
        return {
            "model": model,
            "module": entry.get("module", model),
            "dataset": dataset,
            "ablation": ablation,
            "splits": self._splits(model, dataset, merged["inputs"].get("protocol", DEFAULT)),
            "inputs": merged["inputs"],
            "model_settings": merged.get("model", {}),
            "train": merged.get("train", {}),
        }

    def notes(self, models: Iterable[str]) -> list[str]:
        """What the study says of its overrides for these models; a table of theirs prints it."""
        overrides = self.config.get("overrides", {})
        found = {model: overrides.get(model, {}).get("note") for model in models}
        return [note for note in found.values() if note]

    def check_pixels(self, source: str) -> None:
        """Without video features only systems that never look at the video mean anything."""
        for model, dataset, ablation, seed in self:
            inputs = self.settings(model, dataset, ablation, seed)["inputs"]
            is_blank = inputs["features"].startswith(BLANK_PREFIX)
            if is_blank and inputs.get("video", "real") != "zero":
                raise UserError(
                    f"{source}: systems: {model}/{ablation} looks at the video, but data set"
                    f" {dataset} has no video features here; use the ablation 'blind' or give the"
                    " data set a feature recipe"
                )

    def _splits(self, model: str, dataset: str, protocol: str) -> dict:
        """What a protocol trains, selects and tests on: role -> list of splits; and its parts."""
        entry = self.catalogue.datasets[dataset]
        known = {DEFAULT: entry["splits"], **entry.get("protocols", {})}
        if protocol not in known:
            raise UserError(
                f"study {self.study!r}: {model}: inputs.protocol: data set {dataset} has no"
                f" protocol {protocol!r}; it has {', '.join(known)}"
            )
        chosen = known[protocol]
        parts = {name: as_list(splits) for name, splits in chosen.get("score", {}).items()}
        roles = {role: as_list(chosen[role]) for role in ("train", "select", "test")}
        return {"protocol": protocol, **roles, "score": parts}

    def chosen_inputs(self, dataset: str, name: str) -> dict[str, list[str]]:
        """The values of one input among the cells of a data set, each with its models."""
        chosen: dict[str, list[str]] = {}
        for model, data, ablation, seed in self:
            if data == dataset:
                value = self.settings(model, data, ablation, seed)["inputs"][name]
                models = chosen.setdefault(value, [])
                if model not in models:
                    models.append(model)
        return chosen
