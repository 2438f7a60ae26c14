"""docs/costs.md, what each study costs; and the figures that it is made of.

`costs.py measure PROJECT…` reads the runs of project folders (logs, records, Snakemake's own logs)
into docs/costs.json; `costs.py page` writes the page from that and from the plans of the studies.
No number on the page is typed.
"""

import argparse
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from tsgbench.cli.cost import as_size
from tsgbench.cli.sources import list_sources
from tsgbench.config import load_study
from tsgbench.errors import UserError
from tsgbench.jobs.records import Record
from tsgbench.planning.accepting import with_ancestors
from tsgbench.planning.cost import Cost, as_span, estimate
from tsgbench.planning.measurements import (
    Measurements,
    Run,
    Taken,
    read_file,
    read_logs,
    with_records,
    write_measurements,
)
from tsgbench.planning.study import Study
from tsgbench.planning.targets import find_targets, rule_targets

ROOT = Path(__file__).parents[2]
FIGURES, PAGE = ROOT / "docs" / "costs.json", ROOT / "docs" / "costs.md"
UNMEASURED = "not measured"
CORES = (2, 8)
SHORT_S = 60.0  # a run that says nothing of the arithmetic: all of it is Snakemake's start
OF_LOG = {
    "date": r"^  Date: (.+)$",
    "command": r"^  Command: \S+ (.+)$",
    "config": r"^  Config file\(s\): \[.*'(?:[^']*/)?([^'/]+)\.yaml'",
    "cores": r"^Provided cores: (\d+)$",
    "elapsed": r"^Elapsed time: (?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)$",
}
DONE = re.compile(r"^(\d+) of \1 steps \(100%\) done$", re.MULTILINE)
SLACK = timedelta(seconds=2)  # Snakemake notes when it started in whole seconds


# --- measured -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One call of Snakemake, as its log has it."""

    start: datetime
    seconds: float
    study: str
    targets: str
    cores: int
    jobs: int

    def holds(self, moment: datetime) -> bool:
        """Whether it ran then."""
        return self.start - SLACK <= moment <= self.start + timedelta(seconds=self.seconds) + SLACK


def measure(projects: Iterable[Path], earlier: Path | None = None) -> None:
    """Write the figures of all runs of these folders that ended.

    earlier: a file of figures, from which those of other studies are kept.
    """
    runs: list[Run] = []
    taken: list[tuple[int, Taken]] = []
    for project in projects:
        calls = sorted(_calls(project), key=lambda call: call.start)
        found = [
            (each, record)
            for each, record in with_records(read_logs(project / "logs"), project)
            if record is not None
        ]
        for call in calls:
            theirs = [
                (each, record)
                for each, record in found
                if call.holds(datetime.fromisoformat(record.content["made"]["at"]))
            ]
            if theirs:
                taken += [(len(runs), each) for each, _ in theirs]
                runs.append(_run(call, [record for _, record in theirs]))
    if not runs:
        raise UserError("no run of Snakemake that ended is in these folders; name others")
    if earlier:
        _keep_others(earlier, runs, taken)
    write_measurements(FIGURES, runs, taken)
    print(f"{FIGURES}: {len(taken)} jobs of {len(runs)} runs")


def _keep_others(earlier: Path, runs: list[Run], taken: list[tuple[int, Taken]]) -> None:
    """Add what a file has of studies that are not among the runs."""
    measured = {run.study for run in runs}
    before, jobs, of_run = read_file(earlier)
    for number, run in enumerate(before):
        if run.study not in measured:
            taken += [
                (len(runs), each) for each, of in zip(jobs, of_run, strict=True) if of == number
            ]
            runs.append(run)


