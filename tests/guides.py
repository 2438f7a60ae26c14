"""The guides for additions from outside, docs/add_a_*.md: their blocks, and the files they need."""

import re
from pathlib import Path

from tsgbench.config import Catalogue
from tsgbench.jobs import code
from video_samples import write_video

ROOT = Path(__file__).resolve().parents[1]


def blocks_of(name: str) -> list[tuple[str, str]]:
    """Language and text of every block of code of a page, in order."""
    text = (ROOT / "docs" / name).read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)


def block_of(name: str, language: str) -> str:
    """The first block in a language."""
    return next(text for kind, text in blocks_of(name) if kind == language)


def lay_out(folder: Path) -> None:
    """The files of docs/add_a_dataset.md, with ten videos of five seconds."""
    (folder / "kitchen/videos").mkdir(parents=True)
    (folder / "kitchen/annotations.csv").write_text(block_of("add_a_dataset.md", "csv"))
    (folder / "kitchen.yaml").write_text(block_of("add_a_dataset.md", "yaml"))
    for number in range(1, 11):
        write_video(folder / f"kitchen/videos/v{number:02d}.mp4", 40)


def forget() -> None:
    """What is read of config and sources once per process: before they change within a test."""
    from tsgbench.config import signatures
    from tsgbench.config.sections import datasets, models, study

    Catalogue.load.cache_clear()
    for cached in (
        *(one for one in vars(code).values() if hasattr(one, "cache_clear")),
        *(signatures.of_registered, signatures.of_function, signatures._parsed),
        *(models.parts_of, models.entry_type, models.override_type),
        *(datasets.reader_type, study.study_type),
    ):
        cached.cache_clear()
