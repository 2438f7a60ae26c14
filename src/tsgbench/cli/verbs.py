"""What each verb of the command line does. What a verb alone needs is imported inside it."""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tsgbench.cli import bars
from tsgbench.config import Catalogue, find_study, load_study, mirror_of, others_here
from tsgbench.errors import UserError

if TYPE_CHECKING:
    from tsgbench.planning.study import Study


def _follow_study(options: argparse.Namespace, path: str) -> None:
    """Without --study, a result says by its folder whose it is: `results/blind/table1.tex`."""
    from tsgbench.jobs.layout import DEFAULT_STUDY, study_of

    name = study_of(os.path.relpath(path), Catalogue.load().published)
    if options.study is None and name != DEFAULT_STUDY:
        options.study = find_study(name)
        if options.study is None:
            raise UserError(
                f"{path}: is of study {name!r}, and no file of this folder or of config/ says"
                f" `study: {name}`; name its config with --study FILE"
            )


def _read_study(options: argparse.Namespace) -> "Study":
    from tsgbench.planning.study import Study  # late: the plan takes time that --help does not need

    config, source = load_study(options.study)
    return Study(config, source=source)


def _read_targets(options: argparse.Namespace) -> tuple["Study", list[str]]:
    """The study, and the records of the results that a user names; none of them: all is meant."""
    from tsgbench.planning.targets import find_targets

    if options.targets:  # the first says whose; those of another study are refused
        _follow_study(options, options.targets[0])
    study = _read_study(options)
    return study, find_targets(study, options.targets)


def init(options: argparse.Namespace) -> None:
    """`tsgbench init`: a small working study in a new folder."""
    from tsgbench.cli.starting import start

    folder = options.folder
    study = options.study or folder.resolve().name.lower().replace("-", "_")
    for path in start(folder, study):
        print(f"wrote {path}")
    print(f"next: cd {shlex.quote(str(folder))} && snakemake --cores 2 results/{study}/table1.tex")


