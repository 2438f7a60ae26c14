"""The command line: one verb per phase of the pipeline, and a few that show what there is.

The workflow's rules run these verbs; so can a person, with the same effect:

    tsgbench train seqpan/shapes/full/seed0

A job that has run before under the same settings, code and inputs runs again all the same: whether
it needs to is the workflow's question.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench import __version__
from tsgbench.access import why
from tsgbench.config import Catalogue, find_study, load_study, mirror_of
from tsgbench.errors import UserError

if TYPE_CHECKING:
    from tsgbench.study import Study

PHASES = {
    "download": "fetch one source from the mirror or upstream, and verify it",
    "render": "render the videos and sentences of a synthetic data set",
    "join": "join a data set's untrimmed videos from downloaded clips",
    "annotations": "read public annotation files into one table of queries",
    "statistics": "count what papers print about a data set",
    "extract": "decode videos and extract clip features",
    "reduce": "centre, standardise and project clip features (PCA)",
    "released": "bring released features into a feature file, with a time axis",
    "blank": "write the time axis of a data set that is studied without video",
    "vectors": "learn word vectors from a data set's own sentences",
    "vocabulary": "collect a data set's words with their vectors",
    "train": "train one cell and predict its test split",
    "evaluate": "score one cell's predictions",
    "inspect": "keep a cell's attention maps and predictions of chosen queries",
    "measure": "measure a cell's size and speed on this machine",
    "table": "write one table as LaTeX, CSV, Markdown and a page",
    "figure": "draw one figure as PDF and PNG, and write its numbers as CSV",
    "findings": "say in sentences what the study's numbers show",
    "report": "put every table and figure of the study on one page and into one document",
    "summary": "write the metrics and curves that DVC shows",
    "pdf": "compile the LaTeX of a table or of the report",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit status: 0, or 1 after a message for the user."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for stream in (sys.stdout, sys.stderr):  # names of files and of others need not be UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return options.verb(options) or 0
    except UserError as error:
        print(f"tsgbench: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a listing, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else None
        print(f"tsgbench: error: {why(name, error) or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tsgbench: interrupted; run the same command to go on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsgbench",
        description="Reproduce temporal sentence grounding papers from raw video to LaTeX table.",
        epilog="Most people run the whole pipeline: snakemake --cores 8 results/table1.tex",
    )
    parser.add_argument("--version", action="version", version=f"tsgbench {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for phase, about in PHASES.items():
        verb = verbs.add_parser(phase, help=about, description=about[0].upper() + about[1:] + ".")
        if phase == "extract":
            _add_own_videos(verb)
        elif phase == "pdf":
            verb.add_argument(
                "key", help="table1, seqpan/table5, report, or the file: results/table1.tex"
            )
        else:
            verb.add_argument(
                "key", nargs="?", default="cells", help="which one; `tsgbench plan` lists them all"
            )
        _add_study(verb)
        verb.add_argument("--identity", help="refuse to run unless the plan still says this")
        verb.add_argument("--threads", type=int, default=1, help="CPU threads to use (default 1)")
        run = {"extract": _extract, "pdf": _compile_pdf}.get(phase, _run_phase)
        verb.set_defaults(verb=run, phase=phase)
    plan = verbs.add_parser(
        "plan", help="list every job of a study and whether its result is current"
    )
    _add_study(plan)
    plan.add_argument("--json", action="store_true", help="machine-readable")
    plan.set_defaults(verb=_show_plan)
    accepting = verbs.add_parser(
        "accept",
        help="declare results current after a change of code that cannot change them",
        description=(
            "Declare results current that a change of code made stale, where you know that it"
            " cannot change them. Their records then say who accepted them, when, why and from"
            " which identity to which. Refused are results with other inputs or damaged files and,"
            " without --settings, with other settings."
        ),
    )
    accepting.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="results, with all that they are made from: results/table1.tex (default: all)",
    )
    accepting.add_argument("--reason", help="why the change is harmless, for the records")
    accepting.add_argument(
        "--settings", action="store_true", help="accept results of other settings, too"
    )
    accepting.add_argument(
        "-n",
        "--dry-run",
        action="store_true",
        help="say what would be accepted, and change nothing",
    )
    _add_study(accepting)
    accepting.set_defaults(verb=_accept)
    models = verbs.add_parser("models", help="list the models and their ablations")
    models.add_argument("--json", action="store_true", help="machine-readable")
    models.set_defaults(verb=_show_models)
    datasets = verbs.add_parser(
        "datasets", help="list the data sets: protocols, rows kept and dropped, parts present"
    )
    datasets.add_argument("--json", action="store_true", help="machine-readable")
    datasets.add_argument("--mirror", metavar="FOLDER", help="read files from here, too")
    datasets.set_defaults(verb=_show_datasets)
    schemas = verbs.add_parser(
        "schemas", help="write the schemas of config files and docs/settings.md from the code"
    )
    schemas.set_defaults(verb=_write_schemas)
    sources = verbs.add_parser("sources", help="list what is to be downloaded and what is here")
    sources.add_argument("--json", action="store_true", help="machine-readable")
    sources.add_argument("--study", metavar="FILE", help="only what this study reads")
    sources.set_defaults(verb=_show_sources)
    features = verbs.add_parser("features", help="what a feature file holds and how it was made")
    features.add_argument("file", type=Path, help="a feature file (HDF5)")
    features.add_argument("--videos", type=int, default=6, help="how many to look at (default 6)")
    features.add_argument("--plot", metavar="FILE", type=Path, help="draw it, too: PNG, PDF or SVG")
    features.add_argument("--json", action="store_true", help="machine-readable")
    features.set_defaults(verb=_show_features)
    explain = verbs.add_parser(
        "explain", help="where a number of a table comes from, and whether that is still so"
    )
    explain.add_argument("table", type=Path, help="any file of a table: results/table1.tex")
    explain.add_argument("--row", help="the system as the table calls it, or model/ablation")
    explain.add_argument("--metric", help='such as "R@1,IoU=0.7" (default: all)')
    explain.add_argument("--dataset", help="where the table has several (default: all)")
    explain.add_argument("--json", action="store_true", help="machine-readable")
    explain.set_defaults(verb=_explain)
    track = verbs.add_parser(
        "track",
        help="make MLflow agree with the study's cells on disk",
        description=(
            "Log what MLflow lacks of the study's finished cells: after a pull, or when the store"
            " was away. Trainings log themselves, and a table logs the cells that it prints."
        ),
    )
    _add_study(track)
    track.set_defaults(verb=_track)
    return parser


def _add_own_videos(verb: argparse.ArgumentParser) -> None:
    """`extract` takes a job of the study, or with --out one's own video files."""
    verb.description = (
        "Decode videos and extract clip features: those of a data set by the study's plan (DATASET/"
        "CLIPS), or with --extractor and --out those of your own files."
    )
    verb.add_argument(
        "key", nargs="+", metavar="KEY|VIDEO", help="a job of `tsgbench plan`, or video files"
    )
    verb.add_argument("--out", type=Path, help="feature file to write, of your own videos")
    verb.add_argument(
        "--extractor",
        metavar="NAME",
        help="c3d, i3d, vgg16, efficientnet_lite0, or a name of config/features.yaml",
    )
    verb.add_argument(
        "--checkpoint", type=Path, help="weights (default: random ones, as the file will say)"
    )


