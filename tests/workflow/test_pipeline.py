"""What reruns when, and what happens when something is broken: on the real workflow."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tsgbench.datasets import read_queries
from tsgbench.errors import UserError
from tsgbench.reporting.pdf import why_no_pdf
from workflow.conftest import Project, check_out

pytestmark = pytest.mark.slow

CELLS_OF_ONE = {"cell": 1, "table": 1}  # trained, and scored by the same job
SEQPAN = "results/cells/seqpan/shapes/full/seed0"


SWEEP = """
study: sweep
extends: demo
title: learning rates
systems:
  - {model: prior, seeds: [0]}
  - {model: seqpan, seeds: [0]}
  - {model: seqpan, as: seqpan_fast, train: {lr: 2.0e-3}, seeds: [0]}
"""


def test_second_run_has_nothing_to_do_quickly(project):
    started = time.perf_counter()
    assert project.planned("results/table1.tex") == {}
    assert project.planned("phase_report") == {}
    assert time.perf_counter() - started < 30  # two dry runs; each takes about two seconds


def test_no_more_runs_at_once_than_the_machine_has_processors_for(project):
    made = project.folder / SEQPAN / "metrics.json"
    made.unlink()
    done = project.run("snakemake", "--cores", "64", f"{SEQPAN}/metrics.json")
    assert f"Provided cores: {len(os.sched_getaffinity(0))}\n" in done.stdout + done.stderr
    assert made.exists()


def test_extractions_in_shards_and_together_make_the_same_file_and_leave_nothing_else(project):
    stem = "data/features/shapes/c3d_random_stats_w16s8.clips"
    small = "data/features/shapes/thumbnail_8x8_3fps.clips"
    folder = project.folder / "data/features/shapes"
    before = {path.name for path in folder.iterdir()}
    features = (project.folder / f"{stem}.h5").read_bytes()
    study = project.folder / "config/demo.yaml"
    study.write_text(f"{study.read_text()}\nresources:\n  extract: {{shards: 2, gpu: 0}}\n")
    assert project.planned("results/table1.tex") == {}  # however many, the result is the same
    (project.folder / f"{stem}.json").unlink()
    assert project.planned(f"{stem}.json") == {"extract": 1, "extract_shard": 2}
    # A second extraction of the same videos: the same two shards, of both, and no more of them
    reads = "{datasets: {shapes: {inputs: {features: thumbnail_8x8_3fps}}}}"
    project.edit("config/demo.yaml", "systems:\n", "systems:\n  - {model: cuts, seeds: [0]}\n")
    project.edit("config/demo.yaml", "overrides:\n", f"overrides:\n  cuts: {reads}\n")
    both = [f"{stem}.json", f"{small}.json"]
    assert project.planned(*both) == {"extract": 2, "extract_shard": 2}
    project.snakemake(*both)
    assert project.planned(*both) == {}
    assert (project.folder / f"{stem}.h5").read_bytes() == features
    assert json.loads(project.read(both[1]))["facts"]["together"] == 2
    made = {path.name for path in folder.iterdir()} - before
    assert made == {f"{Path(small).name}.{suffix}" for suffix in ("h5", "json", "failed.csv")}
    assert not [path for path in (project.folder / "scratch/shards").rglob("*") if path.is_file()]
    # What the shards took counts with the jobs that joined them
    for record in both:
        (project.folder / record).unlink()
    cost = json.loads(project.run("tsgbench", "plan", "--cost", *both, "--json").stdout)
    logs = project.folder / "logs/benchmarks/extract/shapes"
    measured = [float(path.read_text().split("\n")[1].split()[0]) for path in logs.rglob("*.tsv")]
    assert cost["measured"] == {"extract": 4} and len(measured) == 4
    assert cost["seconds"]["extract"] == pytest.approx(sum(measured))


def test_the_table_says_demo_and_traces_every_number(project):
    assert "demo" in project.read("results/table1.tex").lower()
    provenance = json.loads(project.read("results/table1.provenance.json"))
    run = json.loads(project.read(f"{SEQPAN}/run.json"))
    assert run["identity"] in json.dumps(provenance)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        # one hyper-parameter: only the cells that use it
        ("config/demo.yaml", "epochs: 2", "epochs: 3", CELLS_OF_ONE),
        # a comment in the config, a comment and a docstring in code: nothing
        ("config/demo.yaml", "demo: true", "demo: true  # indeed", {}),
        ("src/tsgbench/models/seqpan.py", "import torch\n", "import torch  # the library\n", {}),
        (
            "src/tsgbench/training/trainer.py",
            '"""Training and prediction',
            '"""Prediction and training',
            {},
        ),
        # one model's source: that model's cells; another's: that one's
        (
            "src/tsgbench/models/seqpan.py",
            "import torch\n",
            "import torch\n\nADDED = 1\n",
            CELLS_OF_ONE,
        ),
        (
            "src/tsgbench/models/baselines.py",
            "import torch\n",
            "import torch\n\nADDED = 1\n",
            {"cell": 2, "table": 1},
        ),
        # how answers are scored: no training
        (
            "src/tsgbench/phases/evaluate.py",
            "import numpy as np\n",
            "import numpy as np\n\nADDED = 1\n",
            {"evaluate": 3, "table": 1},
        ),
        # how a table looks: the table
        (
            "src/tsgbench/reporting/latex.py",
            "\n\n\ndef ",
            "\n\n\nADDED = 1\n\n\ndef ",
            {"table": 1},
        ),
        # what a page looks like is no Python, but decides the table's bytes all the same
        (
            "src/tsgbench/reporting/templates/page.css",
            "max-width: 78rem",
            "max-width: 79rem",
            {"table": 1},
        ),
        # the reduction of features, but not their extraction
        (
            "config/features.yaml",
            "whiten_power: 0.7",
            "whiten_power: 0.6",
            {"reduce": 1, "cell": 3, "table": 1},
        ),
        # metrics printed: the table alone
        ("config/demo.yaml", ', "R@1,IoU=0.7", mIoU', ", mIoU", {"table": 1}),
    ],
)
def test_exactly_what_depends_on_a_change_reruns(project, path, old, new, expected):
    project.edit(path, old, new)
    assert project.planned("results/table1.tex") == expected


