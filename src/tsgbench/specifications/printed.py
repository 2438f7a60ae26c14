"""What the papers' files (`published/*.yaml`) say of cells: which row or figure is whose, by which
protocol, and how the printed numbers came to be.
"""

from typing import Any

from tsgbench.errors import UserError
from tsgbench.jobs.cells import DEFAULT, FULL

QUOTED_ONLY = "quoted only"


def check_cells(published: dict[str, dict[str, Any]], models: dict[str, dict[str, Any]]) -> None:
    """Refuse a printed row or drawn figure that names no cell, or one that does not exist."""
    for paper, content in published.items():
        for table in content["tables"]:
            for row in [] if table["kind"] == "statistics" else table["rows"]:
                where = f"published/{paper}.yaml: {table['id']}, {row['method']}: cell"
                if "cell" not in row:
                    raise UserError(
                        f"{where}: is missing; name the model/ablation that reproduces the row, or"
                        f" write {QUOTED_ONLY!r}"
                    )
                if row["cell"] != QUOTED_ONLY:
                    _check_cell(row["cell"], models, where)
            _check_reference(table, f"published/{paper}.yaml: {table['id']}: against")
        for figure in content.get("figures", []):
            for system in figure.get("draw", {}).get("systems", []):
                _check_cell(system, models, f"published/{paper}.yaml: {figure['id']}: draw.systems")


def _check_cell(cell: str, models: dict[str, dict[str, Any]], where: str) -> None:
    model, _, ablation = cell.partition("/")
    if model not in models or ablation not in models[model]["ablations"]:
        raise UserError(
            f"{where}: {cell!r} is no model/ablation of config/models; `tsgbench models` lists them"
        )


def reference_of(table: dict[str, Any]) -> str:
    """`model/ablation` of the row that the others of a table of ablations are tested against."""
    if "against" in table:
        return str(table["against"])
    full = (row["cell"] for row in table["rows"] if row["cell"].endswith(f"/{FULL}"))
    return next(full, "")


def _check_reference(table: dict[str, Any], where: str) -> None:
    if table["kind"] != "ablation":
        return
    reference = reference_of(table)
    if not any(row["cell"] == reference for row in table["rows"]):
        raise UserError(
            f"{where}: {reference or 'none'!r} is no row of the table, so nothing can be tested"
            " against it; name the cell of one of its rows"
        )


def protocol_of(content: dict[str, Any], printed: str | None) -> str:
    """The protocol by which a paper got its numbers on a data set, by the data set's name there."""
    practice: dict[str, str] = content["paper"].get("protocols", {}).get(printed, {})
    return practice.get("protocol", DEFAULT)


def printed_protocols(
    published: dict[str, dict[str, Any]], printed: str | None, paper: str | None
) -> list[str]:
    """The protocols of one paper's numbers on a data set, or of all papers'; at least the default.

    printed: the data set's name in the papers' files, None where no paper reports on it.
    """
    contents = [published[paper]] if paper else list(published.values())
    protocols = [
        protocol_of(content, printed)
        for content in contents
        if printed in content["paper"].get("protocols", {})
    ]
    return list(dict.fromkeys(protocols)) or [DEFAULT]


def served_rows(published: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """`model/ablation` -> the printed rows and figures it reproduces, as `paper table: row`."""
    served: dict[str, list[str]] = {}
    for paper, content in published.items():
        for table in content["tables"]:
            for row in table["rows"]:
                if "/" in row.get("cell", ""):
                    _add(served, row["cell"], f"{paper} {table['id']}: {row['method']}")
        for figure in content.get("figures", []):
            for system in figure.get("draw", {}).get("systems", []):
                _add(served, system, f"{paper} {target_name(figure['id'])}")
    return served


def _add(served: dict[str, list[str]], cell: str, row: str) -> None:
    rows = served.setdefault(cell, [])
    if row not in rows:
        rows.append(row)


def printed_ablations(published: dict[str, dict[str, Any]], model: str) -> list[str]:
    """Ablations of a model that some printed row or figure needs."""
    cells = [cell.split("/") for cell in served_rows(published)]
    return [ablation for name, ablation in cells if name == model]


def own_method(published: dict[str, dict[str, Any]], paper: str, model: str) -> str | None:
    """What a paper calls the row of its comparison tables that the full model reproduces."""
    for table in published[paper]["tables"]:
        for row in table["rows"] if table["kind"] == "comparison" else []:
            if row.get("cell") == f"{model}/{FULL}":
                return str(row["method"])
    return None


def system_label(title: str, ablation: str, protocol: str = DEFAULT) -> str:
    """What a system is called: its model's title, and what sets it apart from the full model by the
    default protocol."""
    label = title if ablation == FULL else f"{title}, {ablation.replace('_', ' ')}"
    return label if protocol == DEFAULT else f"{label}, protocol {protocol}"


def own_row(
    paper: str, content: dict[str, Any], dataset: str | None, method: str | None
) -> list[Any] | None:
    """[paper, table, index] of a paper's own row for a data set in its comparison tables; None if
    it prints none.

    method: which, where the paper has several systems of its own. `UserError` where that is open.
    """
    own = [
        (row["method"], [paper, table["id"], number])
        for table in content["tables"]
        if table.get("kind") == "comparison"
        for number, row in enumerate(table["rows"])
        if row["dataset"] == dataset and row.get("own")
    ]
    rows = [row for name, row in own if method in (None, name)]
    if own and len(rows) != 1:
        candidates = ", ".join(f"{name} in {table}" for name, (_, table, _) in own)
        raise UserError(
            f"published/{paper}.yaml: which of the paper's own rows for {dataset} is meant"
            f" ({candidates})? Give one alone the model's `full` as its `cell`"
        )
    return rows[0] if own else None


def target_name(figure: str) -> str:
    """`fig5a` as `figure5`: a figure's parts are drawn as one."""
    return figure.rstrip("abcdefgh").replace("fig", "figure")


def practice_of(
    content: dict[str, Any], printed: str | None, table: str | None = None
) -> dict[str, Any]:
    """How a paper got its numbers on a data set, for `reporting.departures` to compare.

    printed: the data set's name there. table: the paper's, whose number of runs may be its own.
    Keys: `system`; `protocol`; `trains`, `tests`: query-moment pairs; `selects`: what chose its
    checkpoints (splits, or [] for none), `selects_said`; `features`; `convention`; `precision`;
    `runs`. None, or no key, where the paper and its public code are silent. Empty for a data set
    that the paper does not report on.
    """
    paper = content["paper"]
    if printed not in paper.get("protocols", {}):
        return {}
    stated, counted = paper["protocols"][printed], content["datasets"][printed]
    runs = paper.get("runs", {})
    return {
        "system": paper["system"],
        "protocol": stated["protocol"],
        "trains": counted["pairs"]["train"],
        "tests": counted.get("evaluation_pairs_derived", counted["pairs"]["test"]),
        "selects": stated["selects"],
        "selects_said": stated.get("selects_said"),
        "features": paper.get("features", {}).get(printed),
        "convention": paper.get("conventions", {}).get(printed),
        "precision": paper.get("precision", {}).get("value"),
        "runs": runs.get("tables", {}).get(table, runs.get("value")),
    }


def examples_to_choose(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The queries that figures print, with their moments where these are in the text, for an
    inspection to look for."""
    return [
        {"sentence": example["query"], "moment_s": example.get("gt_s")}
        for figure in figures
        for example in (figure.get("numbers") or {}).get("examples", [])
    ]
