"""Frames of `tsgbench watch` fit their window, and say where to look."""

import json
from collections import Counter

import pytest

from tsgbench.cli import watching
from tsgbench.cli.main import main
from tsgbench.cli.watching import as_facts, frame
from tsgbench.config import load_study
from tsgbench.planning.cost import Cost
from tsgbench.planning.progress import FAILED, RUNNING, SILENT, Said, Sight, View
from tsgbench.planning.study import Study

ERROR = "tsgbench: error: loss/span became nan in epoch 9; lower train.lr or train.clip_norm in the"
SCORED = Said(None, "", 12, 60, 61.2, "R@1,IoU=0.5", 23.456)


@pytest.fixture(scope="module")
def paper() -> Study:
    config, source = load_study("config/paper.yaml")
    return Study(config, source=source)


@pytest.fixture
def view(paper) -> View:
    """Many cells of the longest names at once, two failed, one silent, and an extraction."""
    trained = [job for job in paper.jobs.values() if job.phase == "train"]
    trained.sort(key=lambda job: -len(job.key))
    extraction = next(job for job in paper.jobs.values() if job.phase == "extract")
    phases = Counter(job.phase for job in paper.jobs.values())
    return View(
        Counter(done=900, running=30, failed=2, silent=1, waiting=456),
        {phase: (count // 2, count) for phase, count in phases.items()},
        Cost(
            seconds={"train": 36_000.0},
            measured={"train": 400},
            unknown={"figure": 3},
            memory_mb=900.0,
            chain_s=400.0,
        ),
        [Sight(job, RUNNING, SCORED, 3.0) for job in trained[:29]]
        + [Sight(extraction, RUNNING, Said(), 4000.0)],
        [Sight(job, FAILED, Said(FAILED, ERROR), 90.0) for job in trained[30:32]],
        [Sight(trained[33], SILENT, SCORED, 90_000.0)],
    )


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("height", [5, 12, 24, 50, None])
def test_a_frame_fits_its_window(view, width, height):
    lines = frame(view, "study paper: everything", width=width, height=height)
    paths = {f"  {sight.job.log}" for sight in view.failed + view.silent}
    # Paths are left whole, to be copied; no frame is wider than 100
    assert all(len(line) <= min(width, 100) for line in lines if line not in paths)
    assert height is None or len(lines) <= height


def test_failures_come_before_what_runs_and_name_their_logs(view):
    text = "\n".join(frame(view, "title", width=80, height=40))
    assert text.index("failed\n") < text.index("running  ")
    for sight in view.failed:
        assert sight.job.log in text
    assert ERROR.split(";")[0] in text
    assert text.count("more lines") == 1 and "silent:" in text


def test_a_frame_has_epoch_score_and_time_left(view):
    text = "\n".join(frame(view, "title", width=100))
    assert "12/60  R@1,IoU=0.5 23.46       49 min          3 s" in text
    assert "900 done, 30 running, 2 failed, 1 silent, 456 waiting of 1389" in text
    assert "about 20 min with 30 at a time, and 3 jobs of whose kind none has ended here" in text
    assert "nothing logged yet" in text and "\x1b" not in text and "\u00a0" not in text


def test_programs_get_all_of_it(view):
    facts = json.loads(json.dumps(as_facts(view, "title")))
    assert facts["cells"] == view.cells and len(facts["cells"]) == 5
    assert len(facts["running"]) == 30 and facts["running"][0]["score"] == 23.456
    assert [row["log"] for row in facts["failed"]] == [sight.job.log for sight in view.failed]
    assert facts["left_s"] == 1200.0 and not facts["is_done"]


def test_a_pipe_gets_one_frame(capsys):
    assert main(["watch", "papers", "--study", "config/demo.yaml"]) == 0
    assert capsys.readouterr().out.startswith("study demo: papers")
    assert main(["watch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phases"]["table"]["of"] > 1


def test_a_wrong_target_or_interval_is_refused(capsys):
    assert main(["watch", "results/tabel1.tex"]) == 1
    assert "results/tabel1.tex: no result of study 'demo'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["watch", "--every", "soon"])
    assert "'soon' is no number from 0.1 to 3600" in capsys.readouterr().err


def test_the_screen_is_given_back_however_it_ends(view, capsys, monkeypatch):
    class Stopped:
        def look(self):
            return view

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", stop)
    watching.watch(Stopped(), "title", 3.0)
    said = capsys.readouterr().out
    assert said.count(watching.ENTER) == said.count(watching.LEAVE) == 1
    assert "900 done" in said.partition(watching.LEAVE)[2]  # the last frame stays
