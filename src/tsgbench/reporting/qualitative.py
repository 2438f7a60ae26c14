"""What figures of single queries share: the queries, every system's spans, the printed examples.

The inspection of the first system that has one chooses the queries; the others answer the very same
ones, from their prediction files.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from tsgbench.datasets.moments import iou
from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.predictions import read_first
from tsgbench.inspection.examples import Example, find_example, read_examples
from tsgbench.inspection.store import Inspected, read_inspection
from tsgbench.jobs.cells import cell_names, cell_prefix
from tsgbench.jobs.records import Record

NOT_RUN = "not run"
# What a video is to the cell that is looked at, by the role of its split
VIDEOS = {"test": "video", "select": "validation video", "train": "training video"}


@dataclass
class Scene:
    """One data set of a figure. title: with its split. main: the system whose inspection chose the
    queries, or empty."""

    dataset: str
    title: str
    main: str
    queries: list[Inspected]
    # label of a system -> query id -> seconds of its first prediction; None: not run
    spans: dict[str, dict[str, np.ndarray] | None]
    printed: dict[str, Example] = field(default_factory=dict)  # query id -> the paper's example


def count_of(option: int | dict, spec: dict, dataset: str) -> int:
    """How many queries of a data set an option asks for: as many of each, or numbers by data set.

    A data set that stands in for the paper's takes as many as all of those.
    """
    if isinstance(option, int):
        return option
    return option.get(dataset, sum(option.values()) if spec.get("stands_in") else 0)


def read_scene(
    spec: dict,
    records: dict[str, Record],
    dataset: str,
    count: int,
    first: Callable[[Inspected], bool] | None = None,
) -> Scene:
    """The first `count` queries of a data set, and what every system of the figure answers.

    first: which of the queries come before the others.
    """
    title = spec["datasets"][dataset]
    spans: dict[str, dict | None] = {system["label"]: None for system in spec["systems"]}
    inspections = {
        s["label"]: _first_cell(s, dataset, records, "inspection") for s in spec["systems"]
    }
    main = next((label for label, cell in inspections.items() if cell), "")
    if not main:
        return Scene(dataset, title, "", [], spans)
    inspected = read_inspection(records[f"inspection:{inspections[main]}"].file("inspection.npz"))
    asked = dict.fromkeys(query.split for query in inspected if query.role == "test")
    title += f", {' + '.join(asked)}" if asked else ""
    if spec.get("stands_in"):
        title += ", which stands in for the data of the paper"
    examples = read_examples(spec.get("printed") or {})
    queries = arrange(inspected, examples)
    if first is not None:
        queries.sort(key=lambda query: not first(query))
    queries = queries[:count]
    names = [query.query_id for query in queries]
    for system in spec["systems"]:
        cell = _first_cell(system, dataset, records, "run")
        if system["label"] == main:
            spans[main] = {query.query_id: query.predictions[0] for query in queries}
        elif cell:
            path = records[f"run:{cell}"].file("predictions.parquet")
            spans[system["label"]] = read_first(path, names)
    printed = {
        query.query_id: example
        for query in queries
        for example in examples
        if query.kind == "example" and _is_example(query, example)
    }
    return Scene(dataset, title, main, queries, spans, printed)


def arrange(inspected: list[Inspected], examples: list[Example]) -> list[Inspected]:
    """The examples of this figure in their order, named queries, then the best and the worst in
    turn. What other figures of the paper print is left to them."""
    first = [
        query
        for example in examples
        for query in inspected
        if query.kind == "example" and _is_example(query, example)
    ]
    first += [query for query in inspected if query.kind == "named"]
    best = [query for query in inspected if query.kind == "best"]
    worst = [query for query in inspected if query.kind == "worst"]
    turns = [query for pair in zip_longest(best, worst) for query in pair]
    return first + [query for query in turns if query is not None]


def describe_rank(query: Inspected) -> str:
    """How the query was chosen and where its IoU stands, in plain words."""
    ties = query.of - query.better - query.worse
    among = f"{query.of:,}"
    if query.better == 0:
        rank = f"best of {among}" if ties == 1 else f"one of the {ties:,} best of {among}"
    elif query.worse == 0:
        rank = f"worst of {among}" if ties == 1 else f"one of the {ties:,} worst of {among}"
    else:
        rank = f"no. {query.better + 1:,} from the best of {among}"
    chosen = {"example": "printed by the paper; ", "named": "chosen by name; "}
    if query.role != "test":
        rank = f"{VIDEOS.get(query.role, 'video of another split')}, not ranked"
    return f"{chosen.get(query.kind, '')}{rank}, IoU {query.iou:.2f}"


def absent_examples(spec: dict, scenes: list[Scene]) -> list[Example]:
    """Printed examples that no drawn data set shows, though some of them are the paper's."""
    if spec.get("stands_in") or not scenes:
        return []
    shown = [example for scene in scenes for example in scene.printed.values()]
    return [one for one in read_examples(spec.get("printed") or {}) if one not in shown]


