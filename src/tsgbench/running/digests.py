"""Whether a result is what its record says, and of the inputs and settings that the study has."""

import math
from collections.abc import Iterator
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.jobs.layout import Job
from tsgbench.jobs.records import Record, damages, digest_of, read_record
from tsgbench.planning.accepting import differences, in_short
from tsgbench.planning.study import Study


def objections(study: Study, job: Job, record: Record) -> Iterator[str]:
    """What is wrong with a result, in words; nothing where all is as it should be.

    Every file is read whole, however large.
    """
    content = record.content
    if (content.get("phase"), content.get("key")) != (job.phase, job.key):
        yield f"is the record of {content.get('phase')} {content.get('key')!r}"
    if content["digest"] != digest_of(content["outputs"], content["facts"]):
        yield "digest: is not that of the files it lists; the record was edited"
    yield from damages(record, max_hashed=math.inf)
    changed = list(differences(content.get("settings"), job.settings))
    if changed and not record.stands_for(study.identity(job.record)):
        yield f"made with other settings than the study's: {in_short(changed)}; run snakemake"
    yield from _inputs(job, record)


def _inputs(job: Job, record: Record) -> Iterator[str]:
    """Inputs that are here and not those that the result was made from."""
    recorded = record.content["inputs"]
    if recorded.keys() != job.inputs.keys():
        names = sorted(recorded.keys() ^ job.inputs.keys())
        yield f"made from other inputs than the study's: {', '.join(names)}; run snakemake"
        return
    for role, path in job.inputs.items():
        if not Path(path).exists():
            continue
        try:
            held = read_record(path)
        except UserError:  # found wrong by itself
            continue
        if held.digest != recorded[role].get("digest"):
            yield f"made from another {path} than is here ({role}); run snakemake"
