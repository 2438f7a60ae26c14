"""A package of somebody else's, with a model and a data set, installed as pip installs it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import yaml

from guides import block_of

NAME, VERSION = "their-moments", "0.1"
PROJECT = f"""\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{NAME}"
version = "{VERSION}"

[project.entry-points."tsgbench.models"]
theirs = "their_moments.theirs"

[project.entry-points."tsgbench.datasets"]
lines = "their_moments.lines"

[tool.setuptools]
packages = ["their_moments"]

[tool.setuptools.package-data]
their_moments = ["*.yaml", "*.txt"]
"""
READER = '''\
"""Lines of video, start, end and sentence."""

from tsgbench.datasets.readers import Row, read_lines, register


@register("lines")
def read(files, *, duration_s: float = 20.0):
    rows = {"train": [], "test": []}
    for number, line in enumerate(read_lines(files["all"])):
        split, video, start, end, sentence = line.split("|")
        where = f"line {number + 1}"
        row = Row(where, f"q{number}", video, sentence, float(start), float(end), duration_s)
        rows[split].append(row)
    return rows
'''
LINES = "".join(
    f"{'train' if number < 8 else 'test'}|w{number}|{number % 4}|{number % 4 + 9}|"
    f"the {('red', 'blue')[number % 2]} square moves\n"
    for number in range(12)
)


def parts() -> dict[str, str]:
    """The package's files by their paths."""
    model = block_of("add_a_model.md", "python").replace('"tiny"', '"theirs"')
    entry = block_of("add_a_model.md", "yaml").replace("model: tiny", "model: theirs")
    member = {"member": "their_moments/lines.txt", "bytes": len(LINES)}
    member["sha256"] = hashlib.sha256(LINES.encode()).hexdigest()
    data = {
        "datasets": {
            "lined": {
                "title": "Lines",
                "files": {"all": "lines_file"},
                "settings": {"duration_s": 30.0},
                "splits": {"train": "train", "select": "last", "test": "test"},
                "conventions": [],
                "note": "made for a test",
            }
        },
        "sources": {
            "lines_file": {
                "path": "lines",
                "kind": "annotation",
                "package": {"name": NAME, "version": VERSION, "members": [member]},
                "licence": "MIT",
                "purpose": "lines",
            }
        },
    }
    return {
        "pyproject.toml": PROJECT,
        "their_moments/__init__.py": "",
        "their_moments/theirs.py": model,
        "their_moments/theirs.yaml": entry.replace("title: Tiny", "title: Theirs"),
        "their_moments/lines.py": READER,
        "their_moments/lines.yaml": yaml.safe_dump(data),
        "their_moments/lines.txt": LINES,
    }


def install(source: Path, target: Path, **changed: str) -> None:
    """Write the package to `source` and install it into the folder `target`, which is a part of
    `sys.path` where `PYTHONPATH` names it. changed: path -> other text; a slash is `__`."""
    files = parts() | {path.replace("__", "/", 1): text for path, text in changed.items()}
    for path, text in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--target", str(target.resolve()), "."],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
