"""The compute report: sums of what records say, and nothing that they do not."""

from pathlib import Path

import pytest

from tsgbench.bundling.compute import as_text, of_hours, report_compute
from tsgbench.jobs.records import Record


def record(phase: str, key: str, seconds: float | None, **facts) -> Record:
    made = {} if seconds is None else {"seconds": seconds}
    return Record(Path("run.json"), {"phase": phase, "key": key, "made": made, "facts": facts})


CPU, GPU = "some CPU, 2 of 8 CPU threads", "some GPU"
VERSIONS = {"torch": "2.6.0", "python": "3.11.7"}
RECORDS = [
    record("extract", "shapes/c3d", 1800, device="cpu"),
    record("train", "seqpan/shapes/full/seed0", 3600, device="cpu", hardware=CPU,
           epoch_seconds=[1000, 2000], versions=VERSIONS),
    record("train", "seqpan/shapes/blind/seed0", 7200, device="cuda:0", hardware=GPU,
           epoch_seconds=[3600, 3600, 3600], versions=VERSIONS),
    record("evaluate", "seqpan/shapes/full/seed0", 9),
    record("table", "table1", None),
]  # fmt: skip


def test_hours_are_summed_by_phase_and_model_and_hardware():
    found = report_compute(RECORDS)
    assert found["total"]["jobs"] == 5
    assert found["total"]["hours"] == pytest.approx((1800 + 3600 + 7200 + 9) / 3600, abs=1e-6)
    assert found["total"]["gpu_hours"] == 2.0
    rows = {(row["phase"], row["model"]): row for row in found["by_phase"]}
    assert list(rows) == [
        ("extract", None),
        ("train", "seqpan"),
        ("evaluate", "seqpan"),
        ("table", None),
    ]
    trained = rows["train", "seqpan"]
    assert trained["jobs"] == 2 and trained["hours"] == 3.0 and trained["gpu_hours"] == 2.0
    # More than the job's own time: one was killed, and went on
    assert trained["hours_in_epochs"] == pytest.approx(13800 / 3600)
    assert trained["hardware"] == [CPU, GPU]
    machines = {row["hardware"]: row["jobs"] for row in found["by_hardware"]}
    assert machines == {CPU: 1, GPU: 1, "not recorded": 3}
    assert found["software"] == ["python 3.11.7", "torch 2.6.0"]


def test_what_is_not_known_is_said_and_not_guessed():
    found = report_compute(RECORDS)
    assert found["energy"] == {"kwh": None, "said": "not measured"}
    assert found["total"]["jobs_of_unknown_time"] == 1
    said = as_text(found)
    assert "Energy: not measured." in said and "1 jobs do not say how long they took" in said
    nothing = as_text(report_compute([]))
    assert "0 jobs took 0 s" in nothing and "not recorded" in nothing


@pytest.mark.parametrize(
    ("hours", "said"),
    [(0, "0 s"), (0.08 / 3600, "0.1 s"), (40 / 3600, "40 s"), (0.5, "30 min"), (26, "26 h 00 min")],
)
def test_spans_are_in_units_that_people_use(hours, said):
    assert of_hours(hours) == said
