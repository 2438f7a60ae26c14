"""The sentences around a table: what was measured, on what, by which protocol."""

import re

from tsgbench.features.durations import DIFFERS_S, DIFFERS_SHARE
from tsgbench.jobs.cells import DEFAULT
from tsgbench.reporting.cells import FIXED_ORDER, Cell, describe_coverage
from tsgbench.reporting.departures import describe_selection, selection_of
from tsgbench.reporting.document import DEMO, Block, Value
from tsgbench.reporting.draft import Result, Row, Table
from tsgbench.reporting.numbers import (
    DOUBTFUL,
    NOT_RUN,
    PEOPLE,
    SIGNIFICANT,
    UNDEFINED,
    VERDICT_MARKS,
    Shown,
)
from tsgbench.reporting.published import Printed


def caption(table: Table) -> str:
    """Everything a reader must know before quoting a number."""
    sentences = []
    if table.is_demo:
        sentences.append(DEMO)
    if table.heading:
        sentences.append(f"{table.heading.rstrip('. ')}.")
    sentences.append(f"Study “{table.study}”: {table.title}.")
    if table.about:
        return " ".join([*sentences, table.about])
    sentences.extend(_metrics(table))
    sentences.extend(_protocol(table))
    described = set()
    for dataset in table.datasets:
        if dataset.is_missing:
            continue
        sentences.append(_dataset(table, dataset, with_notes=dataset.data not in described))
        described.add(dataset.data)  # its notes hold for all of its parts
    sentences.append(_seeds(table))
    sentences.extend(_precision(table))
    return " ".join(sentences)


def legend(table: Table) -> list[str]:
    """What the marks in this table mean; only those that occur. Then the study's own notes."""
    results = [result for row in table.rows for result in row.results.values()]
    values = [value for result in results for value in result.values.values()]
    lines = []
    if any(value.rank for value in values):
        second = ", second underlined" if any(value.rank == 2 for value in values) else ""
        lines.append(f"Bold: best of the trained systems that were fully run{second}.")
    if any(value.published_rank for value in values):
        lines.append("Among printed numbers of a data set: best bold, second underlined.")
    alike = [text for value in values if (text := Shown(value).std) and not float(text)]
    if alike:
        lines.append(f"± {alike[0]}: all seeds score alike; those of a trained system by chance.")
    if any(value.interval for value in values):
        lines.append(
            "In square brackets: 95 % bootstrap interval of the mean over seeds, over test videos."
        )
    if any(_is_not_run(row, result) for row in table.rows for result in row.results.values()):
        lines.append(f"{NOT_RUN}: not run.")
    if any(result.status == "partial" for result in results):
        lines.append("n/m seeds: only n of the m seeds were run, so the mean is provisional.")
    if any(result.scored for result in results):
        lines.append(
            "[n of m queries]: the videos of the others were not available to this system, or its "
            "file lacks them; a score over part of a split is not a score of the split, and no "
            "best is marked among systems scored on different queries."
        )
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
            "evaluation; in parentheses, reproduced minus printed."
        )
    lines += _one_moment(table) + _people(table) + _lent_ranks(table)
    lines += _verdicts(values) + _departures(table) + _tests(table, values)
    if any(value.published_uncertain for value in values):
        lines.append(f"{DOUBTFUL}: doubtful in the text the printed values were taken from.")
    return lines + table.notes


def _is_not_run(row: Row, result: Result) -> bool:
    return result.status == "not run" and not row.is_quoted


def _one_moment(table: Table) -> list[str]:
    """Which systems have no second moment, where a metric asks for several."""
    if table.about or not any(re.match(r"d?R@(?!1,)", metric) for metric in table.metrics):
        return []
    systems = [
        row.label
        for row in table.rows
        if (cells := [cell for result in row.results.values() for cell in result.cells])
        and all(
            cell.run["facts"].get("candidates_per_query", {}).get("most") == 1 for cell in cells
        )
    ]
    return [f"One moment a query, so that R@n is R@1: {'; '.join(systems)}."] if systems else []


def people_in(table: Table, block: Block) -> tuple[Cell, dict[str, float]] | None:
    """What annotators of the same queries get by the block's convention, in percent by metric, and
    a cell whose record says so: all do, whose queries were all scored."""
    name = block.convention.name if block.convention else None
    if table.about or name is None or block.part:  # no evaluated cells; or not known of the part
        return None
    for cell in _cells(table, block.name):
        if cell.coverage is None and (reached := cell.people(name)):
            return cell, {m: reached[m] for m in table.metrics if m in reached}
    return None


