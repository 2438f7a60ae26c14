"""Extractions that one job makes in one pass over the videos that they share.

Which ones is for each run of the workflow to say, by what is due in it. It enters no identity: such
a job makes shards (features/shards.py), which the extractions go on from.
"""

from collections.abc import Iterable

from tsgbench.files import digest
from tsgbench.jobs.layout import Job
from tsgbench.planning.study import Study

SETTING = "together"  # in the study, under `resources: {extract: …}`
AND = "+"  # between the clips of a pass, in its key
LONGEST_NAME = 180  # of a file, with an identity and a number of shards behind it


def find_passes(study: Study, due: Iterable[str]) -> list[list[Job]]:
    """The extractions among some records, those in one list that are made in one pass.

    They read the same annotations and videos, and have the resources of their phase. One whose
    checkpoint is itself to be made goes alone: if it cannot be had, the others do without.
    """
    found: dict[tuple[str, ...], list[Job]] = {}
    is_on = study.config.get("resources", {}).get("extract", {}).get(SETTING, True)
    due = set(due)
    for job in (job for record, job in study.jobs.items() if record in due):
        if job.phase == "extract":
            is_alone = not is_on or job.inputs.get("checkpoint") in due
            shared = [path for role, path in job.inputs.items() if role != "checkpoint"]
            found.setdefault((*shared, *([job.key] if is_alone else [])), []).append(job)
    passes = [sorted(jobs, key=lambda job: job.key) for jobs in found.values()]
    return [
        part
        for jobs in passes
        for part in ([jobs] if len(key_of(jobs)) <= LONGEST_NAME else [[job] for job in jobs])
    ]


def key_of(jobs: list[Job]) -> str:
    """What a pass is called: `shapes/c3d_random_stats_w16s8+thumbnail_8x8_3fps`."""
    return f"{jobs[0].wildcards['dataset']}/{AND.join(job.wildcards['clips'] for job in jobs)}"


def jobs_of(study: Study, key: str) -> list[Job]:
    """The extractions of a pass, by its key; `UserError` for one that the study does not have."""
    dataset, _, clips = key.partition("/")
    return [study.find_key("extract", f"{dataset}/{name}") for name in clips.split(AND)]


def identity_of(study: Study, jobs: list[Job]) -> str:
    """16 hex digits over the identities of a pass's extractions; that of one alone is its own."""
    identities = [study.identity(job.record) for job in jobs]
    return identities[0] if len(identities) == 1 else digest(identities)
