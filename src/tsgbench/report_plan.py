"""The reports of a study that need no training, or put all of it into words.

Tables of statistics and figures of data sets read `statistics` records alone, and so can be made
before any cell; `findings` reads those and every cell. What a paper counted stands as data in
`published/`: `columns` and `reproduce` of a table of statistics, `reproduce` of a figure.
"""

from collections.abc import Iterator

from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.files import digest
from tsgbench.text.tokens import TOKENIZERS

BINS = 20  # of histograms over a video's length

# phase, wildcards, settings, inputs, modules: the arguments of study.Job
Planned = tuple[str, dict[str, str], dict, dict[str, str], tuple[str, ...]]


def plan_reports(
    config: dict,
    catalogue: Catalogue,
    records: dict[str, str],
    annotations: dict,
    cells: dict[str, str],
) -> Iterator[Planned]:
    """Every job, inputs before consumers.

    records: study.RECORDS. annotations: data set -> its annotations job. cells: role -> record of
    every cell's run and metrics.
    """
    tables = {
        name: spec for name, spec in config["tables"].items() if spec.get("kind") == "statistics"
    }
    figures = config.get("figures", {})
    described: set[str] = set()
    for name in tables:
        described |= {row["dataset"] for row in find_table(catalogue, *_paper(name, "tables"))}
    for name, spec in figures.items():
        described |= set(_datasets(name, spec, config, catalogue))
    if config.get("findings"):
        described |= set(annotations)
    statistics = {
        dataset: records["statistics"].format(dataset=dataset)
        for dataset in annotations
        if dataset in described
    }
    for dataset in statistics:
        yield _plan_statistics(dataset, catalogue, annotations[dataset])
    for name, spec in tables.items():
        yield _plan_table(name, spec, config, catalogue, statistics)
    for name, spec in figures.items():
        yield _plan_figure(name, spec, config, catalogue, statistics)
    if config.get("findings"):
        yield _plan_findings(config, catalogue, statistics, cells)


def find_table(catalogue: Catalogue, paper: str, table: str) -> list[dict]:
    """Rows of a printed table of statistics; `UserError` if there is none of this name."""
    where = f"published/{paper}.yaml"
    if paper not in catalogue.published:
        raise UserError(f"{where}: no such paper; known: {', '.join(sorted(catalogue.published))}")
    entries = {entry["id"]: entry for entry in catalogue.published[paper]["tables"]}
    kinds = {name: entry["kind"] for name, entry in entries.items()}
    if kinds.get(table) != "statistics":
        known = [name for name, kind in kinds.items() if kind == "statistics"]
        has = ", ".join(known) or "none"
        raise UserError(f"{where}: tables: no table of statistics {table!r}; it has {has}")
    return entries[table]["rows"]


def printed_parts(published: dict[str, dict], dataset: str) -> list[list[str]]:
    """Every union of splits of a data set that some paper counts, each once."""
    found = []
    for paper in published.values():
        for table in paper.get("tables", []):
            for row in table["rows"] if table["kind"] == "statistics" else []:
                if row["dataset"] == dataset:
                    found += row.get("reproduce", {}).get("parts", {}).values()
        for figure in paper.get("figures", []):
            found += [part for name, part in figure.get("reproduce", {}).items() if name == dataset]
    return [list(part) for part in dict.fromkeys(map(tuple, found))]


def _plan_statistics(dataset: str, catalogue: Catalogue, annotations) -> Planned:
    settings = {
        **annotations.settings,
        "parts": printed_parts(catalogue.published, dataset),
        "tokenizers": list(TOKENIZERS),
        "bins": BINS,
    }
    inputs = {**annotations.inputs, "annotations": annotations.record}
    return "statistics", {"dataset": dataset}, settings, inputs, annotations.modules


def _plan_table(
    name: str, spec: dict, config: dict, catalogue: Catalogue, statistics: dict[str, str]
) -> Planned:
    paper, table = _paper(name, "tables")
    named = {row["dataset"] for row in find_table(catalogue, paper, table)}
    settings = {
        "kind": "statistics",
        **_common(name, config),
        "notes": spec.get("notes", []),
        "paper": paper,
        "table": table,
        "published": {paper: digest(catalogue.published[paper])},
    }
    inputs = {f"statistics:{one}": path for one, path in statistics.items() if one in named}
    return "table", {"table": name}, settings, inputs, ()


def _plan_figure(
    name: str, spec: dict, config: dict, catalogue: Catalogue, statistics: dict[str, str]
) -> Planned:
    datasets = _datasets(name, spec, config, catalogue)
    settings = {
        **_common(name, config),
        "kind": spec["kind"],
        "datasets": {one: catalogue.datasets[one]["title"] for one in datasets},
        "printed": _printed_figure(name, catalogue),
    }
    inputs = {f"statistics:{one}": statistics[one] for one in datasets if one in statistics}
    module = f"tsgbench.reporting.figures.{spec['kind']}"
    return "figure", {"figure": name}, settings, inputs, (module,)


def _plan_findings(
    config: dict, catalogue: Catalogue, statistics: dict[str, str], cells: dict[str, str]
) -> Planned:
    models = {system["model"]: catalogue.models[system["model"]] for system in config["systems"]}
    settings = {
        **_common("findings", config),
        "datasets": {
            name: {
                "title": catalogue.datasets[name]["title"],
                "published": catalogue.datasets[name].get("published"),
            }
            for name in config["datasets"]
        },
        "models": {
            name: {key: entry[key] for key in ("title", "paper", "printed_as") if key in entry}
            for name, entry in models.items()
        },
        "published": {paper: digest(content) for paper, content in catalogue.published.items()},
    }
    inputs = {f"statistics:{one}": path for one, path in statistics.items()}
    return "findings", {}, settings, {**cells, **inputs}, ()


def _common(name: str, config: dict) -> dict:
    return {
        "id": name,
        "study": config["study"],
        "title": config["title"],
        "is_demo": config.get("demo", False),
    }


def _paper(name: str, section: str) -> tuple[str, str]:
    paper, slash, number = name.partition("/")
    if not slash:
        raise UserError(
            f"{section}.{name}: kind statistics: is called after the printed table that it stands"
            " beside, such as 'seqpan/table7'; rename it"
        )
    return paper, number


def _datasets(name: str, spec: dict, config: dict, catalogue: Catalogue) -> list[str]:
    """Data sets of a figure: those it names, in the study or not, or all of the study."""
    for dataset in spec.get("datasets", []):
        if dataset not in catalogue.datasets:
            raise UserError(
                f"figures.{name}.datasets: {dataset!r} is not a known data set; known:"
                f" {', '.join(sorted(catalogue.datasets))}"
            )
    return spec.get("datasets", list(config["datasets"]))


def _printed_figure(name: str, catalogue: Catalogue) -> dict | None:
    """What the paper prints beside its figure: `paper`, `figure`, `numbers`, `reproduce`."""
    paper, _, number = name.partition("/")
    for figure in catalogue.published.get(paper, {}).get("figures", []):
        if figure["id"] == number.replace("figure", "fig"):
            system = catalogue.published[paper]["paper"]["system"]
            chosen = {key: figure[key] for key in ("numbers", "reproduce") if key in figure}
            return {"paper": system, "figure": number.replace("figure", "Figure "), **chosen}
    return None