def test_a_harmless_edit_is_accepted_and_explained(project):
    before = project.read("results/table1.tex")
    project.edit("src/tsgbench/models/seqpan.py", "import torch\n", "import torch\n\nADDED = 1\n")
    unsaid = project.run("tsgbench", "accept", "results/table1.tex", check=False)
    assert unsaid.returncode == 1 and "--reason" in unsaid.stderr
    looked = project.run("tsgbench", "accept", "--dry-run")
    assert "would accept 4 results (1 train, 1 evaluate, 1 table, 1 summary)" in looked.stdout
    assert project.planned("results/table1.tex") == CELLS_OF_ONE
    project.run("tsgbench", "accept", "results/table1.tex", "--reason", "an unused name")
    assert project.planned("results/table1.tex") == {}
    project.snakemake("results/table1.tex")  # its check at the end agrees
    assert project.read("results/table1.tex") == before
    explained = project.run("tsgbench", "explain", "results/table1.tex", "--row", "seqpan/full")
    assert "an unused name" in explained.stdout and "as recorded" in explained.stdout


def test_a_new_setting_reaches_the_results_and_the_old_one_comes_back(project):
    before = json.loads(project.read(f"{SEQPAN}/run.json"))
    project.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    project.snakemake("results/table1.tex")
    after = json.loads(project.read(f"{SEQPAN}/run.json"))
    assert after["facts"]["epochs"] == 3 and after["identity"] != before["identity"]
    project.edit("config/demo.yaml", "epochs: 3", "epochs: 2")
    project.snakemake("results/table1.tex")
    again = json.loads(project.read(f"{SEQPAN}/run.json"))
    assert again["identity"] == before["identity"]
    # The same cell on the same machine gives the same bits
    for name in ("predictions.parquet", "checkpoint.pt"):
        assert again["outputs"][name] == before["outputs"][name]