def _calls(project: Path) -> Iterator[Call]:
    """Those that ran something and ended, however."""
    for path in sorted(project.glob(".snakemake/log/*.snakemake.log")):
        text = path.read_text(encoding="utf-8", errors="replace")
        said = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in OF_LOG.items()}
        if not all(said.values()):
            continue
        days, hours, minutes, seconds = said["elapsed"].groups()
        elapsed = timedelta(int(days or 0), float(seconds), 0, 0, int(minutes), int(hours))
        words = said["command"][1].split()
        done = DONE.search(text)
        yield Call(
            datetime.fromisoformat(said["date"][1]).astimezone(),
            elapsed.total_seconds(),
            said["config"][1],
            " ".join(word for word in words if word.startswith(("results/", "data/"))),
            int(said["cores"][1]),
            int(done[1]) if done else 0,
        )


def _run(call: Call, records: list[Record]) -> Run:
    commits = Counter(record.content["made"].get("git_commit") or "" for record in records)
    hardware = Counter(
        re.sub(r"\d+ of (?=\d+ CPU)", "", str(record.facts["hardware"]))
        for record in records
        if record.facts.get("hardware")
    )
    return Run(
        call.study,
        call.targets,
        f"{call.start:%Y-%m-%d}",
        commits.most_common(1)[0][0][:10],
        hardware.most_common(1)[0][0] if hardware else "",
        call.cores,
        call.jobs,
        round(call.seconds, 1),
    )


# --- the page -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Priced:
    """A study, some of its results, and what they cost from nothing.

    is_told: whether anything can be said: one of its models that learn, or a cell of another
    program, is like one that was measured. Baselines alone say nothing.
    """

    study: Study
    records: list[str]
    cost: Cost
    is_told: bool

    @property
    def cells(self) -> int:
        """How many are trained or read from another program."""
        return sum(self.study.jobs[record].phase in ("train", "adopt") for record in self.records)

    def said(self, text: str) -> str:
        """A figure, as far as the jobs are known."""
        if not self.is_told:
            return UNMEASURED
        return f"> {text}" if self.cost.unknown_jobs else text


def page(figures: Path = FIGURES) -> str:
    """The whole page."""
    runs, taken, of_run = read_file(figures)
    measurements = Measurements(taken)
    studies = [Study(*_arguments(path)) for path in _study_files()]
    own = [_price(study, _own_tables(study), measurements) for study in studies]
    whole = [_price(study, rule_targets(study)["everything"], measurements) for study in studies]
    return "\n".join(
        [
            *_introduction(runs),
            *_overview(own, whole),
            *_against_clock(runs, taken, of_run, {study.name: study for study in studies}),
            *_by_phase([one for one in own if one.is_told]),
            *_again(),
        ]
    )


def _study_files() -> list[Path]:
    """The studies that are shipped, by name."""
    files = sorted((ROOT / "config").glob("*.yaml"))
    return [path for path in files if "study" in yaml.safe_load(path.read_text(encoding="utf-8"))]


def _arguments(path: Path) -> tuple:
    config, source = load_study(path)
    return config, None, source


def _own_tables(study: Study) -> list[str]:
    """The tables that bear no paper's number."""
    return [record for record in study.targets("table") if "/" not in study.jobs[record].key]


def _price(study: Study, targets: list[str], measurements: Measurements) -> Priced:
    records = _in_order(study, targets)
    jobs = (study.jobs[record] for record in records)
    telling = (job for job in jobs if job.phase == "adopt" or job.settings.get("train"))
    is_told = any(map(measurements.of, telling))
    return Priced(study, records, estimate(study, records, measurements), is_told)


def _introduction(runs: list[Run]) -> list[str]:
    machines = sorted({run.machine for run in runs if run.machine})
    dates = sorted(run.date for run in runs)
    commits = sorted({f"`{run.commit}`" for run in runs if run.commit})
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return [
        "# What each study costs",
        "",
        "<!-- Made by `workflow/scripts/costs.py page`; see the end. -->",
        "",
        f"Told from {len(runs)} measured runs on {', '.join(machines)}, {when}, at"
        f" {'commits' if len(commits) > 1 else 'commit'} {', '.join(commits)}, and from each"
        " study's plan. A job takes what its like took: of cells, the same model on the same data"
        " set in the same study, or the same cell with the same settings in another. What no run"
        " measured is not guessed. `tsgbench plan --cost TARGET` says the same of"
        " what is left to do, from your own logs; before you have any, from these:",
        "",
        "```sh",
        "tsgbench plan --cost results/table1.tex --logs docs/costs.json",
        "```",
        "",
    ]