def extract(options: argparse.Namespace) -> int:
    """`tsgbench extract`: features of one's own videos; 1 where one of them failed."""
    _limit_threads(options.threads)
    from tsgbench.cli.own_videos import extract_files, find_recipe
    from tsgbench.files import check_outputs

    read = [*options.videos, *([options.checkpoint] if options.checkpoint else [])]
    check_outputs([options.out], force=options.force, inputs=read)
    facts = extract_files(
        options.videos,
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


def ground(options: argparse.Namespace) -> int:
    """`tsgbench ground`: moments of sentences in one's own videos; 1 where a video failed."""
    _limit_threads(options.threads)
    from tsgbench.cli import grounding

    paths, sentences = grounding.part(options.words)
    grounding.check(options.figure, options.clip, paths, len(sentences), options.force)
    answers, failed = grounding.answer(
        paths, sentences, options.cell, top=options.top, threads=options.threads
    )
    for reason in failed:
        print(f"tsgbench: left out: {reason}", file=sys.stderr)
    grounding.write(options.figure, options.clip, answers)
    print(grounding.as_json(answers) if options.json else grounding.as_text(answers))
    return 1 if failed else 0


def demo(options: argparse.Namespace) -> None:
    """`tsgbench demo`: the page on which trained cells are asked."""
    _limit_threads(options.threads)
    from tsgbench.cli.demo import MEGABYTE, check, find_offer, trained_cells
    from tsgbench.grounding.parts import find_cell
    from tsgbench.serving.server import serve
    from tsgbench.serving.shelf import read_data

    check(options.videos, options.max_upload)
    named = [find_cell(name) for name in options.cell]
    offer = find_offer(named or trained_cells(_read_study(options)), strict=bool(named))
    known, lacking = ([], []) if options.videos else read_data(offer.parts, offer.names.datasets)
    for reason in lacking:
        print(f"tsgbench: videos left out: {reason}", file=sys.stderr)
    serve(
        offer.cells,
        known,
        folder=options.videos,
        port=options.port,
        max_bytes=int(options.max_upload * MEGABYTE),
        threads=options.threads,
        opens=options.open,
        title=offer.title,
        is_demo=offer.is_demo,
    )


def score(options: argparse.Namespace) -> None:
    """`tsgbench score`: the numbers of a file of predictions."""
    from tsgbench.cli import scoring
    from tsgbench.cli.known import read_known
    from tsgbench.files import check_outputs

    check_outputs([options.csv] if options.csv else [], force=options.force, inputs=[options.file])
    facts = scoring.score(
        options.file,
        options.dataset,
        read_known(options.study),
        split=options.split,
        protocol=options.protocol,
        form=options.format,
        against=options.against,
        mirror=options.mirror or mirror_of({}),
        max_absent=options.max_missing,
        keep_overlaps=options.keep_overlaps,
    )
    if options.csv:
        scoring.write_csv(options.csv, facts)
    print(json.dumps(facts, indent=2) if options.json else scoring.as_text(facts))


def show_features(options: argparse.Namespace) -> None:
    """`tsgbench features`: what a feature file holds, and a picture of it; or what another's is."""
    from tsgbench.files import check_outputs

    if options.like:
        from tsgbench.cli import foreign_features
        from tsgbench.cli.known import read_known

        examined = foreign_features.examine(
            options.like,
            read_known(options.study),
            dataset=options.dataset,
            name=options.name,
            videos=options.videos,
            mirror=options.mirror or mirror_of({}),
        )
        print(
            json.dumps(examined, indent=2) if options.json else foreign_features.as_text(examined)
        )
        return
    from tsgbench.reporting import feature_file as describe
    from tsgbench.reporting.endings import kind_of

    if options.plot:
        kind_of(options.plot, "--plot")
        check_outputs([options.plot], force=options.force, inputs=[options.file])
    videos = 6 if options.videos is None else options.videos
    facts = describe.describe(options.file, videos)
    print(json.dumps(facts, indent=2) if options.json else describe.as_text(facts))
    if options.plot:
        describe.plot(options.file, options.plot, videos)


def _limit_threads(threads: int) -> None:
    # Before NumPy and torch are imported: their thread pools follow Snakemake's `threads`
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(max(1, threads))
    # Waiting threads sleep instead of spinning: more jobs than cores is common on small machines
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def run_phase(options: argparse.Namespace) -> None:
    """`tsgbench job`: one job, as the workflow runs it."""
    _limit_threads(options.threads)
    from tsgbench.running.job import run_cell, run_job, run_shard

    study = _read_study(options)
    chosen = {"expected": options.identity, "threads": options.threads}
    if getattr(options, "shard", None):
        run_shard(study, options.key, options.shard, **chosen)
        return
    job = study.find_key(options.phase, options.key)
    if getattr(options, "score", None):
        run_cell(study, job, options.score, **chosen)
    else:
        run_job(study, job, **chosen)


def show_plan(options: argparse.Namespace) -> None:
    """`tsgbench plan`: every job, its identity and the state of its result; or their cost."""
    from tsgbench.planning.accepting import with_ancestors
    from tsgbench.planning.freshness import Freshness

    study, targets = _read_targets(options)
    freshness = Freshness(study)
    wanted = with_ancestors(study, targets)
    if options.cost:
        from tsgbench.cli import cost

        due = [path for path in study.jobs if path in wanted]
        cost.show(study, freshness, due, options)
        return
    rows = []
    for record, job in study.jobs.items():
        if record not in wanted:
            continue
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


def watch(options: argparse.Namespace) -> None:
    """`tsgbench watch`: how far a run is, until it is done."""
    from tsgbench.cli import watching
    from tsgbench.planning.progress import Progress
    from tsgbench.planning.targets import DEFAULT_RULE

    options.targets = options.targets or [DEFAULT_RULE]
    study, targets = _read_targets(options)
    progress = Progress(study, targets)
    title = f"study {study.name}: {', '.join(options.targets)}"
    is_screen = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if options.once or options.json or not is_screen:
        watching.show_once(progress, title, as_json=options.json)
    else:
        watching.watch(progress, title, options.every)


def accept(options: argparse.Namespace) -> None:
    """`tsgbench accept`: declare results current that a harmless change made stale."""
    from collections import Counter

    from tsgbench.planning.accepting import accept, judge

    if not ((options.reason or "").strip() or options.dry_run):
        raise UserError('accept: say why the change is harmless: --reason "…"; or look: --dry-run')
    study, targets = _read_targets(options)
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


def verify(options: argparse.Namespace) -> int:
    """`tsgbench verify`: whether results are what made them says; 1 where one is not."""
    _limit_threads(1)
    from tsgbench.cli import verifying
    from tsgbench.running.verification import verify

    study, targets = _read_targets(options)
    verified = verify(
        study,
        targets,
        cells=options.retrain,
        seed=options.seed,
        tolerance=options.tolerance,
        progress=lambda records: bars.track(records, "verifying"),
    )
    print(verifying.as_json(verified) if options.json else verifying.as_text(verified, study.name))
    if options.record:
        from tsgbench.running.verified import write_verified

        print(f"wrote {write_verified(study, targets, verified)}", file=sys.stderr)
    return 1 if verified.problems else 0


def bundle(options: argparse.Namespace) -> None:
    """`tsgbench bundle`: one archive of results, with what a committee asks of them."""
    from tsgbench.bundling.bundle import bundle
    from tsgbench.cli import bundling
    from tsgbench.files import check_outputs

    check_outputs([options.out] if options.out else [], force=options.force)
    study, targets = _read_targets(options)
    path = options.out or Path(f"{study.name}.zip")
    check_outputs([path], force=options.force)
    done = bundle(
        study,
        path,
        targets,
        with_data=options.with_data,
        anonymous=options.anonymous,
        source=options.study,
        progress=lambda records: bars.track(records, "checking"),
    )
    print(bundling.as_text(done))


def show_models(options: argparse.Namespace) -> None:
    """`tsgbench models`: models, their ablations, and the printed rows that each serves."""
    from tsgbench.specifications.printed import served_rows

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


def check_model(options: argparse.Namespace) -> int:
    """`tsgbench check-model`: a line per promise; 1 where one is broken."""
    from tsgbench.cli.checking_models import check_model as check

    _limit_threads(1)
    last, broken = None, 0
    for ablation, promise, problem in check(options.model, options.ablation):
        if ablation != last:
            print(f"{options.model} ({ablation})")
            last = ablation
        print(f"  {'BROKEN' if problem else 'ok':8}{promise}{f': {problem}' if problem else ''}")
        broken += problem is not None
    return 1 if broken else 0


def show_datasets(options: argparse.Namespace) -> None:
    """`tsgbench datasets`: protocols, and the rows kept and dropped."""
    from tsgbench.cli.datasets import as_text, list_datasets
    from tsgbench.cli.known import read_known
    from tsgbench.jobs.layout import Layout

    known = read_known(options.study).catalogue
    mirror = options.mirror or mirror_of({})
    listed = list_datasets(
        known.datasets, known.sources, Layout().records, mirror=mirror, published=known.published
    )
    print(json.dumps(listed, indent=2) if options.json else as_text(listed))


def show_sources(options: argparse.Namespace) -> int:
    """`tsgbench sources`: what is to be downloaded, and what is here; or whether it can be had, 1
    where a source cannot."""
    from tsgbench.cli import sources as listing
    from tsgbench.jobs.layout import Layout

    names = None
    if options.study:
        jobs = _read_study(options).jobs.values()
        names = [job.wildcards["source"] for job in jobs if job.phase == "download"]
    folder, sources = Path(Layout().records["download"]).parent, Catalogue.load().sources
    if options.check:
        from tsgbench.cli import addresses

        answers = addresses.check(sources, folder, names)
        text = json.dumps(addresses.as_json(answers), indent=2)
        print(text if options.json else addresses.as_text(answers, folder))
        return 1 if addresses.lost(answers) else 0
    if options.adopt:
        from tsgbench.downloads.adoption import adopt

        chosen = [name for name in sources if names is None or name in names]
        adopted = adopt(sources, chosen, options.adopt, folder, track=bars.track)
        print(listing.as_adopted(adopted, options.adopt, as_json=options.json))
        return 0 if any(one.linked for one in adopted) else 1
    statuses = listing.list_sources(sources, folder, names)
    totals = listing.total(statuses, folder)
    if options.json:
        print(json.dumps(listing.as_json(statuses, totals), indent=2))
    else:
        print(listing.render(statuses, totals))
    return 0


def write_schemas(options: argparse.Namespace) -> None:  # noqa: ARG001 (a verb's signature)
    """`tsgbench schemas`: the schemas and docs/settings.md, where they are not up to date."""
    from tsgbench.config.reference import write_all

    written = write_all(Path())
    print("\n".join(f"wrote {path}" for path in written) or "all is as the code has it")


def show_table(options: argparse.Namespace) -> None:
    """`tsgbench show`: a table's numbers, as wide as the terminal."""
    import shutil

    from tsgbench.reporting.document import read_document
    from tsgbench.reporting.explain import stem_of
    from tsgbench.reporting.terminal import next_steps, render_terminal

    stem = stem_of(options.table, Path())
    document = read_document(f"{stem}.provenance.json")
    width = shutil.get_terminal_size((100, 24)).columns
    print(render_terminal(document, stem, width))
    print(next_steps(document, stem))


def explain(options: argparse.Namespace) -> None:
    """`tsgbench explain`: where a number of a table comes from."""
    from tsgbench.reporting.explain import as_text, explain

    facts = explain(options.table, options.row, options.metric, options.dataset)
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))


