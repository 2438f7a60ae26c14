"""What is left to do costs what its like took: the same cell first, never another data set's."""

from pathlib import Path

import pytest

from tsgbench.config import load_study
from tsgbench.files import write_json
from tsgbench.planning.cost import Cost, estimate
from tsgbench.planning.measurements import (
    Measured,
    Measurements,
    Taken,
    read_measurements,
    size_of,
    with_records,
)
from tsgbench.planning.study import Study

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture(scope="module")
def study() -> Study:
    config, source = load_study("config/demo.yaml")
    return Study(config, source=source)


def write(logs: Path, key: str, seconds: float, memory_mb: float = 100.0):
    path = logs / "benchmarks" / f"{key}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:09\t{memory_mb}\t0\t0\t0\t0\t0\t0\t0\n")


def cost_of(study: Study, logs: Path, *keys: str) -> Cost:
    return estimate(
        study,
        [study.find_key("train", key).record for key in keys],
        Measurements(read_measurements(logs)),
    )


def test_the_nearest_measurements_count_and_their_mean(study, tmp_path):
    write(tmp_path, "train/seqpan/shapes/full/seed0", 10.0)
    write(tmp_path, "train/seqpan/shapes/full/seed1", 20.0)
    write(tmp_path, "train/seqpan/shapes/blind/seed0", 3.0)
    write(tmp_path / "other", "train/seqpan/shapes/full/seed0", 30.0)  # another study's folder
    full = cost_of(study, tmp_path, "seqpan/shapes/full/seed0")
    assert full.seconds == {"train": 15.0}
    # No such ablation was measured: the model's on this data set
    other = cost_of(study, tmp_path, "seqpan/shapes/mismatched/seed0")
    assert other.seconds == {"train": (10 + 20 + 3) / 3}


def test_of_another_study_only_the_same_cell_that_is_set_the_same_is_alike(study):
    """It may train the others without frames, and all at another size."""
    full, blind = (study.find_key("train", f"seqpan/shapes/{a}/seed0") for a in ("full", "blind"))
    size = size_of(full.wildcards, full.settings)
    narrow = {**full.settings, "model_settings": {**full.settings["model_settings"], "width": 8}}

    def took(size: str) -> Measurements:
        measured = Measured(30.0, 100.0)
        return Measurements([Taken("other", "train", "seqpan/shapes/full/seed9", measured, size)])

    assert took(size).of(full) == Measured(30.0, 100.0)
    assert took(size).of(blind) is None
    assert took(size_of(full.wildcards, narrow)).of(full) is None
    assert took("").of(full) is None  # without a record
    # An inspection has the cell's settings within its own
    assert size_of(full.wildcards, {"model": full.settings, "choose": {}}) == size


def test_the_size_of_a_cell_is_read_from_its_record(study, tmp_path):
    job = study.find_key("train", "seqpan/shapes/full/seed0")
    write(tmp_path / "logs/other", "train/seqpan/shapes/full/seed0", 30.0)
    record = tmp_path / "results/other/cells/seqpan/shapes/full/seed0/run.json"
    content = {"identity": "i", "digest": "d", "inputs": {}, "outputs": {}, "facts": {}}
    write_json(record, {"schema": 1, **content, "settings": job.settings})
    taken = with_records(read_measurements(tmp_path / "logs"), tmp_path)
    found = Measurements(each for each, _ in taken).of(job)
    assert found is not None and found.seconds == 30.0


def test_a_cell_that_was_taken_over_says_nothing_of_a_training(study, tmp_path):
    write(tmp_path, "train/seqpan/shapes/full/seed0", 10.0)
    write(tmp_path, "train/seqpan/shapes/full/seed1", 1.0)
    log = tmp_path / "train/seqpan/shapes/full/seed1.log"
    log.parent.mkdir(parents=True)
    log.write_text("12:00:00 train seqpan/shapes/full/seed1: taken over from x, of the same\n")
    assert cost_of(study, tmp_path, "seqpan/shapes/full/seed0").seconds == {"train": 10.0}


def test_an_extraction_costs_what_its_shards_took_and_is_as_many_jobs(tmp_path):
    config, source = load_study("config/demo.yaml")
    resources = {**config["resources"], "extract": {"threads": 1, "shards": 4}}
    sharded = Study({**config, "resources": resources}, source=source)
    job = next(job for job in sharded.jobs.values() if job.phase == "extract")
    for number in (1, 2):
        write(tmp_path, f"extract/{job.key}.shards/0a.{number}-of-2", 30.0 * number, 700)
    write(tmp_path, f"extract/{job.key}.shards/0b.1-of-3", 1000.0)  # never ended
    write(tmp_path, f"extract/{job.key}", 10.0)
    found = estimate(sharded, [job.record], Measurements(read_measurements(tmp_path)))
    assert found.seconds == {"extract": 100.0} and found.memory_mb == 700
    assert found.measured == {"extract": 5}
    # Joining waits for the shards, a quarter of the others' work each
    assert found.chain_s == 10.0 + 90.0 / 4 == found.wall_s(4)
    assert found.wall_s(2) == 10.0 + 90.0 / 2
    whole = Study(config, source=source)
    found = estimate(whole, [job.record], Measurements(read_measurements(tmp_path)))
    assert (found.measured, found.chain_s) == ({"extract": 1}, 100.0)
    assert found.wall_s(8) == 100.0


