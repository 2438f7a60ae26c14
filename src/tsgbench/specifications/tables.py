"""The study's own tables of systems, with each model's printed numbers beside its cells."""

from typing import Any

from tsgbench.config import HEADLINE, as_list, is_variant, protocols_of
from tsgbench.errors import UserError
from tsgbench.jobs.cells import DEFAULT, FULL, join_ablation
from tsgbench.specifications.grammar import Specifications, new_row
from tsgbench.specifications.printed import own_method, own_row, system_label


class Tables(Specifications):
    """Specifications of a study's tables."""

    def settings(self, table: str, spec: dict[str, Any]) -> dict[str, Any]:
        """The table's specification, complete: labels, protocol, features, published numbers."""
        chosen = spec.get("datasets", list(self.config["datasets"]))
        blocks = [block for dataset in chosen for block in self._blocks(dataset, spec)]
        rows = [
            self._row(system, ablation, protocol, [b for b in blocks if b["dataset"] in datasets])
            for system in self.config["systems"]
            if not system.get("on_demand", False)
            and system["model"] in spec.get("models", [system["model"]])
            for ablation in self.cells.ablations(system)
            if ablation in spec.get("ablations", [ablation])
            for protocol, datasets in self._protocols(system, ablation, spec, chosen).items()
        ]
        self.add_features(blocks, rows)
        return self.specify(
            table,
            notes=spec.get("notes", []),
            metrics=spec["metrics"],
            datasets=blocks,
            rows=rows,
            against=self._reference(table, spec, rows),
        )

    def _reference(
        self, table: str, spec: dict[str, Any], rows: list[dict[str, Any]]
    ) -> str | None:
        """Label of the row that the others are tested against, if the table asks for it."""
        if "against" not in spec:
            return None
        labels: dict[str, str] = {row["cell"]: row["label"] for row in rows}
        if spec["against"] not in labels:
            raise UserError(
                f"tables.{table}.against: {spec['against']!r} is no row of the table; it has"
                f" {', '.join(labels)}"
            )
        return labels[spec["against"]]

    def _protocols(
        self, system: dict[str, Any], ablation: str, spec: dict[str, Any], chosen: list[str]
    ) -> dict[str, list[str]]:
        """The protocols of a system that a table shows, each with its data sets."""
        paper = self.catalogue.models[system["model"]].get("paper")
        shown_on: dict[str, list[str]] = {}
        for dataset in system.get("datasets", self.config["datasets"]):
            if dataset not in chosen or ablation not in self.cells.ablations(system, dataset):
                continue
            shown = self.cells.resolve(spec.get("protocols", [DEFAULT]), dataset, paper)
            for protocol in self.cells.protocols(system, dataset):
                if protocol in shown:
                    shown_on.setdefault(protocol, []).append(dataset)
        return shown_on

    def _blocks(self, dataset: str, spec: dict[str, Any]) -> list[dict[str, Any]]:
        """A data set's blocks of rows: one, or one for each named part of its test split.

        A block's protocol is the first that the table shows: rows by others are marked.
        """
        protocol = spec.get("protocols", [DEFAULT])[0]
        [protocol, *_] = [*self.cells.resolve([protocol], dataset, None), DEFAULT]
        block = self.block(dataset, protocol, spec.get("convention", HEADLINE))
        chosen = protocols_of(self.catalogue.datasets[dataset])[protocol]
        parts = chosen.get("score", {}) if spec.get("by_part", True) else {}
        return [
            block
            | {
                "name": f"{dataset}:{part}",
                "part": part,
                "title": f"{block['title']}, {part}",
                "test_split": " + ".join(as_list(splits)),
            }
            for part, splits in parts.items()
        ] or [block]

    def _row(
        self, system: dict[str, Any], ablation: str, protocol: str, blocks: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """A system, in the blocks of its data sets."""
        name = system["model"]
        model = self.catalogue.models[name]
        cells = join_ablation(ablation, protocol)
        row = new_row(system_label(model["title"], ablation, protocol), f"{name}/{cells}")
        is_printed = "paper" in model and ablation == FULL and not is_variant(name, model)
        for block in blocks:
            row["prefixes"][block["name"]] = f"{name}/{block['dataset']}/{cells}"
            row["seeds"][block["name"]] = system["seeds"]
            if is_printed and (printed := self._printed(model, block["printed"])):
                self.add_printed(row, block, printed)
        return row

    def _printed(self, model: dict[str, Any], dataset: str | None) -> list[Any] | None:
        """What the paper of a model prints for it on a data set, if anything."""
        paper = model["paper"]
        method = own_method(self.catalogue.published, paper, model["model"])
        return own_row(paper, self.catalogue.published[paper], dataset, method)