def _overview(own: list[Priced], whole: list[Priced]) -> list[str]:
    clocks = [f"clock, {cores} cores" for cores in CORES]
    time = ["CPU time", "GPU time", *clocks]
    size = ["jobs (measured)", "cells", "to download", "left on disk"]
    return [
        "## Time",
        "",
        "From nothing to the tables that bear no paper's number, and to everything.",
        "",
        *_table(time, own, whole, _time),
        "",
        "*>*: there are jobs of whose kind no run had one. *CPU time* is what Snakemake sampled,"
        " which misses the end of each job. *GPU time* is - where the measured jobs used none."
        " *Clock* has the cores to itself, but goes by the clock of the measured jobs, beside which"
        " the machine may have done other work, and downloads by the line of that day. Of studies"
        " that say *not measured* no model that learns is among the measured runs: `paper` and"
        " `released_features` are meant for a GPU, and none of their models has run on one.",
        "",
        "## Size",
        "",
        *_table(size, own, whole, _size),
        "",
        "*Measured* are jobs of whose kind a run had one; *cells* are trainings and baselines."
        " *To download* is what upstream says, with the number of sources that say nothing. *Left"
        " on disk* are results and data, without shared arrays in `scratch/` and MLflow's files.",
        "",
    ]


def _table(
    columns: list[str],
    own: list[Priced],
    whole: list[Priced],
    figures: Callable[[Priced], list[str]],
) -> list[str]:
    """Two rows a study."""
    lines = [
        f"| study | results | {' | '.join(columns)} |",
        f"|---|---|{'---:|' * len(columns)}",
    ]
    for tables, everything in zip(own, whole, strict=True):
        for name, results, priced in (
            (tables.study.name, "tables", tables),
            ("", "everything", everything),
        ):
            lines.append(f"| {' | '.join([name, results, *figures(priced)])} |")
    return lines


def _time(priced: Priced) -> list[str]:
    cost = priced.cost
    gpu_s = sum(cost.gpu_s.values())
    return [
        priced.said(as_span(sum(cost.cpu_s.values()))),
        priced.said(as_span(gpu_s)) if gpu_s or not priced.is_told else "-",
        *(priced.said(as_span(cost.wall_s(cores))) for cores in CORES),
    ]


def _size(priced: Priced) -> list[str]:
    return [
        f"{priced.cost.jobs:,} ({sum(priced.cost.measured.values()):,})",
        f"{priced.cells:,}",
        _downloads(priced),
        priced.said(as_size(int(sum(priced.cost.disk_bytes.values())))),
    ]


def _downloads(priced: Priced) -> str:
    """By the sizes that upstream states, whatever is here."""
    study, jobs = priced.study, map(priced.study.jobs.__getitem__, priced.records)
    names = [job.wildcards["source"] for job in jobs if job.phase == "download"]
    if not names:
        return "-"
    nowhere = ROOT / "docs" / "no folder of downloads"
    sizes = [one.to_fetch for one in list_sources(study.catalogue.sources, nowhere, names)]
    unknown = sizes.count(None)
    known = as_size(sum(size for size in sizes if size is not None))
    return f"{known} + {unknown} unknown" if unknown else known


