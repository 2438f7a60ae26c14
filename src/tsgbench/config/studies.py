"""A study's config: where it comes from, how jobs get it, and the whole of its check."""

import json
import os
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
HANDED = Path(".snakemake/studies")
DEFAULT_STUDY = "config/demo.yaml"
REPLACED = ("systems", "tables")  # of a study that another extends


def load_study(path: str | Path | None = None) -> tuple[dict, str]:
    """The study's config and where it came from: a file, or the running workflow's environment.

    Without `path`: the resolved config that Snakemake hands its jobs in `TSGBENCH_STUDY`, else the
    demo study.
    """
    if path is None and STUDY_VARIABLE in os.environ:
        return _handed_over(os.environ[STUDY_VARIABLE]), "the workflow's config"
    if path is None:
        need_project()
    path = path or default_study()
    return extend_study(read_yaml(path), str(path)), str(path)


def default_study(root: Path = Path()) -> str:
    """The file of the study that is meant where none is named: the demo's, or the only one."""
    if (root / DEFAULT_STUDY).is_file():
        return DEFAULT_STUDY
    files = sorted((root / "config").glob("*.yaml"))
    studies = [f"config/{path.name}" for path in files if path.stem not in CATALOGUE]
    if len(studies) != 1:
        there = ", ".join(studies) or "none"
        raise UserError(f"{DEFAULT_STUDY}: no such study; name one with --study (there is {there})")
    return studies[0]


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
        files = [
            folder / name_there for folder in roots if (name_there := find_study(name, folder))
        ]
        file = next(iter(files), None)
    content = read_yaml(file) if file else {}
    if "study" not in content:
        stems = {path.stem for folder in roots for path in (folder / "config").glob("*.yaml")}
        known = sorted(stems - {*CATALOGUE})
        raise UserError(
            f"{source}: extends: {name!r} is not a study of config/; {hint_at(name, known)}"
        )
    return content


def find_study(name: str, root: Path = Path()) -> str | None:
    """The file of a study by its name, relative to `root`; None if none is called so."""
    path = f"config/{name}.yaml"
    return path if (root / path).is_file() else None


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
