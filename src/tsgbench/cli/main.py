"""The arguments of the command line: `tsgbench job` runs a phase, the other verbs show and check.

The workflow's rules run the jobs; so can a person, with the same effect:

    tsgbench job train seqpan/shapes/full/seed0

A job that has run before under the same settings, code and inputs runs again all the same: whether
it needs to is the workflow's question.
"""

import argparse
import gc
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tsgbench import __version__
from tsgbench.cli import verbs
from tsgbench.errors import UserError
from tsgbench.files import to_number
from tsgbench.files.access import why

PHASES = {
    "download": "fetch one source from the mirror or upstream, and verify it",
    "render": "render the videos and sentences of a synthetic data set",
    "join": "join a data set's untrimmed videos from downloaded clips",
    "gather": "take one's own annotations and videos as a data set's",
    "annotations": "read public annotation files into one table of queries",
    "statistics": "count what papers print about a data set",
    "extract": "decode videos and extract clip features",
    "reduce": "centre, standardise and project clip features (PCA)",
    "released": "bring released features into a feature file, with a time axis",
    "blank": "write the time axis of a data set that is studied without video",
    "vectors": "learn word vectors from a data set's own sentences",
    "vocabulary": "collect a data set's words with their vectors",
    "train": "train one cell and predict its test split",
    "adopt": "take predictions of another program for a cell's",
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
    # Imports of PyTorch and MLflow make objects that stay: looking for garbage among them every few
    # hundred takes a fourteenth of a small job
    gc.set_threshold(5_000)
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    _refuse_empty(parser, arguments)
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for library in ("fontTools", "matplotlib"):  # they tell of every table of a font
        logging.getLogger(library).setLevel(logging.WARNING)
    for stream in (sys.stdout, sys.stderr):  # names of files and of others need not be UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        if options.project:
            os.chdir(options.project)
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


def _refuse_empty(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """No argument means anything when empty, and an empty path would be taken for this folder."""
    for before, argument in zip(["the command", *arguments], arguments, strict=False):
        if not argument or re.fullmatch("--[a-z-]+=", argument):
            place = argument or f"after {before}"
            parser.error(f"an argument is empty ({place}); is a variable of your shell unset?")


class _Verbs:
    """The verbs of a parser, by the groups that its help lists them in."""

    def __init__(self, parser: argparse.ArgumentParser, metavar: str = "VERB"):
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        self.parser = parser
        self.listed = parser.add_subparsers(title="verbs", metavar=metavar, required=True)
        self.listed.help = f"{parser.prog} {metavar} --help says more of each"

    def group(self, title: str) -> None:
        self._say(f"\n\n{title}")

    def add(
        self, name: str, do: Callable, about: str, description: str | None = None
    ) -> argparse.ArgumentParser:
        """A verb that does `do`, with one line about it for the list, or more for its own help."""
        self._say(f"\n  {name:<13}{about}")
        verb = self.listed.add_parser(
            name, description=description or about[0].upper() + about[1:] + "."
        )
        verb.set_defaults(verb=do)
        return verb

    def _say(self, text: str) -> None:
        self.parser.description = (self.parser.description or "") + text


def command_parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command, as one types it, with the parser that knows its help: for the docs."""
    waiting = [_parser()]
    while waiting:
        parser = waiting.pop(0)
        yield parser.prog, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsgbench",
        description="Reproduce temporal sentence grounding papers from raw video to LaTeX table.",
        epilog="Most people run the whole pipeline: snakemake --cores 8 results/table1.tex",
    )
    parser.add_argument("--version", action="version", version=f"tsgbench {__version__}")
    parser.add_argument(
        "--project", metavar="DIR", type=Path, help="work in this project, as if started there"
    )
    known = _Verbs(parser)
    known.group("a new project:")
    _add_init(known)
    known.group("a study and its results:")
    _add_plan(known)
    _add_watch(known)
    _add_show(known)
    _add_explain(known)
    _add_verify(known)
    _add_bundle(known)
    _add_accept(known)
    _add_ui(known)
    _add_compare(known)
    _add_track(known)
    _add_pdf(known)
    known.group("what there is:")
    _add_listings(known)
    known.group("one's own videos:")
    _add_extract(known)
    _add_ground(known)
    _add_demo(known)
    known.group("other systems' predictions:")
    _add_score(known)
    known.group("what the workflow and developers run:")
    _add_jobs(known)
    known.add(
        "schemas",
        verbs.write_schemas,
        "write the schemas of config files and docs/settings.md from the code",
    )
    return parser


def _add_jobs(known: _Verbs) -> None:
    job = known.add(
        "job",
        verbs.run_phase,
        "run one job of a study, as the workflow does: job PHASE KEY",
        "Run one job of a study, whether it has run before or not. `tsgbench plan` lists them all.",
    )
    phases = _Verbs(job, "PHASE")
    phases.group("phases:")
    for phase, about in PHASES.items():
        verb = phases.add(phase, verbs.run_phase, about)
        verb.add_argument(
            "key", nargs="?", default="cells", help="which one; `tsgbench plan` lists them all"
        )
        _add_study(verb)
        _add_threads(verb)
        verb.add_argument("--identity", help="refuse to run unless the plan still says this")
        if phase == "extract":
            verb.add_argument(
                "--shard",
                metavar="K-of-N",
                help="a part of the videos alone, such as 2-of-8, for the job itself to go on from;"
                " KEY may be DATASET/CLIPS+CLIPS, for which each video is decoded once",
            )
        if phase == "train":
            verb.add_argument(
                "--score",
                metavar="IDENTITY",
                help="score the cell, too; refuse unless the plan says this of its evaluation",
            )
        verb.set_defaults(phase=phase)


def _add_plan(known: _Verbs) -> None:
    verb = known.add(
        "plan",
        verbs.show_plan,
        "list every job of a study and whether its result is current, or what is left will cost",
    )
    _add_targets(verb)
    verb.add_argument(
        "--cost",
        action="store_true",
        help="what the jobs that are left will take, by what such jobs took here",
    )
    verb.add_argument(
        "--logs",
        metavar="FOLDER",
        default="logs",
        help="or on another machine: its logs, or a file of measurements (docs/costs.md)",
    )
    verb.add_argument(
        "--cores", type=_whole(1), help="processors to run on (default: this machine's)"
    )
    _add_study(verb)
    _add_json(verb)


def _add_watch(known: _Verbs) -> None:
    verb = known.add(
        "watch",
        verbs.watch,
        "how far a run is: cells done, running and failed, epochs, scores, time left",
        "Show how far a run is, every few seconds until all is done or Ctrl-C, while snakemake runs"
        " in another terminal or on a cluster. Reads records and logs; writes and locks nothing.",
    )
    verb.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="as named to snakemake: results/table1.tex, papers, everything (default: all)",
    )
    verb.add_argument("--once", action="store_true", help="one frame, as for a pipe")
    verb.add_argument(
        "--every",
        metavar="SECONDS",
        type=_number(0.1, 3600),
        default=3.0,
        help="between frames (default 3)",
    )
    _add_study(verb)
    _add_json(verb)


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an argument that is a whole number, at least `least` and at most `most`."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None
        if number is None or number < least or (most is not None and number > most):
            allowed = f"at least {least}" + ("" if most is None else f", at most {most}")
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number, {allowed}")
        return number

    return read


def _number(least: float, most: float) -> Callable[[str], float]:
    """The type of an argument that is a number from `least` to `most`; so never NaN."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if least <= (number := to_number(text)) <= most:
                return number
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least:g} to {most:g}")

    return read


def _add_show(known: _Verbs) -> None:
    verb = known.add("show", verbs.show_table, "a table's numbers, as wide as the terminal")
    verb.add_argument("table", type=Path, help="any file of a table: results/table1.tex")


def _add_explain(known: _Verbs) -> None:
    verb = known.add(
        "explain",
        verbs.explain,
        "where a number of a table comes from, and whether that is still so",
    )
    verb.add_argument("table", type=Path, help="any file of a table: results/table1.tex")
    verb.add_argument("--row", help="the system as the table calls it, or model/ablation")
    verb.add_argument("--metric", help='such as "R@1,IoU=0.7" (default: all)')
    verb.add_argument("--dataset", help="where the table has several (default: all)")
    _add_json(verb)


def _add_verify(known: _Verbs) -> None:
    verb = known.add(
        "verify",
        verbs.verify,
        "check results: every digest, every score and table made again, cells trained again",
        "Check results with all that they were made from: files against their digests; scores,"
        " tables and what is written from them made again in a folder apart, and compared to the"
        " byte. Changes no result; ends with status 1 and names what differs (docs/verifying.md).",
    )
    _add_targets(verb, "all here")
    verb.add_argument(
        "--retrain", type=_whole(0), default=0, metavar="N", help="train N cells again, too"
    )
    verb.add_argument("--seed", type=int, default=0, help="what draws them (default 0)")
    verb.add_argument(
        "--tolerance",
        type=_number(0, 100),
        default=1.0,
        metavar="POINTS",
        help="by which their metrics may differ where bytes do (default 1)",
    )
    verb.add_argument(
        "--record",
        action="store_true",
        help="write what was found to results/verified.json, for the checklist of tsgbench bundle",
    )
    _add_study(verb)
    _add_json(verb)


def _add_bundle(known: _Verbs) -> None:
    verb = known.add(
        "bundle",
        verbs.bundle,
        "write results into one archive: RO-Crate, Croissant, CodeMeta, compute report, checklist",
        "Write results, with the code, configuration and record of all that they were made from,"
        " into one zip for an artifact committee: a Workflow Run RO-Crate, Croissant metadata,"
        " CodeMeta, terms of use, a compute report and a reproducibility checklist"
        " (docs/bundling.md). Refuses what is missing, stale or not as its record says. Equal"
        " results give equal bytes.",
    )
    _add_targets(verb, "all here")
    verb.add_argument(
        "--out",
        metavar="FILE.zip",
        type=Path,
        help="what to write (default: the study's name, .zip)",
    )
    verb.add_argument("--force", action="store_true", help="write over an existing file")
    verb.add_argument(
        "--with-data",
        action="store_true",
        help="pack data, features and checkpoints, too: they may be somebody else's (licences.md)",
    )
    verb.add_argument(
        "--anonymous",
        action="store_true",
        help="for a double-blind review: without names of people, machines and folders, commits and"
        " addresses, as far as they are known (docs/bundling.md)",
    )
    _add_study(verb)


def _add_accept(known: _Verbs) -> None:
    verb = known.add(
        "accept",
        verbs.accept,
        "declare results current after a change of code that cannot change them",
        "Declare results current that a change of code made stale, where you know that it cannot"
        " change them. Their records then say who accepted them, when, why and from which identity"
        " to which. Refused are results with other inputs or damaged files and, without --settings,"
        " with other settings.",
    )
    _add_targets(verb)
    verb.add_argument("--reason", help="why the change is harmless, for the records")
    verb.add_argument(
        "--settings", action="store_true", help="accept results of other settings, too"
    )
    verb.add_argument(
        *("-n", "--dry-run"),
        action="store_true",
        help="say what would be accepted, and change nothing",
    )
    _add_study(verb)


def _add_init(known: _Verbs) -> None:
    verb = known.add(
        "init",
        verbs.init,
        "write a small working study into a new folder",
        "Write a small working study, with a model to start from, into a folder: for work with the"
        " installed package, without its repository.",
    )
    verb.add_argument("folder", type=Path, help="the folder, new or without these files")
    verb.add_argument("--study", metavar="NAME", help="the study's name (default: the folder's)")


def _add_track(known: _Verbs) -> None:
    verb = known.add(
        "track",
        verbs.track,
        "make MLflow agree with the study's cells on disk",
        "Log what MLflow lacks of the study's finished cells: after a pull, or when the store was"
        " away. Trainings log themselves, and a table logs the cells that it prints.",
    )
    _add_study(verb)


def _add_ui(known: _Verbs) -> None:
    verb = known.add(
        "ui",
        verbs.ui,
        "show the study's runs in MLflow, by the metrics of its tables",
        "Serve MLflow's page on this machine alone, and say its address: the study's runs with the"
        " metrics that its tables print. Of a server (MLFLOW_TRACKING_URI), only the address.",
    )
    _add_port(verb, 5000)
    _add_study(verb)


def _add_compare(known: _Verbs) -> None:
    verb = known.add(
        "compare",
        verbs.compare,
        "compare systems in MLflow, each by the mean over its seeds",
        "Serve MLflow's comparison of the study's systems on this machine alone, and say its"
        " address; of a server (MLFLOW_TRACKING_URI), only the address. Metrics are means over"
        " seeds, std/… their sample standard deviation.",
    )
    verb.add_argument(
        "systems",
        nargs="*",
        metavar="SYSTEM",
        help="a model or MODEL/ABLATION, such as seqpan seqpan/blind (default: all trained models)",
    )
    verb.add_argument("--dataset", help="on which data set (default: the study's first)")
    _add_port(verb, 5000)
    _add_study(verb)


def _add_pdf(known: _Verbs) -> None:
    verb = known.add("pdf", verbs.compile_pdf, "compile the LaTeX of a table or of the report")
    verb.add_argument("key", help="table1, seqpan/table5, report, or the file: results/table1.tex")
    _add_study(verb)


def _add_listings(known: _Verbs) -> None:
    _add_json(known.add("models", verbs.show_models, "the models and their ablations"))
    verb = known.add(
        "check-model",
        verbs.check_model,
        "try on invented batches what every model promises",
        "Masks are read, answers lie in the video, moments stay unseen, gradients reach every"
        " parameter, a saved model answers alike, some steps lower the loss. 1 if one is broken.",
    )
    verb.add_argument("model", help="as `tsgbench models` lists it")
    verb.add_argument(
        "--ablation",
        action="append",
        default=[],
        help="this one alone, also more than once (default: all that have model settings)",
    )
    verb = known.add(
        "datasets",
        verbs.show_datasets,
        "the data sets: protocols, rows kept and dropped, parts present",
    )
    _add_json(verb)
    verb.add_argument("--mirror", metavar="FOLDER", help="read files from here, too")
    _add_study(verb, "the study whose own data sets are listed, too: {said}")
    verb = known.add("sources", verbs.show_sources, "what is to be downloaded and what is here")
    _add_json(verb)
    _add_study(verb, "only what this study reads: its file, or its name here (default: all)")
    verb.add_argument(
        "--check",
        action="store_true",
        help="ask every address whether it still answers, fetching nothing; note it for the list",
    )
    verb.add_argument(
        "--adopt",
        metavar="FOLDER",
        type=Path,
        help="link what of them lies below a folder, known by checksum or name, to where it goes",
    )
    _add_features(known)


def _add_features(known: _Verbs) -> None:
    verb = known.add(
        "features", verbs.show_features, "what a feature file holds and how it was made"
    )
    file = verb.add_mutually_exclusive_group(required=True)
    file.add_argument("file", nargs="?", type=Path, help="a feature file (HDF5)")
    file.add_argument(
        "--like",
        metavar="FILE|FOLDER",
        type=Path,
        help="somebody else's features: say what they are, and the recipe that reads them",
    )
    verb.add_argument(
        "--videos",
        type=_whole(1),
        help="how many to look at (default 6 of a feature file, all of somebody else's)",
    )
    verb.add_argument("--plot", metavar="FILE", type=Path, help="draw it, too: PNG, PDF or SVG")
    verb.add_argument("--force", action="store_true", help="overwrite such a file")
    verb.add_argument(
        "--dataset", metavar="NAME", help="with --like: whose videos (default: what fits best)"
    )
    verb.add_argument("--name", help="with --like: of the recipe (default: after the file)")
    verb.add_argument("--mirror", metavar="FOLDER", help="with --like: read annotations here, too")
    _add_study(verb, "with --like: the study whose own data sets are tried, too: {said}")
    _add_json(verb)


def _add_extract(known: _Verbs) -> None:
    verb = known.add(
        "extract",
        verbs.extract,
        "extract clip features of your own video files",
        "Decode video files of your own and extract clip features, without a study.",
    )
    verb.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="video files")
    verb.add_argument("--out", type=Path, required=True, help="feature file to write")
    verb.add_argument("--force", action="store_true", help="overwrite such a file")
    verb.add_argument(
        "--extractor",
        metavar="NAME",
        required=True,
        help="c3d, i3d, vgg16, efficientnet_lite0, or a name of config/features.yaml",
    )
    verb.add_argument(
        "--checkpoint", type=Path, help="weights (default: random ones, as the file will say)"
    )
    _add_threads(verb)