def printed_system(name: str, printed: dict) -> str:
    """What the paper's figure calls the system of an example's key, such as `ours`."""
    if name in ("ours", "prediction"):
        return printed.get("paper", "the paper")
    wanted = _letters(name)
    series = printed.get("series") or []
    exact = [title for title in series if _letters(title) == wanted]
    return next(iter(exact + [t for t in series if _letters(t).endswith(wanted)]), name)


def span_rows(scene: Scene) -> list[dict]:
    """Rows of the CSV: every span of the drawn queries, the annotated one first."""
    rows = []
    for query in scene.queries:
        fixed = {
            "source": "measured",
            "dataset": scene.dataset,
            "query_id": query.query_id,
            "video_id": query.video_id,
            "split": query.split,
            "role": query.role,
            "sentence": query.sentence,
            "chosen_as": query.kind,
            "queries_better": query.better,
            "queries_worse": query.worse,
            "of_queries": query.of,
            "duration_s": query.duration_s,
        }
        rows.append(fixed | {"system": "ground truth"} | seconds(query.moment))
        for label, by_query in scene.spans.items():
            span = None if by_query is None else by_query.get(query.query_id)
            row = fixed | {"system": label}
            if span is None:
                rows.append(row | {"note": NOT_RUN if by_query is None else "not answered"})
            else:
                rows.append(row | seconds(span) | {"iou": f"{iou(span, query.moment):.4f}"})
    return rows


def printed_rows(spec: dict) -> list[dict]:
    """Rows of the CSV: the examples that the paper prints, drawn or not."""
    printed = spec.get("printed") or {}
    rows = []
    for example in read_examples(printed):
        fixed = {"source": "printed", "sentence": example.sentence}
        if example.moment_s:
            rows.append(fixed | {"system": "ground truth"} | seconds(example.moment_s))
        for name, span in example.spans.items():
            row = fixed | {"system": printed_system(name, printed)}
            if len(span) == 2:
                rows.append(row | seconds(span))
            else:
                rows.append(row | {"note": " ".join(f"{x:g}" for x in span) + " s, not assigned"})
    return rows


def seconds(span: Sequence[float] | np.ndarray) -> dict:
    """The two columns of a span."""
    return {"start_s": f"{span[0]:.4f}", "end_s": f"{span[1]:.4f}"}


def missing_note(spec: dict, dataset: str) -> str:
    """What stands in the place of a data set without an inspection."""
    label = spec["systems"][0]["label"] if spec["systems"] else "any system"
    return f"{NOT_RUN}: this study has no inspection of {label} on {spec['datasets'][dataset]}"


def _first_cell(system: dict, dataset: str, records: dict[str, Record], role: str) -> str:
    """The cell of the first seed that has a record of this role; empty if none has."""
    for cell in cell_names(cell_prefix(system, dataset), system["seeds"]):
        if f"{role}:{cell}" in records:
            return cell
    return ""


def _is_example(query: Inspected, example: Example) -> bool:
    alone = Queries(
        [query.query_id],
        [query.video_id],
        [query.sentence],
        np.array([query.duration_s]),
        query.moment[None],
    )
    return find_example(example.sentence, example.moment_s, alone) == 0


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("w/o", "without").replace("w/", "with"))