def _people(table: Table) -> list[str]:
    """How the row of people came to be."""
    lines = []
    for block in table.datasets:
        if found := people_in(table, block):
            assert block.convention is not None
            options = found[0].evaluation["settings"]["conventions"][block.convention.name]
            is_of_others = options["labels"] == "several"
            whose = "those of the others" if is_of_others else "the original annotation"
            lines.append(
                f"{PEOPLE}: each annotator's moment scored by {whose}, mean over annotators."
            )
    return list(dict.fromkeys(lines))


def _lent_ranks(table: Table) -> list[str]:
    """Whose Rank@5 is in part that of an order which no system gave."""
    # What ranks first is always a system's own
    deeper = [name for name in table.metrics if name.startswith("Rank@") and name != "Rank@1"]
    if table.about or not deeper:
        return []
    lent: dict[str, int] = {}
    for row in table.rows:
        for result in row.results.values():
            counts = [cell.not_all_ranked for cell in result.cells]
            if most := max(counts, default=0):
                lent[row.label] = max(most, lent.get(row.label, 0))
    if not lent:
        return []
    queries: dict[int, list[str]] = {}
    for label, count in sorted(lent.items(), key=lambda one: -one[1]):
        queries.setdefault(count, []).append(label)
    said = "; ".join(f"{', '.join(labels)}: {count:,}" for count, labels in queries.items())
    return [
        f"{FIXED_ORDER}. {', '.join(deeper)} is then in part that order's (queries of which"
        f" some are not named: {said})."
    ]


def _verdicts(values: list[Value]) -> list[str]:
    """What the marks behind differences mean; only those that occur."""
    verdicts = {value.verdict for value in values}
    said = {
        "within interval": "the printed number lies within the interval",
        "above": "reproduced above the printed number, interval and all",
        "below": "reproduced below it",
    }
    lines = [f"{VERDICT_MARKS[name]}: {text}" for name, text in said.items() if name in verdicts]
    if "protocol differs" in verdicts:
        mark = VERDICT_MARKS["protocol differs"]
        lines.append(f"{mark}: not comparable, for what the row's letters say")
    return ["; ".join(lines) + "."] if lines else []


def _departures(table: Table) -> list[str]:
    """What the letters behind printed rows say: in what the reproduced ones depart from them."""
    said = "; ".join(f"{letter}: {text}" for letter, text in table.departures.items())
    return [f"In what a row departs from the paper's own: {said}."] if said else []


def _tests(table: Table, values: list[Value]) -> list[str]:
    """How systems were tested against one of them, where they were, and what that cannot show."""
    tested = [value for value in values if value.p_value is not None]
    if not tested:
        return []
    lines = [
        f"*: differs from “{table.against}” (p < {SIGNIFICANT}; two-sided paired permutation test"
        " over test videos, corrected for all comparisons of a data set after Holm)."
    ]
    open_ones = [value for value in tested if not Shown(value).star and value.detectable]
    if open_ones:
        least = min(open_ones, key=lambda value: value.detectable or 0.0)
        most = max(open_ones, key=lambda value: value.detectable or 0.0)
        lines.append(
            "Tested and without *: undecided, not shown to be equal. Such a test finds four of five"
            f" true differences of {Shown(least).detectable} points, or {Shown(most).detectable},"
            " by system and metric, and fewer of smaller ones (each in the CSV file)."
        )
    return lines


def is_undefined(result: Result, metric: str) -> bool:
    """Whether the reproduced or the printed value of a metric does not exist."""
    value = result.values[metric]
    return (bool(result.cells) and value.mean is None) or (
        result.printed is not None and value.published is None and not value.published_uncertain
    )


def row_label(row: Row, result: Result) -> str:
    """The system's name, with a mark where seeds or queries are missing, or where another protocol
    than the block's was followed."""
    label = row.label
    if result.is_off_protocol:
        tested = f"tested on {result.cells[0].evaluation['facts']['split']}"
        label += f" ({'; '.join([tested, *_selection(result.cells)])})"
    label += describe_coverage(result.scored)
    if result.status == "partial":
        label += f" ({len(result.cells)}/{len(result.wanted)} seeds)"
    return label


def only_printed_label(row: Row) -> str:
    """The name of a row that has printed numbers alone, and whether it was to be reproduced."""
    return row.label if row.is_quoted else f"{row.label} ({NOT_RUN} not run; printed)"


def printed_label(table: Table, result: Result, printed: Printed) -> str:
    """For example `printed (SeqPAN, Table 1) [a, c]`, with the letters of its departures."""
    texts = {departure.text for departure in result.departures}
    marks = ", ".join(letter for letter, text in table.departures.items() if text in texts)
    return f"printed ({printed.method}, {printed.number})" + (f" [{marks}]" if marks else "")