def _add_ground(known: _Verbs) -> None:
    verb = known.add(
        "ground",
        verbs.ground,
        "find the moments that sentences describe in your own videos",
        "Find the moments that sentences describe in video files of your own, by a trained cell.",
    )
    verb.add_argument(
        "words",
        nargs="+",
        metavar="VIDEO|SENTENCE",
        help="video files, or folders of them, and sentences",
    )
    verb.add_argument(
        "--cell",
        required=True,
        help="a trained cell: its folder, or seqpan/shapes/full/seed0",
    )
    verb.add_argument("--top", type=int, default=5, help="moments of each sentence (default 5)")
    verb.add_argument(
        "--figure", metavar="FILE", type=Path, help="draw timelines, too: PNG, PDF or SVG"
    )
    verb.add_argument(
        "--clip",
        metavar="FILE",
        type=Path,
        help="the best moment as MP4, encoded anew, with its sound; of one video and one sentence",
    )
    verb.add_argument("--force", action="store_true", help="overwrite such files")
    _add_threads(verb)
    _add_json(verb)


def _add_demo(known: _Verbs) -> None:
    verb = known.add(
        "demo",
        verbs.demo,
        "a page to ask trained cells about a video, and see the moments play",
        "Serve a page on this machine alone: choose or upload a video, write sentences, compare"
        " trained cells, and see the moments that they find play.",
    )
    verb.add_argument(
        "--cell",
        action="append",
        default=[],
        help="a trained cell: its folder, or seqpan/shapes/full/seed0; also more than once"
        " (default: all of the study that are trained)",
    )
    verb.add_argument(
        "--videos",
        metavar="FOLDER",
        type=Path,
        help="whose videos to offer (default: the test videos of the cells' data sets)",
    )
    _add_port(verb, 5001)
    verb.add_argument("--open", action="store_true", help="open it in a browser, too")
    verb.add_argument(
        "--max-upload",
        metavar="MB",
        type=float,
        default=500,
        help="the largest video that may be uploaded (default 500)",
    )
    _add_study(verb)
    _add_threads(verb)


