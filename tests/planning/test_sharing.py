"""Cells that another study has are taken over, and only what is truly the same."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from little_study import CONFIG, METRICS, RUN, make, make_all

from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.jobs.layout import DEFAULT_STUDY
from tsgbench.jobs.records import damages, read_record
from tsgbench.phases import evaluate, train
from tsgbench.planning import sharing
from tsgbench.planning.freshness import CURRENT, Freshness
from tsgbench.planning.study import Study
from tsgbench.running import job as jobs


class Pair:
    """A study with all its results, another that shares its cell, and the phases that ran."""

    def __init__(self, catalogue: Catalogue):
        self.first = Study(CONFIG, catalogue)
        self.second = Study({**CONFIG, "study": "other", "title": "another"}, catalogue)
        self.default = Study({**CONFIG, "study": DEFAULT_STUDY}, catalogue)
        self.ran: list[str] = []

    def run(self, study: Study, record: str, *, by_hand: bool = False) -> None:
        expected = None if by_hand else study.identity(record)
        jobs.run_job(study, study.jobs[record], expected=expected)

    def phase(self, name: str):
        def run(task):
            self.ran.append(name)
            for path in task.files.values():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("made anew")
            return {}, list(task.files.values())

        return run


@pytest.fixture
def pair(tmp_path, monkeypatch) -> Pair:
    pair = Pair(Catalogue.load())
    monkeypatch.chdir(tmp_path)
    for phase in (train, evaluate):
        monkeypatch.setattr(phase, "run", pair.phase(phase.__name__.rpartition(".")[2]))
    make_all(pair.first)
    return pair


def of_other(record: str) -> str:
    return record.replace("results/little/", "results/other/")


def test_a_shared_cell_is_trained_and_evaluated_once(pair, caplog):
    caplog.set_level("INFO")
    for record in map(of_other, (RUN, METRICS)):
        pair.run(pair.second, record)
    assert pair.ran == []
    assert f"train prior/shapes/full/seed0: taken over from {RUN}" in caplog.text
    for record in (RUN, METRICS):
        here, there = read_record(of_other(record)), read_record(record)
        assert here.content["made"]["taken_over"]["from"] == record
        assert "taken_over" not in there.content["made"]
        assert (here.identity, here.digest) == (there.identity, there.digest)
        for name, file in here.files().items():
            assert file.samefile(there.file(name))
    inputs = read_record(of_other(METRICS)).content["inputs"]
    assert inputs["run"]["record"] == of_other(RUN)
    fresh = Freshness(pair.second)
    assert [fresh.state(of_other(record)) for record in (RUN, METRICS)] == [CURRENT, CURRENT]


def test_the_default_study_takes_over_and_is_taken_from(pair):
    """Its cells have another depth."""
    own = RUN.replace("results/little/", "results/")
    pair.run(pair.default, own)
    assert read_record(own).content["made"]["taken_over"]["from"] == RUN
    Path(RUN).unlink()
    pair.run(pair.second, of_other(RUN))
    assert read_record(of_other(RUN)).content["made"]["taken_over"]["from"] == own
    assert pair.ran == []


def test_files_are_copied_where_they_cannot_be_linked(pair, monkeypatch):
    def refuse(*_args):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    pair.run(pair.second, of_other(RUN))
    here, there = read_record(of_other(RUN)), read_record(RUN)
    for name, file in here.files().items():
        assert file.read_bytes() == there.file(name).read_bytes()
        assert not file.samefile(there.file(name))


def test_by_hand_a_job_runs_whatever_there_is(pair):
    pair.run(pair.second, of_other(RUN), by_hand=True)
    assert pair.ran == ["train"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda first: Path(RUN).with_name("checkpoint.pt").write_text("edit"),  # as long
        lambda first: Path(RUN).with_name("history.csv").unlink(),
        lambda first: Path(RUN).write_text("{}"),
        lambda first: Path(RUN).unlink(),
        # Made again since: the cell of the first study was not made from these annotations
        lambda first: make(first, "data/annotations/shapes/annotations.json", "another"),
    ],
)
def test_what_is_not_whole_or_not_the_same_is_trained(pair, harm):
    harm(pair.first)
    pair.run(pair.second, of_other(RUN))
    assert pair.ran == ["train"]
    assert "taken_over" not in read_record(of_other(RUN)).content["made"]


def test_another_identity_is_trained(pair, monkeypatch):
    pair.second._identities[of_other(RUN)] = "0" * 16
    pair.run(pair.second, of_other(RUN))
    assert pair.ran == ["train"]


def test_what_was_made_while_the_job_waited_is_kept(pair, monkeypatch, caplog):
    """An orphan of a killed run ends, and writes the record that its successor is to make."""
    caplog.set_level("INFO")
    orphan = pair.second.jobs[of_other(RUN)]

    @contextmanager
    def wait(path, remedy, patience_s=0.0):
        if not patience_s:
            raise UserError("held by another process")
        make(pair.second, orphan.record)
        yield

    monkeypatch.setattr(sharing, "locked", wait)
    Path(RUN).unlink()
    pair.run(pair.second, orphan.record)
    assert pair.ran == [] and "waiting for it" in caplog.text
    assert read_record(orphan.record).facts == {"content": "made"}


# --- what a submission that failed had made ---


@pytest.fixture
def kept(pair, monkeypatch) -> Pair:
    """A cell that a job of a cluster's submission made, and that was deleted with the others'."""
    monkeypatch.setenv(sharing.KEEP, "1")
    for record in (RUN, METRICS):
        Path(record).unlink()
    pair.run(pair.first, RUN)
    pair.ran.clear()
    shutil.rmtree(Path(RUN).parent)
    return pair


def test_what_an_earlier_attempt_made_is_taken_back(kept, caplog):
    caplog.set_level("INFO")
    kept.run(kept.first, RUN)
    assert kept.ran == [] and "made by an earlier attempt" in caplog.text
    record = read_record(RUN)
    assert "taken_over" not in record.content["made"]
    assert not any(damages(record)) and record.files()
    kept.run(kept.first, METRICS)
    assert kept.ran == ["evaluate"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "checkpoint.pt").write_text("edit"),
        lambda folder: (folder / "history.csv").unlink(),
        lambda folder: (folder / "run.json").write_text("{"),
    ],
)
def test_what_was_not_kept_whole_is_made_again(kept, harm):
    harm(sharing.KEPT / kept.first.identity(RUN))
    kept.run(kept.first, RUN)
    assert kept.ran == ["train"]


def test_outside_a_submission_nothing_is_kept(pair):
    Path(RUN).unlink()
    pair.run(pair.first, RUN)
    assert not sharing.KEPT.exists()


# --- a cell that is scored in the job that trains it ---


def run_cell(pair: Pair, score: str | None = None) -> None:
    study = pair.first
    jobs.run_cell(
        study,
        study.jobs[RUN],
        score or study.identity(METRICS),
        expected=study.identity(RUN),
    )


def test_a_cell_is_scored_as_it_is_trained(pair):
    shutil.rmtree(Path(RUN).parent)
    run_cell(pair)
    assert pair.ran == ["train", "evaluate"]
    fresh = Freshness(pair.first)
    assert [fresh.state(record) for record in (RUN, METRICS)] == [CURRENT, CURRENT]
    assert not list(sharing.KEPT.glob("*"))


def test_scores_that_fail_cost_no_training(pair, monkeypatch):
    """Snakemake deletes the results of a job that fails: those of the training, too."""
    shutil.rmtree(Path(RUN).parent)
    with monkeypatch.context() as broken:
        broken.setattr(evaluate, "run", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_cell(pair)
    shutil.rmtree(Path(RUN).parent)
    run_cell(pair)
    assert pair.ran == ["train", "evaluate"]


def test_scores_that_are_not_as_planned_are_refused_before_the_training(pair):
    Path(RUN).unlink()
    with pytest.raises(UserError, match="metrics.json: settings or code changed"):
        run_cell(pair, "0" * 16)
    assert pair.ran == []


def test_a_run_that_ends_well_keeps_nothing_and_leaves_what_is_another_studys(kept):
    other = sharing.KEPT / "another"
    other.mkdir()
    sharing.forget({kept.first.identity(RUN)})
    assert list(sharing.KEPT.iterdir()) == [other]
