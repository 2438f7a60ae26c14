"""Trainings of a whole run share a GPU as the study and their measured memory allow.

The GPU is made up: only what lists GPUs and what reads their memory is replaced, by an edit of the
copy's source that changes no identity. That it trains on a CPU is all that is not as on a GPU.
"""

import json
from datetime import datetime

import pytest
import yaml

from workflow.conftest import Project

pytestmark = pytest.mark.slow

CELLS = "results/cells/seqpan/shapes/full"
LISTING = "    count = torch.cuda.device_count() if torch.cuda.is_available() else 0\n"
PEAK = '    if device.type != "cuda":\n        return None\n'
WAITS = "waiting for room on one of 1 GPUs"


@pytest.fixture
def with_gpu(project, tmp_path) -> Project:
    """The miniature with four seeds and two trainings at a time, on a machine with a GPU."""
    devices = "src/tsgbench/training/devices.py"
    project.edit(devices, LISTING, f'    return [Gpu("made-up", 10_000, "cpu")]\n{LISTING}')
    project.edit(devices, PEAK, "    return 4000\n")
    project.edit("src/tsgbench/running/job.py", 'timespec="seconds"', 'timespec="milliseconds"')
    project.edit("config/demo.yaml", "ablations: [full], seeds: [0]", "seeds: [0, 1, 2, 3]")
    project.env["TMPDIR"] = str(tmp_path)
    project.env["TSGBENCH_DEVICE"] = ""
    return project


def reserve(project: Project, **more) -> None:
    study = project.folder / "config/demo.yaml"
    train = {"threads": 1, "mem_mb": 1000, **more}
    content = yaml.safe_load(study.read_text()) | {"resources": {"train": train}}
    study.write_text(yaml.safe_dump(content))


def train(project: Project, *seeds: int) -> None:
    made = [f"{CELLS}/seed{seed}/run.json" for seed in seeds]
    project.snakemake("--forcerun", "train", "--", *made)


def most_at_once(project: Project, *seeds: int) -> int:
    """Trainings that ran at the same time, each from when it had its share on."""
    spans = []
    for seed in seeds:
        made = json.loads(project.read(f"{CELLS}/seed{seed}/run.json"))["made"]
        ended = datetime.fromisoformat(made["at"]).timestamp()
        spans.append((ended - made["seconds"], ended))
    return max(sum(begun <= at < ended for begun, ended in spans) for at, _ in spans)


def logs(project: Project, *seeds: int) -> list[str]:
    return [project.read(f"logs/train/seqpan/shapes/full/seed{seed}.log") for seed in seeds]


def test_trainings_share_a_gpu_only_where_they_may(with_gpu):
    reserve(with_gpu)
    train(with_gpu, 1, 2, 3)
    assert most_at_once(with_gpu, 1, 2, 3) == 1
    waited = [log.count(WAITS) for log in logs(with_gpu, 1, 2, 3)]
    assert max(waited) == 1 and sum(waited) >= 1
    made = json.loads(with_gpu.read(f"{CELLS}/seed1/run.json"))["made"]
    assert made["gpu_memory_mb"] == 4000
    # Two fit by what others of the row took; nothing is stale for it
    reserve(with_gpu, slots_per_gpu="auto")
    assert with_gpu.planned(f"{CELLS}/seed1/run.json") == {}
    train(with_gpu, 1, 2)
    assert most_at_once(with_gpu, 1, 2) == 2
    assert not any(WAITS in log for log in logs(with_gpu, 1, 2))
