"""Which extractions share a pass over their videos, what that costs, and how it is watched."""

import os
import time
from pathlib import Path

import pytest
from little_study import CONFIG, make

from tsgbench.config import load_study
from tsgbench.errors import UserError
from tsgbench.planning import passes
from tsgbench.planning.cost import estimate
from tsgbench.planning.measurements import Measurements, read_measurements
from tsgbench.planning.passes import find_passes, identity_of, jobs_of, key_of
from tsgbench.planning.progress import RUNNING, WAITING, Progress
from tsgbench.planning.study import Study
from tsgbench.planning.targets import to_make

C3D, I3D, SMALL = "c3d_random_stats_w16s8", "i3d_random_stats_w16s8", "thumbnail_8x8_3fps"
HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def study_of(**resources) -> Study:
    """Two data sets: of one, all three are read, of the other the small pictures alone."""
    reads = {"cma": f"{C3D}_pca128", "seqpan": f"{I3D}_pca128", "cuts": SMALL}
    shapes = CONFIG["datasets"]["shapes"] | {"features": "own"}
    return Study(
        CONFIG
        | {
            "datasets": {"shapes": shapes},
            "systems": [{"model": model, "seeds": [0]} for model in reads],
            "overrides": {
                model: {"datasets": {"shapes": {"inputs": {"features": features}}}}
                for model, features in reads.items()
            },
            "resources": {"extract": resources},
        }
    )


@pytest.fixture
def study() -> Study:
    return study_of()


def extractions(study: Study, *clips: str) -> list[str]:
    return [study.find_key("extract", f"shapes/{name}").record for name in clips]


def test_those_that_are_due_share_a_pass(study):
    (all_three,) = find_passes(study, study.jobs)
    assert key_of(all_three) == f"shapes/{C3D}+{I3D}+{SMALL}"
    two = extractions(study, SMALL, C3D)
    (jobs,) = find_passes(study, two)
    assert jobs_of(study, key_of(jobs)) == jobs and len(jobs) == 2
    (alone,) = find_passes(study, two[:1])
    assert identity_of(study, alone) == study.identity(two[0])
    assert identity_of(study, jobs) not in map(study.identity, two)
    assert identity_of(study, jobs) != identity_of(study, all_three)


def test_a_setting_has_each_in_a_pass_of_its_own_and_makes_nothing_stale(study, monkeypatch):
    apart = study_of(together=False, shards=2)
    assert [len(jobs) for jobs in find_passes(apart, apart.jobs)] == [1, 1, 1]
    assert all(apart.identity(record) == study.identity(record) for record in study.jobs)
    # So do names that together are too long for a file
    monkeypatch.setattr(passes, "LONGEST_NAME", 60)
    assert [len(jobs) for jobs in find_passes(study, study.jobs)] == [1, 1, 1]


def test_one_whose_checkpoint_is_still_to_come_goes_alone():
    config, source = load_study("config/paper.yaml")
    paper = Study(config, source=source)
    keys = [key_of(jobs) for jobs in find_passes(paper, paper.jobs)]
    assert len(keys) == len(paper.targets("extract")) and not any("+" in key for key in keys)
    here = set(paper.jobs) - set(paper.targets("download"))
    joint = [key_of(jobs) for jobs in find_passes(paper, here) if len(jobs) > 1]
    assert "tacos/c3d_sports1m_fc6_w16s8+i3d_kinetics_rgb_w16s8" in joint
    here.add("data/raw/c3d_sports1m.json")
    assert not any("tacos" in key_of(jobs) for jobs in find_passes(paper, here) if len(jobs) > 1)


def test_an_unknown_extraction_is_named(study):
    with pytest.raises(UserError, match="has no extract job 'shapes/nothing'"):
        jobs_of(study, f"shapes/{C3D}+nothing")


def test_what_nobody_asks_for_is_not_made_along(study):
    """Nor what is needed by nothing that is due."""
    table = "results/little/table1.json"
    wanted = {study.find_key("reduce", f"shapes/{C3D}_pca128").record}
    due = to_make(study, wanted, lambda record: True)
    assert [key_of(jobs) for jobs in find_passes(study, due)] == [f"shapes/{C3D}"]
    made = study.find_key("reduce", f"shapes/{I3D}_pca128").record
    due = to_make(study, [table], lambda record: record != made)
    assert [key_of(jobs) for jobs in find_passes(study, due)] == [f"shapes/{C3D}+{SMALL}"]


def write(logs: Path, key: str, seconds: float) -> None:
    path = logs / "benchmarks" / "extract" / f"{key}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:09\t100\t0\t0\t0\t0\t0\t0\t0\n")


def test_a_pass_costs_what_its_extractions_did(tmp_path):
    study = study_of(threads=1, shards=2)
    write(tmp_path, f"shapes/{C3D}", 30.0)  # in one piece
    write(tmp_path, f"shapes/{I3D}", 2.0)  # joined what two passes had made with the small pictures
    write(tmp_path, f"shapes/{SMALL}", 1.0)
    for number in (1, 2):
        write(tmp_path, f"shapes/{I3D}+{SMALL}.shards/0a.{number}-of-2", 10.0)
    due = extractions(study, C3D, I3D, SMALL)
    cost = estimate(study, due, Measurements(read_measurements(tmp_path)))
    assert cost.seconds == {"extract": 30.0 + 2.0 + 10.0 + 1.0 + 10.0}
    assert cost.measured == {"extract": 3 + 2}
    # Each of the two passes has the threads of all three
    assert cost.chain_s == 30.0 / 2 + 2.0 == cost.wall_s(6)
    assert cost.wall_s(1) == 30.0 + 10.0 + 10.0 + 2.0 + 1.0
    one = estimate(study, due[:1], Measurements(read_measurements(tmp_path)))
    assert (one.measured, one.chain_s) == ({"extract": 3}, 15.0)
    whole = estimate(study_of(), due[:1], Measurements(read_measurements(tmp_path)))
    assert (whole.measured, whole.chain_s) == ({"extract": 1}, 30.0)


def test_a_pass_is_watched_by_its_log(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    due = extractions(study, C3D, I3D, SMALL)
    for role in study.jobs[due[0]].inputs.values():
        for path in sorted(to_make(study, [role], lambda _: True), key=list(study.jobs).index):
            make(study, path)
    watched = Progress(study, due)
    assert watched.look().phases["extract"] == (0, 3) and not watched.look().running
    log = Path(f"logs/extract/shapes/{C3D}+{SMALL}.shards/0a.1-of-1.log")
    log.parent.mkdir(parents=True)
    log.write_text("12:00:00 a: left out: cut off\n")
    view = watched.look()
    assert [sight.job.record for sight in view.running] == [due[0], due[2]]
    assert view.at_once == 1  # a job
    # Of an earlier extraction, whose own log came last
    own = Path(study.jobs[due[0]].log)
    own.write_text("12:00:00 extract x: done in 3.0 s, wrote y\n")
    os.utime(own, (time.time() + 5, time.time() + 5))
    states = {sight.job.record: sight.state for sight in watched.look().running}
    assert states == {due[2]: RUNNING} and WAITING not in states.values()