def compile_pdf(options: argparse.Namespace) -> None:
    """By hand, a machine without TeX is told so; the workflow's job, asked for a file, fails."""
    from tsgbench.reporting.pdf import why_no_pdf
    from tsgbench.running.job import run_job

    if lacking := why_no_pdf():
        print(lacking, file=sys.stderr)
        return
    _follow_study(options, options.key)
    study = _read_study(options)
    key = options.key.removeprefix(f"{study.layout.folders['results']}/").removesuffix(".tex")
    run_job(study, study.find_key("pdf", key))


def track(options: argparse.Namespace) -> int:
    """`tsgbench track`: log to MLflow what is not logged yet; 1 where something is left."""
    from tsgbench.jobs.records import read_record
    from tsgbench.planning.freshness import CURRENT, Freshness
    from tsgbench.running.job import log_cells

    study = _read_study(options)
    freshness = Freshness(study)
    here = [path for path in study.targets("train", "adopt") if freshness.state(path) == CURRENT]
    logged = log_cells(study, [read_record(path) for path in here])
    pending = [row for row in logged["runs"] if row["status"] != "logged"]
    for row in pending:
        print(f"tsgbench: not logged: {row['cell']}: {row['reason']}", file=sys.stderr)
    print(f"{len(here) - len(pending)} of {len(here)} finished cells are in {logged['uri']}")
    return 1 if pending else 0


