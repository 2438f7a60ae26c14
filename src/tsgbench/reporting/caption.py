"""The sentences around a table: what was measured, on what, by which protocol."""

from tsgbench.reporting.rows import Result, Row, Table, Value

NOT_RUN = "—"
UNDEFINED = "n/a"
DOUBTFUL = "?"
# What the named protocols of the evaluator mean, in words
PROTOCOLS = {
    "seconds": (
        "temporal IoU in seconds against the unquantised labels, counted when at least (≥) the "
        "threshold"
    ),
}


def caption(table: Table) -> str:
    """Everything a reader must know before quoting a number."""
    sentences = []
    if table.is_demo:
        sentences.append(
            "DEMO numbers on generated data, not results on any public data set: they show that "
            "the pipeline works and nothing else."
        )
    sentences.append(f"Study “{table.study}”: {table.title}.")
    if table.about:
        return " ".join([*sentences, table.about])
    sentences.append(
        "R@n, IoU=m: share of queries (%) with one of the first n moments at IoU m or better; "
        "mIoU: mean IoU (%) of the first."
    )
    sentences.extend(_protocol(table))
    for dataset in table.datasets:
        sentences.append(_dataset(table, dataset))
    sentences.append(_seeds(table))
    return " ".join(sentences)


def legend(table: Table) -> list[str]:
    """What the marks in this table mean; only those that occur. Then the study's own notes."""
    results = [result for row in table.rows for result in row.results.values()]
    values = [value for result in results for value in result.values.values()]
    lines = []
    if any(value.rank for value in values):
        second = ", second underlined" if any(value.rank == 2 for value in values) else ""
        lines.append(f"Bold: best of the trained systems that were fully run{second}.")
    if any(result.status == "not run" for result in results):
        lines.append(f"{NOT_RUN}: not run.")
    if any(result.status == "partial" for result in results):
        lines.append("n/m seeds: only n of the m seeds were run, so the mean is provisional.")
    if any(is_undefined(result, metric) for result in results for metric in table.metrics):
        reason = (
            "not printed by the paper"
            if table.has_one_block
            else ("not defined for this system, or not printed by its paper")
        )
        lines.append(f"{UNDEFINED}: {reason}.")
    if any(result.printed for result in results):
        lines.append(
            table.printed_note
            or "“printed” rows: the value in the paper, with its own features and its own "
            "evaluation; in brackets, reproduced minus printed."
        )
    if any(value.is_printed_uncertain for value in values):
        lines.append(f"{DOUBTFUL}: doubtful in the text the printed values were taken from.")
    return lines + table.notes


def is_undefined(result: Result, metric: str) -> bool:
    """Whether the reproduced or the printed value of a metric does not exist."""
    value = result.values[metric]
    return (bool(result.cells) and value.mean is None) or (
        result.printed is not None and value.printed is None and not value.is_printed_uncertain
    )


def row_label(row: Row, result: Result) -> str:
    """The system's name, with a mark where seeds are missing."""
    if result.status == "partial":
        return f"{row.label} ({len(result.cells)}/{len(result.wanted)} seeds)"
    return row.label


def printed_label(result: Result) -> str:
    """For example `printed (SeqPAN, Table 1)`."""
    printed = result.printed
    return f"printed ({printed.method}, {printed.table.replace('table', 'Table ')})"


def signed(value: Value) -> str:
    """Reproduced minus printed, with its sign; no sign where they are written alike."""
    text = f"{value.difference:+.{value.decimals}f}"
    return text[1:] if float(text) == 0 else text


def _cells(table: Table, dataset: str | None = None) -> list:
    return [
        cell
        for row in table.rows
        for name, result in row.results.items()
        if dataset in (None, name)
        for cell in result.cells
    ]


def _protocol(table: Table) -> list[str]:
    facts = [cell.evaluation["facts"] for cell in _cells(table)]
    names = sorted({str(fact["protocol"]) for fact in facts if fact.get("protocol")})
    sentences = [f"Protocol “{name}”: {PROTOCOLS.get(name, 'see its code')}." for name in names]
    thresholds = sorted({fact["nms_iou"] for fact in facts if fact.get("nms_iou") is not None})
    if thresholds and any(metric.startswith("R@5") for metric in table.metrics):
        said = ", ".join(f"{threshold:g}" for threshold in thresholds)
        sentences.append(
            f"Before R@5, moments that overlap a better one at IoU > {said} are dropped."
        )
    return sentences


def _dataset(table: Table, dataset: dict) -> str:
    cells = _cells(table, dataset["name"])
    facts = [cell.evaluation["facts"] for cell in cells]
    test = (facts[0].get("split") if facts else None) or dataset.get("test_split") or "test"
    queries = f", {facts[0]['queries']:,} query–moment pairs" if facts else ""
    chosen = {cell.run["facts"].get("selected_on") for cell in cells} - {None}
    select = ", ".join(sorted(chosen)) or dataset.get("select_split")
    parts = [f"{dataset['title']}: tested on “{test}”{queries}"]
    if select:
        parts.append(f"checkpoints chosen on “{select}”")
    if dataset.get("features"):
        parts.append(f"features: {dataset['features']}")
    extra = [dataset[key] for key in ("protocol_line", "note") if dataset.get(key)]
    return " ".join(["; ".join(parts) + ".", *(text.rstrip(". ") + "." for text in extra)])


def _seeds(table: Table) -> str:
    said: dict[tuple[int, ...], list[str]] = {}
    for row in table.rows:
        said.setdefault(tuple(row.seeds), []).append(row.label)
    several = {seeds for seeds in said if len(seeds) > 1}
    if not several:
        return "One seed a system, so no spread is given."
    if len(several) == 1:
        numbers = ", ".join(map(str, next(iter(several))))
    else:
        numbers = "; ".join(
            f"{', '.join(said[seeds])}: {', '.join(map(str, seeds))}" for seeds in sorted(several)
        )
    return f"Mean ± sample standard deviation over seeds {numbers}; a single seed has no ±."