def test_a_killed_training_resumes_to_the_same_bits(project):
    project.edit("config/demo.yaml", "epochs: 2", "epochs: 25")
    project.snakemake(f"{SEQPAN}/run.json")
    whole = json.loads(project.read(f"{SEQPAN}/run.json"))
    (project.folder / SEQPAN / "run.json").unlink()

    running = subprocess.Popen(
        ["snakemake", "--cores", "2", f"{SEQPAN}/run.json"],
        cwd=project.folder,
        env=project.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    saved = project.folder / "scratch" / whole["identity"] / "last.pt"
    deadline = time.monotonic() + 120
    while not saved.exists():
        assert running.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (project.folder / SEQPAN / "run.json").exists()

    project.snakemake("--unlock")
    project.snakemake(f"{SEQPAN}/run.json")
    assert "resuming after epoch" in project.read("logs/train/seqpan/shapes/full/seed0.log")
    resumed = json.loads(project.read(f"{SEQPAN}/run.json"))
    for name in ("predictions.parquet", "checkpoint.pt"):
        assert resumed["outputs"][name] == whole["outputs"][name]
    assert not saved.exists()


def test_a_corrupt_feature_file_stops_the_training_with_a_remedy(project):
    features = next((project.folder / "data/features/shapes").glob("*pca128.h5"))
    content = bytearray(features.read_bytes())
    content[len(content) // 2] ^= 0xFF
    features.write_bytes(content)
    project.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    table = project.read("results/table1.tex")
    failed = project.snakemake("results/table1.tex", check=False)
    assert failed.returncode == 1
    said = failed.stdout + failed.stderr
    assert "does not have the SHA-256 its record states" in said and "delete it" in said
    assert project.read("results/table1.tex") == table


def test_a_truncated_or_missing_feature_file_is_remade(project):
    features = next((project.folder / "data/features/shapes").glob("*pca128.h5"))
    features.write_bytes(features.read_bytes()[:1000])
    assert project.planned("data/features/shapes/c3d_random_stats_w16s8_pca128.json") == {
        "reduce": 1
    }


def test_a_video_that_vanished_is_rendered_again(project):
    video = next((project.folder / "data/raw/shapes/videos").glob("*.mp4"))
    video.unlink()
    assert "render" in project.planned("results/table1.tex")


def test_a_malformed_annotation_line_is_named(project):
    split = project.folder / "data/annotations/shapes/test.jsonl"
    lines = split.read_text().splitlines()
    lines[1] = lines[1].replace('"start_s"', '"begin_s"')
    split.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="test.jsonl, line 2: field 'start_s' is missing"):
        read_queries(split)
    # and the pipeline says that the file is not the one it wrote
    done = project.run("tsgbench", "job", "evaluate", "prior/shapes/full/seed0", check=False)
    assert done.returncode == 1 and "test.jsonl" in done.stderr


# Somebody else's files, for whoever may set the time of any: until one of ours takes their place
REFUSING = """
import os, time
set_time = os.utime
def utime(path, *args, **more):
    if "results/" in str(path) and os.lstat(path).st_mtime > time.time() + 3600:
        raise PermissionError(1, "Operation not permitted", path)
    set_time(path, *args, **more)
os.utime = utime
"""


@pytest.mark.parametrize("is_ours", [True, False])
def test_files_of_the_future_run_and_count_as_made_now(project, tmp_path, is_ours):
    """As of a machine whose clock is a year ahead: else Snakemake ends a job with "Output has older
    modification time than input"."""
    ahead = time.time() + 365 * 86400
    of_others = [project.folder / "results/table1.tex"]  # an output, read by no job that runs
    for path in project.folder.rglob("*.*") if is_ours else of_others:
        os.utime(path, (ahead, ahead), follow_symlinks=False)
    if is_ours:  # one that only has to be made, and one that is out of date
        (project.folder / SEQPAN / "metrics.json").unlink()
    project.edit("config/demo.yaml", "title: rendered", "title: other")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("" if is_ours else REFUSING)
    paths = f"{tmp_path / 'site'}{os.pathsep}{project.env['PYTHONPATH']}"
    # Started for real, so that Python reads that file
    done = Project(project.folder).snakemake("results/table1.tex", PYTHONPATH=paths)
    assert "older modification time" not in done.stdout + done.stderr
    assert ("not ours to set" in done.stderr) is not is_ours
    assert project.planned("results/table1.tex") == {}
    assert (project.folder / "results/table1.tex").stat().st_mtime < time.time() + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("demo: true", "demmo: true", "unknown key 'demmo'; did you mean 'demo'?"),
        ("model: prior", "model: priorr", "'priorr' is not a known model; did you mean 'prior'?"),
        ("ablations: [full]", "ablations: [blindd]", "not a known ablation of seqpan"),
        ("epochs: 2", "epoch: 2", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("title:", "titel:", "unknown key 'titel'; did you mean 'title'?"),
        ("  shapes:", "  shape:", "'shape' is not a known data set"),
        ("seeds: [0]", "seeds: [zero]", "seeds[0]: 'zero' is not allowed; use a whole number"),
    ],
)
def test_a_wrong_config_is_refused_before_the_first_job(project, old, new, said):
    project.edit("config/demo.yaml", old, new)
    done = project.snakemake("results/table1.tex", check=False)
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    assert "config/demo.yaml" in done.stdout + done.stderr


