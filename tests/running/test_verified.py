"""What a verification found is kept, and answers for nothing that has changed since."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from planning.little_study import CONFIG, RUN, TABLE, make_all
from tsgbench.bundling.checklist import _checked, _repeated
from tsgbench.bundling.contents import Contents, Result
from tsgbench.errors import UserError
from tsgbench.jobs.records import read_record
from tsgbench.planning.study import Study
from tsgbench.running.repeating import Retrained
from tsgbench.running.verification import Verification, verify
from tsgbench.running.verified import path_of, read_verified, write_verified


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    made = Study(CONFIG)
    monkeypatch.chdir(tmp_path)
    make_all(made)
    return made


def contents(study: Study) -> Contents:
    results = {}
    for path in (RUN, TABLE):
        record = read_record(path)
        results[path] = Result(study.jobs[path], record, None, [])
    return Contents(study, [TABLE], results, [], verified=read_verified(study))


def test_a_verification_is_kept_with_what_was_sound(study):
    found = verify(study, [RUN])
    assert RUN in found.sound and found.sound[RUN] == read_record(RUN).digest
    Path(RUN).with_name("predictions.parquet").write_text("edit")
    assert RUN not in verify(study, [RUN]).sound
    write_verified(study, [RUN], found)
    kept = read_verified(study)
    assert kept["sound"] == found.sound and kept["checked"] == found.checked
    assert kept["targets"] == [RUN] and kept["problems"] == []


def test_the_checklist_answers_of_results_that_are_still_the_same(study):
    _, answer, evidence = _checked(contents(study))
    assert answer.startswith("no record is kept") and evidence == []
    sound = {path: read_record(path).digest for path in (RUN, TABLE)}
    cell = study.jobs[RUN].key
    found = Verification(sound=sound, retrained=[Retrained(cell, True, 0.0, ("a", "a"))])
    write_verified(study, [TABLE], found)
    assert "2 of 2 results as recorded, 1 of them made again" in _checked(contents(study))[1]
    assert _repeated(contents(study))[1] == f"{cell}: the same to the byte"
    content = json.loads(Path(RUN).read_text())
    Path(RUN).write_text(json.dumps(content | {"digest": "0" * 16}))
    assert "1 of 2 results as recorded" in _checked(contents(study))[1]
    assert _repeated(contents(study))[1].startswith("no record is kept")
    apart = [replace(found.retrained[0], is_same=False, worst=0.254)]
    write_verified(study, [TABLE], replace(found, sound={RUN: "0" * 16}, retrained=apart))
    assert _repeated(contents(study))[1] == f"{cell}: metrics differ by 0.25 points at most"


def test_a_file_of_something_else_is_refused(study):
    path_of(study).write_text("[]")
    with pytest.raises(UserError, match=r"verified\.json: holds no verification; move it away"):
        read_verified(study)
