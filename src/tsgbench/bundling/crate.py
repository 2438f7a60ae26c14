"""A Workflow Run RO-Crate (profile "Workflow Run Crate" 0.5) of what was run.

Why not the finer profile, "Provenance Run Crate": it tells one execution of the workflow engine,
with the steps that the engine orchestrated. Records know each job, but not which call of Snakemake
ran it, nor its version: results grow over many calls, some by hand (`tsgbench job`), some taken
over from another study. So each job is an action of its own, whose instrument is the code of its
phase, and the workflow's action says that the targets came from the configuration and the sources,
from the first job's start to the last one's end.
"""

import base64
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from tsgbench import __version__
from tsgbench.bundling import names
from tsgbench.bundling.checklist import commits_of
from tsgbench.bundling.contents import SNAKEFILE, Contents, File, Result
from tsgbench.bundling.croissant import FORMATS
from tsgbench.bundling.software import SPDX, UNKNOWN, code_licence
from tsgbench.errors import UserError

RO_CRATE = "https://w3id.org/ro/crate/1.1"
TERMS = "https://w3id.org/ro/terms/workflow-run#"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles"
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
STUDY_INPUT, RESULT_OUTPUT = "#input-study", "#output-results"
MORE_FORMATS = {
    ".md": "text/markdown",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
    ".parquet": "application/vnd.apache.parquet",
}
COMPLETED = "http://schema.org/CompletedActionStatus"
Entity = dict[str, Any]


def describe_run(contents: Contents, added: dict[str, tuple[str, int]]) -> Entity:
    """`ro-crate-metadata.json`. added: what the bundle adds: path -> SHA-256 and bytes."""
    run = _run(contents)
    actions = [run, *(_action(contents, result) for result in contents.results.values())]
    files = [_workflow(contents), *_files(contents)]
    files += [_added(path, *measure) for path, measure in added.items()]
    _mark_parameters(files, run)
    graph = [
        _descriptor(),
        _root(contents, files, actions),
        *files,
        *_context_entities(),
        *actions,
    ]
    return {
        "@context": [f"{RO_CRATE}/context", {"sha256": f"{TERMS}sha256"}],
        "@graph": [_compact(entity) for entity in graph],
    }


