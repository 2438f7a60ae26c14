"""Data sets of one's own: annotation files beside a folder of videos, named in the study alone.

`own: {annotations: FILE, videos: FOLDER}` of a data set of a study stands for an entry of
config/datasets.yaml. Expanded, it is one whose videos and annotations the phase `gather` brings.
What the files hold is a setting, so that an edited file, or a video more, is taken up; where they
lie is none, so that they may move.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsgbench.errors import UserError
from tsgbench.files import digest, sha256_file
from tsgbench.files.access import named

if TYPE_CHECKING:
    from tsgbench.config.catalogue import Catalogue

FORM = ("columns", "delimiter", "encoding")
NOTE = "One's own data: splits and moments as its files say, not a public benchmark."


def expand_own(config: dict, catalogue: "Catalogue", source: str) -> tuple[dict, "Catalogue"]:
    """The study and the catalogue in which every data set of one's own has an entry.

    config: with checked sections. source: what to call it. `UserError` for a file or folder that is
    not here, and for a name that another data set has.
    """
    owned = {name: chosen["own"] for name, chosen in config["datasets"].items() if "own" in chosen}
    if not owned:
        return config, catalogue
    entries = dict(catalogue.datasets)
    for name, own in owned.items():
        where = f"{source}: datasets.{name}"
        if name in entries:
            raise UserError(f"{where}: is called like one of config/datasets.yaml; rename it")
        entries[name] = _entry(name, own, f"{where}.own")
    chosen = {
        name: {key: value for key, value in kept.items() if key != "own"}
        for name, kept in config["datasets"].items()
    }
    return {**config, "datasets": chosen}, replace(catalogue, datasets=entries)


def _entry(name: str, own: dict, where: str) -> dict:
    said = own["annotations"]
    paths = {"annotations": said} if isinstance(said, str) else dict(said)
    form = {key: own[key] for key in FORM if key in own}
    shares = own.get("shares", {})
    splits = own.get("splits") or _splits(paths, shares)
    files = {role: _file(role, path, where) for role, path in paths.items()}
    own_files = dict(paths)
    generated = {role: file["name"] for role, file in files.items()}
    gathered: dict[str, Any] = {"form": form, "files": files}
    if "videos" in own:
        own_files["videos"] = own["videos"]
        generated["durations"] = "durations.csv"
        gathered["videos"] = _videos(Path(own["videos"]), list(paths.values()), form, where)
    if shares and "annotations" not in paths:
        raise UserError(f"{where}.shares: each split has a file already; leave it out")
    return {
        "title": own.get("title", name),
        "reader": "table",
        "files": {},
        "gather": gathered,
        "own_files": own_files,
        "generated": generated,
        "settings": {
            "policy": own.get("policy", "clip"),
            **form,
            **{f"{split}_share": share for split, share in shares.items()},
            **({"split_seed": own["split_seed"]} if "split_seed" in own else {}),
            "splits": _named(splits),
        },
        "splits": splits,
        "conventions": own.get("conventions", []),
        "note": own.get("note", NOTE),
    }


def _splits(paths: dict, shares: dict) -> dict:
    """The protocol that is meant where none is given: val selects, if there is one."""
    has_val = "val" in (shares or paths) or ("annotations" in paths and not shares)
    return {"train": "train", "select": "val" if has_val else "last", "test": "test"}


def _named(protocol: dict) -> list[str]:
    names: list[str] = []
    for role in ("train", "select", "test"):
        said = protocol[role]
        names += [said] if isinstance(said, str) else said
    return [name for name in dict.fromkeys(names) if name != "last"]


def _file(role: str, name: str, where: str) -> dict:
    path = Path(name)
    if not path.is_file():
        raise UserError(
            f"{where}.annotations: {path}: no such file; paths start at the project's folder"
        )
    with named(path):
        return {"name": f"{role}.rows{path.suffix.lower()}", "sha256": sha256_file(path)}


def _videos(folder: Path, files: list[str], form: dict, where: str) -> str:
    """Digest of which annotated videos are there, and how large; what they hold, `gather` reads."""
    # Late: a study without data of one's own needs none of it
    from tsgbench.datasets.table import Form, annotated_videos
    from tsgbench.making.own import find_videos

    if not folder.is_dir():
        raise UserError(
            f"{where}.videos: {folder}: no such folder; paths start at the project's folder"
        )
    wanted = annotated_videos(map(Path, files), Form(**form))
    videos = find_videos(folder, wanted)
    return digest(sorted([name, path.stat().st_size] for name, path in videos.items()))