def _add_study(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--study", metavar="FILE", help="the study's config (default: config/demo.yaml)"
    )


def _follow_study(options: argparse.Namespace, path: str) -> None:
    """Without --study, a result says by its folder whose it is: `results/blind/table1.tex`."""
    from tsgbench.planning.layout import DEFAULT_STUDY, study_of

    name = study_of(path, Catalogue.load().published)
    if options.study is None and name != DEFAULT_STUDY:
        options.study = find_study(name)
        if options.study is None:
            raise UserError(f"{path}: is of study {name!r}; name its config with --study FILE")


def _read_study(options: argparse.Namespace) -> "Study":
    from tsgbench.study import Study  # late: the plan takes time that --help does not need

    config, source = load_study(options.study)
    return Study(config, source=source)


def _extract(options: argparse.Namespace) -> int:
    if not (options.out or options.extractor or options.checkpoint):
        if len(options.key) > 1:
            raise UserError(
                "extract: several names, but no --out: name one job of the study, or say where the"
                " features of your own videos go: --extractor i3d --out features.h5"
            )
        (options.key,) = options.key
        _run_phase(options)
        return 0
    if not (options.out and options.extractor):
        raise UserError("extract: one's own videos need both --extractor and --out")
    _limit_threads(options.threads)
    from tsgbench.features.own import extract_files, find_recipe

    facts = extract_files(
        [Path(name) for name in options.key],
        options.out,
        recipe=find_recipe(options.extractor, Catalogue.load().clips),
        checkpoint=options.checkpoint,
        threads=options.threads,
    )
    for failure in facts["failed"]:
        print(f"tsgbench: left out: {failure['reason']}", file=sys.stderr)
    print(
        f"wrote {options.out}: {facts['videos']} videos, {facts['rows']} rows of {facts['dim']},"
        f" weights {facts['weights']}, {facts['clips_per_s']} clips/s"
    )
    return 1 if facts["failed"] else 0