def _compact(entity: Entity) -> Entity:
    """As JSON-LD has it compacted: one value without its list; nothing without a value."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in entity.items()
        if value not in (None, "", [])
    }


def _descriptor() -> Entity:
    return {
        "@id": names.CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [{"@id": RO_CRATE}, {"@id": WORKFLOW_CRATE}],
    }


def _root(contents: Contents, files: list[Entity], actions: list[Entity]) -> Entity:
    study = contents.study
    what = "Results on generated demo data" if study.config.get("demo") else "Results"
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Study {study.name}: {study.config['title']}",
        "description": f"{what} of temporal sentence grounding, with the workflow, code and"
        " configuration that made them, and the record of every job.",
        "datePublished": _ends(contents)[1],  # a crate must have one: of the last result
        "license": {"@id": names.LICENCES},
        "conformsTo": [{"@id": profile} for profile in PROFILES],
        "mainEntity": {"@id": SNAKEFILE},
        "hasPart": _refer(files),
        "mentions": _refer(actions),
    }


def _workflow(contents: Contents) -> Entity:
    (file,) = (file for file in contents.code if file.path == SNAKEFILE)
    workflow = {
        **_file(file),
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "tsgbench: from raw video to tables of temporal sentence grounding",
        "conformsTo": {"@id": f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"},
        "programmingLanguage": {"@id": LANGUAGE},
        "version": _version(contents),
        "input": {"@id": STUDY_INPUT},
        "output": {"@id": RESULT_OUTPUT},
    }
    if code_licence() != UNKNOWN:
        workflow["license"] = {"@id": f"{SPDX}{code_licence()}"}
    return workflow


def _context_entities() -> list[Entity]:
    """Profiles, the workflow's language and parameters, the licence, the engine."""
    entities: list[Entity] = [
        {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
        for profile, (name, version) in PROFILES.items()
    ]
    entities.append(
        {
            "@id": LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
            "url": {"@id": "https://snakemake.readthedocs.io"},
        }
    )
    for name, title in ((STUDY_INPUT, "study"), (RESULT_OUTPUT, "results")):
        entities.append(
            {
                "@id": name,
                "@type": "FormalParameter",
                "additionalType": "File",
                "name": title,
                "conformsTo": {"@id": f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"},
            }
        )
    if code_licence() != UNKNOWN:
        entities.append(
            {
                "@id": f"{SPDX}{code_licence()}",
                "@type": "CreativeWork",
                "name": code_licence(),
                "description": "Licence of the code",
            }
        )
    return entities


def _mark_parameters(files: list[Entity], run: Entity) -> None:
    """Say which files stand for the workflow's parameters."""
    results = {reference["@id"] for reference in run["result"]}
    for entity in files:
        if entity["@id"] == names.STUDY:
            entity["exampleOfWork"] = {"@id": STUDY_INPUT}
        elif entity["@id"] in results:
            entity["exampleOfWork"] = {"@id": RESULT_OUTPUT}


def _run(contents: Contents) -> Entity:
    """The workflow's execution, over all calls."""
    start, end = _ends(contents)
    asked = [contents.results[path] for path in contents.targets]
    made = [file for result in asked for file in (result.record_file, *result.files)]
    sources = [one.record_file for one in contents.results.values() if not one.job.inputs]
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run of study {contents.study.name}",
        "description": f"{len(contents.results)} jobs, in one or more calls of Snakemake or by"
        " hand: records do not tell which.",
        "instrument": {"@id": SNAKEFILE},
        "object": [{"@id": names.STUDY}, *_refer(map(_file, sources))],
        "result": _unique(_refer(map(_file, made))),
        "startTime": start,
        "endTime": end,
        "actionStatus": COMPLETED,
    }


def _action(contents: Contents, result: Result) -> Entity:
    """One job. Its inputs are named by their records, which list their files."""
    content, job = result.record.content, result.job
    made = content.get("made", {})
    said = [f"identity {content['identity']}", f"code {content.get('code')}"]
    said += [f"commit {made['git_commit']}"] if made.get("git_commit") else []
    said += [f"taken over from {made['taken_over']}"] if "taken_over" in made else []
    action = {
        "@id": f"#{job.phase}/{job.key}",
        "@type": "CreateAction",
        "name": f"{job.phase} {job.key}",
        "description": "; ".join(said),
        "instrument": {"@id": _phase_code(result)},
        "object": _refer(
            _file(contents.results[path].record_file) for path in dict.fromkeys(job.inputs.values())
        ),
        "result": _unique(_refer(map(_file, (result.record_file, *result.files)))),
        "actionStatus": COMPLETED,
    }
    if times := _times(result):
        action |= {"startTime": _iso(times[0]), "endTime": _iso(times[1])}
    return action


def _files(contents: Contents) -> list[Entity]:
    """All files but the workflow's; those of one content that are not packed are one."""
    entities: dict[str, Entity] = {}
    phases = {_phase_code(result) for result in contents.results.values()}
    for file in contents.files:
        entity = _file(file)
        if file.path in phases:
            entity["@type"] = ["File", "SoftwareSourceCode"]
            entity["version"] = _version(contents)
        known = entities.setdefault(entity["@id"], entity)
        if known is not entity:
            known["alternateName"] = [*known.get("alternateName", []), file.path]
    entities.pop(SNAKEFILE)
    return list(entities.values())


def _file(file: File) -> Entity:
    """A file; what is not packed is called by its digest (RFC 6920), and by its path beside
    that."""
    entity: Entity = {
        "@id": quote(file.path, safe="/@") if file.is_packed else _name_of(file.sha256),
        "@type": "File",
        "name": file.path,
        "contentSize": str(file.bytes),
        "encodingFormat": _format(file.path),
        "sha256": file.sha256,
    }
    if not file.is_packed:
        entity["description"] = "Not packed: known by its SHA-256 and size"
    return entity


def _added(path: str, sha256: str, size: int) -> Entity:
    about = names.ABOUT.get(path, "Croissant metadata of a data set or a feature file")
    return {
        "@id": path,
        "@type": ["File", "CreativeWork"] if path == names.LICENCES else "File",
        "name": path,
        "description": about,
        "contentSize": str(size),
        "encodingFormat": _format(path),
        "sha256": sha256,
        "about": {"@id": "./"} if path == names.README else None,
    }


def _version(contents: Contents) -> str:
    return ", ".join([__version__, *(f"commit {commit}" for commit in commits_of(contents))])


def _phase_code(result: Result) -> str:
    return f"src/tsgbench/phases/{result.job.phase}.py"


def _name_of(sha256: str) -> str:
    coded = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{coded}"


def _format(path: str) -> str:
    ending = f".{path.rpartition('.')[2]}"
    return {**FORMATS, **MORE_FORMATS}.get(ending, "application/octet-stream")


def _refer(entities: Any) -> list[Entity]:
    return [{"@id": entity["@id"]} for entity in entities]


def _unique(references: list[Entity]) -> list[Entity]:
    return list({reference["@id"]: reference for reference in references}.values())


def _times(result: Result) -> tuple[datetime, datetime] | None:
    """When a job began and ended; None where its record does not say."""
    made = result.record.content.get("made", {})
    if "at" not in made:
        return None
    end = datetime.fromisoformat(made["at"])
    return end - timedelta(seconds=made.get("seconds", 0)), end


def _ends(contents: Contents) -> tuple[str, str]:
    """When the first job began, and the last one ended."""
    times = [span for span in map(_times, contents.results.values()) if span]
    if not times:
        raise UserError(
            f"{contents.targets[0]}: made: no record says when its result was made, which a crate"
            " must; run snakemake --cores 8 --forceall"
        )
    return _iso(min(start for start, _ in times)), _iso(max(end for _, end in times))


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
