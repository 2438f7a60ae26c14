"""DVC around the workflow: a full round trip, and the two ways in which results once went stale."""

import json
import re
import shutil
import time

import pytest

from workflow.conftest import Project, check_out

pytestmark = pytest.mark.slow

RUN = "results/cells/seqpan/shapes/full/seed0/run.json"


def git(project: Project, *words: str) -> None:
    project.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", *words)


@pytest.fixture(scope="module")
def origin(tmp_path_factory, warm) -> Project:
    """A repository whose pipeline was reproduced once, pushed to a remote and committed."""
    folder = tmp_path_factory.mktemp("dvc")
    project = check_out(folder / "origin", warm)
    git(project, "init", "-q", "-b", "main")
    project.run("dvc", "remote", "add", "-d", "store", str(folder / "remote"))
    git(project, "add", "-A")
    git(project, "commit", "-qm", "start")
    project.run("dvc", "repro")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "reproduced")
    project.run("dvc", "push")
    return project


@pytest.fixture
def pulled(origin, tmp_path) -> Project:
    """`git clone` and `dvc pull` into an empty folder."""
    origin.run("git", "clone", "-q", str(origin.folder), str(tmp_path / "pulled"))
    project = Project(tmp_path / "pulled", origin.warm)
    project.run("dvc", "pull")
    return project


def epochs(project: Project) -> int:
    return json.loads(project.read(RUN))["facts"]["epochs"]


def test_results_are_ignored_by_git_and_locked_by_dvc(origin):
    tracked = origin.run("git", "ls-files").stdout.splitlines()
    assert "dvc.lock" in tracked
    assert not [path for path in tracked if path.startswith(("results/", "data/"))]


def test_a_second_repro_does_nothing(origin):
    started = time.perf_counter()
    said = origin.run("dvc", "repro").stdout
    assert "Data and pipelines are up to date" in said
    assert time.perf_counter() - started < 60


def test_after_a_pull_neither_tool_has_anything_to_do(pulled):
    assert "up to date" in pulled.run("dvc", "status").stdout
    assert pulled.planned("results/table1.tex") == {}
    assert pulled.planned("phase_report") == {}


def test_an_experiment_reruns_only_what_its_parameter_shapes(pulled):
    records = {
        "prior": "results/cells/prior/shapes/full/seed0/run.json",
        "seqpan": "results/cells/seqpan/shapes/full/seed0/run.json",
        "features": "data/features/shapes/c3d_random_stats_w16s8_pca128.json",
    }

    def made() -> dict:
        return {name: json.loads(pulled.read(path))["made"] for name, path in records.items()}

    before = made()
    git(pulled, "config", "user.name", "test")  # an experiment is a commit, kept out of sight
    git(pulled, "config", "user.email", "test@example.org")
    changed = "config/demo.yaml:overrides.seqpan.train.epochs=3"
    said = pulled.run("dvc", "exp", "run", "--name", "three", "-S", changed).stdout
    assert "Stage 'data' didn't change" in said
    assert epochs(pulled) == 3
    after = made()
    # The stage of the features runs, since overrides may name others; its rules do not
    assert [name for name in records if after[name] != before[name]] == ["seqpan"]
    changed = json.loads(pulled.run("dvc", "metrics", "diff", "--json").stdout)
    assert changed  # two epochs and three do not score the same
    assert "results/metrics/shapes/seqpan/full.json" in changed
    assert "three" in pulled.run("dvc", "exp", "list", "--name-only").stdout
    # Curves of both: two epochs of the commit, three of what lies here
    pulled.run("dvc", "plots", "diff", "HEAD")
    _, learning, _ = drawn(pulled)
    assert learning["encoding"]["strokeDash"]["field"] == "rev"
    revisions = [row["rev"] for row in learning["data"]["values"]]
    assert sorted(revisions) == ["HEAD"] * 2 + ["workspace"] * 3