def _show_features(options: argparse.Namespace) -> None:
    from tsgbench.features import describe

    facts = describe.describe(options.file, options.videos)
    print(json.dumps(facts, indent=2) if options.json else describe.as_text(facts))
    if options.plot:
        describe.plot(options.file, options.plot, options.videos)


def _limit_threads(threads: int) -> None:
    # Before NumPy and torch are imported: their thread pools follow Snakemake's `threads`
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(max(1, threads))
    # Waiting threads sleep instead of spinning: more jobs than cores is common on small machines
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _run_phase(options: argparse.Namespace) -> None:
    _limit_threads(options.threads)
    _run_key(options, _read_study(options))


def _run_key(options: argparse.Namespace, study: "Study") -> None:
    from tsgbench.jobs import run_job

    job = study.find_key(options.phase, options.key)
    run_job(study, job, expected=options.identity, threads=options.threads)


def _show_plan(options: argparse.Namespace) -> None:
    from tsgbench.planning.freshness import Freshness

    study = _read_study(options)
    freshness = Freshness(study)
    rows = []
    for record, job in study.jobs.items():
        rows.append(
            {
                "phase": job.phase,
                "key": job.key,
                "identity": study.identity(record),
                "state": freshness.state(record),
                "record": record,
            }
        )
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['state']:8}{row['phase']:12}{row['identity']}  {row['record']}")
    print(f"{len(rows)} jobs of study {study.name!r}")


def _accept(options: argparse.Namespace) -> None:
    from collections import Counter

    from tsgbench.planning.accepting import accept, find_target, judge

    if not (options.reason or options.dry_run):
        raise UserError('accept: say why the change is harmless: --reason "…"; or look: --dry-run')
    if options.targets:  # the first says whose; `find_target` refuses those of another study
        _follow_study(options, options.targets[0])
    study = _read_study(options)
    targets = [find_target(study, name) for name in options.targets]
    verdict = judge(study, targets, settings=options.settings)
    verdict.refuse_any(targets)
    for path, reason in verdict.refused.items():
        print(f"tsgbench: stays stale: {path}: {reason}", file=sys.stderr)
    if not options.dry_run:
        accept(study, verdict, reason=options.reason)
    for path, record in verdict.accepted.items():
        print(f"{record.identities[-1]} -> {study.identity(path)}  {path}")
    phases = Counter(study.jobs[path].phase for path in verdict.accepted)
    counted = ", ".join(f"{number} {phase}" for phase, number in phases.items())
    verb = "would accept" if options.dry_run else "accepted"
    print(f"{verb} {len(verdict.accepted)} results{f' ({counted})' if counted else ''}")


