"""What a report consists of, read from the records of its tables, figures and statistics."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tsgbench.jobs.cells import DEFAULT
from tsgbench.jobs.records import Record
from tsgbench.reporting.departures import describe_selection
from tsgbench.reporting.document import Block, Document, read_document
from tsgbench.reporting.provenance import heading


@dataclass
class Entry:
    """A table or a figure. key: `seqpan/table5`. title: `SeqPAN, Table 5`. about: what it shows.

    document: of a table. settings: of a figure. stem: path of its files without their endings.
    """

    key: str
    kind: str
    title: str
    about: str
    record: Record
    document: Document | None = None
    settings: dict = field(default_factory=dict)

    @property
    def stem(self) -> Path:
        """Path of its files without their endings."""
        return self.record.path.with_suffix("")

    def file(self, end: str) -> Path:
        """One of its files by its ending, such as `.pdf`."""
        return self.record.file(self.stem.name + end)

    @property
    def caption(self) -> str:
        """What a figure shows, of which data, and the study's notes on its systems."""
        parts = [self.about] if self.about else []
        if self.settings["stands_in"]:
            parts.append("Generated data stand in for the paper's.")
        parts.append(f"Data sets: {', '.join(self.settings['datasets'].values())}.")
        return " ".join(parts + self.settings.get("notes", []))

    @property
    def anchor(self) -> str:
        """Its id in a page."""
        return f"{self.kind}-{self.key.replace('/', '-')}"

    @property
    def label(self) -> str:
        """What stands before its number: `SeqPAN, Table`; all of the title, where it has none."""
        return self.title.removesuffix(f" {self.number}") if self.number else self.title

    @property
    def number(self) -> str:
        """Its own number in the paper."""
        last = self.title.rpartition(" ")[2]
        return last if last[:1].isdigit() else ""

    @property
    def in_contents(self) -> str:
        """Title and the first words of what it shows: one line of the contents."""
        about = self.about.split(";")[0].split(":")[0].rstrip(". ")
        words = about if len(about) <= 70 else about[:70].rsplit(" ", 1)[0].rstrip(",;") + " …"
        return f"{self.title}: {words}" if words else self.title


@dataclass
class Section:
    """A paper's tables and figures, or the study's own."""

    title: str
    about: str
    entries: list[Entry]

    @property
    def anchor(self) -> str:
        """Its id in a page."""
        return "section-" + "".join(c if c.isalnum() else "-" for c in self.title.lower())


@dataclass
class Report:
    """All of it. data: lines on protocols and data, by data set. findings: Markdown."""

    study: str
    title: str
    is_demo: bool
    identity: str
    sections: list[Section]
    conventions: dict[str, str]
    data: dict[str, list[str]]
    commits: list[str]
    cells_run: int
    cells_wanted: int
    findings: str | None
    findings_folder: Path | None

    @property
    def entries(self) -> list[Entry]:
        """Tables and figures of all sections, in order."""
        return [entry for section in self.sections for entry in section.entries]

    @property
    def tables(self) -> dict[str, Document]:
        """By heading."""
        return {entry.title: entry.document for entry in self.entries if entry.document}

    @property
    def summary(self) -> list[str]:
        """What the study is, in sentences."""
        tables = len(self.tables)
        figures = len(self.entries) - tables
        said = [
            f"{_count(tables, 'table')} and {_count(figures, 'figure')} of study “{self.study}” "
            f"({self.title}). Of the "
            f"{self.cells_wanted:,} cells (a system trained on a data set with a seed) that the "
            f"tables ask for, {self.cells_run:,} were run; what was not run is marked so."
        ]
        if len(self.commits) == 1:
            said.append(f"All were run at commit {_commit(self.commits[0])}.")
        elif self.commits:
            said.append(f"They were run at commits {', '.join(map(_commit, self.commits))}.")
        else:
            said.append("No cell recorded a commit.")
        return said


