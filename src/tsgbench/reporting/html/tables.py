"""A table's blocks: one number a cell of the grid, and below it what it has to be read with."""

from tsgbench.reporting.caption import (
    DOUBTFUL,
    NOT_RUN,
    SIGNIFICANT,
    UNDEFINED,
    VERDICT_MARKS,
)
from tsgbench.reporting.html.elements import Markup, element, join
from tsgbench.reporting.provenance import anchor

RANKS = {1: "best", 2: "second"}
TONES = {"within interval": "v-within", "above": "v-above", "below": "v-below"}


def render_blocks(description: dict, level: int = 2) -> list[Markup]:
    """One sortable table for each data set, or a single one whose rows are data sets.

    level: of the headings above them.
    """
    datasets = description["datasets"]
    if description["has_one_block"]:
        rows = [
            _row(description, row, row["results"][dataset["name"]])
            for dataset in datasets
            for row in description["rows"]
            if dataset["name"] in row["results"]
        ]
        return [_table(description, rows, "Data set", description["title"])]
    blocks = []
    for dataset in datasets:
        head = element(f"h{level}", dataset["title"])
        grid = _table(description, _rows(description, dataset["name"]), "System", dataset["title"])
        blocks.append(element("section", head, grid))
    return blocks


def render_notes(description: dict) -> Markup:
    """The legend: what the marks mean, and how to use the page."""
    notes = description["notes"]
    hint = "A number leads to the runs behind it; the head of a column sorts by it."
    listed = element("ul", *(element("li", note) for note in notes)) if notes else ""
    return element("div", element("p", hint, cls="hint"), listed, cls="notes")


def _table(description: dict, rows: list[Markup], first: str, title: str) -> Markup:
    columns = [first, *description["metrics"]]
    heads = (
        element(
            "th",
            element("button", name.replace(",", ", "), type="button", title="Sort"),
            scope="col",
            aria_sort="none",
            data_column=place,
        )
        for place, name in enumerate(columns)
    )
    grid = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        cls="sortable full",
        aria_label=title,
    )
    return element("div", grid, cls="scroll", tabindex=0, role="region", aria_label=title)


def _rows(description: dict, dataset: str) -> list[Markup]:
    titles = {group["id"]: group["title"] for group in description["groups"]}
    rows, group = [], None
    width = 1 + len(description["metrics"])
    for row in description["rows"]:
        if dataset not in row["results"]:
            continue
        if row["group"] != group:
            group = row["group"]
            if group in titles:
                head = element("th", titles[group], scope="rowgroup", colspan=width)
                rows.append(element("tr", head, cls="group"))
        rows.append(_row(description, row, row["results"][dataset]))
    return rows


def _row(description: dict, row: dict, result: dict) -> Markup:
    below = []
    if result["printed"] and not result["is_only_printed"]:
        label = result["printed"]["label"]
        below.append(element("span", label, cls="below-number"))
    for departure in result["departures"] if result["printed"] else []:
        mark = f"{VERDICT_MARKS['protocol differs']} " if departure["is_material"] else ""
        below.append(element("span", mark + departure["text"], cls="below-number"))
    return element(
        "tr",
        element("th", result["label"], *below, scope="row", data_sort=result["label"]),
        *(_number(result, result["values"][metric]) for metric in description["metrics"]),
        cls="quoted" if result["is_only_printed"] else None,
    )


def _number(result: dict, value: dict) -> Markup:
    """A reproduced number over its interval and its printed value, or what stands for it."""
    sort = value["published"] if result["is_only_printed"] else value["mean"]
    lines = [] if result["is_only_printed"] else [reproduced(result, value)]
    if value["interval"]:
        lines.append(element("span", show_interval(value), cls="below-number"))
    if result["is_only_printed"]:
        lines.append(_quoted(value))
    elif result["printed"]:
        lines += _printed(value)
    if value["p_value"] is not None:
        star = "* " if value["p_value"] < SIGNIFICANT else ""
        lines.append(element("span", f"{star}p = {show_p_value(value)}", cls="below-number"))
    return element("td", *lines, data_sort=None if sort is None else f"{sort:.10g}")


def reproduced(result: dict, value: dict) -> Markup:
    """Mean and spread, linked to the section of its cells."""
    if not result["cells"]:
        return element("span", f"{NOT_RUN} not run", cls="missing")
    if value["mean"] is None:
        return element("span", UNDEFINED, cls="missing")
    mean = element("span", show(value, "mean"), cls=RANKS.get(value["rank"]))
    spread = ""
    if value["std"] is not None:
        spread = join(" ", element("span", f"± {show(value, 'std')}", cls="std"))
    return element("a", mean, spread, cls="mean", href="#" + anchor(result["cells"][0]["cell"]))


def show(value: dict, key: str) -> str:
    """One of a value's numbers as it is written."""
    return f"{value[key]:.{value['decimals']}f}"


def show_interval(value: dict) -> str:
    """`[46.20, 49.81]`."""
    low, high = (f"{end:.{value['decimals']}f}" for end in value["interval"])
    return f"[{low}, {high}]"


def show_difference(value: dict) -> str:
    """Reproduced minus printed with its sign; none where both are written alike."""
    text = f"{value['difference']:+.{value['decimals']}f}".replace("-", "−")
    return text[1:] if not float(f"{value['difference']:.{value['decimals']}f}") else text


def show_p_value(value: dict) -> str:
    """Three significant digits."""
    return f"{value['p_value']:.3g}"


def show_printed(value: dict) -> str:
    """The paper's number with a mark of doubt; what stands where it has none."""
    doubt = DOUBTFUL if value["published_uncertain"] else ""
    if value["published"] is None:
        return doubt or UNDEFINED
    spread = "" if value["published_std"] is None else f" ± {show(value, 'published_std')}"
    return value["published_text"] + spread + doubt


def show_verdict(value: dict) -> Markup:
    """The verdict in words, with its mark."""
    verdict = value["verdict"]
    tone = " ".join(filter(None, ["verdict", TONES.get(verdict)]))
    return element("span", f"{VERDICT_MARKS.get(verdict, '')} {verdict}".strip(), cls=tone)


def _printed(value: dict) -> list[Markup]:
    difference = ""
    if value["difference"] is not None:
        difference = f" ({show_difference(value)})"
    lines = [element("span", f"printed {show_printed(value)}{difference}", cls="below-number")]
    if value["verdict"]:
        lines.append(element("span", show_verdict(value), cls="below-number"))
    return lines


def _quoted(value: dict) -> Markup:
    return element("span", show_printed(value), cls=RANKS.get(value["published_rank"]))