def _show_models(options: argparse.Namespace) -> None:
    from tsgbench.planning.printed import served_rows

    models, published = Catalogue.load().models, Catalogue.load().published
    rows = served_rows(published)
    if options.json:
        print(json.dumps({name: entry["ablations"] for name, entry in models.items()}, indent=2))
        return
    for name, entry in models.items():
        print(f"{name}: {entry['title']}")
        if "paper" in entry:
            stated = published[entry["paper"]]["paper"]["protocols"]
            said = (f"{dataset} {protocol['protocol']}" for dataset, protocol in stated.items())
            print(f"    protocols of its paper: {', '.join(said)}")
        for ablation, difference in entry["ablations"].items():
            served = ", ".join(rows.get(f"{name}/{ablation}", []))
            about = difference.get("about", "")
            print(f"    {ablation:26}{about}{f'  [{served}]' if served else ''}")


def _show_datasets(options: argparse.Namespace) -> None:
    from tsgbench.datasets.listing import as_text, list_datasets
    from tsgbench.planning.layout import Layout

    known, mirror = Catalogue.load(), options.mirror or mirror_of({})
    listed = list_datasets(
        known.datasets, known.sources, Layout().records, mirror=mirror, published=known.published
    )
    print(json.dumps(listed, indent=2) if options.json else as_text(listed))


def _show_sources(options: argparse.Namespace) -> None:
    from tsgbench.downloads import listing
    from tsgbench.planning.layout import Layout

    names = None
    if options.study:
        jobs = _read_study(options).jobs.values()
        names = [job.wildcards["source"] for job in jobs if job.phase == "download"]
    folder = Path(Layout().records["download"]).parent
    statuses = listing.list_sources(Catalogue.load().sources, folder, names)
    totals = listing.total(statuses, folder)
    if options.json:
        print(json.dumps(listing.as_json(statuses, totals), indent=2))
    else:
        print(listing.render(statuses, totals))


def _write_schemas(options: argparse.Namespace) -> None:
    from tsgbench.config.reference import write_all

    written = write_all(Path())
    print("\n".join(f"wrote {path}" for path in written) or "all is as the code has it")


def _explain(options: argparse.Namespace) -> None:
    from tsgbench.reporting.explain import as_text, explain

    facts = explain(options.table, options.row, options.metric, options.dataset)
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))


def _compile_pdf(options: argparse.Namespace) -> int:
    """By hand, a machine without TeX is told so; the workflow, which asked for a file, fails."""
    from tsgbench.reporting.pdf import why_no_pdf

    if lacking := why_no_pdf():
        print(lacking, file=sys.stderr)
        return 1 if options.identity else 0
    _follow_study(options, options.key)
    study = _read_study(options)
    results = f"{study.layout.folders['results']}/"
    options.key = options.key.removeprefix(results).removesuffix(".tex")
    _run_key(options, study)
    return 0


def _track(options: argparse.Namespace) -> int:
    from tsgbench.jobs import log_cells
    from tsgbench.planning.freshness import CURRENT, Freshness
    from tsgbench.records import read_record

    study = _read_study(options)
    freshness = Freshness(study)
    here = [path for path in study.targets("train") if freshness.state(path) == CURRENT]
    logged = log_cells(study, [read_record(path) for path in here])
    pending = [row for row in logged["runs"] if row["status"] != "logged"]
    for row in pending:
        print(f"tsgbench: not logged: {row['cell']}: {row['reason']}", file=sys.stderr)
    print(f"{len(here) - len(pending)} of {len(here)} finished cells are in {logged['uri']}")
    return 1 if pending else 0