def test_a_cell_outside_the_study_is_refused(project):
    done = project.snakemake("results/cells/seqpan/shapes/blind/seed7/run.json", check=False)
    assert done.returncode == 1
    assert "not part of study 'demo'" in done.stdout + done.stderr


def test_results_in_another_studys_folder_are_refused_with_the_remedy(project):
    text = project.read("config/demo.yaml").replace("study: demo", "study: other")
    (project.folder / "config/other.yaml").write_text(text)
    chosen = ("--configfile", "config/other.yaml")
    for words in (("results/other/table1.tex",), ("results/table1.tex", *chosen)):
        done = project.snakemake("-n", *words, check=False)
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert "choose the other study's file with --configfile" in said
        assert "is of study 'other'" in said or "is of study 'demo'" in said
    assert project.planned("results/other/table1.tex", *chosen)["table"] == 1


def test_a_cell_that_another_study_has_is_not_trained_again(project):
    """A sweep: its baselines are the demo's, its variant is new, and the demo stays as it was."""
    (project.folder / "config/sweep.yaml").write_text(SWEEP)
    before = {
        path: path.read_bytes()
        for path in (project.folder / "results").rglob("*")
        if path.is_file()
    }
    chosen = ("--configfile", "config/sweep.yaml")
    project.snakemake("results/sweep/table1.tex", *chosen)
    taken = {}
    for model in ("prior", "seqpan", "seqpan_fast"):
        cell = f"{model}/shapes/full/seed0"
        for name in ("run.json", "metrics.json"):
            record = json.loads(project.read(f"results/sweep/cells/{cell}/{name}"))
            source = record["made"].get("taken_over", {}).get("from")
            assert source in (None, f"results/cells/{cell}/{name}")
            taken[model, name] = source is not None
        said = project.read(f"logs/sweep/train/{cell}.log")
        assert ("taken over from results/cells" in said) == taken[model, "run.json"]
    assert {model for (model, _), was in taken.items() if was} == {"prior", "seqpan"}
    assert sum(taken.values()) == 4
    run = json.loads(project.read("results/sweep/cells/seqpan_fast/shapes/full/seed0/run.json"))
    assert run["settings"]["train"]["lr"] == 2e-3 and run["settings"]["module"] == "seqpan"
    table = json.loads(project.read("results/sweep/table1.provenance.json"))
    labels = [row["label"] for row in table["rows"]]
    assert len(labels) == 3 and labels[1:] == ["SeqPAN", "SeqPAN (seqpan fast)"]
    assert project.planned("results/sweep/table1.tex", *chosen) == {}
    assert project.planned("results/table1.tex") == {}
    assert {path: path.read_bytes() for path in before} == before
    explained = project.run("tsgbench", "explain", "results/sweep/table1.tex", "--row", "prior")
    assert "as recorded" in explained.stdout and "taken over from results/cells" in explained.stdout


