"""A study's config: where it comes from, how jobs get it, and the whole of its check."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tsgbench.config.catalogue import Catalogue
from tsgbench.config.reading import need_project, read_yaml
from tsgbench.config.remembered import is_remembered, key_of, remember
from tsgbench.config.values import merge
from tsgbench.config.wording import hint_at
from tsgbench.errors import UserError
from tsgbench.files import digest, read_json, write_text
from tsgbench.outside import CATALOGUE, shipped

MIRROR_VARIABLE = "TSGBENCH_MIRROR"
STUDY_VARIABLE = "TSGBENCH_STUDY"
# The kernel starts no program with a longer one (128 KiB, with its name)
LONGEST_VARIABLE = 100_000
LOOKED_AT = 1 << 20  # characters of a file that may be a study
HANDED = Path(".snakemake/studies")
DEFAULT_STUDY = "config/demo.yaml"
REPLACED = ("systems", "tables")  # of a study that another extends
NAMED = re.compile(r"^study:[ \t]*[\"']?([a-z0-9_]+)", re.M)
CHOSEN = re.compile(r"^[ \t]*configfile:[ \t]*[\"']([^\"']+)[\"']", re.M)  # by a Snakefile


def load_study(said: str | Path | None = None) -> tuple[dict, str]:
    """The study's config and where it came from: a file, or the running workflow's environment.

    said: the file, or the name of a study in this folder. None: the resolved config that Snakemake
    hands its jobs in `TSGBENCH_STUDY`, else the folder's default study.
    """
    if said is None and STUDY_VARIABLE in os.environ:
        return _handed_over(os.environ[STUDY_VARIABLE]), "the workflow's config"
    if said is None:
        need_project()
        path = default_study()
    else:
        path = _resolve(str(said))
    return extend_study(read_yaml(path), path), path


def _resolve(said: str) -> str:
    """The file of a study that is given as a file or by its name."""
    if Path(said).is_file() or not re.fullmatch("[a-z0-9_]+", said):
        return said
    if file := find_study(said):
        return file
    raise UserError(
        f"--study {said}: neither a file nor the name of a study here;"
        f" {hint_at(said, studies_here())}"
    )


def default_study(root: Path = Path()) -> str:
    """The file of the study that is meant where none is named, relative to `root`.

    The one that the folder's Snakefile chooses; else the demo's, or the only one of `config/`.
    """
    chosen = CHOSEN.search(_text(root / "Snakefile"))
    for path in ([chosen[1]] if chosen else []) + [DEFAULT_STUDY]:
        if (root / path).is_file():
            return path
    studies = [f"config/{path.name}" for path in _files(root / "config")]
    if len(studies) != 1:
        there = ", ".join(studies) or "none"
        raise UserError(f"{DEFAULT_STUDY}: no such study; name one with --study (there is {there})")
    return studies[0]


def studies_here(root: Path = Path()) -> dict[str, list[str]]:
    """Name -> files, relative to `root`, of the studies in `config/` and in the folder itself."""
    found: dict[str, list[str]] = {}
    for path in [*_files(root / "config"), *_files(root)]:
        if said := NAMED.search(_text(path)):
            found.setdefault(said[1], []).append(path.relative_to(root).as_posix())
    return found


def find_study(name: str, root: Path = Path()) -> str | None:
    """The file of a study by its name, relative to `root`; None if none is called so.

    `config/NAME.yaml` or `NAME.yaml`, or whichever file says `study: NAME`; `UserError` if several
    others do.
    """
    files = studies_here(root).get(name, [])
    usual = [f"config/{name}.yaml", *(file for file in files if file == f"{name}.yaml")]
    for path in usual:
        if (root / path).is_file():
            return path
    if len(files) > 1:
        raise UserError(
            f"study {name!r}: {' and '.join(files)} both say that they are it; name one with"
            " --study, and rename the study in the other"
        )
    return next(iter(files), None)


def others_here(name: str, root: Path = Path()) -> str:
    """For the end of a refusal: how to name the other studies of this folder, if there are any."""
    others = [other for other in studies_here(root) if other != name]
    return f" (for another study here: --study {' | '.join(others)})" if others else ""


def _files(folder: Path) -> list[Path]:
    """Files of a folder that may be studies."""
    return [path for path in sorted(folder.glob("*.yaml")) if path.stem not in CATALOGUE]


def _text(path: Path) -> str:
    """What a file says, for a look at it; nothing where it cannot be read, which others report."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(LOOKED_AT)
    except OSError:
        return ""


def extend_study(config: dict, source: str, root: Path = Path()) -> dict:
    """The study with what it takes from the one that it `extends`, which may extend another.

    Merged like overrides, but for `systems` and `tables`, which stand in the place of the other's.
    """
    layers = [config]
    while "extends" in layers[-1]:
        layers.append(_read_extended(layers[-1]["extends"], source, root))
        names = [layer.get("study") for layer in layers]
        if None in names or len(set(names)) < len(names):
            raise UserError(
                f"{source}: study: is to be a name of its own, or the results of the study that it"
                f" extends would be overwritten ({' extends '.join(map(str, names))})"
            )
    merged: dict = {}
    for layer in reversed(layers):
        replaced = {key: layer[key] for key in REPLACED if key in layer}
        merged = {**merge(merged, layer), **replaced}
    return {key: value for key, value in merged.items() if key != "extends"}


def _read_extended(name: object, source: str, root: Path) -> dict:
    roots = [root, shipped(root)]
    file = None
    if isinstance(name, str):
        files = [folder / there for folder in roots if (there := find_study(name, folder))]
        file = next(iter(files), None)
    content = read_yaml(file) if file else {}
    if "study" not in content:
        known = {study for folder in roots for study in studies_here(folder)}
        raise UserError(
            f"{source}: extends: {name!r} is not a study of config/; {hint_at(name, known)}"
        )
    return content


def export_study(config: dict, root: Path) -> None:
    """Let every job run the code below `root` on the very `config` of the running workflow.

    Called by the Snakefile, which is read again wherever a job runs. The environment's own programs
    come first, so that the workflow works without the environment being activated.
    """
    os.environ[STUDY_VARIABLE] = _hand_over(json.dumps(config))
    if (root / "src" / "tsgbench").is_dir():  # a project without code of its own: what is installed
        os.environ["PYTHONPATH"] = str(root / "src")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def _hand_over(text: str) -> str:
    """The study as jobs get it: itself, or where it is too long for a variable, a file with it."""
    if len(text.encode()) <= LONGEST_VARIABLE:
        return text
    # By its content: any number of jobs may write it at once
    path = (HANDED / f"{digest(text)}.json").absolute()
    if not path.exists():
        write_text(path, text)
    return str(path)


def _handed_over(said: str) -> dict:
    return json.loads(said) if said.startswith("{") else read_json(said)


def mirror_of(config: dict) -> str | None:
    """Folder or base URL that downloads try first: the environment's, else the study's."""
    return os.environ.get(MIRROR_VARIABLE) or config.get("mirror")


def check_study(config: dict, catalogue: Catalogue, source: str, settings_of: Callable) -> None:
    """Refuse a study that its sections or the catalogue do not allow, in one sentence.

    source: what to call it. settings_of: of its cells, see `checks.check_study`. The check is left
    out for a study and a catalogue that passed before.
    """
    # Written out by Python, which tells 1 from true and from "1", where JSON's keys would not
    key = key_of(repr((config, vars(catalogue))).encode())
    if is_remembered(key):
        return
    from tsgbench.config import checks  # late: with what it imports it costs more than a hit

    checks.check_study(config, catalogue, source, settings_of)
    remember(key)
