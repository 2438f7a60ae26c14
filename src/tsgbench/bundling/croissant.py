"""Croissant 1.0 metadata of data sets and feature files.

What a source does not state (a creator, a date of publication) is left out and not invented, though
Croissant recommends it. A file of a source has its first address as `contentUrl`; others lie where
that says, seen from the sheet, in the bundle or, if they are not packed, in the project.
"""

import json
from typing import Any

from tsgbench.bundling.contents import Contents, File, Result
from tsgbench.bundling.software import UNKNOWN, licences_of
from tsgbench.planning.accepting import with_ancestors

CONFORMS = "http://mlcommons.org/croissant/1.0"
# As the specification gives it, which asks for it whole
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FORMATS = {
    ".jsonl": "application/jsonlines",
    ".json": "application/json",
    ".csv": "text/csv",
    ".h5": "application/x-hdf5",
    ".mp4": "video/mp4",
    ".avi": "video/x-msvideo",
}
# Of a query: column -> type, and what it is
FIELDS = {
    "query_id": ("sc:Text", "Name of the query."),
    "video_id": ("sc:Text", "Name of the video."),
    "sentence": ("sc:Text", "What is looked for."),
    "duration_s": ("sc:Float", "Duration of the video, in seconds."),
    "start_s": ("sc:Float", "Start of the moment, in seconds."),
    "end_s": ("sc:Float", "End of the moment, in seconds."),
}
FEATURES = ("extract", "reduce", "released", "blank")


def describe_data(contents: Contents) -> dict[str, dict[str, Any]]:
    """Name (`shapes`, `shapes.c3d_…`) -> metadata, of all data sets and feature files."""
    sheets = {}
    for result in contents.of_phase("annotations"):
        sheets[result.job.wildcards["dataset"]] = _of_dataset(contents, result)
    for result in contents.of_phase(*FEATURES):
        sheet = _of_features(contents, result)
        sheets[sheet["name"]] = sheet
    return sheets


def _of_dataset(contents: Contents, result: Result) -> dict[str, Any]:
    """The queries of each split, as they are read; and the files that they come from."""
    name = result.job.wildcards["dataset"]
    entry = contents.study.catalogue.datasets[name]
    splits = [file for file in result.files if file.path.endswith(".jsonl")]
    used = {*result.job.inputs.values(), *_videos_of(contents, name)}
    files = [_file(file) for file in splits]
    for path in sorted(used & contents.results.keys()):
        files += _origin(contents, contents.results[path])
    about = entry.get("note") or entry["title"]
    return {
        **_head(name, entry["title"], about, _terms(contents, used)),
        "distribution": files,
        "recordSet": [_queries(file) for file in splits],
    }


def _of_features(contents: Contents, result: Result) -> dict[str, Any]:
    dataset = result.job.wildcards["dataset"]
    recipe = result.job.wildcards.get("features") or f"{result.job.wildcards['clips']}.clips"
    title = contents.study.catalogue.datasets[dataset]["title"]
    facts = result.record.facts
    size = ", ".join(
        f"{facts[name]:,} {said}"
        for name, said in (("videos", "videos"), ("rows", "rows"), ("dim", "numbers per row"))
        if isinstance(facts.get(name), int)
    )
    about = (
        f"Features of the videos of {title} by the recipe {recipe}: one HDF5 file, with the seconds"
        f" that each row stands for ({size or 'its record has the counts'}). Settings:"
        f" {json.dumps(result.record.content.get('settings'))}."
    )
    used = {*result.job.inputs.values(), *_videos_of(contents, dataset)}
    return {
        **_head(f"{dataset}.{recipe}", f"{recipe} of {title}", about, _terms(contents, used)),
        "distribution": [
            _file(result.record_file, "Settings, code, inputs and counts."),
            *(_file(file) for file in result.files),
        ],
    }


def _videos_of(contents: Contents, dataset: str) -> set[str]:
    """Records of what features of the data set were extracted from."""
    return {
        result.job.inputs["videos"]
        for result in contents.of_phase("extract")
        if result.job.wildcards["dataset"] == dataset
    }


def _origin(contents: Contents, result: Result) -> list[dict[str, Any]]:
    """The record of a source or of videos; and the file of a source that is one file."""
    listed = _file(result.record_file, "Lists its files with size and SHA-256.")
    source = contents.study.catalogue.sources.get(result.job.wildcards.get("source", ""), {})
    if len(result.files) != 1 or "urls" not in source:
        return [listed]
    return [listed, {**_file(result.files[0]), "contentUrl": source["urls"][0]}]


def _terms(contents: Contents, used: set[str]) -> str:
    """Terms of use of all that something is made from."""
    origins = with_ancestors(contents.study, used) if used else set()
    stated = [f"{row.name}: {row.terms}" for row in licences_of(contents) if row.record in origins]
    return "; ".join(stated) or UNKNOWN


def _head(name: str, title: str, about: str, terms: str) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": name,
        "alternateName": title,
        "description": about,
        "license": terms,
    }


def _file(file: File, about: str = "") -> dict[str, Any]:
    described = {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path.replace("/", "_"),
        "description": about or ("" if file.is_packed else "Not packed: by SHA-256 and size."),
        "contentUrl": f"../{file.path}",
        "contentSize": f"{file.bytes} B",
        "encodingFormat": FORMATS.get(file.location.suffix, "application/octet-stream"),
        "sha256": file.sha256,
    }
    return {name: value for name, value in described.items() if value}


def _queries(file: File) -> dict[str, Any]:
    split = file.location.stem
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "key": {"@id": f"{split}/query_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{column}",
                "name": f"{split}/{column}",
                "description": about,
                "dataType": kind,
                "source": {"fileObject": {"@id": file.path}, "extract": {"column": column}},
            }
            for column, (kind, about) in FIELDS.items()
        ],
    }
