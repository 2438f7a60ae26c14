"""What Snakemake is told of results on disk: by their records, whatever file times say."""

import os
import time
from pathlib import Path

import pytest
from little_study import CONFIG, METRICS, RUN, TABLE, make, make_all

from tsgbench.config import Catalogue
from tsgbench.planning import freshness
from tsgbench.planning.freshness import CURRENT, MISSING, STALE, Freshness
from tsgbench.planning.study import Study


def ancient(path: str) -> str:
    return f"ancient:{path}"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """A little study with every result made, each with the content "made"."""
    catalogue = Catalogue.load()
    study = Study(CONFIG, catalogue)
    study.renamed = Study({**CONFIG, "title": "other"}, catalogue)
    monkeypatch.chdir(tmp_path)
    make_all(study)
    return study


def test_what_was_made_now_is_current_and_nothing_is_added(study):
    fresh = Freshness(study)
    assert {fresh.state(record) for record in study.jobs} == {CURRENT}
    for job in study.jobs.values():
        assert fresh.inputs(job, ancient) == list(job.inputs.values())
    assert fresh.unmet() == []


def test_a_stale_result_gets_an_input_newer_than_anything_made(study):
    os.utime(TABLE, (time.time() + 100, time.time() + 100))  # another machine's clock
    renamed = study.renamed
    fresh = Freshness(renamed)
    assert fresh.state(TABLE) == STALE and fresh.state(RUN) == CURRENT
    *inputs, stamp = fresh.inputs(renamed.jobs[TABLE], ancient)
    assert inputs == list(renamed.jobs[TABLE].inputs.values())
    assert os.stat(stamp).st_mtime_ns > os.stat(TABLE).st_mtime_ns
    assert not Path(stamp).is_relative_to(Path.cwd())
    assert fresh.unmet() == [TABLE]


def test_no_two_stamps_hold_the_same(study):
    """Snakemake compares checksums: a newer file of known content would trigger nothing."""
    stamps = [Freshness(study).stamp() for _ in range(2)]
    assert stamps[0].read_text() != stamps[1].read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda: Path("results/little/table1.tex").unlink(),
        lambda: Path("results/little/table1.tex").write_text("edit"),  # of the same length
        lambda: Path(TABLE).write_text("{"),
        lambda: Path(TABLE).write_text("[]"),
    ],
)
def test_damage_is_stale(study, damage):
    damage()
    assert Freshness(study).state(TABLE) == STALE


def test_an_input_that_was_remade_with_other_content_makes_stale(study):
    make(study, METRICS, "otherwise")
    assert Freshness(study).state(TABLE) == STALE
    Path(METRICS).write_text("[]")
    assert Freshness(study).state(TABLE) == STALE
    Path(METRICS).unlink()  # not pulled: cannot contradict
    fresh = Freshness(study)
    assert fresh.state(TABLE) == CURRENT and fresh.state(METRICS) == MISSING


def test_unmet_looks_at_the_disk_anew_and_only_at_what_was_asked_for(study):
    fresh = Freshness(study)
    fresh.inputs(study.jobs[TABLE], ancient)
    make(study, METRICS, "otherwise")
    make(study, RUN, "otherwise")
    assert fresh.unmet() == [TABLE]


def age(study: Study) -> None:
    """Inputs youngest: the worst that a checkout can do."""
    for place, job in enumerate(study.jobs.values()):
        for path in [job.record, *job.files.values()]:
            os.utime(path, (10**9 - place, 10**9 - place))


def test_settled_times_leave_no_output_older_than_an_input_and_none_in_the_future(study):
    age(study)
    os.utime(RUN, (time.time() + 10**6, time.time() + 10**6))
    Freshness(study).settle_times()
    for job in study.jobs.values():
        outputs = [os.stat(path).st_mtime_ns for path in [job.record, *job.files.values()]]
        assert max(outputs) <= time.time_ns()
        for source in job.inputs.values():
            assert min(outputs) >= os.stat(source).st_mtime_ns
    for job in study.jobs.values():
        assert Freshness(study).inputs(job, ancient) == list(job.inputs.values())


def test_times_that_are_not_ours_to_set_are_declared_void(study, monkeypatch):
    """A dry run, or a folder whose files belong to somebody else."""
    age(study)

    def refused(*args, **kwargs):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(freshness.os, "utime", refused)
    fresh = Freshness(study)
    fresh.settle_times()
    job = study.jobs[TABLE]
    assert fresh.inputs(job, ancient) == [ancient(path) for path in job.inputs.values()]


def test_links_count_with_their_own_time_and_their_target_s(study, tmp_path):
    """DVC's cache of links: the link is new, the file it names is old."""
    target = tmp_path / "cache"
    target.write_bytes(Path(METRICS).read_bytes())
    os.utime(target, (10**9, 10**9))
    Path(METRICS).unlink()
    Path(METRICS).symlink_to(target)
    fresh = Freshness(study)
    job = study.jobs[TABLE]
    assert ancient(METRICS) in fresh.inputs(job, ancient)
    fresh.settle_times()
    assert Freshness(study).inputs(job, ancient) == list(job.inputs.values())
