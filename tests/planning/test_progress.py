"""What a run leaves in the folder says how far it is; looking changes nothing there."""

import logging
import time
from pathlib import Path

import pytest
from little_study import CONFIG, make

from tsgbench.planning import progress
from tsgbench.planning.progress import (
    DONE,
    FAILED,
    RUNNING,
    SILENT,
    WAITING,
    Progress,
    Said,
    read_log,
)
from tsgbench.planning.study import Study
from tsgbench.planning.targets import rule_targets

CELLS = [f"seqpan/shapes/blind/seed{seed}" for seed in range(4)]
SYSTEMS = {"systems": [{"model": "seqpan", "ablations": ["blind"], "seeds": [0, 1, 2, 3]}]}
EPOCH = "12:00:0{0} epoch {0} of 60: loss 1.2, R@1,IoU=0.5 2{0}.50 on the selection split, 2.0 s\n"
ERROR = "tsgbench: error: loss/span became nan in epoch 2; lower train.lr"
TSV = "s\th:m:s\tmax_rss\n{}\t0:00:09\t100\n"


@pytest.fixture(scope="module")
def little() -> Study:
    """Four cells and a table of them."""
    return Study(CONFIG | SYSTEMS)


@pytest.fixture(scope="module")
def other() -> Study:
    """The same with another setting."""
    changed = {"overrides": {"seqpan": {"train": {"epochs": 7}}}}
    return Study(CONFIG | SYSTEMS | changed)


@pytest.fixture
def study(little, tmp_path, monkeypatch) -> Study:
    """Its features and words are made, no cell is."""
    monkeypatch.chdir(tmp_path)
    for record, job in little.jobs.items():
        if job.phase in ("render", "annotations", "blank", "vectors", "vocabulary"):
            make(little, record)
    return little


def look(study: Study, *, after_s: float = 0.0) -> progress.View:
    """As a new process sees it, so many seconds from now."""
    return Progress(study, rule_targets(study)["phase_cells"]).look(time.time() + after_s)


def write_log(study: Study, cell: str, text: str, phase: str = "train") -> Path:
    log = Path(study.find_key(phase, cell).log)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log


def finish(study: Study, cell: str, seconds: float | None = None) -> None:
    """Train and evaluate a cell in no time."""
    for phase in ("train", "evaluate"):
        job = study.find_key(phase, cell)
        make(study, job.record)
        if seconds is not None:
            Path(job.benchmark).parent.mkdir(parents=True, exist_ok=True)
            Path(job.benchmark).write_text(TSV.format(seconds))


def test_cells_are_counted_by_what_is_said_of_them(study):
    finish(study, CELLS[0])
    write_log(study, CELLS[1], EPOCH.format(1) + EPOCH.format(2))
    write_log(study, CELLS[2], EPOCH.format(1) + ERROR + "\n")
    view = look(study)
    assert view.cells == {DONE: 1, RUNNING: 1, FAILED: 1, WAITING: 1}
    assert view.phases["train"] == (1, 4) and view.phases["vocabulary"] == (1, 1)
    [running], [failed] = view.running, view.failed
    assert (running.job.key, running.said.epoch, running.said.epochs) == (CELLS[1], 2, 60)
    assert (running.said.metric, running.said.score) == ("R@1,IoU=0.5", 22.5)
    assert running.said.left_s == 58 * 2.0
    assert failed.job.key == CELLS[2] and failed.said.line == ERROR
    assert not view.is_done


def test_a_training_that_says_nothing_for_long_is_silent(study):
    write_log(study, CELLS[0], EPOCH.format(1))  # epochs of two seconds
    write_log(study, CELLS[1], "")  # reads its data
    assert look(study, after_s=60).cells == {RUNNING: 2, WAITING: 2}
    view = look(study, after_s=600)
    assert view.cells == {SILENT: 1, RUNNING: 1, WAITING: 2}
    assert [sight.job.key for sight in view.silent] == [CELLS[0]]


def test_all_is_done_when_what_was_asked_for_is_there(study):
    for cell in CELLS:
        finish(study, cell)
    assert look(study).is_done
    # What made it may be gone: results that were pulled came without their data
    for record in study.targets("render", "blank"):
        Path(record).unlink()
    view = look(study)
    assert view.is_done and "render" not in view.phases