def gather(settings: dict, inputs: dict[str, Record], identity: str) -> Report:
    """Read everything that a report shows.

    settings: `study`, `title`, `is_demo`, `papers` (key -> system, title, year, venue). inputs:
    records by role: `table:{name}`, `figure:{name}`, `statistics:{dataset}`, `findings:cells`.
    """
    systems = {key: paper["system"] for key, paper in settings["papers"].items()}
    entries = [
        _entry(role, record, systems)
        for role, record in inputs.items()
        if role.startswith(("table:", "figure:"))
    ]
    entries.sort(key=lambda entry: (entry.kind != "table", _natural(entry.key)))
    own = [entry for entry in entries if "/" not in entry.key]
    sections = [Section("This study's own", "", own)] if own else []
    for key, paper in settings["papers"].items():
        of_paper = [entry for entry in entries if entry.key.startswith(f"{key}/")]
        if of_paper:
            sections.append(Section(paper["system"], _cite(paper), of_paper))
    documents = [entry.document for entry in entries if entry.document]
    results = [result for document in documents for result in document.results]
    cells = [cell for result in results for cell in result.cells]
    findings = next((r for role, r in inputs.items() if role.startswith("findings")), None)
    return Report(
        study=settings["study"],
        title=settings["title"],
        is_demo=bool(settings.get("is_demo", False)),
        identity=identity,
        sections=sections,
        conventions=_conventions(documents),
        data=_data(documents, inputs),
        commits=sorted({cell["git_commit"] for cell in cells if cell.get("git_commit")}),
        cells_run=len({cell["cell"] for cell in cells if "run" in cell}),
        # Names of cells have four parts; rows of data sets ask for none
        cells_wanted=len({c for result in results for c in result.wanted if c.count("/") == 3}),
        findings=findings.path.with_suffix(".md").read_text(encoding="utf-8") if findings else None,
        findings_folder=findings.path.parent if findings else None,
    )


def _entry(role: str, record: Record, systems: dict[str, str]) -> Entry:
    kind, _, key = role.partition(":")
    title = heading(key, systems)
    if kind == "table":
        document = read_document(record.path.with_suffix(".provenance.json"))
        about = document.heading.partition(": ")[2]
        return Entry(key, kind, title, about, record, document=document)
    settings = record.content["settings"]
    printed = settings.get("printed") or {}
    return Entry(key, kind, title, printed.get("plots", ""), record, settings=settings)


def _natural(key: str) -> list:
    """Table 10 after table 9; keys without a paper first."""
    parts = re.split(r"(\d+)", key)
    return [("/" in key), *(int(part) if part.isdigit() else part for part in parts)]


def _cite(paper: dict) -> str:
    parts = [paper.get("title"), paper.get("venue") or str(paper.get("year") or "")]
    return ". ".join(part for part in parts if part)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _commit(commit: str) -> str:
    """Short, and whether the tree had been edited since."""
    return commit[:12] + (" (with uncommitted edits)" if commit.endswith("+") else "")


# --- notes on data and protocols --------------------------------------------------------------


def _blocks(documents: list[Document]) -> list[Block]:
    blocks = [block for document in documents for block in document.datasets]
    return [block for block in blocks if block.test_split and not block.is_missing]


def _conventions(documents: list[Document]) -> dict[str, str]:
    """Name -> what it is, of every way of scoring that a table uses."""
    used = [block.convention for block in _blocks(documents) if block.convention]
    return {convention.name: convention.about for convention in used}


def _data(documents: list[Document], inputs: dict[str, Record]) -> dict[str, list[str]]:
    """Data set -> sentences: splits, features, notes, and rows of its public files."""
    said: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for block in _blocks(documents):
        title = block.title.partition(":")[0]
        titles.setdefault(block.data, title)
        lines = said.setdefault(title, [])
        splits = f"Tested on “{block.test_split}”"
        if (select := block.select_split) is not None:
            splits += f", {describe_selection([select] if select else [])}"
        splits += f" (protocol “{block.protocol}”)." if block.protocol != DEFAULT else "."
        features = block.features and f"Features: {block.features}."
        for line in (splits, features, block.note):
            if line and line not in lines:
                lines.append(line)
    for role, record in inputs.items():
        if role.startswith("statistics:"):
            name = role.removeprefix("statistics:")
            said.setdefault(titles.get(name, name), []).extend(_counted(record))
    return said


def _counted(record: Record) -> list[str]:
    """Rows read and kept of each split, and why others were dropped."""
    lines = []
    for split, counted in record.facts.get("counts", {}).items():
        line = f"Split “{split}”: {counted['kept']:,} of {counted['rows']:,} rows kept"
        if counted.get("videos") is not None:
            line += f", {counted['videos']:,} videos"
        dropped = ", ".join(f"{reason}: {count:,}" for reason, count in counted["dropped"].items())
        lines.append(line + (f"; dropped: {dropped}." if dropped else "."))
    return lines
