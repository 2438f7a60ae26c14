"""One job a GPU, however jobs end."""

import multiprocessing

import torch

from tsgbench.devices import choose_device, lock_gpu


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