def ui(options: argparse.Namespace) -> None:
    """`tsgbench ui`: MLflow's page of the runs, with the metrics of the study's tables."""
    from tsgbench.tracking.page import serve, share_view

    study = _read_study(options)
    uri, metrics = _tracked(study)
    serve(uri, share_view(uri, study.name, metrics), options.port)


def _tracked(study: "Study") -> tuple[str, list[str]]:
    """The MLflow store that the study's runs are in, and the metrics of its tables; `UserError`
    where there are no runs yet."""
    from tsgbench.tracking import default_uri, resolve_uri
    from tsgbench.tracking.page import need_runs

    uri = resolve_uri(default_uri(Path.cwd()))
    need_runs(uri)
    tables = study.config["tables"].values()
    return uri, list(dict.fromkeys(metric for table in tables for metric in table["metrics"]))


def _systems(study: "Study", dataset: str, named: list[str]) -> list[str]:
    """`model/dataset/ablation` of the systems to compare: those named, `MODEL` or `MODEL/ABLATION`,
    or else every trained one as its paper has it."""
    from tsgbench.jobs.cells import FULL, is_trained

    known = dict.fromkeys(cell.prefix for cell in study.cells if cell.dataset == dataset)
    if not known:
        raise UserError(
            f"study {study.name!r} has no cells on {dataset!r}{others_here(study.name)}"
        )
    if named:
        pairs = [name.partition("/") for name in named]
        groups = [f"{model}/{dataset}/{ablation or FULL}" for model, _, ablation in pairs]
        for name, group in zip(named, groups, strict=True):
            if group not in known:
                raise UserError(
                    f"{name!r}: study {study.name!r} has no {group}; one of"
                    f" {', '.join(prefix.replace(f'/{dataset}/', '/') for prefix in known)}"
                )
        return groups
    trained = (
        cell
        for cell in study.cells
        if cell.dataset == dataset and cell.ablation == FULL
        if is_trained(study.cells.settings(cell))
    )
    return list(dict.fromkeys(cell.prefix for cell in trained))


def compare(options: argparse.Namespace) -> None:
    """`tsgbench compare`: MLflow's comparison of systems, each by the mean over its seeds."""
    from tsgbench.tracking.page import compare as address_of
    from tsgbench.tracking.page import serve

    study = _read_study(options)
    groups = _systems(
        study, options.dataset or next(iter(study.config["datasets"])), options.systems
    )
    uri, metrics = _tracked(study)
    serve(uri, address_of(uri, study.name, groups, metrics), options.port)
