"""Where one number of a table comes from, and whether that is still what lies on disk.

Reads the provenance beside the table, finds the row and the metric by forgiving names, and checks
every cell against its files: the same runs, the same scores, or what has changed since.
"""

import contextlib
import difflib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from tsgbench.config import find_study
from tsgbench.errors import UserError
from tsgbench.jobs.layout import DEFAULT_STUDY, study_of
from tsgbench.jobs.records import read_record
from tsgbench.outside import shipped
from tsgbench.reporting.document import Document, Result, Row, Value, read_document
from tsgbench.reporting.numbers import Shown

ENDS = (".provenance.json", ".json", ".tex", ".html", ".md", ".csv", ".pdf")


def explain(
    table: str | Path,
    row: str | None = None,
    metric: str | None = None,
    dataset: str | None = None,
    root: Path = Path(),
) -> dict:
    """Facts on every number that the names choose, as `as_text` prints them.

    table: any file of the table. row: the system as the table calls it, or `model/ablation`.
    metric, dataset: None for all. root: where the paths of the provenance start. `UserError` if a
    name fits nothing or several things, with what there is.
    """
    stem = stem_of(Path(table), root)
    content = read_document(f"{stem}.provenance.json")
    logged = _logged_runs(stem)
    chosen = [_choose_row(content, row)] if row else content.rows
    metrics = [_match(metric, content.metrics, "metric")] if metric else content.metrics
    titles = {block.name: block.title for block in content.datasets}
    numbers = []
    for entry in chosen:
        names = list(entry.results)
        if dataset:
            known = {name: (name, titles[name]) for name in names}
            names = [_match_any(dataset, known, f"data set of {entry.label!r}")]
        for name in names:
            result = entry.results[name]
            numbers.append(
                {
                    "row": entry.label,
                    "system": f"{entry.model}/{entry.ablation}".strip("/"),
                    "dataset": name,
                    "dataset_title": titles[name],
                    "status": result.status,
                    "printed": result.printed and asdict(result.printed),
                    "values": {metric: asdict(result.values[metric]) for metric in metrics},
                    "cells": [
                        cell
                        | {"found": _check(cell, result, index, metrics, root)}
                        | {"accepted": _accepted(_records_of(cell, root))}
                        | _mlflow(cell, logged)
                        for index, cell in enumerate(result.cells)
                    ],
                    "wanted": result.wanted,
                }
            )
    return {
        "table": content.table,
        "study": content.study,
        "identity": content.identity,
        "is_demo": content.is_demo,
        "found": _check_table(stem, content),
        "accepted": _accepted([Path(f"{stem}.json")]),
        "numbers": numbers,
        "commands": _commands(content, stem, numbers, root),
    }


def stem_of(path: Path, root: Path) -> Path:
    """The table's path without its ending, whichever of its files is named."""
    name = path.name
    end = next((end for end in ENDS if name.endswith(end)), "")
    stem = path.with_name(name.removesuffix(end))
    if not Path(f"{stem}.provenance.json").exists():
        study = study_of(stem, (file.stem for file in (shipped(root) / "published").glob("*.yaml")))
        chosen = "" if study == DEFAULT_STUDY else _option_for("--configfile", study, root)
        raise UserError(
            f"{stem}.provenance.json: no such file; make the table first, with snakemake"
            f" --cores 8 {stem}.tex{chosen}"
        )
    return stem


# --- forgiving names --------------------------------------------------------------------------


def _choose_row(content: Document, wanted: str) -> Row:
    rows = content.rows
    known = {index: (row.label, f"{row.model}/{row.ablation}") for index, row in enumerate(rows)}
    return rows[_match_any(wanted, known, "row")]


def _match(wanted: str, names: list[str], kind: str) -> str:
    return _match_any(wanted, {name: (name,) for name in names}, kind)


Key = TypeVar("Key")  # what is chosen among, by its names


def _match_any(wanted: str, known: Mapping[Key, tuple[str, ...]], kind: str) -> Key:
    """The key of `known` (key -> its names) that is meant: exact, any case, or a unique start."""
    asked = _plain(wanted)
    for fits in (
        lambda name: name == wanted,
        lambda name: _plain(name) == asked,
        lambda name: _plain(name).startswith(asked),
    ):
        fitting = [key for key, names in known.items() if any(map(fits, names))]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            options = ", ".join(repr(_best_name(known[key], known)) for key in fitting)
            raise UserError(f"--{_option(kind)} {wanted!r} fits several: {options}; name one")
    names = {_plain(name): name for several in known.values() for name in several if name != "/"}
    close = difflib.get_close_matches(asked, names, n=3, cutoff=0.5)
    hint = " or ".join(repr(names[name]) for name in close)
    has = ", ".join(several[0] for several in known.values())
    said = f"did you mean {hint}?" if close else f"it has {has}"
    raise UserError(f"--{_option(kind)} {wanted!r}: no such {kind} in the table; {said}")


