"""Declaring results current after a harmless change: what may be, what may not, what is written."""

import os
from copy import deepcopy
from pathlib import Path

import pytest
from little_study import CONFIG, METRICS, RUN, TABLE, make, make_all

from tsgbench.config import Catalogue
from tsgbench.errors import UserError
from tsgbench.files import read_json
from tsgbench.jobs.records import check_input, read_record
from tsgbench.planning.accepting import accept, judge
from tsgbench.planning.freshness import CURRENT, STALE, Freshness
from tsgbench.planning.study import Study
from tsgbench.planning.targets import find_target, find_targets


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    study = Study(CONFIG)
    monkeypatch.chdir(tmp_path)
    make_all(study)
    return study


def edited(*phases: str, config: dict = CONFIG) -> Study:
    """The study after an edit of the code of some phases."""
    study = Study(config, Catalogue.load())
    for job in study.jobs.values():
        if job.phase in phases:
            job.__dict__["code"] = "edited"
    return study


@pytest.fixture
def after(study, monkeypatch) -> Study:
    """Training was edited: what is made from the cell is stale as well."""
    return _elsewhere(monkeypatch, lambda: edited("train"))


def _elsewhere(monkeypatch, make_study):
    """Studies are read from the project's folder, results lie in this test's own."""
    here = Path.cwd()
    monkeypatch.chdir(Path(__file__).parents[2])
    try:
        return make_study()
    finally:
        monkeypatch.chdir(here)


def states(study: Study) -> dict[str, str]:
    fresh = Freshness(study)
    return {record: fresh.state(record) for record in study.jobs}


def test_all_is_current_again_and_no_content_was_touched(study, after):
    stale = {record for record, state in states(after).items() if state == STALE}
    assert {RUN, METRICS, TABLE} <= stale
    before = {record: read_json(record) for record in stale}
    accept(after, judge(after), reason="a faster loop")
    assert set(states(after).values()) == {CURRENT}
    for record, old in before.items():
        new = read_json(record)
        (entry,) = new.pop("accepted")
        assert new == old
        assert (entry["from"], entry["to"]) == (old["identity"], after.identity(record))
        assert entry["code"] == [old["code"], after.jobs[record].code]
        assert entry["reason"] == "a faster loop" and entry["by"] and entry["at"]
    check_input(RUN, after.identity(RUN))
    assert set(states(study).values()) == {CURRENT}  # and under the old code, should it come back


def test_file_times_stay_so_that_nothing_reruns(study, after):
    os.utime(RUN, ns=(10**18, 10**18))
    accept(after, judge(after), reason="x")
    assert os.stat(RUN).st_mtime_ns == 10**18


def test_a_target_brings_what_it_is_made_from_and_no_more(study, after):
    accept(after, judge(after, [METRICS]), reason="x")
    now = states(after)
    assert (now[RUN], now[METRICS], now[TABLE]) == (CURRENT, CURRENT, STALE)


def test_what_is_current_is_left_alone(study):
    before = Path(RUN).read_bytes()
    verdict = judge(study)
    assert not verdict.accepted and not verdict.refused
    accept(study, verdict, reason="x")
    assert Path(RUN).read_bytes() == before


def test_a_second_change_is_a_second_entry(study, after, monkeypatch):
    accept(after, judge(after), reason="first")
    later = _elsewhere(monkeypatch, lambda: edited("train", "evaluate"))
    accept(later, judge(later), reason="second")
    assert [entry["reason"] for entry in read_record(RUN).accepted] == ["first"]
    first, second = read_record(METRICS).accepted
    assert second["from"] == first["to"] and second["reason"] == "second"
    assert set(states(later).values()) == {CURRENT}


def test_a_result_made_anew_forgets_what_was_accepted(study, after):
    accept(after, judge(after), reason="x")
    make(after, RUN)
    assert not read_record(RUN).accepted and states(after)[METRICS] == CURRENT


def test_other_settings_only_when_asked_for(study, monkeypatch):
    config = deepcopy(CONFIG) | {"overrides": {"prior": {"model": {"draws": 7}}}}
    changed = _elsewhere(monkeypatch, lambda: edited(config=config))
    verdict = judge(changed, [TABLE])
    assert "model_settings.draws" in verdict.refused[RUN] and "--settings" in verdict.refused[RUN]
    assert RUN in verdict.refused[TABLE]
    with pytest.raises(UserError, match="nothing was accepted"):
        verdict.refuse_any([TABLE])
    accept(changed, judge(changed, [TABLE], settings=True), reason="x")
    assert states(changed)[TABLE] == CURRENT
    assert read_record(RUN).content["settings"] == study.jobs[RUN].settings  # as it was made


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.write_text("edit"), "SHA-256"),
        (lambda path: path.write_text("longer than it was"), "bytes"),
        (lambda path: path.unlink(), "missing"),
    ],
)
def test_damaged_files_are_never_accepted(study, after, harm, said):
    harm(Path("results/little/table1.tex"))
    verdict = judge(after, settings=True)
    assert said in verdict.refused[TABLE] and TABLE not in verdict.accepted


def test_inputs_of_other_content_are_never_accepted(study, after):
    make(after, RUN, "another training")
    verdict = judge(after, settings=True)
    assert "other content" in verdict.refused[METRICS] and RUN not in verdict.refused


def test_an_input_that_is_away_cannot_be_compared(study, after):
    Path(RUN).unlink()
    verdict = judge(after, [METRICS])
    assert "not here to be compared" in verdict.refused[METRICS]


def test_unreadable_records_are_refused_in_words(study, after):
    Path(RUN).write_text("[]")
    assert "not a record" in judge(after).refused[RUN]


def test_targets_by_any_of_their_files(study):
    for name in (TABLE, "results/little/table1.tex", "./results/little/table1.md"):
        assert find_target(study, name) == TABLE
    assert find_target(study, f"{RUN}") == RUN
    several = find_targets(study, ["phase_report", str(RUN)])
    assert TABLE in several and several[-1] == RUN
    with pytest.raises(UserError, match="tsgbench plan"):
        find_target(study, "results/little/nothing.tex")
