"""`tsgbench score`: others' predictions on a data set's own annotations, by all its conventions."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from tsgbench.cli.datasets import read_tables
from tsgbench.cli.known import Known
from tsgbench.config import Catalogue, as_list, protocols_of, roles_of
from tsgbench.config.references import need_known
from tsgbench.datasets.queries import Queries, join
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import Scores
from tsgbench.evaluation.foreign import FORMATS, PREDICTIONS, read_foreign, recognise
from tsgbench.evaluation.matching import MAX_ABSENT, POLICIES, match
from tsgbench.evaluation.predictions import Predictions, read_ranked
from tsgbench.evaluation.query_scores import QueryScores, read_query_scores
from tsgbench.evaluation.resampling import bootstrap_intervals, holm
from tsgbench.evaluation.scoring import score_blocks
from tsgbench.files import atomic_path, sha256_file
from tsgbench.jobs.records import read_record
from tsgbench.phases.evaluate import find_answered
from tsgbench.reporting.numbers import SIGNIFICANT
from tsgbench.reporting.uncertainty import paired_tests


@dataclass
class Number:
    """A metric in percent, over `queries` of the `of_queries` of the whole or of the part. lower,
    upper: its 95 % interval. here, there: the means of this file and
    of the cell that it is compared with, over the queries of both; p: of these being equally good,
    corrected for all that is compared (Holm); detectable: the smallest true difference, in percent,
    that this test finds four times of five; None where the videos tell none."""

    convention: str
    part: str | None
    metric: str
    value: float
    queries: int
    of_queries: int
    lower: float | None = None
    upper: float | None = None
    here: float | None = None
    there: float | None = None
    p: float | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class Found:
    """What a file answers. rows: those of the asked queries that it has. blocks: the answers to
    them, see `score_blocks`. counts: by the names of `POLICIES`. first_unknown: a query of the file
    that is none of the asked ones."""

    rows: np.ndarray
    blocks: Iterator[tuple[np.ndarray, Predictions]]
    counts: dict[str, int]
    first_unknown: str | None = None


@dataclass(frozen=True)
class Asked:
    """What is to be answered. splits: (Q,) of each query. parts: name -> splits, scored apart."""

    queries: Queries
    splits: np.ndarray
    parts: dict[str, list[str]]
    name: str


def score(
    path: Path,
    dataset: str,
    known: Known,
    *,
    split: str | None = None,
    protocol: str | None = None,
    form: str | None = None,
    against: str | None = None,
    mirror: str | None = None,
    max_absent: float = MAX_ABSENT,
    keep_overlaps: bool = False,
) -> dict:
    """Everything that the verb says, as it stands in its JSON.

    `UserError` if the file, the annotations or the cell cannot be read, or do not belong together.
    """
    if not 0 <= max_absent <= 1:
        raise UserError(f"--max-missing: {max_absent:g} is no share; name one from 0 to 1")
    known.need_dataset(dataset)
    form = form or recognise(path)
    asked = _ask(known.catalogue, dataset, split, protocol, mirror)
    answers = _read(path, form, asked, max_absent)
    rows = answers.rows
    conventions = known.catalogue.conventions_of(dataset)
    if keep_overlaps:
        conventions = {name: _keeping(options) for name, options in conventions.items()}
    scores, missing = score_blocks(answers.blocks, asked.queries, conventions, dataset)
    numbers = list(_numbers(scores, asked, rows))
    facts = {
        "file": str(path),
        "sha256": sha256_file(path),
        "format": form,
        "dataset": dataset,
        "asked": asked.name,
        "queries": len(rows),
        "of_queries": len(asked.queries),
        "counts": {name: count for name, count in answers.counts.items() if count},
        "first_unknown": answers.first_unknown,
        "keeps_overlaps": keep_overlaps,
        "not_computable": missing,
        "against": None,
    }
    if against is not None:
        facts["against"] = _compare(numbers, scores, asked.queries.take(rows), conventions, against)
    return facts | {"numbers": [asdict(number) for number in numbers]}


def _ask(
    known: Catalogue, dataset: str, split: str | None, protocol: str | None, mirror: str | None
) -> Asked:
    """The annotations of the split or of the protocol's test splits, as a study reads them."""
    entry = known.datasets[dataset]
    parts: dict[str, list[str]] = {}
    if split is None:
        protocols = protocols_of(entry)
        need_known(protocol or next(iter(protocols)), protocols, "--protocol", "protocol")
        chosen = protocols[protocol or next(iter(protocols))]
        splits = roles_of(chosen)["test"]
        parts = {name: as_list(part) for name, part in chosen.get("score", {}).items()}
    else:
        splits = [split]
    tables, _ = read_tables(known, dataset, mirror)
    for name in splits:
        need_known(name, tables, "--split", "split")
        if not len(tables[name]):
            raise UserError(f"--split: {name!r} of {dataset} has no query; check its files")
    queries = join([tables[name] for name in splits])
    split_of = np.repeat(splits, [len(tables[name]) for name in splits])
    return Asked(queries, split_of, parts, f"{dataset} ({' + '.join(splits)})")


