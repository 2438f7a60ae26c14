"""A new project's folder: a small study, a model to start from, and the rules of this package."""

import re
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import write_text
from tsgbench.jobs.layout import DEFAULT_STUDY, TAKEN
from tsgbench.outside import shipped

TEMPLATES = Path(__file__).parent / "start"
PROFILE = "profiles/default/config.yaml"  # every project has the shipped one
NAME = re.compile("[a-z0-9_]+")
# Template -> where it goes; STUDY is the study's name, in both
FILES = {
    "Snakefile": "Snakefile",
    "study.yaml": "config/STUDY.yaml",
    "dvc.yaml.txt": "dvc.yaml",  # DVC takes any dvc.yaml of the repository for one of its own
    "gitignore.txt": ".gitignore",
    "dvcignore.txt": ".dvcignore",
    "README.md": "README.md",
    "tiny.py.txt": "models/tiny.py",
    "tiny.yaml": "config/models/tiny.yaml",
}


def start(folder: Path, study: str) -> list[Path]:
    """Write the files of a new project; nothing if one of them is there already.

    study: its name, of small letters, digits and underscores.
    """
    if not NAME.fullmatch(study):
        raise UserError(
            f"{study!r}: a study's name has small letters, digits and underscores alone; give one"
            " with --study"
        )
    published = {path.stem for path in (shipped() / "published").glob("*.yaml")}
    if study == DEFAULT_STUDY or study in {*TAKEN, *published}:
        raise UserError(
            f"{study!r}: its folder in results/ would be that of something else; give another name"
            " with --study"
        )
    texts = {
        folder / path.replace("STUDY", study): (TEMPLATES / name)
        .read_text(encoding="utf-8")
        .replace("STUDY", study)
        for name, path in FILES.items()
    }
    texts[folder / PROFILE] = (shipped() / PROFILE).read_text(encoding="utf-8")
    for path in texts:
        if path.exists():
            raise UserError(f"{path}: is there already; name another folder, or move it away")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return list(texts)