def test_stale_case_one_edit_after_a_pull(pulled):
    """No Snakemake metadata, a new parameter, `dvc repro`: once, the old results were recorded."""
    shutil.rmtree(pulled.folder / ".snakemake", ignore_errors=True)
    assert epochs(pulled) == 2
    pulled.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    pulled.run("dvc", "repro")
    assert epochs(pulled) == 3
    identity = json.loads(pulled.read(RUN))["identity"]
    assert identity in pulled.read("results/table1.provenance.json")


def test_stale_case_two_metadata_of_another_version(pulled):
    """Run 3, go back to 2 with `dvc checkout`, set 3 again: once, nothing was done."""
    pulled.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    pulled.snakemake("phase_report")
    three = json.loads(pulled.read(RUN))
    # back to the committed version, by git and DVC
    pulled.run("git", "checkout", "-q", "config/demo.yaml")
    pulled.run("dvc", "checkout", "--force")
    assert epochs(pulled) == 2
    assert pulled.planned("results/table1.tex") == {}
    # MLflow is this machine's, not DVC's: it is told by hand that these cells are current again
    assert "3 of 3 finished cells are in" in pulled.run("tsgbench", "track").stdout
    # forward again: Snakemake's metadata is of three epochs, the files are of two
    pulled.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    assert pulled.planned("results/table1.tex")["cell"] == 1
    pulled.snakemake("phase_report")
    assert (
        json.loads(pulled.read(RUN))["outputs"]["predictions.parquet"]
        == (three["outputs"]["predictions.parquet"])
    )


def test_a_consumer_refuses_what_was_made_under_another_setting(pulled):
    """Even around both tools: the evaluation will not score another setting's predictions."""
    pulled.edit("config/demo.yaml", "epochs: 2", "epochs: 3")
    done = pulled.run("tsgbench", "job", "evaluate", "seqpan/shapes/full/seed0", check=False)
    assert done.returncode == 1
    assert "made under other settings" in done.stderr


def test_metrics_have_a_short_row_for_each_system(origin):
    lines = origin.run("dvc", "metrics", "show").stdout.splitlines()
    assert len(lines) == 1 + 3 and lines[0].split()[0] == "Path"
    assert {line.split()[0] for line in lines[1:]} == {
        f"results/metrics/shapes/{model}/full.json" for model in ("prior", "seqpan", "whole_video")
    }
    assert max(map(len, lines)) < 200


def test_plots_say_what_they_show_and_need_no_network(origin):
    origin.run("dvc", "plots", "show")
    page = origin.read("dvc_plots/index.html")
    for said in ("mIoU of each system on the test split", "mIoU on the selection split", "epoch"):
        assert said in page
    assert "<DVC_METRIC" not in page  # every anchor of a template is filled
    script = origin.folder / "dvc_plots" / re.search(r'<script src="([^"]+)"', page)[1]
    assert "vegaEmbed" in script.read_text()
    assert [len(spec["data"]["values"]) for spec in drawn(origin)] == [3, 2, 2]


def drawn(project: Project) -> list[dict]:
    """The plots of DVC's page: systems, learning curves, losses."""
    page = project.read("dvc_plots/index.html")
    return [json.loads(text) for text in re.findall(r"var spec = (\{.*\});", page)]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser here")
def test_plots_are_drawn_without_network(origin):
    origin.run("dvc", "plots", "show")
    page = (origin.folder / "dvc_plots/index.html").as_uri()
    words = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000")
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    drawn = origin.run("chromium", *words, offline, "--dump-dom", page).stdout
    assert drawn.count("<canvas") == 3


def test_what_snakemake_adds_is_no_concern_of_dvc(pulled):
    """Reports that DVC does not version lie beside what it does."""
    cell = RUN.rpartition("/")[0]
    extra = ("data/annotations/shapes/statistics.json", f"{cell}/inspection.json")
    pulled.snakemake(*extra)
    assert all((pulled.folder / path).exists() for path in extra)
    assert "up to date" in pulled.run("dvc", "status").stdout