def _read(path: Path, form: str, asked: Asked, max_absent: float) -> Found:
    need_known(form, FORMATS, "--format", "format")
    if form != PREDICTIONS:
        foreign = read_foreign(path, form)
        matched = match(foreign, asked.queries, of=asked.name, max_absent=max_absent)
        return Found(matched.rows, matched.blocks(), matched.counts, matched.first_unknown)
    rows = np.flatnonzero(find_answered(path, asked.queries))
    if not len(rows):
        raise UserError(f"{path}: answers no query of {asked.name}; name another file, or split")
    ranked = read_ranked(path, asked.queries.take(rows))
    return Found(rows, iter([(rows, ranked)]), {"queries_absent": len(asked.queries) - len(rows)})


def _keeping(options: dict) -> dict:
    """A convention without its suppression."""
    return options | {"nms": None} if "nms" in options else options


def _numbers(scores: dict[str, Scores], asked: Asked, rows: np.ndarray) -> Iterator[Number]:
    """Every metric of every convention, of all queries and of each part."""
    videos = np.array(asked.queries.video_ids, dtype=object)[rows].astype(str)
    within: dict[str | None, tuple[np.ndarray, int]] = {
        None: (np.arange(len(rows)), len(asked.queries))
    }
    for name, splits in asked.parts.items():
        is_inside = np.isin(asked.splits, splits)
        within[name] = (np.flatnonzero(is_inside[rows]), int(is_inside.sum()))
    for convention, scored in scores.items():
        for part, (rows, of) in within.items():
            metrics = scored.summarise(rows)["metrics"] if len(rows) else {}
            bounds = _intervals({m: scored.percent[m][rows] for m in metrics}, videos[rows])
            for metric, value in metrics.items():
                lower, upper = bounds.get(metric, (None, None))
                yield Number(convention, part, metric, value, len(rows), of, lower, upper)


def _intervals(values: dict[str, np.ndarray], videos: np.ndarray) -> dict[str, tuple[float, float]]:
    """95 % intervals by metric, of those that all queries have; none for fewer than two videos."""
    whole = {metric: column for metric, column in values.items() if not np.isnan(column).any()}
    if not whole or len(np.unique(videos)) < 2:
        return {}
    bounds = bootstrap_intervals(np.array(list(whole.values())), videos)
    return {
        metric: (float(low), float(high)) for metric, (low, high) in zip(whole, bounds, strict=True)
    }


