"""The page of costs is what its generator makes of the plans and of the figures of real runs."""

import importlib.util
import json
from pathlib import Path

import pytest

from tsgbench.cli.main import main
from tsgbench.errors import UserError
from tsgbench.planning.measurements import (
    Measured,
    Run,
    Taken,
    read_file,
    size_of,
    write_measurements,
)
from workflow.conftest import ROOT

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
LOG = """Assuming unrestricted shared filesystem usage.
  Date: {date}
  Command: /somewhere/snakemake --cores 8 results/table1.tex
  Config file(s): ['config/demo.yaml']
Provided cores: 2
{steps} steps (100%) done
Elapsed time: 0:01:40.500000
"""


def load():
    path = ROOT / "workflow" / "scripts" / "costs.py"
    spec = importlib.util.spec_from_file_location("costs_of_studies", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def costs():
    return load()


@pytest.fixture
def project(tmp_path) -> Path:
    """Where one cell was trained, by a run that ended and at the time of none."""
    for seed, at in ((0, "2026-05-01T12:01:00+00:00"), (1, "2026-05-01T15:00:00+00:00")):
        key = f"seqpan/shapes/full/seed{seed}"
        benchmark = tmp_path / f"logs/benchmarks/train/{key}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text(f"{HEAD}90.5\t0:01:30\t600\t0\t0\t0\t0\t0\t0\t55.25\n")
        for name, files in (("run", {"checkpoint.pt": 1000}), ("metrics", {"scores.parquet": 10})):
            record = tmp_path / f"results/cells/{key}/{name}.json"
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(made(at, files)))
    log = tmp_path / ".snakemake/log/2026.snakemake.log"
    log.parent.mkdir(parents=True)
    log.write_text(LOG.format(date="2026-05-01 12:00:00", steps="1 of 1"))
    return tmp_path


def made(at: str, files: dict[str, int]) -> dict:
    return {
        "schema": 1,
        "identity": "a",
        "digest": "b",
        "inputs": {},
        "outputs": {name: {"sha256": "c", "bytes": size} for name, size in files.items()},
        "facts": {"device": "cpu", "hardware": "Some Processor, 1 of 16 CPU threads"},
        "made": {"at": at, "git_commit": "0123456789abcdef", "host": "secret"},
    }


def test_the_page_is_what_the_generator_makes(costs):
    told = "run python workflow/scripts/costs.py page, and commit docs/costs.md"
    assert (ROOT / "docs/costs.md").read_text() == costs.page(), told


def test_what_no_run_measured_is_said_and_not_guessed(costs, tmp_path):
    key = "seqpan/shapes/full/seed0"
    run = Run("demo", "results/table1.tex", "2026-05-01", "abc", "Some Processor", 2, 1, 100.0)
    cell = Taken("demo", "train", key, Measured(90.0, 600.0, 50.0, None, 0.0, 1000.0))
    write_measurements(tmp_path / "costs.json", [run], [(0, cell)])
    page = costs.page(tmp_path / "costs.json")
    time = page.partition("## Time")[2].partition("## Size")[0]
    lines = [line for line in time.splitlines() if "| tables |" in line]
    rows = {line.split("|")[1].strip(): line for line in lines}
    assert rows["paper"].count("not measured") == rows["real"].count("not measured") == 4
    # SeqPAN's four cells of it are known: two seeds and two twins
    assert "| > 3 min | - | > 3 min | > 2 min |" in rows["demo"]
    assert "### demo" in page and "### paper" not in page
    assert "| render | 1 | not measured | not measured | not measured |" in page
    assert "| demo: table1 | 1 | 2 | 2 min | 2 min (90 %) | 2 min (90 %) |" in page


def test_figures_are_of_jobs_that_a_run_made(costs, project, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(costs, "FIGURES", project / "costs.json")
    costs.measure([project])
    runs, taken, of_run = read_file(project / "costs.json")
    target, machine = "results/table1.tex", "Some Processor, 16 CPU threads"
    assert runs == [Run("demo", target, "2026-05-01", "0123456789", machine, 2, 1, 100.5)]
    measured = Measured(90.5, 600, 55.25, None, 0.0, 1010)  # its scores are of the same job
    size = size_of({"model": "seqpan"}, {})  # of a record without settings
    assert taken == [Taken("demo", "train", "seqpan/shapes/full/seed0", measured, size)]
    assert of_run == [0]
    text = (project / "costs.json").read_text()
    assert "secret" not in text and "somewhere" not in text and str(project) not in text


def test_time_on_a_gpu_is_told_from_records(costs, project, monkeypatch):
    record = project / "results/cells/seqpan/shapes/full/seed0/run.json"
    record.write_text(record.read_text().replace('"cpu"', '"cuda:0"'))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(costs, "FIGURES", project / "costs.json")
    costs.measure([project])
    _, (cell,), _ = read_file(project / "costs.json")
    assert cell.measured.gpu_s == 90.5
    page = costs.page(project / "costs.json")
    # Of the two seeds and two twins, each as this one
    assert "| demo | tables | > 4 min | > 6 min |" in page


def test_figures_of_other_studies_are_kept(costs, project, monkeypatch):
    target = project / "costs.json"
    monkeypatch.setattr(costs, "FIGURES", target)
    before, *_ = read_file(ROOT / "docs/costs.json")
    costs.measure([project], ROOT / "docs/costs.json")
    runs, taken, of_run = read_file(target)
    others = [run for run in before if run.study != "demo"]
    assert others and runs[1:] == others and runs[0].study == "demo"
    assert set(of_run) == set(range(len(runs)))
    assert [each.study for each, of in zip(taken, of_run, strict=True) if of == 0] == ["demo"]


def test_folders_without_a_run_are_refused(costs, tmp_path):
    with pytest.raises(UserError, match="no run of Snakemake"):
        costs.measure([tmp_path])


@pytest.mark.parametrize("text", ["{}", '{"form": "what jobs took, 2"}', "[1]"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match="no file of measurements"):
        read_file(path)


def test_a_machine_without_logs_of_its_own_asks_the_figures(capsys, monkeypatch, tmp_path):
    for name in ("Snakefile", "config", "docs", "published", "src", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)  # but not what was made there already
    monkeypatch.chdir(tmp_path)
    main(["plan", "--cost", "results/table1.tex", "--logs", "docs/costs.json", "--json"])
    cost = json.loads(capsys.readouterr().out)
    assert cost["unknown"] == {} and set(cost["measured"]) >= {"train"}


def test_logs_that_are_not_there_are_refused(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["plan", "--cost", "results/table1.tex", "--logs", "docs/nowhere"]) == 1
    assert "--logs: there is no docs/nowhere" in capsys.readouterr().err
