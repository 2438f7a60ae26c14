"""What there is of every data set: splits, protocols, counts of rows, and the parts that are here.

Counts come from the record of the annotations step where it was made under the present settings;
otherwise the public files are read on the fly, from where downloads are kept or from a mirror.
"""

from pathlib import Path, PurePosixPath

from tsgbench.config import Catalogue, protocols_of, roles_of
from tsgbench.datasets.queries import Queries
from tsgbench.datasets.readers import read_annotations
from tsgbench.downloads import mirror_folder
from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS
from tsgbench.files import read_json
from tsgbench.jobs.layout import Layout
from tsgbench.jobs.records import read_record
from tsgbench.outside import load_named


def list_datasets(
    datasets: dict[str, dict],
    sources: dict[str, dict],
    records: dict[str, str],
    *,
    mirror: str | None = None,
    published: dict[str, dict] | None = None,
) -> dict[str, dict]:
    """Describe every data set of the catalogue.

    records: record paths by phase, with the placeholder `{dataset}` (`Layout.records`). mirror:
    folder with the relative paths of the folder of downloads (a URL is not looked into). published:
    the papers' files.
    Returns by data set: `title`, `note`, `policy`, `splits`, `protocols`, `followed_by` (protocol
    -> systems of the papers that got their numbers by it), `published`, `conventions`, `parts`
    (`annotations`, `videos`, `features`), `counted_from` (a record, "raw files" or None), `counts`
    (by split: `rows`, `kept`, `videos`, and `repaired` and `dropped` by reason; None where nothing
    could be read) and `problem` (why not, or None),
    and `durations` (features -> what the comparison of their time axis with the annotated durations
    gave, where a video differs).
    """
    folders = folders_of(records, mirror)
    listed = {}
    for name, entry in datasets.items():
        paths = {
            phase: Path(records[phase].format(dataset=name, features="any"))
            for phase in ("annotations", "render", "reduce")
        }
        files = find_files(entry, sources, folders, paths["render"])
        counts, counted_from, problem = None, None, _changed(entry, paths["render"])
        if not problem:
            counts, counted_from, problem = _count(entry, files, paths["annotations"])
        listed[name] = {
            "title": entry["title"],
            "note": " ".join(entry["note"].split()),
            "policy": entry.get("settings", {}).get("policy", "clip"),
            "splits": entry["splits"],
            "protocols": entry.get("protocols", {}),
            "followed_by": _followers(entry.get("published"), published or {}),
            "published": entry.get("published"),
            "conventions": entry.get("conventions", []),
            "parts": {
                "annotations": {role: str(path) if path else None for role, path in files.items()},
                "videos": _count_videos(entry, sources, folders, paths["render"]),
                "features": sorted(
                    path.stem
                    for path in paths["reduce"].parent.glob("*.json")
                    if not path.stem.endswith(".clips")
                ),
            },
            "durations": _durations(paths["reduce"].parent),
            "counted_from": counted_from,
            "counts": counts,
            "problem": problem,
        }
    return listed


def _followers(printed: str | None, published: dict[str, dict]) -> dict[str, list[str]]:
    """Protocol -> the systems of the papers whose numbers on a data set follow it."""
    systems: dict[str, list[str]] = {}
    for content in published.values():
        if stated := content["paper"].get("protocols", {}).get(printed):
            systems.setdefault(stated["protocol"], []).append(content["paper"]["system"])
    return systems


def folders_of(records: dict[str, str], mirror: str | None) -> list[Path]:
    """Where files are looked for: the folder of downloads, and a mirror that is a folder."""
    downloads = Path(records["download"]).parent
    folder = mirror_folder(mirror) if mirror else None
    return [downloads, *([folder] if folder else [])]


def find_files(
    dataset: dict, sources: dict[str, dict], folders: list[Path], render: Path
) -> dict[str, Path | None]:
    """The file of each role of the reader, None where it is not here."""
    if "generated" in dataset:
        made = {role: render.with_suffix("") / name for role, name in dataset["generated"].items()}
        return {role: path if path.is_file() else None for role, path in made.items()}
    path_of = {}
    for role, name in dataset["files"].items():
        source = _find_source(name, sources, f"files.{role}")
        # excerpts and substitutes stand for their source, as they do for downloads
        stated = [source, *source.get("excerpts", []), *source.get("substitutes", [])]
        paths = [folder / _file_of(entry) for entry in stated for folder in folders]
        path_of[role] = next((path for path in paths if path.is_file()), None)
    return path_of


def _file_of(source: dict) -> str:
    """Where a source of one file has it, below the folder of downloads."""
    members = source.get("package", {}).get("members", [])
    return "/".join([source["path"], *(PurePosixPath(one["member"]).name for one in members[:1])])


def read_tables(
    known: Catalogue, dataset: str, mirror: str | None
) -> tuple[dict[str, Queries], dict]:
    """The splits of a data set as a study reads them, from where downloads are kept or a mirror,
    and the report of `read_annotations`. `UserError` if its files are not here.
    """
    entry, records = known.datasets[dataset], Layout().records
    render = Path(records["render"].format(dataset=dataset))
    files = find_files(entry, known.sources, folders_of(records, mirror), render)
    here = {role: path for role, path in files.items() if path is not None}
    lacking = sorted(set(files) - set(here))
    if changed := _changed(entry, render):
        raise UserError(f"--dataset: {dataset}: {changed}; {_make(dataset)}")
    try:  # some readers do without some files
        return _read(entry, here)
    except UserError as error:
        if not lacking:
            raise
        remedy = (
            "get them, which `tsgbench sources` tells how, or name a folder that has them: --mirror"
            " FOLDER"
        )
        raise UserError(
            f"--dataset: {dataset}: its annotations are not all here ({error}); missing:"
            f" {', '.join(lacking)}; {_make(dataset) if 'generated' in entry else remedy}"
        ) from None