def _compare(
    numbers: list[Number],
    scores: dict[str, Scores],
    queries: Queries,
    conventions: dict[str, dict],
    against: str,
) -> dict:
    """Fill in what the numbers of all queries are worth beside a cell's. queries: those scored."""
    cell, theirs = _read_cell(against, conventions)
    row_of = {name: row for row, name in enumerate(theirs.query_ids)}
    ours = np.flatnonzero([name in row_of for name in queries.query_ids])
    if not len(ours):
        raise UserError(
            f"--against: {cell}: answers none of these queries, but such as"
            f" {theirs.query_ids[0]!r}; name a cell that was tested on the same split"
        )
    other = np.array([row_of[queries.query_ids[row]] for row in ours])
    videos = np.array(queries.video_ids, dtype=object)[ours].astype(str)
    tested, pairs = [], []
    for number in (number for number in numbers if number.part is None):
        key = (number.convention, number.metric)
        here = scores[number.convention].percent[number.metric][ours]
        if key not in theirs.columns or np.isnan(here).any():
            continue
        there = theirs.values(*key)[other]
        number.here, number.there = float(here.mean()), float(there.mean())
        tested.append(number)
        pairs.append(here - there)
    if tested:
        tests = paired_tests(np.array(pairs), videos)
        p_values = holm([one.p_value for one in tests])
        for number, one, p in zip(tested, tests, p_values, strict=True):
            number.p, number.detectable = float(p), one.detectable(len(tested))
    return {
        "cell": str(cell),
        "queries": len(ours),
        "of_queries": len(theirs),
        "videos": len(np.unique(videos)),
        "level": SIGNIFICANT,
    }


def _read_cell(name: str, conventions: dict[str, dict]) -> tuple[Path, QueryScores]:
    """A cell's folder and its scores; `UserError` if they are not by these conventions."""
    from tsgbench.grounding.parts import find_cell  # late: it imports torch
    from tsgbench.reporting.cells import read_cell

    folder = find_cell(name)
    cell = read_cell(read_record(folder / "run.json").content["key"], folder)
    if cell is None:
        raise UserError(
            f"--against: {folder}: is not evaluated yet; run snakemake --cores 8"
            f" {folder}/metrics.json first"
        )
    scored = cell.evaluation["settings"]["conventions"]
    for convention in scored.keys() & conventions.keys():
        if scored[convention] != conventions[convention]:
            raise UserError(
                f"--against: {folder}: was scored by other options of {convention!r} than are asked"
                " for here; evaluate it again, or leave out --keep-overlaps"
            )
    return folder, read_query_scores(folder / "scores.parquet")


def as_text(facts: dict) -> str:
    """What the file is, what was met in it, and a table for each convention and part."""
    covered = f"{facts['queries']:,} of {facts['of_queries']:,} queries"
    lines = [f"{facts['file']} ({facts['format']}): {covered} of {facts['asked']}"]
    lines += [f"{count:9,} {POLICIES[name]}" for name, count in facts["counts"].items()]
    if facts["first_unknown"]:
        lines.append(f"          the first that is not scored: {facts['first_unknown']}")
    if facts["keeps_overlaps"]:
        lines.append("          no answer was left out for overlapping a better one")
    if facts["against"]:
        lines.append(
            f"against {facts['against']['cell']}, on {facts['against']['queries']:,} queries of"
            f" {facts['against']['videos']:,} videos"
        )
        lines.append(
            f"          differ where p < {SIGNIFICANT}, else undecided; of true differences of the"
            " size that a\n          test finds, it finds four of five (docs/evaluation.md)"
        )
    numbers = [Number(**number) for number in facts["numbers"]]
    for convention, part in dict.fromkeys((n.convention, n.part) for n in numbers):
        of_table = [n for n in numbers if (n.convention, n.part) == (convention, part)]
        count, of = of_table[0].queries, of_table[0].of_queries
        short = "" if count == of else f" [{count:,} of {of:,} queries]"
        lines += ["", f"{convention}{f', {part}' if part else ''}{short}"]
        lines += [_line(number) for number in of_table]
    for convention, reason in facts["not_computable"].items():
        lines += ["", f"{convention}: not computable: {reason}"]
    return "\n".join(lines)


def _line(number: Number) -> str:
    line = f"  {number.metric:14}{number.value:7.2f}"
    if number.lower is not None:
        line += f"  [{number.lower:.2f}, {number.upper:.2f}]"
    if number.p is not None:
        line += f"  {number.here:.2f} against {number.there:.2f}, p = {number.p:.4f}"
        if number.detectable is not None:
            line += f", finds {number.detectable:.2f}"
    return line


def write_csv(path: Path, facts: dict) -> None:
    """A row a number."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Number)])
        writer.writeheader()
        writer.writerows(facts["numbers"])
