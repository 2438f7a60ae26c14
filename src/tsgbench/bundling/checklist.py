"""A checklist of what a reader needs in order to trust and repeat results, answered from facts.

In the spirit of the checklists that machine learning venues hand to authors, in our own words. An
answer names the file of the bundle that shows it. Where records, study and config hold no fact, the
item says `not answered`, and what is lacking: nothing is answered for the authors.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tsgbench.bundling.compute import UNMEASURED, UNSAID, of_hours
from tsgbench.bundling.contents import Contents, Result
from tsgbench.bundling.names import COMPUTE, CRATE, CROISSANT, LICENCES, LOCK, STUDY
from tsgbench.bundling.software import UNKNOWN, code_licence, licences_of
from tsgbench.jobs.cells import is_trained
from tsgbench.jobs.records import Record
from tsgbench.reporting import document
from tsgbench.reporting.markdown import escape, link
from tsgbench.running.verification import REPEATED

SHOWN = 2  # files that are named as evidence


@dataclass(frozen=True)
class Item:
    """A question. answer: in a sentence; evidence: files of the bundle, or none where it is not
    answered, and `answer` says what is lacking."""

    topic: str
    question: str
    answer: str
    evidence: tuple[str, ...] = ()


def fill_in(contents: Contents, compute: dict[str, Any]) -> list[Item]:
    """All items, topic by topic. compute: the compute report."""
    topics: dict[str, Callable[..., Iterator[tuple]]] = {
        "claims": _claims,
        "data": _data,
        "models and training": _training,
        "evaluation": _evaluation,
        "compute": lambda _: _compute(compute),
        "code": _code,
        "people and use": _people,
    }
    return [
        Item(topic, question, answer, tuple(dict.fromkeys(evidence)))
        for topic, ask in topics.items()
        for question, answer, evidence in ask(contents)
    ]


def as_text(items: list[Item]) -> str:
    """The checklist as Markdown."""
    open_ = sum(not item.evidence for item in items)
    lines = [
        "# Reproducibility checklist",
        "",
        "Answered by `tsgbench bundle` from records, study and config, with the place of the"
        f" evidence in this archive. {open_} of {len(items)} items are not answered, since no fact"
        " is known: they are the authors' to answer.",
    ]
    topic = ""
    for item in items:
        if item.topic != topic:
            topic = item.topic
            lines += ["", f"## {topic.capitalize()}", "", "| question | answer | evidence |"]
            lines.append("|---|---|---|")
        shown = ", ".join(link(escape(path), path) for path in item.evidence[:SHOWN])
        more = len(item.evidence) - SHOWN
        shown += f" and {more} more" if more > 0 else ""
        answer = item.answer if item.evidence else f"not answered: {item.answer}"
        lines.append(f"| {escape(item.question)} | {escape(answer)} | {shown} |")
    return "\n".join([*lines, ""])


# What each topic asks yields (question, answer, evidence)


def _claims(contents: Contents) -> Iterator[tuple]:
    study = contents.study
    made = "a demo on generated data, no result on any public data set"
    kind = made if study.config.get("demo") else "results on the data sets that it names"
    reports = [result.job.record for result in contents.of_phase("table", "figure", "report")]
    yield "What is claimed?", f"study {study.name}, {study.config['title']}: {kind}", [STUDY]
    asked = (
        f"all {len(contents.results)} results that are here; {len(contents.missing)} others of the"
        " study were not made"
        if contents.missing
        else f"{_list(contents.targets)}, with all that they come from"
    )
    yield "Which results does the bundle hold?", asked, [*reports, STUDY]
    documents = list(_documents(contents))
    if not documents:
        yield "Are results that were not run told from those that were?", "no table is here", []
        return
    rows = [one for _, table in documents for one in table.results]
    absent = sum(one.status != "complete" for one in rows)
    yield (
        "Are results that were not run told from those that were?",
        f"yes: rows that lack cells say so ({absent} of {len(rows)})",
        [path for path, _ in documents],
    )
    printed = sum(one.printed is not None for one in rows)
    yield (
        "Are the papers' printed numbers kept apart from reproduced ones?",
        f"yes: beside their rows, from published/*.yaml ({printed} of {len(rows)} rows have them)",
        [path for path, _ in documents],
    )


def _data(contents: Contents) -> Iterator[tuple]:
    annotations = contents.of_phase("annotations")
    sheets = [f"{CROISSANT}/{result.job.wildcards['dataset']}.json" for result in annotations]
    counts, dropped = [], 0
    for result in annotations:
        splits = result.record.facts["splits"]
        said = ", ".join(f"{split} {facts['kept']}" for split, facts in splits.items())
        counts.append(f"{result.job.wildcards['dataset']} ({said})")
        dropped += sum(facts["rows"] - facts["kept"] for facts in splits.values())
    if not annotations:
        yield "Are data sets and splits stated, with sizes?", "no data set took part", []
        return
    yield "Are data sets and splits stated, with sizes?", "queries: " + "; ".join(counts), sheets
    records = [result.job.record for result in annotations]
    yield "Is it said what was left out?", f"{dropped} rows dropped, by reason in records", records
    lost = contents.of_phase("extract", "released")
    missing = sum(
        result.record.facts.get("failed", 0) + result.record.facts.get("unavailable", 0)
        for result in lost
    )
    if lost:
        said = f"{missing}, over {len(lost)} feature files, each of which lists its own"
        yield "Are videos without features counted?", said, [one.job.record for one in lost]
    referenced = [file for file in contents.files if not file.is_packed]
    yield (
        "Can the data be had?",
        f"{len(referenced)} files are referenced by SHA-256 and size, not packed; sources and"
        " addresses are listed",
        [LICENCES, "config/sources.yaml"] if _has(contents, "config/sources.yaml") else [LICENCES],
    )
    unstated = [row.name for row in licences_of(contents) if not row.is_stated]
    yield (
        "Are the data's terms of use stated?",
        "yes, as the sources state them"
        if not unstated
        else f"listed; none is stated for {', '.join(unstated)}",
        [LICENCES],
    )


def _training(contents: Contents) -> Iterator[tuple]:
    cells = [
        one for one in contents.of_phase("train") if is_trained(one.record.content["settings"])
    ]
    runs = [one.job.record for one in cells]
    if not cells:
        yield "Are trained systems described?", "nothing was trained", []
        return
    systems: dict[str, list[Result]] = {}
    for one in cells:
        parts = one.job.wildcards
        systems.setdefault(f"{parts['model']}/{parts['dataset']}/{parts['ablation']}", []).append(
            one
        )
    sizes = sorted({one.record.facts["parameters"] for one in cells})
    span = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
    yield (
        "Are models described, with their size?",
        f"trained systems: {len(systems)}, of {span} parameters; code and settings are here",
        runs,
    )
    yield "Are all settings of every training stated?", "yes, in each cell's record", runs
    yield "How were settings chosen?", "records hold settings, and not how they were found", []
    counts = sorted({len(seeds) for seeds in systems.values()})
    span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    yield "How many seeds has each system?", f"{span}; seeds are in cells' names", runs
    yield _selection(cells)
    stated = sum(bool(one.record.facts.get("versions")) for one in cells)
    yield (
        "Is it recorded on what each training ran?",
        f"hardware, threads and versions, of {stated} of {len(cells)} trainings",
        runs,
    )
    yield _repeated(contents)


def _repeated(contents: Contents) -> tuple:
    """Whether a training was repeated, as far as a verification was kept."""
    question = "Was a training repeated, and did it come out the same?"
    done = _retrained(contents)
    if not done:
        return (
            question,
            "no record is kept; tsgbench verify --retrain 1 --record makes one",
            [],
        )
    said = "; ".join(
        f"{one['cell']}: the same to the byte"
        if one["is_same"]
        else f"{one['cell']}: metrics differ by {one['worst']:.2f} points at most"
        for one in done
    )
    return question, said, _verified_file(contents)


def _retrained(contents: Contents) -> list[dict[str, Any]]:
    """Trainings that were repeated, of cells of this bundle as they are here."""
    sound = _still_sound(contents)
    names = {one.job.key for one in contents.of_phase("train") if one.job.record in sound}
    return [one for one in (contents.verified or {}).get("retrained", []) if one["cell"] in names]


def _still_sound(contents: Contents) -> set[str]:
    """Records of results that a kept verification found sound, and that are the same here."""
    sound = (contents.verified or {}).get("sound", {})
    return {path for path, one in contents.results.items() if sound.get(path) == one.record.digest}


def _verified_file(contents: Contents) -> list[str]:
    return [contents.verified_file.path] if contents.verified_file else []


def _selection(cells: list[Result]) -> tuple:
    """Whether a split that is tested chose a checkpoint."""
    chosen = [
        one.job.record
        for one in cells
        if set(one.record.content["settings"]["splits"]["select"] or ())
        & set(one.record.content["settings"]["splits"]["test"])
    ]
    said = (
        f"by the test split itself in {len(chosen)} of {len(cells)} trainings, which follow a"
        " published practice of that kind"
        if chosen
        else "never by one that is tested: records name the split, or that the last epoch counts"
    )
    return "Which split chose the checkpoint?", said, chosen or [one.job.record for one in cells]


def _evaluation(contents: Contents) -> Iterator[tuple]:
    scored = contents.of_phase("evaluate")
    records = [one.job.record for one in scored]
    if not scored:
        yield "Is it said how predictions are scored?", "nothing was scored", []
        return
    names = sorted(
        {name for one in scored for name in one.record.content["settings"]["conventions"]}
    )
    yield (
        "Is it said how predictions are scored?",
        f"by conventions ({', '.join(names)}), whose options are in the records",
        records,
    )
    left = sum(one.record.facts["of_queries"] - one.record.facts["queries"] for one in scored)
    yield (
        "Are queries without an answer counted?",
        f"{left} queries, over {len(scored)} cells",
        records,
    )
    values = [
        (path, value)
        for path, table in _documents(contents)
        for one in table.results
        for value in one.values.values()
        if value.mean is not None
    ]
    paths = [path for path, _ in values]
    question = "Is uncertainty stated?"
    if values:
        spread = sum(value.std is not None for _, value in values)
        intervals = sum(value.interval is not None for _, value in values)
        tests = sum(value.p_value is not None for _, value in values)
        yield (
            question,
            f"of {len(values)} numbers, {spread} have a standard deviation over seeds, {intervals}"
            f" a bootstrap interval over videos, {tests} a paired test",
            paths,
        )
        powered = sum(value.detectable is not None for _, value in values)
        yield (
            "Are differences that were not shown told from equality?",
            f"{powered} of {tests} tests state the smallest difference that they would have found"
            if tests
            else "the tables hold no test",
            paths if powered else [],
        )
    else:
        yield question, "no table is here", []
    # Not by name: a baseline may look for cuts, and an ablation of a model be called anything
    blind = [
        one.job.record
        for one in contents.of_phase("train")
        if one.record.content["settings"]["inputs"].get("video") == "zero"
    ]
    yield (
        "Are there controls that see no video?",
        f"{len(blind)} cells of baselines and blind models" if blind else "none is in the bundle",
        blind,
    )


def _compute(report: dict[str, Any]) -> Iterator[tuple]:
    total = report["total"]
    known = [row["hardware"] for row in report["by_hardware"] if row["hardware"] != UNSAID]
    unknown = sum(row["jobs"] for row in report["by_hardware"] if row["hardware"] == UNSAID)
    more = f"; records of {unknown} other jobs do not say" if unknown else ""
    yield "Is the hardware stated?", "; ".join(known) + more, [COMPUTE] if known else []
    yield (
        "Is the time stated?",
        f"{of_hours(total['hours'])}, {of_hours(total['gpu_hours'])} of it on a GPU, over"
        f" {total['jobs']} jobs",
        [COMPUTE],
    )
    yield "Is the energy stated?", UNMEASURED, []
    yield "What did failed and discarded runs take?", "no record is kept of them", []


def _checked(contents: Contents) -> tuple:
    """Whether the results were checked, as far as a verification was kept."""
    question = "Were scores and tables made again from predictions, and found the same?"
    sound = _still_sound(contents)
    if not contents.verified or not sound:
        return question, "no record is kept; tsgbench verify --record makes one", []
    repeated = sum(contents.results[path].job.phase in REPEATED for path in sound)
    said = (
        f"on {contents.verified['at'][:10]}, by tsgbench verify: {len(sound)} of"
        f" {len(contents.results)} results as recorded, {repeated} of them made again"
    )
    return question, said, _verified_file(contents)


def _code(contents: Contents) -> Iterator[tuple]:
    commits = commits_of(contents)
    unknown = sum(_commit(record) is None for record in contents.records)
    changed = [commit for commit in commits if commit.endswith("+")]
    question = "Which version of the code made the results?"
    if commits:
        said = f"commits {', '.join(commits)}; {unknown} results outside git"
        said += "; + marks a working tree with changes of its own" if changed else ""
        named = [one.path.as_posix() for one in contents.records if _commit(one)]
        yield question, said + "; each record has a digest of its code", named
    else:
        yield (
            question,
            "made outside git; each record has a digest of its code, which is here",
            ["src/tsgbench/jobs/code.py"],
        )
    accepted = [record.path.as_posix() for record in contents.records if record.accepted]
    yield (
        "Was a result declared current after a change of code?",
        f"{len(accepted)} were; their records say by whom, when and why" if accepted else "none",
        accepted or [record.path.as_posix() for record in contents.records],
    )
    locks = [file.path for file in contents.code if file.path.endswith(LOCK)]
    pinned = "yes: by version, and every file but torch's by its SHA-256"
    said = pinned if locks else "the bundle has no lock"
    yield "Are dependencies pinned?", said, locks
    yield (
        "Can everything be run by one command?",
        "yes: snakemake, with this Snakefile",
        ["Snakefile"],
    )
    licence = code_licence()
    where = [LICENCES] if licence != UNKNOWN else []
    yield "Is the code's licence stated?", licence, where
    said = "yes: each was held against the SHA-256 in its record when this was packed"
    yield "Are files what their records say?", said, [CRATE]
    yield _checked(contents)


def _people(_: Contents) -> Iterator[tuple]:
    yield (
        "Did people in videos and annotators consent?",
        "no record says so; see the data's sources",
        [],
    )
    yield "What could the system be misused for?", "for the authors to say", []
    yield "For which uses was it not tested?", "for the authors to say", []


def commits_of(contents: Contents) -> list[str]:
    """The commits that results were made at; `+` marks a working tree with changes."""
    return sorted({commit for record in contents.records if (commit := _commit(record))})


def _commit(record: Record) -> str | None:
    return record.content.get("made", {}).get("git_commit")


def _documents(contents: Contents) -> Iterator[tuple[str, document.Document]]:
    """The tables that are here, by the path of their provenance."""
    names = chain.from_iterable(
        one.record.files(".provenance.json").values() for one in contents.of_phase("table")
    )
    for path in names:
        yield path.as_posix(), document.read_document(path)


def _list(paths: list[str]) -> str:
    """The first of some files, and how many there are."""
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more


def _has(contents: Contents, path: str) -> bool:
    return any(file.path == path for file in contents.code)
