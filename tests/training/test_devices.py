"""Which processor a job gets, and what becomes of the memory that it frees."""

import multiprocessing
import platform
import resource
from types import SimpleNamespace

import pytest
import torch

from tsgbench.errors import UserError
from tsgbench.training import devices, slots
from tsgbench.training.devices import choose_device
from tsgbench.training.slots import Gpu


def test_the_environment_overrides(monkeypatch):
    monkeypatch.setenv("TSGBENCH_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")


def test_without_a_gpu_the_cpu_is_chosen(monkeypatch):
    monkeypatch.delenv("TSGBENCH_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """A machine whose scheduler shows this job two of its GPUs; nobody holds them."""
    monkeypatch.delenv("TSGBENCH_DEVICE", raising=False)
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda k: SimpleNamespace(uuid=f"gpu-{'ab'[k]}", total_memory=(k + 1) << 30),
    )
    yield
    slots._held.clear()


def test_gpus_are_known_by_their_own_names_and_memory(two_gpus):
    """Numbers depend on what a job is shown."""
    assert devices.list_gpus() == [Gpu("gpu-a", 1024, "cuda:0"), Gpu("gpu-b", 2048, "cuda:1")]


def test_a_gpu_that_another_job_holds_is_passed_over(two_gpus, caplog):
    others = []
    for taken in range(2):
        assert choose_device() == torch.device("cuda", taken)
        others.append(dict(slots._held))  # open, so locked, but not ours any more
        slots._held.clear()
    assert not caplog.records
    # A person's own question is answered all the same
    assert choose_device(waits=False).type == "cuda"
    assert "other jobs use the GPU" in caplog.text


def _faults_per_step(answers, keeps):
    if keeps:
        devices.keep_freed_memory()
    for step in range(12):
        if step == 2:  # the first ones grow the heap
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = [torch.ones(1 << 20) for _ in range(64)]  # 4 MB each
        del held
    answers.put((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_freed_memory_is_used_again():
    """Counted in page faults: as it is, each step takes its memory from the kernel anew."""
    context, faults = multiprocessing.get_context("spawn"), []
    for keeps in (False, True):
        answers = context.Queue()
        job = context.Process(target=_faults_per_step, args=(answers, keeps))
        job.start()
        faults.append(answers.get())
        job.join()
    assert 10 * faults[1] < faults[0]


@pytest.mark.parametrize("wanted", ["tpu", "cuda:x", "gpu 0", "cuda:77"])
def test_a_device_that_is_not_here_is_one_sentence(wanted, monkeypatch):
    """It was PyTorch's own traceback, in a training only after its data was read."""
    monkeypatch.setenv("TSGBENCH_DEVICE", wanted)
    with pytest.raises(UserError, match=f"TSGBENCH_DEVICE: '{wanted}': no device") as refused:
        choose_device(waits=False)
    assert "\n" not in str(refused.value) and "leave it unset" in str(refused.value)
