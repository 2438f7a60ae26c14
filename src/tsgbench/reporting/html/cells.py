"""The cell pages: for each system on a data set, its numbers by seed and all that made them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tsgbench.reporting.document import Document
from tsgbench.reporting.html.elements import Markup, element, join, link_to_file
from tsgbench.reporting.html.tables import write_difference, write_printed, write_verdict
from tsgbench.reporting.numbers import Shown
from tsgbench.reporting.provenance import anchor, system_of

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


@dataclass
class System:
    """The cells of one system on one data set, and every place where their numbers stand."""

    label: str
    dataset: str
    cells: list[dict]
    uses: list[dict] = field(default_factory=list)  # table, title, result, metrics


def gather_systems(documents: dict[str, Document]) -> dict[str, System]:
    """Anchor -> system, in the order of the tables. documents: by heading."""
    systems: dict[str, System] = {}
    for title, document in documents.items():
        titles = {block.name: block.title for block in document.datasets}
        for row in document.rows:
            for name, result in row.results.items():
                if not result.cells:
                    continue
                place = anchor(result.cells[0]["cell"])
                shown = titles[name]
                system = systems.setdefault(place, System(row.label, shown, []))
                known = {cell["cell"] for cell in system.cells}
                system.cells += [cell for cell in result.cells if cell["cell"] not in known]
                use = {"table": f"{title}, {shown}", "metrics": document.metrics}
                system.uses.append({**use, "result": result})
    return systems


def render_systems(systems: dict[str, System], folder: Path | str | None) -> Markup:
    """The section that the numbers link to."""
    if not systems:
        return Markup("")
    return element(
        "section",
        element("h2", "Where each number comes from"),
        element(
            "p",
            "Every system on every data set: its score with each seed, the runs, what they read, "
            "and the digests by which these are known.",
        ),
        *(_render_system(place, system, folder) for place, system in systems.items()),
        id="cells",
    )


def _render_system(place: str, system: System, folder: Path | str | None) -> Markup:
    name = system_of(system.cells[0]["cell"])
    is_dataset = system.label == system.dataset  # a row of a table of data sets
    label = system.label if is_dataset else f"{system.label} on {system.dataset}"
    return element(
        "section",
        element("h3", label),
        element("p", element("code", name), cls="over"),
        *(_render_use(use) for use in system.uses),
        element("h4", "Runs"),
        _render_runs(system.cells, folder),
        *_render_inputs(system.cells[0], folder),
        *_render_settings(system.cells[0]),
        id=place,
        cls="system",
    )


def _render_use(use: dict) -> Markup:
    """The numbers of one table by seed, with mean, interval, printed value and verdict."""
    result, metrics = use["result"], use["metrics"]
    values = [Shown(result.values[metric]) for metric in metrics]
    rows = []
    for place, cell in enumerate(result.cells):
        name = cell["cell"].rpartition("/")[2].replace("seed", "seed ")
        rows.append((name, [shown.seeds[place] if shown.seeds else "" for shown in values]))
    if len(result.cells) > 1:
        rows.append(("mean", [shown.mean for shown in values]))
        rows.append(("standard deviation", [shown.std for shown in values]))
    rows += [
        ("95 % interval", [shown.interval for shown in values]),
        ("printed", [shown.printed and write_printed(shown) for shown in values]),
        ("difference", [write_difference(shown) for shown in values]),
        ("verdict", [write_verdict(shown) for shown in values]),
        ("p-value", [shown.p_value for shown in values]),
    ]
    first = result.cells[0]
    told = [first.get("convention") and f"convention “{first['convention']}”", first.get("part")]
    scored = ", ".join(filter(None, told))
    if result.printed:
        scored += f"{'; ' if scored else ''}{result.printed.label}"
    if result.printed and result.departures:
        texts = "; ".join(departure.text for departure in result.departures)
        scored += f"; departs from it: {texts}"
    lines = [
        element("tr", element("th", label, scope="row"), *(element("td", n) for n in numbers))
        for label, numbers in rows
        if any(numbers)
    ]
    heads = (element("th", metric, scope="col") for metric in ("", *metrics))
    grid = element("table", element("thead", element("tr", *heads)), element("tbody", *lines))
    title = element("h4", use["table"] + (f" ({scored})" if scored else ""))
    return join(title, element("div", grid, cls="scroll"))


def _render_runs(cells: list[dict], folder: Path | str | None) -> Markup:
    """Fields down, runs across; a field that is the same for all runs stands once."""
    keys = [key for key in FIELDS if any(cell.get(key) is not None for cell in cells)]
    keys += sorted({key for cell in cells for key in cell} - set(FIELDS) - set(APART))
    rows = []
    for key in keys:
        entries = [_entry(key, cell.get(key), folder) for cell in cells]
        head = element("th", FIELDS.get(key, key.replace("_", " ")), scope="row")
        if len(cells) > 1 and len(set(entries)) == 1:
            rows.append(element("tr", head, element("td", entries[0], colspan=len(cells))))
        else:
            ids = [None] * len(cells)
            if key == "cell":
                ids = ["cell-" + cell["cell"].replace("/", "-") for cell in cells]
                if ids[0] == anchor(cells[0]["cell"]):  # has no seeds: the section's own id
                    ids = [None] * len(cells)
            pairs = zip(entries, ids, strict=True)
            rows.append(element("tr", head, *(element("td", e, id=i) for e, i in pairs)))
    if not any(cell.get("mlflow_run") for cell in cells) and "run" in cells[0]:
        said = "logged from its files when the table was written; the table's .json names the run"
        head = element("th", FIELDS["mlflow_run"], scope="row")
        rows.insert(3, element("tr", head, element("td", said, colspan=len(cells))))
    return element("div", element("table", element("tbody", *rows), cls="runs"), cls="scroll")


def _entry(key: str, value: object, folder: Path | str | None) -> Markup:
    if value is None:
        return element("span", "not recorded", cls="missing")
    if key == "record":
        return link_to_file(value, folder)
    if key == "files":
        links = [join(link_to_file(path, folder, name), " ") for name, path in value.items()]
        return join(*links)
    if isinstance(value, dict | list):
        return element("code", json.dumps(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return join(f"{value:,}")
    if key in ("hardware", "device", "protocol", "split", "study", "selected_on"):
        return join(value)
    return element("code", value)


def _render_inputs(cell: dict, folder: Path | str | None) -> list[Markup]:
    """What the run read: each record with what was asked (identity) and what it held (digest)."""
    if not cell.get("inputs"):
        return []
    rows = []
    for role, entry in cell["inputs"].items():
        record = entry.get("record")
        known = [
            element("code", entry.get(key) or "not recorded") for key in ("identity", "digest")
        ]
        path = link_to_file(record, folder) if record else ""
        cells = [element("td", part) for part in (*known, path)]
        rows.append(element("tr", element("th", role, scope="row"), *cells))
    heads = (element("th", name) for name in ("Input", "Identity", "Digest", "Record"))
    grid = element(
        "table", element("thead", element("tr", *heads)), element("tbody", *rows), cls="plain"
    )
    return [element("h4", "Inputs"), element("div", grid, cls="scroll")]


def _render_settings(cell: dict) -> list[Markup]:
    if not cell.get("settings"):
        return []
    shared = {key: value for key, value in cell["settings"].items() if key != "seed"}
    text = yaml.safe_dump(shared, sort_keys=False, allow_unicode=True)
    return [
        element(
            "details",
            element("summary", "Settings, the same for every seed (YAML)"),
            element("pre", text),
        )
    ]
