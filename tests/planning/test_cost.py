"""What is left to do costs what its like took: the same cell first, never another data set's."""

from pathlib import Path

import pytest

from tsgbench.config import load_study
from tsgbench.planning.cost import Cost, Measurements, estimate
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
        study, [study.find_key("train", key).record for key in keys], Measurements(study, logs)
    )


def test_the_nearest_measurements_count_and_their_mean(study, tmp_path):
    write(tmp_path, "train/seqpan/shapes/full/seed0", 10.0)
    write(tmp_path, "train/seqpan/shapes/full/seed1", 20.0)
    write(tmp_path, "train/seqpan/shapes/blind/seed0", 3.0)
    write(tmp_path / "other", "train/seqpan/shapes/full/seed0", 30.0)  # another study's folder
    full = cost_of(study, tmp_path, "seqpan/shapes/full/seed0")
    assert full.seconds == {"train": 20.0}
    # No such ablation was measured: the model's on this data set
    other = cost_of(study, tmp_path, "seqpan/shapes/mismatched/seed0")
    assert other.seconds == {"train": (10 + 20 + 3 + 30) / 4}


def test_what_was_never_measured_is_not_guessed(study, tmp_path):
    write(tmp_path, "train/seqpan/charades_sta/full/seed0", 1000.0)
    write(tmp_path, "train/cma/shapes/full/seed0", 1000.0)
    write(tmp_path, "evaluate/seqpan/shapes/full/seed0", 1000.0)
    found = cost_of(study, tmp_path, "seqpan/shapes/full/seed0")
    assert (found.unknown, found.measured, found.seconds) == ({"train": 1}, {}, {"train": 0.0})


def test_scores_are_a_job_of_their_own_where_the_cell_is_trained_already(study, tmp_path):
    write(tmp_path, "evaluate/seqpan/shapes/full/seed0", 5.0)
    due = [study.find_key("evaluate", "seqpan/shapes/full/seed0").record]
    assert estimate(study, due, Measurements(study, tmp_path)).seconds == {"evaluate": 5.0}


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
    found = estimate(study, due, Measurements(study, tmp_path))
    assert found.chain_s == 102.0 and found.memory_mb == 700 and found.jobs == 3
    assert found.wall_s(1) == 142.0 and found.wall_s(8) == 102.0


def test_a_job_that_snakemake_could_not_measure_is_left_out(study, tmp_path):
    write(tmp_path, "train/seqpan/shapes/full/seed0", 10.0)
    path = tmp_path / "benchmarks/train/seqpan/shapes/full/seed1.tsv"
    path.write_text(f"{HEAD}0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t-\t-\n")
    assert cost_of(study, tmp_path, "seqpan/shapes/full/seed0").seconds == {"train": 10.0}
