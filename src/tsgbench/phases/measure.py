"""Measure one trained cell: size, seconds per query, memory.

Times are facts although they differ between equal runs, because the table prints them: they are in
the record's digest, so a table is written anew when a cell has been measured anew, and never shows
other numbers than the records it names. They are in no identity, so they make nothing run again by
themselves, and nothing but the efficiency table reads them.
"""

import os
import platform

import numpy as np
import torch

from tsgbench.phases import Outcome, Task
from tsgbench.training.cost import Subject, count_sizes, measure_memory, measure_times
from tsgbench.training.devices import choose_device, describe_hardware


def run(task: Task) -> Outcome:
    """facts: `sizes` (the same in every run), `seconds_per_query` and `memory` by batch size,
    `shapes` of the largest batch, and the machine.

    settings: the cell's own, as its training got them, and `batches`: sizes to measure.
    """
    torch.set_num_threads(max(1, min(task.threads, os.cpu_count() or 1)))
    settings, sizes = task.settings, task.settings["batches"]
    device = choose_device()
    memory = measure_memory(settings, task.inputs, device, sizes)
    subject = Subject.open(settings, task.inputs, device)
    with subject.cell:
        model = subject.model()
        asked = subject.batch(np.arange(min(max(sizes), len(subject.queries))))
        facts = {
            "sizes": count_sizes(model, subject.checkpoint),
            "seconds_per_query": measure_times(subject, model, sizes),
            "memory": memory,
            "shapes": {
                "queries": len(asked.dur),
                "clips": asked.video.shape[1],
                "clip_dim": asked.video.shape[2],
                "words": asked.tokens.shape[1],
                "width": settings["model_settings"].get("width"),
            },
            "device": str(device),
            "hardware": describe_hardware(device),
            "threads": torch.get_num_threads(),
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
        }
    return facts, []
