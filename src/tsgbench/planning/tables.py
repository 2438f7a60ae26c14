"""The specification of a table of systems: its blocks, rows, labels and printed numbers."""

from tsgbench.config import HEADLINE, Catalogue, as_list
from tsgbench.errors import UserError
from tsgbench.files import digest
from tsgbench.planning.cells import FULL, Cells
from tsgbench.planning.layout import describe_study
from tsgbench.planning.printed import departures, own_method


class Tables:
    """Specifications of a study's tables, as `reporting.build_table` takes them."""

    def __init__(self, config: dict, catalogue: Catalogue, cells: Cells):
        self.config, self.catalogue, self.cells = config, catalogue, cells

    def settings(self, table: str, spec: dict) -> dict:
        """The table's specification, complete: labels, protocol, features, published numbers."""
        convention = spec.get("convention", HEADLINE)
        chosen = spec.get("datasets", list(self.config["datasets"]))
        blocks = [block for dataset in chosen for block in self._blocks(dataset, spec)]
        rows = [
            self._row(system, ablation, blocks, convention)
            for system in self.config["systems"]
            if not system.get("on_demand", False)
            for ablation in self.cells.ablations(system)
            if set(chosen) & set(system.get("datasets", chosen))
            and ablation in spec.get("ablations", [ablation])
        ]
        papers = sorted({row["published"]["paper"] for row in rows if row["published"]})
        return {
            **describe_study(self.config, table),
            "notes": spec.get("notes", []) + self.cells.notes(row["model"] for row in rows),
            "datasets": blocks,
            "metrics": spec["metrics"],
            "convention": {
                "name": convention,
                "about": self.catalogue.conventions[convention]["about"],
                "is_headline": convention == HEADLINE,
            },
            "rows": rows,
            "against": self._reference(table, spec, rows),
            # The printed numbers are an input like any other
            "published": {paper: digest(self.catalogue.published[paper]) for paper in papers},
        }

    def _reference(self, table: str, spec: dict, rows: list[dict]) -> str | None:
        """Label of the row that the others are tested against, if the table asks for it."""
        if "against" not in spec:
            return None
        labels = {f"{row['model']}/{row['ablation']}": row["label"] for row in rows}
        if spec["against"] not in labels:
            raise UserError(
                f"tables.{table}.against: {spec['against']!r} is no row of the table; it has"
                f" {', '.join(labels)}"
            )
        return labels[spec["against"]]

    def _blocks(self, dataset: str, spec: dict) -> list[dict]:
        """A data set's blocks of rows: one, or one for each named part of its test split."""
        entry = self.catalogue.datasets[dataset]
        splits = entry["splits"]
        parts = splits.get("score", {}) if spec.get("by_part", True) else {}
        blocks = []
        for part, tested in (parts or {None: splits["test"]}).items():
            blocks.append(
                {
                    "name": f"{dataset}:{part}" if part else dataset,
                    "dataset": dataset,
                    "part": part,
                    "title": entry["title"] + (f", {part}" if part else ""),
                    "published": entry.get("published"),
                    "features": self._describe_features(dataset),
                    "test_split": " + ".join(as_list(tested)),
                    "select_split": " + ".join(as_list(splits["select"])),
                    "note": entry.get("note", ""),
                }
            )
        return blocks

    def _row(self, system: dict, ablation: str, blocks: list[dict], convention: str) -> dict:
        model = self.catalogue.models[system["model"]]
        label = model["title"]
        if ablation != FULL:
            named = model["ablations"][ablation].get("label", ablation.replace("_", " "))
            label += f", {named}" if named else ""
        datasets = [
            dataset
            for dataset in system.get("datasets", self.config["datasets"])
            if ablation in self.cells.ablations(system, dataset)
        ]
        published, differs = None, {}
        if "paper" in model and ablation == FULL:
            method = own_method(self.catalogue.published, model["paper"], system["model"])
            published = {"paper": model["paper"], "method": method}
            shown = [block for block in blocks if block["dataset"] in datasets]
            differs = self._departures(system["model"], ablation, shown, convention)
        return {
            "label": label,
            "model": system["model"],
            "ablation": ablation,
            "seeds": system["seeds"],
            "datasets": datasets,
            "published": published,
            "differs": differs,
        }

    def _departures(
        self, model: str, ablation: str, blocks: list[dict], convention: str
    ) -> dict[str, list[str]]:
        """By block: in what the model's cells there depart from its paper's way."""
        entry = self.catalogue.models[model]
        content = self.catalogue.published[entry["paper"]]
        return {
            block["name"]: departures(
                content,
                block["published"],
                self.cells.settings(model, block["dataset"], ablation, 0),
                entry,
                convention,
            )
            for block in blocks
            if block["published"]
        }

    def _describe_features(self, dataset: str) -> str:
        """What the cells of a data set read; with several, which models read the rarer ones."""
        by_models = sorted(
            self.cells.chosen_inputs(dataset, "features").items(), key=lambda item: -len(item[1])
        )
        parts = []
        for place, (name, models) in enumerate(by_models):
            readers = ", ".join(self.catalogue.models[model]["title"] for model in models)
            parts.append(
                self.catalogue.features[name]["title"] + (f" ({readers})" if place else "")
            )
        return "; ".join(parts)