def _cells(table: Table, dataset: str | None = None) -> list:
    return [
        cell
        for row in table.rows
        for name, result in row.results.items()
        if dataset in (None, name)
        for cell in result.cells
    ]


def _metrics(table: Table) -> list[str]:
    """What the metrics of this table mean; only the kinds that occur."""
    names = table.metrics
    said = []
    if any(name.startswith(("R@", "dR@")) for name in names):
        said.append(
            "R@n, IoU=m: share of queries (%) with a hit at IoU m among the first n moments"
        )
    if any(name.startswith("dR@") for name in names):
        said.append("dR@n, IoU=m: the same, each hit discounted by how far its ends are off")
    if any(name.startswith("Rank@") for name in names):
        said.append(
            "Rank@k: share of queries (%) whose annotated moments, the three best placed, rank k "
            "or better on average"
        )
    if any(name.startswith("mAP") for name in names):
        said.append(
            "mAP: mean over queries of average precision (%) against all moments of a query, over"
            " IoU 0.5 to 0.95 unless one is named, or against those of a range of lengths"
        )
    if "mIoU" in names:
        said.append("mIoU: mean IoU (%) of the first moment")
    return ["; ".join(said) + "."] if said else []


def _protocol(table: Table) -> list[str]:
    """How predictions became numbers: one sentence a convention, and where it holds if not all."""
    used: dict[str, tuple[str, list[str]]] = {}
    for dataset in table.datasets:
        convention = dataset.convention
        if convention and not dataset.is_missing:
            about = convention.about.rstrip(". ")
            used.setdefault(convention.name, (about, []))[1].append(dataset.title)
    return [
        f"Scored by convention “{name}”"
        + (f" on {', '.join(titles)}" if len(used) > 1 else "")
        + f": {about}."
        for name, (about, titles) in used.items()
    ]


def _dataset(table: Table, dataset: Block, *, with_notes: bool) -> str:
    """What a block's numbers are of, by its own cells; by the plan before any of them is run."""
    results = [row.results[dataset.name] for row in table.rows if dataset.name in row.results]
    cells = [cell for each in results if not each.is_off_protocol for cell in each.cells]
    test = dataset.test_split or "test"
    queries = ""
    if cells:
        if cells[0].part is None:
            test = cells[0].evaluation["facts"].get("split", test)
        queries = f", {cells[0].of_queries:,} query–moment pairs"
    parts = [f"{dataset.title}: tested on “{test}”{queries}"]
    planned = dataset.select_split
    if cells or planned is None:
        parts += _selection(cells)
    else:
        parts.append(describe_selection([planned] if planned else []))
    if dataset.protocol != DEFAULT:
        parts.append(f"protocol “{dataset.protocol}”: {dataset.protocol_about.rstrip('. ')}")
    if dataset.features:
        parts.append(f"features: {dataset.features}")
    extra = _durations(cells) + ([dataset.note] if with_notes and dataset.note else [])
    return " ".join(["; ".join(parts) + ".", *(text.rstrip(". ") + "." for text in extra)])


def _durations(cells: list) -> list[str]:
    """How many videos do not last as long as annotated, if any: by the features with the most."""
    compared = [cell.run["facts"].get("durations") or {} for cell in cells]
    most = max(compared, key=lambda facts: facts.get("differ", 0), default={})
    if not most.get("differ"):
        return []
    return [
        f"{most['differ']:,} of {most['compared']:,} videos last more than {DIFFERS_S:g} s and"
        f" {100 * DIFFERS_SHARE:g} % longer or shorter than annotated, by which times on them are"
        " stretched"
    ]


def _selection(cells: list) -> list[str]:
    """What chose the checkpoints of the trained ones among some cells."""
    chosen = {tuple(selection_of(cell)) for cell in cells if cell.is_trained}
    return [describe_selection(splits) for splits in sorted(chosen)]


def _precision(table: Table) -> list[str]:
    """In what arithmetic the trained systems were trained and tested; which ones, if not all."""
    said: dict[str, list[str]] = {}
    for row in table.rows:
        cells = [cell for result in row.results.values() for cell in result.cells]
        for words in sorted({cell.run["facts"].get("precision") for cell in cells} - {None}):
            said.setdefault(words, []).append(row.label)
    if not said:
        return []
    parts = [
        words if len(said) == 1 else f"{', '.join(labels)}: {words}"
        for words, labels in said.items()
    ]
    return [f"Precision: {'; '.join(parts)}."]


def _seeds(table: Table) -> str:
    said: dict[tuple[int, ...], list[str]] = {}
    for row in table.rows:
        if row.seeds:
            said.setdefault(tuple(row.seeds), []).append(row.label)
    if not said:
        return "Nothing of it was run in this study."
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