def _read(entry: dict, files: dict[str, Path]) -> tuple[dict[str, Queries], dict]:
    load_named(entry["reader"])
    return read_annotations(entry["reader"], files, settings=entry.get("settings", {}))


def _changed(entry: dict, record: Path) -> str | None:
    """What is wrong with the gathered files of a data set of one's own, if anything."""
    if "gather" not in entry or not record.is_file():
        return None
    if read_json(record).get("settings") == entry["gather"]:
        return None
    return "its files, or what the study says of them, have changed since they were gathered"


def _make(dataset: str) -> str:
    record = Layout().records["annotations"].format(dataset=dataset)
    return f"run snakemake --cores 8 {record}, with --configfile of the study that has it"


def _find_source(name: str, sources: dict[str, dict], where: str) -> dict:
    if name not in sources:
        raise UserError(
            f"config/datasets.yaml: {where}: source {name!r} is not in config/sources.yaml"
        )
    return sources[name]


def _count(
    entry: dict, files: dict[str, Path | None], record: Path
) -> tuple[dict | None, str | None, str | None]:
    """Counts by split, where they come from, and why there are none."""
    asked = {"reader": entry["reader"], "generated": entry.get("generated", {})}
    asked |= entry.get("settings", {})
    if record.is_file():
        content = read_json(record)
        if content.get("settings") == asked:
            return _shorten(content["facts"]), str(record), None
    present = {role: path for role, path in files.items() if path is not None}
    missing = sorted(files.keys() - present.keys())
    if missing:
        return None, None, f"not here: {', '.join(missing)}"
    try:
        _, report = _read(entry, present)
    except UserError as error:
        return None, None, str(error)
    return _shorten(report), "raw files", None


def _shorten(report: dict) -> dict[str, dict]:
    """The counts of a report, without the lists of rows behind them."""
    return {
        split: {
            **{key: counted[key] for key in ("rows", "kept", "videos")},
            **{
                action: {reason: affected["count"] for reason, affected in counted[action].items()}
                for action in ("repaired", "dropped")
            },
        }
        for split, counted in report["splits"].items()
    }


def _count_videos(
    dataset: dict, sources: dict[str, dict], folders: list[Path], render: Path
) -> int:
    """Video files in the folder that the phase or the download of the videos fills."""
    if "generated" in dataset:
        searched = [render.with_suffix("") / "videos"]
    elif "videos" in dataset:
        source = _find_source(dataset["videos"], sources, "videos")
        inside = source.get("unpack", {}).get("into", source["path"])
        searched = [folder / inside for folder in folders]
    else:
        return 0
    counts = [
        sum(path.suffix.lower() in VIDEO_ENDINGS for path in folder.rglob("*"))
        for folder in searched
        if folder.is_dir()
    ]
    return max(counts, default=0)


def _durations(folder: Path) -> dict[str, dict]:
    """What the records of a data set's features say of videos that do not last as annotated."""
    compared = {}
    for path in sorted(folder.glob("*.json")):
        try:
            facts = read_record(path).facts.get("durations")
        except UserError:  # whoever needs the features says so
            continue
        if facts and facts["differ"] and not path.stem.endswith(".clips"):
            compared[path.stem] = facts
    return compared


def as_text(listed: dict[str, dict]) -> str:
    """The list for a person: one paragraph a data set."""
    return "\n".join("\n".join(_paragraph(name, entry)) for name, entry in listed.items())


def _paragraph(name: str, entry: dict) -> list[str]:
    files = entry["parts"]["annotations"]
    here = sum(path is not None for path in files.values())
    features = ", ".join(entry["parts"]["features"]) or "none"
    videos = entry["parts"]["videos"] or "none"
    lines = [
        f"{name}: {entry['title']}",
        f"    here: {here} of {len(files)} annotation files; videos: {videos};"
        f" features: {features}",
    ]
    for features_name, facts in entry["durations"].items():
        named = "; ".join(facts["first"])
        more = ", …" if facts["differ"] > len(facts["first"]) else ""
        lines.append(
            f"    {features_name}: {facts['differ']:,} of {facts['compared']:,} videos do not last"
            f" as long as annotated ({named}{more})"
        )
    for protocol, splits in protocols_of(entry).items():
        papers = ", ".join(entry["followed_by"].get(protocol, []))
        lines.append(f"    {protocol}{f' ({papers})' if papers else ''}: {_protocol(splits)}")
    if entry["counts"] is None:
        return [*lines, f"    no counts ({entry['problem']})", ""]
    lines.append(f"    {'split':12}{'rows':>8}{'kept':>8}{'videos':>8}  policy {entry['policy']}")
    for split, counted in entry["counts"].items():
        numbers = "".join(f"{counted[key]:8,}" for key in ("rows", "kept", "videos"))
        changed = [
            f"  {action} {count:,}: {reason}"
            for action in ("dropped", "repaired")
            for reason, count in counted[action].items()
        ]
        lines.append(f"    {split:12}{numbers}{''.join(changed[:1])}")
        lines += [" " * 40 + line for line in changed[1:]]
    return [*lines, ""]


def _protocol(splits: dict) -> str:
    roles = roles_of(splits)
    parts = [
        f"trains on {' + '.join(roles['train'])}",
        f"selects on {' + '.join(roles['select'])}" if roles["select"] else "keeps the last epoch",
        f"tests on {' + '.join(roles['test'])}",
    ]
    if splits.get("score"):
        parts.append(f"scored apart: {', '.join(splits['score'])}")
    return ", ".join(parts) + (" (a published practice)" if splits.get("official") else "")
