"""Count what papers print about a data set: queries, words, seconds, and where moments lie.

No file beside the record: its facts are the result. `described` is of the rows as the public files
state them, which is what papers print; `moments` of the rows that the policy kept, which lie inside
their videos. Both for each split, for all splits together (`all`) and for the unions that a printed
table or figure counts, under their splits joined by `+`.
"""

from collections.abc import Callable
from functools import cache

from tsgbench.datasets.queries import Queries, join, read_queries
from tsgbench.datasets.readers import read_as_printed
from tsgbench.datasets.statistics import average_moments, count_moments, describe
from tsgbench.phases import Outcome, Task
from tsgbench.phases.annotations import _file  # the same files of the same roles
from tsgbench.text.tokens import find_tokenizer


def run(task: Task) -> Outcome:
    """settings: those of the annotations phase, `parts` (lists of splits), `tokenizers`, `bins`."""
    settings = dict(task.settings)
    reader, generated = settings.pop("reader"), settings.pop("generated")
    parts, bins = settings.pop("parts"), settings.pop("bins")
    tokenizers = settings.pop("tokenizers")
    annotations = task.inputs["queries"]
    files = {
        role: _file(record, generated.get(role))
        for role, record in task.inputs.items()
        if role != "queries"
    }
    stated = read_as_printed(reader, files, settings=settings)
    kept = {split: read_queries(annotations.file(f"{split}.jsonl")) for split in stated}
    parts = [*([split] for split in stated), list(stated), *parts]
    # A union asked for may be of splits that this reader's settings do not make
    parts = [part for part in parts if set(part) <= set(stated)]
    return {
        "counts": _counts(annotations.facts),
        "described": {
            part_name(part): _described(_union(stated, part), tokenizers) for part in parts
        },
        "moments": {part_name(part): count_moments(_union(kept, part), bins) for part in parts},
        "all": part_name(list(stated)),
    }, []


def part_name(splits: list[str]) -> str:
    """How a union of splits is called in the facts."""
    return "+".join(splits)


def _counts(report: dict) -> dict:
    """Rows, kept rows, and how many were dropped or repaired for each reason, by split."""
    return {
        split: {
            "rows": counted["rows"],
            "kept": counted["kept"],
            "videos": counted["videos"],
            "dropped": {reason: entry["count"] for reason, entry in counted["dropped"].items()},
            "repaired": {reason: entry["count"] for reason, entry in counted["repaired"].items()},
        }
        for split, counted in report["splits"].items()
    }


def _union(splits: dict[str, Queries], part: list[str]) -> Queries:
    return join([splits[split] for split in part], is_scored=False)


def _described(queries: Queries, tokenizers: list[str]) -> dict:
    """Numbers that depend on the tokeniser under its name, the others once under `rows`."""
    words = {name: describe(queries, _remembering(name)) for name in tokenizers}
    same = {key for found in words.values() for key in found} - {"vocabulary", "query_words"}
    first = next(iter(words.values()))
    return {
        "rows": {key: first[key] for key in first if key in same} | average_moments(queries),
        "words": {
            name: {key: found[key] for key in ("vocabulary", "query_words")}
            for name, found in words.items()
        },
    }


@cache
def _remembering(tokenizer: str) -> Callable[[str], list[str]]:
    """The tokeniser, which splits each sentence once although it is in several parts."""
    return cache(find_tokenizer(tokenizer))
