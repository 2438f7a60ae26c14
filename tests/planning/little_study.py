"""A study of one cell and one table, its results made by hand: for tests of what is current."""

from pathlib import Path

from tsgbench.jobs.records import read_record, write_record
from tsgbench.planning.study import Study

CELL = "results/little/cells/prior/shapes/full/seed0"
RUN, METRICS, TABLE = f"{CELL}/run.json", f"{CELL}/metrics.json", "results/little/table1.json"
CONFIG = {
    "study": "little",
    "title": "little",
    "demo": True,
    "datasets": {"shapes": {"features": "blank_i3d_w16s8", "vectors": "learned"}},
    "systems": [{"model": "prior", "seeds": [0]}],
    "tables": {"table1": {"metrics": ["mIoU"]}},
}


def make(study: Study, record: str, content: str = "made") -> None:
    job = study.jobs[record]
    for path in map(Path, job.files.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    write_record(
        record,
        phase=job.phase,
        key=job.key,
        identity=study.identity(record),
        settings=job.settings,
        code=job.code,
        inputs={role: read_record(path) for role, path in job.inputs.items()},
        files=[Path(path) for path in job.files.values()],
        facts={"content": content},
        made={},
    )


def make_all(study: Study) -> None:
    """Every result of a study, each with the content "made"."""
    for job in study.jobs.values():
        make(study, job.record)