def _against_clock(
    runs: list[Run], taken: list[Taken], of_run: list[int], studies: dict[str, Study]
) -> list[str]:
    lines = [
        "## Against the clock",
        "",
        "Runs that made all they were asked for and took over a minute: what Snakemake's clock"
        " said, and what the plan predicts from the times of their own jobs. That is the error of"
        " the arithmetic alone. From first seeds alone it predicts what it"
        " has not seen, the cells of the others.",
        "",
        "| run | jobs | cores | clock | predicted | from first seeds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for number, run in enumerate(runs):
        theirs = [each for each, of in zip(taken, of_run, strict=True) if of == number]
        if not run.jobs or run.seconds < SHORT_S or run.study not in studies:
            continue
        study = studies[run.study]
        made = {each.record for each in theirs}
        targets = find_targets(study, run.targets.split())
        due = [record for record in _in_order(study, targets) if record in made]
        predicted = [
            _predicted(estimate(study, due, Measurements(known)), run)
            for known in (theirs, [each for each in theirs if _is_first(each)])
        ]
        lines.append(
            f"| {run.study}: {_named(run.targets)} | {run.jobs} | {run.cores} |"
            f" {as_span(run.seconds)} | {' | '.join(predicted)} |"
        )
    return [*lines, ""]


def _predicted(cost: Cost, run: Run) -> str:
    """The clock at so many cores, and how much of the true one that is."""
    wall_s = cost.wall_s(run.cores)
    more = f", without {cost.unknown_jobs} jobs" if cost.unknown_jobs else ""
    return f"{as_span(wall_s)} ({100 * wall_s / run.seconds:.0f} %{more})"


def _is_first(each: Taken) -> bool:
    """Whether it is the first seed of its cells, or of none."""
    return each.wildcards.get("seed", "0") == "0"


def _named(targets: str) -> str:
    """The results that were asked for, without their folders."""
    return ", ".join(Path(target).stem for target in targets.split())


def _in_order(study: Study, targets: list[str]) -> list[str]:
    """Records of some results and of all that they are made from, inputs first."""
    wanted = with_ancestors(study, targets)
    return [record for record in study.jobs if record in wanted]


def _by_phase(priced: list[Priced]) -> list[str]:
    lines = ["## By phase", "", "Of each study's own tables, one job after another.", ""]
    for one in priced:
        cost = one.cost
        lines += [
            f"### {one.study.name}",
            "",
            "| phase | jobs | time | CPU time | disk |",
            "|---|---:|---:|---:|---:|",
        ]
        for phase, seconds in cost.seconds.items():
            jobs = cost.measured.get(phase, 0) + cost.unknown.get(phase, 0)
            figures = [
                as_span(seconds),
                as_span(cost.cpu_s.get(phase, 0.0)),
                as_size(int(cost.disk_bytes.get(phase, 0))),
            ]
            if phase not in cost.measured:
                figures = [UNMEASURED] * len(figures)
            elif unknown := cost.unknown.get(phase, 0):
                figures[0] += f" ({unknown} {UNMEASURED})"
            lines.append(f"| {phase} | {jobs} | {' | '.join(figures)} |")
        lines += ["", f"The largest job takes {cost.memory_mb:,.0f} MB of memory.", ""]
    return lines


def _again() -> list[str]:
    return [
        "## How this page is made",
        "",
        "`docs/costs.json` holds the figures of the runs: seconds, memory, processor time and bytes"
        " of every job, the processor, the commit. The first line reads them from project folders"
        " in which studies ran, and keeps those of other studies; the second writes this page, as"
        " after any change of a study:",
        "",
        "```sh",
        "python workflow/scripts/costs.py measure --keep docs/costs.json PROJECT_FOLDER …",
        "python workflow/scripts/costs.py page",
        "```",
        "",
    ]


def main() -> None:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("measure", help="write docs/costs.json")
    verb.add_argument("projects", nargs="+", type=Path, metavar="PROJECT")
    verb.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="figures of before, kept of other studies",
    )
    verbs.add_parser("page", help="write docs/costs.md")
    options = parser.parse_args()
    try:
        if options.verb == "measure":
            measure(options.projects, options.keep)
        else:
            PAGE.write_text(page(), encoding="utf-8")
    except UserError as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")


if __name__ == "__main__":
    main()