def test_what_is_made_again_is_not_done_before(study, other):
    finish(study, CELLS[0])
    write_log(study, CELLS[0], f"12:00:00 train {CELLS[0]}: done in 9.0 s, wrote x\n")
    assert look(other).cells == {WAITING: 4}


def test_one_look_after_the_other_sees_what_changed_and_learns_what_it_took(study):
    watched = Progress(study, rule_targets(study)["phase_cells"])
    first = watched.look()
    assert first.cells == {WAITING: 4} and not first.cost.measured
    write_log(study, CELLS[0], EPOCH.format(1))
    assert watched.look().cells[RUNNING] == 1
    finish(study, CELLS[0], seconds=10.0)
    write_log(study, CELLS[1], EPOCH.format(1))
    write_log(study, CELLS[2], EPOCH.format(1))
    view = watched.look()
    assert view.cells == {DONE: 1, RUNNING: 2, WAITING: 1}
    # Two run another 59 epochs of 2 s, one takes 10 s; each with its evaluation
    assert view.cost.seconds == {"train": 2 * 59 * 2.0 + 10.0}
    assert view.left_s == 246 / 2
    Path(study.find_key("evaluate", CELLS[0]).record).unlink()
    assert watched.look().cells[DONE] == 0


def test_before_any_has_ended_those_that_run_say_how_long_others_will(study):
    write_log(study, CELLS[0], EPOCH.format(3))
    cost = look(study).cost
    assert cost.seconds["train"] == 57 * 2.0 + 3 * 60 * 2.0
    assert not cost.unknown


def test_looking_writes_nothing(study, tmp_path):
    write_log(study, CELLS[0], EPOCH.format(1))
    finish(study, CELLS[1])

    def everything() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for path in tmp_path.rglob("*")
        }

    before = everything()
    look(study)
    assert everything() == before


@pytest.mark.parametrize(
    ("text", "ending", "line"),
    [
        ("", None, ""),
        ("12:00:00 resuming after epoch 3\n", None, "resuming after epoch 3"),
        (f"12:00:00 x\n{ERROR}\n", FAILED, ERROR),
        ("Traceback (most recent call last):\n  File x\nValueError: 3\n", FAILED, "ValueError: 3"),
        ("Traceback (most recent call last):\nOSError: 3\n12:00:01 tracking off\n", None, None),
        ("tsgbench: interrupted; run the same command to go on\n", SILENT, None),
        ("12:00:00 train a: done in 1.0 s, wrote b\n", DONE, None),
    ],
)
def test_the_end_of_a_log_says_how_a_job_is(text, ending, line):
    said = read_log(text)
    assert said.ending == ending and (line is None or said.line == line)


@pytest.mark.parametrize("scores", [{}, {"mIoU": 12.344}])
def test_epochs_are_read_as_the_trainer_logs_them(scores, caplog):
    from tsgbench.settings import TrainSettings
    from tsgbench.training.trainer import State, _log_epoch

    state = State(epoch=3, history=[{"loss": 1.5, "seconds": 61.25}])
    with caplog.at_level(logging.INFO):
        _log_epoch(state, TrainSettings(epochs=9), scores, "mIoU")
    said = read_log(f"12:00:00 {caplog.messages[-1]}\n")
    assert (said.epoch, said.epochs, said.epoch_s) == (3, 9, pytest.approx(61.25, abs=0.06))
    assert said.score == (12.34 if scores else None)


def test_only_the_end_of_a_long_log_is_read(study):
    log = write_log(study, CELLS[0], "x" * 100_000 + "\n" + EPOCH.format(4))
    assert len(progress._tail(str(log))) == progress.TAIL_BYTES
    assert look(study).running[0].said.epoch == 4


def test_files_that_go_away_while_one_looks_are_no_error(study, monkeypatch):
    log = write_log(study, CELLS[0], EPOCH.format(1))
    finish(study, CELLS[1])
    real = progress._stamp

    def vanishing(path: str):
        stamp = real(path)
        if path.endswith(("seed0.log", "seed1/metrics.json")):
            Path(path).unlink(missing_ok=True)
        return stamp

    monkeypatch.setattr(progress, "_stamp", vanishing)
    view = look(study)
    assert not log.exists() and view.cells[DONE] == 0
    assert view.running[0].said == Said()
