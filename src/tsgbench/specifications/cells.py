"""The cells of a study: every (model, dataset, ablation, seed), and what decides each training.

The ablation of a cell is its name (`jobs.cells.join_ablation`), which says the protocol as well.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tsgbench.config import (
    ALL,
    OWN_FEATURES,
    PRINTED,
    Catalogue,
    as_list,
    merge,
    note_of_adopted,
    protocols_of,
    roles_of,
)
from tsgbench.errors import UserError
from tsgbench.jobs.cells import DEFAULT, FULL, CellId, join_ablation, split_ablation
from tsgbench.specifications.printed import printed_ablations, printed_protocols

# Phases whose feature files hold no pixels are told apart by this prefix of the recipe's name.
BLANK_PREFIX = "blank_"
SECTIONS = ("inputs", "model", "train")


class Cells:
    """Iterates over the cells, in the order of the study's systems.

    config: a checked study.
    """

    def __init__(self, config: dict[str, Any], catalogue: Catalogue):
        self.config, self.catalogue, self.study = config, catalogue, config["study"]
        self._settled: dict[str, dict[str, Any]] = {}
        self._is_on_demand: dict[CellId, bool] = {}
        for system in config["systems"]:
            if not system.get("run", True):
                continue
            for dataset in system.get("datasets", config["datasets"]):
                for name in self.names(system, dataset):
                    for seed in system["seeds"]:
                        cell = CellId(system["model"], dataset, name, seed)
                        # Two systems may name a cell: it waits for a demand only if both say so
                        waits = system.get("on_demand", False)
                        self._is_on_demand[cell] = waits and self._is_on_demand.get(cell, True)

    def __iter__(self) -> Iterator[CellId]:
        """Every cell, in the order of the study's systems."""
        return iter(self._is_on_demand)

    def is_on_demand(self, cell: CellId) -> bool:
        """Whether a cell is trained only for a table or figure that is asked for by name."""
        return self._is_on_demand[cell]

    def ablations(self, system: dict[str, Any], dataset: str | None = None) -> list[str]:
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

    def protocols(self, system: dict[str, Any], dataset: str) -> list[str]:
        """The protocols by which a system is run on a data set.

        Where the system names none: those of the printed rows if it is trained for these alone,
        else the data set's default. What a data set lacks is left out.
        """
        chosen = system.get("protocols", [PRINTED if system.get("on_demand") else DEFAULT])
        return self.resolve(chosen, dataset, self.catalogue.models[system["model"]].get("paper"))

    def resolve(self, protocols: list[str], dataset: str, paper: str | None) -> list[str]:
        """Protocols by name; `printed` are the paper's, or of a baseline every paper's."""
        entry, resolved = self.catalogue.datasets[dataset], []
        for name in protocols:
            resolved += (
                printed_protocols(self.catalogue.published, entry.get("published"), paper)
                if name == PRINTED
                else [name]
            )
        return [name for name in dict.fromkeys(resolved) if name in protocols_of(entry)]

    def names(self, system: dict[str, Any], dataset: str) -> list[str]:
        """A system's ablations on a data set by each of its protocols, as cells are called."""
        return [
            join_ablation(ablation, protocol)
            for ablation in self.ablations(system, dataset)
            for protocol in self.protocols(system, dataset)
        ]

    def settings(self, cell: CellId) -> dict[str, Any]:
        """Everything that decides one cell's training, and nothing else.

        Later sources win: the model's defaults, the preset that the study chose, the model's
        settings for the data set, the preset's for the data set, the study's features of the data
        set, the study's overrides, those for the data set, the ablation's difference.
        """
        if cell.prefix not in self._settled:
            self._settled[cell.prefix] = self._settle(cell.model, cell.dataset, cell.ablation)
        return self._settled[cell.prefix] | {"seed": cell.seed}

    def _settle(self, model: str, dataset: str, name: str) -> dict[str, Any]:
        ablation, protocol = split_ablation(name)
        entry = self.catalogue.models[model]
        if "predictions" in entry:
            return {
                **{"model": model, "dataset": dataset, "ablation": ablation},
                "splits": self._splits(dataset, protocol),
                "inputs": {},  # nothing is known of them
                "predictions": entry["predictions"],
                "needs": self.catalogue.needs_of(dataset),
            }
        own, chosen = self._layers(model, dataset)
        merged = _merge_all([entry["settings"], *own, *chosen, entry["ablations"][ablation]])
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
            "model": entry["model"],  # a variant's is another than its name
            "module": entry.get("module", model),
            "dataset": dataset,
            "ablation": ablation,
            "splits": self._splits(dataset, protocol),
            "inputs": merged["inputs"],
            "model_settings": merged.get("model", {}),
            "train": merged.get("train", {}),
            "needs": self.catalogue.needs_of(dataset),
        }

    def _layers(
        self, model: str, dataset: str
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What the model's file says for a data set, and what the study changes of it."""
        entry = self.catalogue.models[model]
        override = self.config.get("overrides", {}).get(model, {})
        preset = entry.get("presets", {}).get(override.get("preset"), {})
        features = self.config["datasets"][dataset]["features"]
        own = [
            preset,
            entry.get("datasets", {}).get(dataset, {}),
            preset.get("datasets", {}).get(dataset, {}),
        ]
        chosen = [
            {} if features == OWN_FEATURES else {"inputs": {"features": features}},
            override,
            override.get("datasets", {}).get(dataset, {}),
        ]
        return own, chosen

    def changed(self, model: str, dataset: str) -> list[str]:
        """Settings in which a study's model is not that of its file, such as `model.width`."""
        own, chosen = self._layers(model, dataset)
        before = _merge_all([self.catalogue.models[model]["settings"], *own])
        after = _merge_all([before, *chosen])
        return [
            f"{section}.{key}"
            for section in SECTIONS
            for key, value in after.get(section, {}).items()
            # Features are compared with the paper's themselves
            if value != before.get(section, {}).get(key) and key != "features"
        ]

    def notes(self, models: Iterable[str]) -> list[str]:
        """What the study says of its overrides for these models, and whose predictions others are;
        a table of theirs prints it."""
        overrides = self.config.get("overrides", {})
        note_of = {}
        for model in models:
            adopted = note_of_adopted(self.catalogue.models[model])
            note_of[model] = adopted or overrides.get(model, {}).get("note")
        return [note for note in note_of.values() if note]

    def check_pixels(self, source: str) -> None:
        """Without video features only systems that never look at the video mean anything."""
        for cell in self:
            inputs = self.settings(cell)["inputs"]
            is_blank = inputs.get("features", "").startswith(BLANK_PREFIX)
            if is_blank and inputs.get("video", "real") != "zero":
                raise UserError(
                    f"{source}: systems: {cell.model}/{cell.ablation} looks at the video, but data"
                    f" set {cell.dataset} has no video features here; use the ablation 'blind' or"
                    " give the data set a feature recipe"
                )

    def _splits(self, dataset: str, protocol: str) -> dict[str, Any]:
        """What a protocol trains, selects and tests on: role -> list of splits; and its parts."""
        chosen = protocols_of(self.catalogue.datasets[dataset])[protocol]
        parts = {name: as_list(splits) for name, splits in chosen.get("score", {}).items()}
        return {"protocol": protocol, **roles_of(chosen), "score": parts}

    def chosen_inputs(self, dataset: str, name: str) -> list[str]:
        """The values of one input among the cells of a data set, sorted."""
        inputs = [self.settings(cell)["inputs"] for cell in self if cell.dataset == dataset]
        return sorted({read[name] for read in inputs if name in read})

    def describe_features(self, dataset: str, rows: Iterable[tuple[str, str]]) -> str:
        """What (model, ablation) rows of a data set read; the rarer features with their models.

        What systems read that never look at the video counts only where no other is there.
        """
        inputs = [
            (model, self.settings(CellId(model, dataset, ablation, 0))["inputs"])
            for model, ablation in rows
        ]
        inputs = [(model, read) for model, read in inputs if "features" in read]
        seeing = [one for one in inputs if one[1].get("video", "real") != "zero"]
        readers: dict[str, list[str]] = {}
        for model, read in seeing or inputs:
            models = readers.setdefault(read["features"], [])
            if model not in models:
                models.append(model)
        parts = []
        for index, (name, models) in enumerate(sorted(readers.items(), key=lambda x: -len(x[1]))):
            by = ", ".join(self.catalogue.models[model]["title"] for model in models)
            parts.append(self.catalogue.features[name]["title"] + (f" ({by})" if index else ""))
        return "; ".join(parts)


def settings_of_cells(
    config: dict[str, Any], catalogue: Catalogue
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`model/dataset/ablation`, settings) of a study's cells, of one seed each."""
    cells = Cells(config, catalogue)
    for prefix, cell in {cell.prefix: cell for cell in cells}.items():
        yield prefix, cells.settings(cell)


def _merge_all(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """The sections of all layers, later ones winning."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = merge(merged, {k: v for k, v in layer.items() if k in SECTIONS})
    return merged