def test_jobs_of_several_threads_leave_no_processor_to_others(study, tmp_path):
    write(tmp_path, "extract/shapes/c3d_random_stats_w16s8", 50.0)  # on two
    write(tmp_path, "train/cma/shapes/full/seed0", 40.0)
    write(tmp_path, "train/fsan/shapes/full/seed0", 40.0)
    due = [study.find_key("extract", "shapes/c3d_random_stats_w16s8").record]
    due += [
        study.find_key("train", f"{model}/shapes/full/seed0").record for model in ("cma", "fsan")
    ]
    cost = estimate(study, due, Measurements(read_measurements(tmp_path)))
    assert (cost.wall_s(1), cost.wall_s(2)) == (130.0, 90.0)
    assert cost.turns_s(2) == max(65.0, cost.chain_s)


def test_a_long_job_that_comes_last_leaves_others_idle(study, tmp_path):
    models = ("cma", "fsan", "seqpan")  # in the plan's order
    for model, seconds in zip(models, (30.0, 40.0, 100.0), strict=True):
        write(tmp_path, f"train/{model}/shapes/full/seed0", seconds)
    due = [study.find_key("train", f"{model}/shapes/full/seed0").record for model in models]
    cost = estimate(study, due, Measurements(read_measurements(tmp_path)))
    assert (cost.wall_s(1), cost.wall_s(2), cost.wall_s(3)) == (170.0, 130.0, 100.0)


def test_no_download_is_like_another(tmp_path):
    config, source = load_study("config/real.yaml")
    real = Study(config, source=source)
    first, second, *_ = real.targets("download")
    write(tmp_path, f"download/{real.jobs[first].key}", 9.0)
    cost = estimate(real, [first, second], Measurements(read_measurements(tmp_path)))
    assert (cost.measured, cost.unknown) == ({"download": 1}, {"download": 1})


def test_what_was_never_measured_is_not_guessed(study, tmp_path):
    write(tmp_path, "train/seqpan/charades_sta/full/seed0", 1000.0)
    write(tmp_path, "train/cma/shapes/full/seed0", 1000.0)
    write(tmp_path, "evaluate/seqpan/shapes/full/seed0", 1000.0)
    found = cost_of(study, tmp_path, "seqpan/shapes/full/seed0")
    assert (found.unknown, found.measured, found.seconds) == ({"train": 1}, {}, {"train": 0.0})


def test_scores_are_a_job_of_their_own_where_the_cell_is_trained_already(study, tmp_path):
    write(tmp_path, "evaluate/seqpan/shapes/full/seed0", 5.0)
    due = [study.find_key("evaluate", "seqpan/shapes/full/seed0").record]
    assert estimate(study, due, Measurements(read_measurements(tmp_path))).seconds == {
        "evaluate": 5.0
    }


def test_jobs_that_wait_for_one_another_take_turns(study, tmp_path):
    write(tmp_path, "train/seqpan/shapes/full/seed0", 100.0, memory_mb=700)
    write(tmp_path, "train/cma/shapes/full/seed0", 40.0)
    write(tmp_path, "evaluate/seqpan/shapes/full/seed0", 5.0)
    write(tmp_path, "table/table1", 2.0)
    due = [
        study.find_key(phase, key).record
        for phase, key in (
            ("train", "seqpan/shapes/full/seed0"),
            ("train", "cma/shapes/full/seed0"),
            ("evaluate", "seqpan/shapes/full/seed0"),
            ("table", "table1"),
        )
    ]
    found = estimate(study, due, Measurements(read_measurements(tmp_path)))
    assert found.chain_s == 102.0 and found.memory_mb == 700 and found.jobs == 3
    assert found.wall_s(1) == 142.0 and found.wall_s(8) == 102.0


def test_a_job_that_snakemake_could_not_measure_is_left_out(study, tmp_path):
    write(tmp_path, "train/seqpan/shapes/full/seed0", 10.0)
    path = tmp_path / "benchmarks/train/seqpan/shapes/full/seed1.tsv"
    path.write_text(f"{HEAD}0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t-\t-\n")
    assert cost_of(study, tmp_path, "seqpan/shapes/full/seed0").seconds == {"train": 10.0}
