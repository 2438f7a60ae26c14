"""The GPU that a job computes on: its share of one, by what its like took before."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.jobs.cells import is_trained
from tsgbench.jobs.layout import Job, Layout, studies_with_cells
from tsgbench.jobs.records import read_record
from tsgbench.planning.measurements import alike, size_of
from tsgbench.planning.study import Study
from tsgbench.training.slots import Need

COMPUTING = ("train", "extract", "inspect", "measure")  # phases that ask for a device
CELLS = ("train", "inspect")  # of these, what `VARIABLE` is said of
ALONE = "measure"  # of a GPU that others use it would measure another speed
SETTING = "slots_per_gpu"  # in the study, under `resources`
AUTO = "auto"
VARIABLE = "TSGBENCH_SLOTS_PER_GPU"
TOOK = "gpu_memory_mb"  # in a record, under `made`


@contextmanager
def with_gpu(study: Study, job: Job, made: dict[str, Any], *others: Job) -> Iterator[None]:
    """Hold the job's share of a GPU; its phase, which asks again, gets the same. Waits for it.

    made: is told what the job took of the GPU's memory. others: what is computed in the same pass.
    A baseline computes on the CPU.
    """
    if job.phase not in COMPUTING:
        yield
        return
    import torch  # late: most jobs do without

    from tsgbench.training import devices

    if job.phase == "train" and not is_trained(job.settings):
        with _on_cpu(devices.VARIABLE):
            yield
        return
    device = devices.choose_device(lambda: _need(study, job, *others))
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{job.phase} {job.key}: the GPU's memory is full ({str(error).partition('. ')[0]});"
            f" let fewer jobs share it (resources.{job.phase}.slots_per_gpu in the study),"
            f"{' let each have a pass of its own (together: false there),' if others else ''} or"
            " choose smaller batches"
        ) from error
    if job.phase != ALONE and (took := devices.peak_mb(device)):  # that one counts peaks anew
        made[TOOK] = took


@contextmanager
def _on_cpu(variable: str) -> Iterator[None]:
    """Unless the environment says otherwise."""
    if os.environ.get(variable):
        yield
        return
    os.environ[variable] = "cpu"
    try:
        yield
    finally:
        del os.environ[variable]


def _need(study: Study, job: Job, *others: Job) -> Need:
    """By the phase's own setting; of a cell by its training's, too, and by this machine's."""
    stated = study.config.get("resources", {})
    is_cell = job.phase in CELLS
    own, usual = (stated.get(name, {}).get(SETTING) for name in (job.phase, "train"))
    if job.phase == ALONE:
        return Need()
    slots = _slots(own or (is_cell and usual) or 1, is_cell=is_cell)
    if slots == 1:
        return Need(slots)
    measured = [measured_mb(each) for each in (job, *others)]
    known = [each for each in measured if each is not None]
    return Need(slots, sum(known) if len(known) == len(measured) else None)


def _slots(stated: int | str, *, is_cell: bool) -> int | None:
    """As the study states it, or of cells the environment; `UserError` if that is neither."""
    text = (os.environ.get(VARIABLE) if is_cell else None) or str(stated)
    if text != AUTO and not (text.isdecimal() and int(text)):
        raise UserError(f"{VARIABLE}: {text!r} is neither a number from 1 on nor {AUTO}")
    return None if text == AUTO else int(text)


def measured_mb(job: Job) -> int | None:
    """The most that jobs like it took of a GPU's memory; None if none was measured.

    Of a cell: of the same one, set the same, in any study; else, in its own, of the same model,
    data set and ablation, or of the same model and data set.
    """
    kin = [
        {name: job.wildcards[name] if name in names else "*" for name in job.wildcards}
        for names in alike(job.wildcards)
    ]
    everywhere = [Layout(study).records[job.phase] for study in studies_with_cells()]
    size = size_of(job.wildcards, job.settings)
    looked_at = [(everywhere, kin[0], size)] if size else []
    looked_at += [([job.layout.records[job.phase]], each, "") for each in kin]
    for patterns, known, size in looked_at:
        paths = [path for pattern in patterns for path in Path().glob(pattern.format(**known))]
        if found := list(_took(paths, job.wildcards, size)):
            return max(found)
    return None


def _took(paths: Iterable[Path], wildcards: dict[str, str], size: str) -> Iterator[int]:
    """What records say that their jobs took. size: of those that count; empty: all."""
    for path in paths:
        try:
            content = read_record(path).content
        except UserError:  # whoever reads its result will say so
            continue
        took = content.get("made", {}).get(TOOK)
        if took and (not size or size == size_of(wildcards, content.get("settings", {}))):
            yield int(took)