def _best_name(names: tuple, known: Mapping) -> str:
    """The first name of an entry that no other entry has."""
    others = [name for several in known.values() if several is not names for name in several]
    return next((name for name in names if name not in others), names[0])


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def _option(kind: str) -> str:
    return "dataset" if kind.startswith("data set") else kind


# --- against the disk -------------------------------------------------------------------------


def _check_table(stem: Path, content: Document) -> str:
    """Whether the table's own record is of the same identity as the provenance."""
    try:
        record = read_record(f"{stem}.json")
    except UserError as error:
        return f"record: {error}"
    if record.identity != content.identity:
        return f"record {stem}.json is of identity {record.identity}; write the table again"
    return "as recorded"


def _check(cell: dict, result: Result, index: int, metrics: list[str], root: Path) -> str:
    """What is true of a cell now: `as recorded`, `gone`, or how it has changed."""
    if "files" not in cell:
        return _check_record(cell, root)
    run, evaluation = (root / cell["files"][name] for name in ("run.json", "metrics.json"))
    if not run.exists():
        return f"gone: {run} is not here"
    if not evaluation.exists():
        return f"not evaluated any more: {evaluation} is not here"
    here = read_record(run).identity
    if here != cell["run"]:
        return f"changed since: {run} is of identity {here}, the number is of {cell['run']}"
    scored = read_record(evaluation)
    if scored.identity != cell["evaluation"]:
        return (
            f"evaluated again since: {evaluation} is of identity {scored.identity}, the number is "
            f"of {cell['evaluation']}"
        )
    facts = scored.facts
    if cell.get("part"):
        facts = facts.get("parts", {}).get(cell["part"], {})
    known = facts.get("conventions", {}).get(cell.get("convention")) or facts.get("metrics", {})
    for metric in metrics:
        seeds = result.values[metric].seeds
        # What is not scored by query (seconds per query, say) does not stand in metrics.json
        if seeds and metric in known and known[metric] != seeds[index]:
            return f"edited: {evaluation} says {known[metric]} for {metric}, not {seeds[index]}"
    return "as recorded"


def _check_record(cell: dict, root: Path) -> str:
    """Of what was counted or measured: a cell of one record."""
    path = root / cell["record"]
    if not path.exists():
        return f"gone: {path} is not here"
    here = read_record(path)
    if (here.identity, here.digest) != (cell["identity"], cell["digest"]):
        return f"changed since: {path} is of identity {here.identity}, digest {here.digest}"
    return "as recorded"


def _records_of(cell: dict, root: Path) -> list[Path]:
    files = cell.get("files", {})
    names = [files[name] for name in ("run.json", "metrics.json") if name in files]
    return [root / name for name in names or [cell["record"]]]


def _accepted(records: list[Path]) -> list[dict]:
    """What users declared of these results (`tsgbench accept`): the entries, with their record.

    What is wrong with a record that cannot be read, the checks say.
    """
    declarations = []
    for path in records:
        with contextlib.suppress(UserError):
            declarations += [{"record": str(path), **entry} for entry in read_record(path).accepted]
    return declarations


def _logged_runs(stem: Path) -> dict:
    """What was logged of the table's cells when it was written: above all runs without epochs."""
    path = Path(f"{stem}.json")
    return (
        (read_record(path).content.get("made") or {}).get("mlflow") or {} if path.exists() else {}
    )


def _mlflow(cell: dict, logged: dict) -> dict:
    """The MLflow run and its store: from the cell's record, or as logged from its files."""
    if cell.get("mlflow_run") or "run" not in cell:
        return {}
    runs = {row["cell"]: row["run_id"] for row in logged.get("runs", [])}
    return {"mlflow_run": runs.get(cell["cell"]), "mlflow_store": logged.get("uri")}


def _commands(content: Document, stem: Path, numbers: list[dict], root: Path) -> list[str]:
    """How to make the numbers again: one job by hand, or all that the table needs."""
    cells = [cell for number in numbers for cell in number["cells"] if "run" in cell]
    commits = {cell.get("git_commit") for number in numbers for cell in number["cells"]} - {None}
    checkout = [f"git checkout {next(iter(commits)).rstrip('+')}"] if len(commits) == 1 else []
    chosen, named = (
        _option_for(option, content.study, root) for option in ("--configfile", "--study")
    )
    lines = [
        f"tsgbench job {phase} {cell['cell']}{named}"
        for cell in cells
        for phase in ("adopt" if "predictions" in cell["settings"] else "train", "evaluate")
    ]
    return [*checkout, *lines, f"snakemake --cores 8 {stem}.tex{chosen}"]


