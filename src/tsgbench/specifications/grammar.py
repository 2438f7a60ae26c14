"""What a table of systems is to show: one grammar, of the study's own tables and of the papers'.

A specification, which `reporting.systems_table` fills, holds what every table says of itself
(`layout.describe_study`, `notes`), `metrics`, `against` (label of the row that the others are
tested against, or None), the digests of the papers' files that it quotes (`published`), and for a
printed table `paper` and `table`. Then

- `datasets`: its blocks, with the fields of `reporting.document.Block`; `printed`, what the papers'
  files call the data set whose numbers may stand there, or None; and `stands_in`, whether it stands
  in for the data of a paper;
- `rows`: {label, cell (`model/ablation`), group (of `systems_table.GROUPS`, or None), is_quoted},
  and by name of a block: `prefixes`, the cells that show the row (`model/dataset/ablation`), and
  their `seeds`; `printed`, its row in a paper's file as [paper, table, index]; `practice`, how that
  paper got its numbers (`printed.practice_of`).
"""

from typing import Any

from tsgbench.config import HEADLINE, Catalogue, protocols_of, roles_of
from tsgbench.files import digest
from tsgbench.jobs.cells import cell_names
from tsgbench.jobs.layout import describe_study
from tsgbench.specifications.cells import Cells
from tsgbench.specifications.printed import practice_of


class Specifications:
    """Makes specifications over the cells of one study."""

    def __init__(self, config: dict[str, Any], catalogue: Catalogue, cells: Cells):
        self.config, self.catalogue, self.cells = config, catalogue, cells
        self.seeds: dict[str, list[int]] = {}  # model/dataset/ablation -> seeds
        for cell in cells:
            self.seeds.setdefault(cell.prefix, []).append(cell.seed)

    def specify(
        self, name: str, *, notes: list[str], rows: list[dict[str, Any]], **more: Any
    ) -> dict[str, Any]:
        """The specification of a table, complete."""
        models = (row["cell"].partition("/")[0] for row in rows if any(row["seeds"].values()))
        papers = sorted({paper for row in rows for paper, *_ in row["printed"].values()})
        return {
            "kind": "systems",
            **describe_study(self.config, name),
            "notes": notes + self.cells.notes(models),
            "rows": rows,
            # The printed numbers are an input like any other
            "published": {paper: digest(self.catalogue.published[paper]) for paper in papers},
            **more,
        }

    def block(self, dataset: str, protocol: str, convention: str) -> dict[str, Any]:
        """The block of a data set, its features left out until its rows are known."""
        entry = self.catalogue.datasets[dataset]
        chosen = protocols_of(entry)[protocol]
        roles = roles_of(chosen)
        return {
            "name": dataset,
            "dataset": dataset,
            "printed": entry.get("published"),
            "title": entry["title"],
            "note": entry.get("note", ""),
            "protocol": protocol,
            "protocol_about": chosen.get("about", ""),
            "test_split": " + ".join(roles["test"]),
            "select_split": " + ".join(roles["select"]),
            "convention": {
                "name": convention,
                "about": self.catalogue.conventions[convention]["about"],
                "is_headline": convention == HEADLINE,
            },
        }

    def add_features(self, blocks: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
        """Give every block the features that its own cells read."""
        for block in blocks:
            prefixes = [row["prefixes"].get(block["name"]) for row in rows]
            cells = [prefix.split("/") for prefix in prefixes if prefix in self.seeds]
            read = [(model, ablation) for model, _, ablation in cells]
            described = self.cells.describe_features(block["dataset"], read) if read else ""
            block["features"] = described

    def add_printed(
        self,
        row: dict[str, Any],
        block: dict[str, Any],
        printed: list[Any],
        *,
        has_cells: bool = True,
        table: str | None = None,
    ) -> None:
        """Set a row of a paper's file beside a row, in a block.

        has_cells: whether ours are compared with it. table: the paper's, whose number of runs may
        be its own.
        """
        name, paper = block["name"], printed[0]
        row["printed"][name] = printed
        if has_cells:
            practice = practice_of(self.catalogue.published[paper], block["printed"], table)
            model = row["cell"].partition("/")[0]
            changed = self.cells.changed(model, block["dataset"])
            row["practice"][name] = practice | {"changed": changed}

    def wanted(self, settings: dict[str, Any]) -> list[str]:
        """Names of the cells that a table or figure shows and the study has."""
        wanted = [
            cell
            for row in settings["rows"]
            for prefix in row["prefixes"].values()
            for cell in cell_names(prefix, self.seeds.get(prefix, []))
        ]
        return list(dict.fromkeys(wanted))


def new_row(
    label: str, cell: str, group: str | None = None, *, is_quoted: bool = False
) -> dict[str, Any]:
    """A row that stands in no block yet."""
    told = {"label": label, "cell": cell, "group": group, "is_quoted": is_quoted}
    return told | {"prefixes": {}, "seeds": {}, "printed": {}, "practice": {}}
