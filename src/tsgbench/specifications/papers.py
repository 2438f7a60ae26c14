"""The papers' numbered tables and figures as jobs of a study, row by row as they were printed.

`published/{paper}.yaml` says which cell reproduces each row (`cell`), by which protocol the paper
got its numbers (`paper.protocols`), which holds for every cell of its tables and figures, and how a
figure is drawn (`draw`). The study says which of these cells exist.
A data set of the paper that the study lacks keeps its printed rows, marked as not run; a generated
data set stands in for them, with nothing printed beside it.
"""

from typing import Any

from tsgbench.config import HEADLINE, Catalogue, protocols_of
from tsgbench.errors import UserError
from tsgbench.jobs.cells import CellId, join_ablation, split_ablation
from tsgbench.specifications.cells import Cells
from tsgbench.specifications.grammar import Specifications, new_row
from tsgbench.specifications.printed import (
    QUOTED_ONLY,
    check_cells,
    protocol_of,
    reference_of,
    target_name,
)


class Papers(Specifications):
    """Specifications of printed tables and figures over the cells of one study."""

    def __init__(self, config: dict[str, Any], catalogue: Catalogue, cells: Cells):
        super().__init__(config, catalogue, cells)
        check_cells(catalogue.published, catalogue.models)
        # Made by code, not gathered from one's own files
        made = [name for name in config["datasets"] if "generated" in self._data(name)]
        self.generated = [name for name in made if "gather" not in self._data(name)]

    def tables(self) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Every printed table: (`paper/table1`, the paper's file, the table's entry)."""
        return [
            (f"{paper}/{table['id']}", content, table)
            for paper, content in self.catalogue.published.items()
            for table in content["tables"]
        ]

    def figures(self) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Every figure that is drawn: `paper/figure1` -> the paper's file, the figure's parts."""
        figures_of: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        for paper, content in self.catalogue.published.items():
            for figure in content.get("figures", []):
                name = f"{paper}/{target_name(figure['id'])}"
                figures_of.setdefault(name, (content, []))[1].append(figure)
        return {
            name: (content, parts)
            for name, (content, parts) in figures_of.items()
            if any("draw" in part for part in parts)
        }

    def of_study(self, printed: str) -> list[str]:
        """Data sets of the study that are a paper's data set, by its name there."""
        return [
            name for name in self.config["datasets"] if self._data(name).get("published") == printed
        ]

    def stand_ins(self, printed: list[str]) -> list[str]:
        """Generated data sets, where the study has none of the paper's."""
        return [] if any(self.of_study(name) for name in printed) else self.generated

    def settings(self, name: str, content: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
        """The specification of a table of systems."""
        paper, number = name.split("/")
        blocks = [self._block(column, content) for column in self.columns(table["datasets"])]
        rows = self._rows(table, blocks, content)
        if table["kind"] == "comparison":
            rows += self._beside(blocks, content)
        self.add_features([block for block in blocks if not block.get("is_missing")], rows)
        metrics = {m for names in table["metrics"].values() for m in names}
        return self.specify(
            name,
            paper=paper,
            table=number,
            notes=[table[key] for key in ("body_note", "setting_note") if key in table],
            metrics=sorted(metrics, key=_order),
            datasets=blocks,
            rows=rows,
            # Ablations are compared with one of them, query by query
            against=self._reference(table, rows),
        )

    def _reference(self, table: dict[str, Any], rows: list[dict[str, Any]]) -> str | None:
        """Label of the row that those of a table of ablations are tested against."""
        if table["kind"] != "ablation":
            return None
        return next(str(row["label"]) for row in rows if row["cell"] == reference_of(table))

    # --- blocks ------------------------------------------------------------------------------

    def _data(self, name: str) -> dict[str, Any]:
        return self.catalogue.datasets[name]

    def columns(self, printed: list[str]) -> list[dict[str, Any]]:
        """Where the numbers of a paper's data sets stand: in the blocks of the study's own, of what
        stands in for them all, and of those that the study lacks.

        printed: names in the paper.
        """
        blocks = [self._column(dataset, None) for dataset in self.stand_ins(printed)]
        for name in printed:
            own = [self._column(dataset, name) for dataset in self.of_study(name)]
            blocks += own or [self._missing(name)]
        return blocks

    def _column(self, dataset: str, printed: str | None) -> dict[str, Any]:
        told = {"name": dataset, "dataset": dataset, "title": self._data(dataset)["title"]}
        return told | {"printed": printed, "stands_in": printed is None}

    def _missing(self, printed: str) -> dict[str, Any]:
        entries = self.catalogue.datasets.values()
        titles = [entry["title"] for entry in entries if entry.get("published") == printed]
        title = titles[0] if titles else printed
        told = {"name": f"{printed}:printed", "title": title, "printed": printed}
        return told | {"is_missing": True}

    def _block(self, column: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
        """What stands for a data set, as the block of a table of systems."""
        if column.get("is_missing"):
            return column
        dataset = column["dataset"]
        protocol, convention = self.protocol(dataset, content), self.convention(dataset, content)
        return self.block(dataset, protocol, convention) | column

    def protocol(self, dataset: str, content: dict[str, Any]) -> str:
        """By which of a data set's protocols a paper's numbers follow, and so all beside them."""
        entry = self._data(dataset)
        protocol = protocol_of(content, entry.get("published"))
        if protocol not in protocols_of(entry):
            raise UserError(
                f"config/datasets.yaml: {dataset}.protocols: has no {protocol!r}, which"
                " published/*.yaml names under paper.protocols; add it"
            )
        return protocol

    def prefix(self, system: str, dataset: str, content: dict[str, Any]) -> str:
        """`model/dataset/ablation` of the cells of `model/ablation` by a paper's protocol."""
        model, ablation = system.split("/")
        return f"{model}/{dataset}/{join_ablation(ablation, self.protocol(dataset, content))}"

    def convention(self, dataset: str, content: dict[str, Any]) -> str:
        """The paper's own way of scoring where the data set names it, else the headline's."""
        named = self._data(dataset).get("conventions", [])
        chosen = content["paper"].get("conventions", {}).get(self._data(dataset).get("published"))
        return chosen if chosen in named else HEADLINE

    # --- rows --------------------------------------------------------------------------------

    def _rows(
        self, table: dict[str, Any], blocks: list[dict[str, Any]], content: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The printed rows, one for each method; a method printed for two data sets is one row."""
        rows: dict[str, dict[str, Any]] = {}
        for number, printed in enumerate(table["rows"]):
            label = self._label(table, printed)
            is_quoted = printed["cell"] == QUOTED_ONLY
            group = None
            if table["kind"] == "comparison":
                group = "quoted" if is_quoted else "own"
            row = new_row(label, printed["cell"], group, is_quoted=is_quoted)
            row = rows.setdefault(label, row)
            source = [content["paper"]["key"], table["id"], number]
            for block in blocks:
                is_own = block["printed"] == printed["dataset"]
                has_cells = not is_quoted and not block.get("is_missing")
                if has_cells and (is_own or block["printed"] is None):
                    prefix = self.prefix(printed["cell"], block["dataset"], content)
                    row["prefixes"][block["name"]] = prefix
                    row["seeds"][block["name"]] = self.seeds.get(prefix, [])
                if is_own:
                    self.add_printed(row, block, source, has_cells=has_cells, table=table["id"])
        # Quoted rows first, in the paper's order: its own stand below them, as it prints them
        return sorted(rows.values(), key=lambda row: not row["is_quoted"])

    def _label(self, table: dict[str, Any], row: dict[str, Any]) -> str:
        """The printed method; with its settings where the table has several rows of that name."""
        same = [r for r in table["rows"] if r["method"] == row["method"]]
        if len({r["cell"] for r in same}) < 2:
            return str(row["method"])
        values = [
            f"{key.replace('_', ' ')} {value}"
            for key, value in row["setting"].items()
            if len({str(r["setting"].get(key)) for r in same}) > 1
        ]
        return f"{row['method']} ({', '.join(values)})"

    def _beside(
        self, blocks: list[dict[str, Any]], content: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Systems that see no video, by the paper's protocol: baselines and the model's twin."""
        rows: dict[str, dict[str, Any]] = {}
        for block in blocks:
            for prefix, seeds in self.seeds.items():
                model, dataset, name = prefix.split("/")
                entry = self.catalogue.models[model]
                ablation, protocol = split_ablation(name)
                if (dataset, protocol) != (block.get("dataset"), block.get("protocol")):
                    continue
                settings = self.cells.settings(CellId(model, dataset, name, seeds[0]))
                is_twin = entry.get("paper") == content["paper"]["key"] and (
                    settings["inputs"].get("video") == "zero"
                )
                if not is_twin and ("paper" in entry or "predictions" in entry):
                    continue
                label = entry["title"] + (", blind" if is_twin else "")
                row = rows.setdefault(label, new_row(label, f"{model}/{ablation}", "beside"))
                if row["prefixes"].setdefault(block["name"], prefix) == prefix:
                    row["seeds"][block["name"]] = seeds
        return list(rows.values())


def _order(metric: str) -> tuple[Any, ...]:
    """R@1 before R@5 before the mean, thresholds rising."""
    return (metric == "mIoU", metric.partition(",")[0], metric)
