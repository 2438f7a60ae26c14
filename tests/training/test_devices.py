"""One job a GPU, however jobs end."""

import multiprocessing
import platform
import resource
from types import SimpleNamespace

import pytest
import torch

from tsgbench.training import devices
from tsgbench.training.devices import choose_device, lock_gpu


def _lock(folder, answers):
    answers.put(lock_gpu("0", folder))


def test_a_gpu_is_locked_once_and_freed_when_its_job_ends(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    for _ in range(2):  # one after the other: each finds it free
        job = context.Process(target=_lock, args=(tmp_path, answers))
        job.start()
        job.join()
        assert answers.get() is True
    assert lock_gpu("0", tmp_path)
    job = context.Process(target=_lock, args=(tmp_path, answers))
    job.start()
    job.join()
    assert answers.get() is False


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
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda k: SimpleNamespace(uuid=f"gpu-{'ab'[k]}")
    )
    yield
    while devices._held:
        devices._held.pop().close()


def test_jobs_take_one_gpu_each_and_then_share(two_gpus, caplog):
    """Locks are by the GPU's own name: numbers depend on what a job is shown."""
    assert [choose_device() for _ in range(2)] == [torch.device("cuda", k) for k in (0, 1)]
    assert not caplog.records
    assert choose_device().index in (0, 1)
    assert "all 2 GPUs are in use" in caplog.text


def test_a_gpu_that_another_job_holds_is_passed_over(two_gpus):
    assert lock_gpu("gpu-a")
    assert choose_device() == torch.device("cuda", 1)


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
