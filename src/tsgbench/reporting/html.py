"""A table as a page that stands alone: no server, no network, nothing beside the one file.

The report (`reporting/report/`) puts several tables on one page with the same parts. What the pages
look like is in `templates/`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from tsgbench.reporting.document import DEMO, Document, Result
from tsgbench.reporting.numbers import Shown
from tsgbench.reporting.provenance import anchor, heading, system_of
from tsgbench.reporting.templates import render_page

# What is told of each run, in this order; all else that a cell says follows under its own name
FIELDS = {
    "cell": "Cell",
    "run": "Identity of the run",
    "evaluation": "Identity of the evaluation",
    "identity": "Identity",
    "digest": "Digest",
    "record": "Record",
    "mlflow_run": "MLflow run",
    "mlflow_store": "MLflow store",
    "git_commit": "Git commit",
    "code": "Code digest",
    "evaluation_code": "Code digest of the evaluation",
    "study": "Trained for study",
    "taken_over": "Taken over from",
    "protocol": "Protocol",
    "split": "Tested on split",
    "selected_on": "Checkpoint chosen on",
    "queries": "Queries scored",
    "of_queries": "Queries of the split",
    "hardware": "Hardware",
    "device": "Device",
    "seconds": "Seconds of training",
    "parameters": "Parameters",
    "files": "Files",
}
# Told elsewhere: as blocks of their own, or with the numbers, which differ from table to table
APART = ("inputs", "settings", "convention", "part")
NO_MLFLOW = "logged from its files when the table was written; the table's .json names the run"


def render_html(document: Document, folder: Path | str | None = None) -> str:
    """The page of one table: caption, blocks of rows, notes, and a section for each system.

    folder: where the page will lie, so that files are linked from there; without it they are
    named only.
    """
    title = title_of(document)
    return render_page(
        "table.html",
        document=document,
        title=title,
        about=document.heading.partition(": ")[2],
        caption=caption_of(document),
        systems=gather_systems({title: document}),
        folder=folder,
    )


def title_of(document: Document) -> str:
    """`SeqPAN, Table 5`."""
    papers = {one.printed.paper: one.printed.system for one in document.results if one.printed}
    return document.heading.partition(": ")[0] or heading(document.table, papers)


def caption_of(document: Document) -> str:
    """The caption without what stands above it on a page: that it is a demo, and its heading."""
    text = document.caption.removeprefix(DEMO).strip()
    return text.removeprefix(document.heading.rstrip(". ") + ".").strip()


@dataclass
class System:
    """The cells of one system on one data set, and every place where their numbers stand."""

    label: str
    dataset: str
    cells: list[dict]
    uses: list[dict] = field(default_factory=list)  # title, metrics, shown values, seeds

    @property
    def name(self) -> str:
        """`model/dataset/ablation`."""
        return system_of(self.cells[0]["cell"])

    @property
    def inputs(self) -> dict:
        """Role -> identity and digest of what its first cell was made from."""
        return self.cells[0].get("inputs", {})

    @property
    def settings(self) -> dict:
        """Those that its seeds share."""
        settings = self.cells[0].get("settings") or {}
        return {key: value for key, value in settings.items() if key != "seed"}

    @property
    def fields(self) -> list[dict]:
        """What is told of the runs; of all at once where they agree."""
        cells = self.cells
        keys = [key for key in FIELDS if any(cell.get(key) is not None for cell in cells)]
        keys += sorted({key for cell in cells for key in cell} - set(FIELDS) - set(APART))
        shown = [self._field(key) for key in keys]
        if "run" in cells[0] and not any(cell.get("mlflow_run") for cell in cells):
            shown.insert(3, {"title": FIELDS["mlflow_run"], "said": NO_MLFLOW})
        return shown

    def _field(self, key: str) -> dict:
        entries = [cell.get(key) for cell in self.cells]
        ids = ["cell-" + cell["cell"].replace("/", "-") for cell in self.cells]
        # What has no seeds has the section's own id
        has_ids = key == "cell" and ids[0] != anchor(self.cells[0]["cell"])
        return {
            "key": key,
            "title": FIELDS.get(key, key.replace("_", " ")),
            "entries": entries,
            "is_shared": len(entries) > 1 and all(entry == entries[0] for entry in entries),
            "ids": ids if has_ids else [],
            "said": "",
        }


def gather_systems(documents: dict[str, Document]) -> dict[str, System]:
    """Anchor -> system, in the order of the tables. documents: by heading."""
    systems: dict[str, System] = {}
    for title, document in documents.items():
        titles = {block.name: block.title for block in document.datasets}
        for row in document.rows:
            for name, result in row.results.items():
                if not result.cells or result.status == "people":  # no number of its cell's system
                    continue
                system = systems.setdefault(result.anchor, System(row.label, titles[name], []))
                known = {cell["cell"] for cell in system.cells}
                system.cells += [cell for cell in result.cells if cell["cell"] not in known]
                system.uses.append(_use(f"{title}, {titles[name]}", document.metrics, result))
    return systems


def _use(title: str, metrics: list[str], result: Result) -> dict:
    """The numbers of one table; its title says how they were scored, and what they stand beside."""
    shown = [Shown(result.values[metric]) for metric in metrics]
    first = result.cells[0]
    told = [first.get("convention") and f"convention “{first['convention']}”", first.get("part")]
    scored = [", ".join(filter(None, told))]
    if result.printed:
        texts = "; ".join(departure.text for departure in result.departures)
        scored += [result.printed.label, texts and f"departs from it: {texts}"]
    said = "; ".join(filter(None, scored))
    seeds = []
    for index, cell in enumerate(result.cells):
        name = cell["cell"].rpartition("/")[2].replace("seed", "seed ")
        seeds.append((name, [one.seeds[index] if one.seeds else "" for one in shown]))
    title += f" ({said})" if said else ""
    return {"title": title, "metrics": metrics, "shown": shown, "seeds": seeds}