def _option_for(option: str, study: str, root: Path) -> str:
    """What a command needs to be of a study, if the study's file is known."""
    file = None
    with contextlib.suppress(UserError):  # several files say that they are it
        file = find_study(study, root)
    return f" {option} {file}" if file else ""


# --- in words ---------------------------------------------------------------------------------


def as_text(facts: dict) -> str:
    """What `tsgbench explain` prints."""
    demo = ", DEMO numbers" if facts["is_demo"] else ""
    lines = [
        f"{facts['table']} of study {facts['study']}{demo}; identity {facts['identity']}, "
        f"{facts['found']}",
        *_accepted_lines(facts["accepted"]),
    ]
    for number in facts["numbers"]:
        # A row of a table of data sets is no system
        system = f" ({number['system']}) on {number['dataset_title']}" if number["system"] else ""
        lines += ["", f"{number['row']}{system}"]
        if not number["cells"]:
            wanted = ", ".join(number["wanted"])
            lines.append(
                f"  not run; wanted {wanted}" if wanted else "  not run: not in this study"
            )
        for metric, value in number["values"].items():
            lines += [f"  {line}" for line in _value_lines(metric, value, number)]
        for cell in number["cells"]:
            lines += [f"  {line}" for line in _cell_lines(cell)]
    return "\n".join([*lines, "", "To make it again:", *(f"  {c}" for c in facts["commands"])])


def _accepted_lines(accepted: list[dict]) -> list[str]:
    return [
        f"  {entry['record']}: accepted as {entry['to']} (was {entry['from']}) by {entry['by']} on"
        f" {entry['at'][:10]}: {entry['reason']}"
        for entry in accepted
    ]


def _value_lines(metric: str, facts: dict, number: dict) -> list[str]:
    value = Value(**facts)
    shown = Shown(value)
    if value.mean is None and value.published is None:
        return [f"{metric}: n/a"] if number["cells"] else []
    said = [f"{metric}: {shown.mean_std or 'not reproduced'}"]
    if shown.interval:
        said.append(f"95 % interval {shown.interval}")
    if shown.printed:
        doubt = " (doubtful)" if shown.doubt else ""
        source = number["printed"]["label"] if number["printed"] else "printed"
        said.append(f"{source} {shown.printed}{doubt}")
    if shown.difference:
        said.append(f"difference {shown.difference}")
    if value.verdict:
        said.append(f"verdict: {value.verdict}")
    if shown.p_value:
        said.append(f"p = {shown.p_value}")
    if shown.detectable:
        said.append(f"smallest detectable difference {shown.detectable}")
    lines = ["; ".join(said)]
    if len(value.seeds) > 1:
        names = [cell["cell"].rpartition("/")[2] for cell in number["cells"]]
        pairs = zip(names, shown.seeds, strict=True)
        lines.append("    " + ", ".join(f"{name} {seed}" for name, seed in pairs))
    return lines


def _cell_lines(cell: dict) -> list[str]:
    lines = [f"{cell['cell']}: {cell['found']}"]
    if "run" in cell:
        mlflow = "MLflow run: none is known; tsgbench track logs it"
        if cell["mlflow_run"]:
            mlflow = f"MLflow run {cell['mlflow_run']} in {cell['mlflow_store']}"
        lines += [
            f"  run {cell['run']}, evaluation {cell['evaluation']}, code {cell['code']}",
            f"  {mlflow}",
            f"  protocol {cell['protocol']}, convention {cell['convention']}, split {cell['split']}"
            + (f", part {cell['part']}" if cell.get("part") else ""),
        ]
    else:
        lines.append(f"  identity {cell['identity']}, digest {cell['digest']}, code {cell['code']}")
    if adopted := cell.get("settings", {}).get("predictions"):
        lines.append(f"  predictions of another program: {adopted['source']}")
        lines.append(f"  {adopted['file']}, SHA-256 {adopted['sha256']}")
    if cell.get("taken_over"):
        lines.append(f"  taken over from {cell['taken_over']}, trained for study {cell['study']}")
    commit = cell.get("git_commit") or "not recorded"
    lines.append(f"  commit {commit.rstrip('+')}" + (", edited" if commit.endswith("+") else ""))
    lines += _accepted_lines(cell["accepted"])
    for role, entry in cell.get("inputs", {}).items():
        lines.append(f"  {role}: identity {entry['identity']}, digest {entry['digest']}")
    return [*lines, *(f"  {path}" for path in cell.get("files", {}).values())]
