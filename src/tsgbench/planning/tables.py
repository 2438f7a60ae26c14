"""The specification of a table of systems: its blocks, rows, labels and printed numbers."""

from tsgbench.config import HEADLINE, Catalogue, as_list, is_variant, protocols_of
from tsgbench.errors import UserError
from tsgbench.files import digest
from tsgbench.jobs.layout import DEFAULT, describe_study, join_ablation
from tsgbench.planning.cells import FULL, Cells
from tsgbench.planning.papers import describe_protocol
from tsgbench.planning.printed import own_method, practice_of


class Tables:
    """Specifications of a study's tables, as `reporting.build_table` takes them."""

    def __init__(self, config: dict, catalogue: Catalogue, cells: Cells):
        self.config, self.catalogue, self.cells = config, catalogue, cells
        self.run = {cell[:3] for cell in cells}  # (model, data set, ablation) of the study

    def settings(self, table: str, spec: dict) -> dict:
        """The table's specification, complete: labels, protocol, features, published numbers."""
        convention = spec.get("convention", HEADLINE)
        chosen = spec.get("datasets", list(self.config["datasets"]))
        rows = [
            self._row(system, ablation, protocol, datasets)
            for system in self.config["systems"]
            if not system.get("on_demand", False)
            and system["model"] in spec.get("models", [system["model"]])
            for ablation in self.cells.ablations(system)
            if ablation in spec.get("ablations", [ablation])
            for protocol, datasets in self._protocols(system, ablation, spec, chosen).items()
        ]
        papers = sorted({row["published"]["paper"] for row in rows if row["published"]})
        return {
            **describe_study(self.config, table),
            "notes": spec.get("notes", []) + self.cells.notes(row["model"] for row in rows),
            "datasets": [block for one in chosen for block in self._blocks(one, spec, rows)],
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

    def _protocols(
        self, system: dict, ablation: str, spec: dict, chosen: list[str]
    ) -> dict[str, list[str]]:
        """The protocols of a system that a table shows, each with its data sets."""
        paper = self.catalogue.models[system["model"]].get("paper")
        found: dict[str, list[str]] = {}
        for dataset in system.get("datasets", self.config["datasets"]):
            if dataset not in chosen or ablation not in self.cells.ablations(system, dataset):
                continue
            shown = self.cells.resolve(spec.get("protocols", [DEFAULT]), dataset, paper)
            for protocol in self.cells.protocols(system, dataset):
                if protocol in shown:
                    found.setdefault(protocol, []).append(dataset)
        return found

    def _blocks(self, dataset: str, spec: dict, rows: list[dict]) -> list[dict]:
        """A data set's blocks of rows: one, or one for each named part of its test split.

        A block's protocol is the first that the table shows: rows by others are marked.
        """
        entry = self.catalogue.datasets[dataset]
        protocol = spec.get("protocols", [DEFAULT])[0]
        [protocol, *_] = [*self.cells.resolve([protocol], dataset, None), DEFAULT]
        chosen = protocols_of(entry)[protocol]
        parts = chosen.get("score", {}) if spec.get("by_part", True) else {}
        shown = [(row["model"], row["ablation"]) for row in rows if dataset in row["datasets"]]
        read = [one for one in shown if (one[0], dataset, one[1]) in self.run]
        blocks = []
        for part in parts or [None]:
            tested = {"test_split": " + ".join(as_list(parts[part]))} if part else {}
            blocks.append(
                {
                    "name": f"{dataset}:{part}" if part else dataset,
                    "dataset": dataset,
                    "part": part,
                    "title": entry["title"] + (f", {part}" if part else ""),
                    "published": entry.get("published"),
                    "features": self.cells.describe_features(dataset, read),
                    "note": entry.get("note", ""),
                    **describe_protocol(entry, protocol),
                    **tested,
                }
            )
        return blocks

    def _row(self, system: dict, ablation: str, protocol: str, datasets: list[str]) -> dict:
        name = system["model"]
        model = self.catalogue.models[name]
        label = model["title"]
        if ablation != FULL:
            label += f", {ablation.replace('_', ' ')}"
        if protocol != DEFAULT:
            label += f", protocol {protocol}"
        published, practice = None, {}
        if "paper" in model and ablation == FULL and not is_variant(name, model):
            content = self.catalogue.published[model["paper"]]
            method = own_method(self.catalogue.published, model["paper"], model["model"])
            published = {"paper": model["paper"], "method": method}
            for dataset in datasets:
                printed = self.catalogue.datasets[dataset].get("published")
                practice[dataset] = practice_of(content, printed) | {
                    "changed": self.cells.changed(name, dataset)
                }
        return {
            "label": label,
            "model": name,
            "ablation": join_ablation(ablation, protocol),
            "seeds": system["seeds"],
            "datasets": datasets,
            "published": published,
            "practice": practice,
        }
