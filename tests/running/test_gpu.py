"""A job's share of a GPU follows the study, this machine and what its like took before."""

import json
from pathlib import Path

import pytest
import torch

from tsgbench.config import load_study
from tsgbench.errors import UserError
from tsgbench.planning.study import Study
from tsgbench.running import gpu
from tsgbench.running.gpu import measured_mb, with_gpu
from tsgbench.training import devices, slots
from tsgbench.training.slots import Gpu, Need

CELL = "seqpan/shapes/full/seed0"


@pytest.fixture(scope="module")
def demo() -> Study:
    config, source = load_study("config/demo.yaml")
    return Study(config, source=source)


@pytest.fixture
def study(demo, tmp_path, monkeypatch) -> Study:
    """On a machine with one GPU, in name, and no result of any job."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TSGBENCH_DEVICE", raising=False)
    monkeypatch.delenv(gpu.VARIABLE, raising=False)
    monkeypatch.setattr(demo, "config", demo.config | {"resources": {}})
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "list_gpus", lambda: [Gpu("gpu-a", 10_000, "cpu")])
    monkeypatch.setattr(devices, "peak_mb", lambda device: 2000)
    yield demo
    slots._held.clear()


def need(study: Study, phase: str = "train", key: str = CELL) -> Need:
    return gpu._need(study, study.find_key(phase, key))


def reserve(study: Study, **stated) -> None:
    study.config["resources"] = {phase: {"slots_per_gpu": n} for phase, n in stated.items()}


def write(path: str, made: dict, settings: dict | None = None) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    record = {"identity": "i", "digest": "d", "inputs": {}, "outputs": {}, "facts": {}}
    content = {"schema": 1, **record, "settings": settings or {}, "made": made}
    Path(path).write_text(json.dumps(content))


def took(cell: str, memory_mb: int, folder: str = "results", settings: dict | None = None) -> None:
    write(f"{folder}/cells/{cell}/run.json", {gpu.TOOK: memory_mb}, settings)


def test_a_gpu_is_one_jobs_unless_something_is_said(study):
    assert need(study) == Need(1, None)
    took(CELL, 500)
    assert need(study) == Need(1, None)


def test_speed_is_measured_on_a_gpu_of_its_own(study, monkeypatch):
    reserve(study, measure=4)
    monkeypatch.setenv(gpu.VARIABLE, "auto")
    assert need(study, "measure") == Need(1, None)
    made = {}
    with with_gpu(study, study.find_key("measure", CELL), made):
        assert "gpu-a" in slots._held
    assert not made


def test_the_study_says_and_this_machine_overrides_for_cells(study, monkeypatch):
    reserve(study, train=4, extract=2)
    assert need(study).slots == 4
    monkeypatch.setenv(gpu.VARIABLE, "auto")
    assert need(study).slots is None
    [extraction] = [job.key for job in study.jobs.values() if job.phase == "extract"][:1]
    assert need(study, "extract", extraction).slots == 2
    monkeypatch.setenv(gpu.VARIABLE, "0")
    with pytest.raises(UserError, match="TSGBENCH_SLOTS_PER_GPU: '0'"):
        need(study)


def test_memory_is_the_most_that_the_nearest_kin_took(study):
    job = study.find_key("train", CELL)
    assert measured_mb(job) is None
    took("cma/shapes/full/seed0", 9000)
    took("seqpan/charades_sta/full/seed0", 9000)
    assert measured_mb(job) is None
    took("seqpan/shapes/blind/seed1", 700)
    assert measured_mb(job) == 700
    took("seqpan/shapes/full/seed1", 400)
    assert measured_mb(job) == 400
    # Another study's counts where it is set the same, and then before its own kin
    small = {**job.settings, "train": {**job.settings["train"], "batch_size": 1}}
    took("seqpan/shapes/full/seed1", 50, folder="results/other", settings=small)
    assert measured_mb(job) == 400
    took("seqpan/shapes/full/seed2", 500, folder="results/other", settings=job.settings)
    assert measured_mb(job) == 500


def test_what_shares_a_pass_needs_the_memory_of_all(study, monkeypatch):
    """Extractions, say: their networks are there at once."""
    monkeypatch.setenv(gpu.VARIABLE, "auto")
    first, second = (study.find_key("train", cell) for cell in (CELL, "cma/shapes/full/seed0"))
    took(CELL, 500)
    assert gpu._need(study, first, second).memory_mb is None  # not known of one
    took("cma/shapes/full/seed0", 700)
    assert gpu._need(study, first, second).memory_mb == 500 + 700


def test_a_damaged_record_measures_nothing(study):
    took("seqpan/shapes/full/seed1", 400)
    took("seqpan/shapes/full/seed2", 9000)
    Path("results/cells/seqpan/shapes/full/seed2/run.json").write_text("{")
    assert measured_mb(study.find_key("train", CELL)) == 400


def test_a_job_holds_its_share_and_says_what_it_took(study):
    reserve(study, train=4)
    took(CELL, 3600)  # of 9000 that may be used
    made = {}
    with with_gpu(study, study.find_key("train", CELL), made):
        held = float(Path(slots._held["gpu-a"].name).read_text())
    assert held == pytest.approx(0.4) and made == {"gpu_memory_mb": 2000}


def test_baselines_and_tables_take_no_share(study):
    made = {}
    with with_gpu(study, study.find_key("train", "prior/shapes/full/seed0"), made):
        assert devices.choose_device() == torch.device("cpu")
    assert not made and not slots._held
    with with_gpu(study, study.find_key("table", "table1"), made):
        assert not slots._held


def test_a_full_gpu_is_named_with_its_remedy(study):
    with (
        pytest.raises(UserError, match=r"train seqpan.*resources.train.slots_per_gpu"),
        with_gpu(study, study.find_key("train", CELL), {}),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
