"""What the papers' files (`published/*.yaml`) say of cells: which row or figure is whose."""

from tsgbench.errors import UserError

QUOTED_ONLY = "quoted only"
FULL = "full"


def check_cells(published: dict[str, dict], models: dict[str, dict]) -> None:
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
        for figure in content.get("figures", []):
            for system in figure.get("draw", {}).get("systems", []):
                _check_cell(system, models, f"published/{paper}.yaml: {figure['id']}: draw.systems")


def _check_cell(cell: str, models: dict[str, dict], where: str) -> None:
    model, _, ablation = cell.partition("/")
    if model not in models or ablation not in models[model]["ablations"]:
        raise UserError(
            f"{where}: {cell!r} is no model/ablation of config/models; `tsgbench models` lists them"
        )


def served_rows(published: dict[str, dict]) -> dict[str, list[str]]:
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


def printed_ablations(published: dict[str, dict], model: str) -> list[str]:
    """Ablations of a model that some printed row or figure needs."""
    protocols = [
        ablation
        for content in published.values()
        if content["paper"]["key"] == model
        for protocol in content["paper"].get("protocols", {}).values()
        for ablation in protocol.get("cells", {}).values()
    ]
    served = [cell.split("/")[1] for cell in served_rows(published) if cell.split("/")[0] == model]
    return list(dict.fromkeys([*served, *protocols]))


def own_method(published: dict[str, dict], paper: str, model: str) -> str | None:
    """What a paper calls the row of its comparison tables that the full model reproduces."""
    for table in published[paper]["tables"]:
        for row in table["rows"] if table["kind"] == "comparison" else []:
            if row.get("cell") == f"{model}/{FULL}":
                return row["method"]
    return None


def target_name(figure: str) -> str:
    """`fig5a` as `figure5`: a figure's parts are drawn as one."""
    return figure.rstrip("abcdefgh").replace("fig", "figure")


def departures(
    content: dict, printed: str | None, settings: dict, model: dict, convention: str
) -> list[str]:
    """In what a cell departs from the way in which a paper got its numbers, in words.

    content: the paper's file. printed: the data set's name there. settings: of the cell. model: its
    entry. convention: how the cell is scored.
    """
    paper, splits, found = content["paper"], settings["splits"], []
    protocol = paper.get("protocols", {}).get(printed, {}).get("protocol", "default")
    if splits["protocol"] != protocol:
        found.append(f"tested on {' + '.join(splits['test'])}")
    own = model.get("datasets", {}).get(settings["dataset"], {}).get("inputs", {})
    if "features" in own and settings["inputs"]["features"] != own["features"]:
        found.append("other features")
    if paper.get("conventions", {}).get(printed, convention) != convention:
        found.append("scored by another convention")
    return found


def examples_to_choose(figures: list[dict]) -> list[dict]:
    """The queries that figures print, with their moments where these are in the text, for an
    inspection to look for."""
    return [
        {"sentence": example["query"], "moment_s": example.get("gt_s")}
        for figure in figures
        for example in (figure.get("numbers") or {}).get("examples", [])
    ]