def test_the_report_is_made(project):
    project.snakemake("--report", "report.html", "phase_report")
    assert "Tables" in project.read("report.html")


def test_all_is_on_one_page_and_a_tex_without_a_package_costs_the_pdfs_alone(project, tmp_path):
    """Said in a line before the first job; a PDF asked for by name is refused there and then."""
    engine = tmp_path / "bin" / "pdflatex"
    engine.parent.mkdir()
    engine.write_text(
        '#!/bin/sh\necho "! LaTeX Error: File \\`collectbox.sty\' not found."; exit 1\n'
    )
    engine.chmod(0o755)
    incomplete = {"PATH": f"{engine.parent}{os.pathsep}{project.env['PATH']}"}
    done = project.snakemake("all", "results/report.html", **incomplete)
    [line] = [line for line in done.stderr.splitlines() if "PDFs are not made" in line]
    assert "TeX lacks collectbox.sty" in line
    assert done.stderr.index(line) < done.stderr.index("Building DAG of jobs")
    assert list((project.folder / "results").glob("*.pdf")) == []
    by_name = project.snakemake("results/report.pdf", **incomplete, check=False)
    assert by_name.returncode == 1 and "Job stats" not in by_name.stdout + by_name.stderr
    assert "results/report.pdf: PDFs are not made: TeX lacks collectbox.sty" in by_name.stderr
    page = project.read("results/report.html")
    run = json.loads(project.read(f"{SEQPAN}/run.json"))
    assert run["identity"] in page and 'id="cell-seqpan-shapes-full"' in page
    told = ("tsgbench", "explain", "results/table1.tex", "--row", "seqpan", "--metric", "miou")
    said = project.run(*told).stdout
    assert f"run {run['identity']}" in said and "seqpan/shapes/full/seed0: as recorded" in said
    assert "MLflow run: none" not in said
    project.run("tsgbench", "pdf", "results/report.tex")
    assert (project.folder / "results/report.pdf").exists() == (why_no_pdf() is None)


def test_snakemakes_own_triggers_train_nothing_again(project):
    """Cells are scored again, once: by then the rule for scores alone, which reads other files."""
    triggers = ("--rerun-triggers", "mtime", "input", "params", "code")
    assert project.planned(*triggers, "--", "results/table1.tex") == {"evaluate": 3, "table": 1}


def test_a_dry_run_of_the_demo_takes_seconds(tmp_path):
    fresh = check_out(tmp_path / "fresh")
    started = time.perf_counter()
    planned = fresh.planned("results/table1.tex")
    assert time.perf_counter() - started < 20
    assert planned["cell"] == 3 and planned["render"] == 1


def test_another_extractor_is_one_word_of_config_away(project):
    project.edit("config/demo.yaml", "c3d_random_stats", "i3d_random_stats")
    project.snakemake("results/table1.tex")
    record = json.loads(project.read("data/features/shapes/i3d_random_stats_w16s8_pca128.json"))
    assert record["settings"]["reduce"]["pca"]["dim"] == 128
    assert "I3D" in project.read("results/table1.tex")