def _add_score(known: _Verbs) -> None:
    verb = known.add(
        "score",
        verbs.score,
        "score a file of predictions that another program wrote",
        "Score the predictions of another program on a data set's own annotations, by every"
        " convention of the data set, with 95 % intervals. docs/scoring.md says which files are"
        " read, and what is done to what they need not have had.",
    )
    verb.add_argument("file", type=Path, help="the predictions; packed by gzip or not")
    verb.add_argument(
        "--dataset", metavar="NAME", required=True, help="as `tsgbench datasets` has it"
    )
    split = verb.add_mutually_exclusive_group()
    split.add_argument("--split", help="what is answered (default: what a protocol tests on)")
    split.add_argument("--protocol", help="whose test splits (default: the data set's own)")
    verb.add_argument(
        "--format",
        help="moment_retrieval, lmms_eval, timelens, csv or predictions (default: by content)",
    )
    verb.add_argument("--against", metavar="CELL", help="test the difference to a trained cell")
    verb.add_argument("--mirror", metavar="FOLDER", help="read annotations from here, too")
    verb.add_argument(
        "--max-missing",
        metavar="SHARE",
        type=float,
        default=0.05,
        help="of the queries that the file may lack (default 0.05)",
    )
    verb.add_argument(
        "--keep-overlaps",
        action="store_true",
        help="leave out no answer for overlapping a better one, as the conventions would",
    )
    verb.add_argument("--csv", metavar="FILE", type=Path, help="write the numbers, too")
    verb.add_argument("--force", action="store_true", help="overwrite such a file")
    _add_study(verb, "the study whose own data sets are known, too: {said}")
    _add_json(verb)


def _add_study(verb: argparse.ArgumentParser, about: str = "the study: {said}") -> None:
    said = "its file, or its name here (default: the one that Snakefile chooses)"
    verb.add_argument("--study", metavar="FILE|NAME", help=about.format(said=said))


def _add_targets(verb: argparse.ArgumentParser, default: str = "all") -> None:
    verb.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="results, with all that they are made from: results/table1.tex, or as snakemake calls"
        f" several: papers, phase_cells (default: {default})",
    )


def _add_threads(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--threads", type=_whole(1), default=1, help="CPU threads to use (default 1)")


def _add_port(verb: argparse.ArgumentParser, default: int) -> None:
    said = f"where to serve it (default {default})"
    verb.add_argument("--port", type=_whole(0, 65535), default=default, help=said)


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="machine-readable")
