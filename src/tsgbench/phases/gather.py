"""Take one's own annotations and videos as a data set's: find each video, and probe how long it is.

The annotation files are copied; videos stay where they are, behind links in the data set's folder,
named by their ids. Which rows can be used is for the reader to say (`datasets/table.py`).
"""

import csv
import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tsgbench.datasets.table import Form, annotated_videos
from tsgbench.downloads.manifest import MANIFEST, write_manifest
from tsgbench.errors import UserError
from tsgbench.features.video import probe
from tsgbench.files import atomic_path, write_text
from tsgbench.making.own import find_videos
from tsgbench.phases import Outcome, Task

DURATIONS = "durations.csv"
FIELDS = ("video", "duration_s", "problem", "reason")
NAMED = 5  # of the videos that cannot be used


def run(task: Task) -> Outcome:
    """settings: `form` of the annotation files, and what they and the videos held when planned.

    facts: videos that are `annotated`, `missing` and `unreadable`, the first of these by name.
    """
    folder = task.folder / task.wildcards["dataset"]
    files = []
    for role, file in task.settings["files"].items():
        files.append(folder / file["name"])
        with atomic_path(files[-1]) as temporary:
            shutil.copyfile(task.own_files[role], temporary)
    annotated = annotated_videos(files, Form(**task.settings["form"]))
    facts: dict[str, Any] = {"annotated": len(annotated)}
    if "videos" in task.own_files:
        videos = find_videos(Path(task.own_files["videos"]), annotated)
        if annotated and not videos:
            raise UserError(
                f"{task.own_files['videos']}: holds none of the {len(annotated)} annotated videos,"
                f" such as {min(annotated)}; name their folder, or the column that names them"
            )
        lost = _probe(videos, annotated, folder / DURATIONS, task.threads)
        _link(videos, folder / "videos")
        usable = sorted(videos.keys() - lost.keys())
        write_manifest(folder / "videos", [_link_name(name, videos[name]) for name in usable])
        files += [folder / DURATIONS, folder / "videos" / MANIFEST]
        facts |= {
            "missing": len(annotated) - len(videos),
            "unreadable": len(lost) - (len(annotated) - len(videos)),
            "first": [f"{name}: {reason}" for name, reason in sorted(lost.items())[:NAMED]],
        }
    return facts, files


def _probe(
    found: dict[str, Path], annotated: set[str], table: Path, threads: int
) -> dict[str, str]:
    """Write each annotated video's seconds, or why there are none; the reason by lost video."""
    names = sorted(annotated)
    with ThreadPoolExecutor(threads) as pool:
        probed = list(pool.map(lambda name: _length(found.get(name)), names))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows((name, *entry) for name, entry in zip(names, probed, strict=True))
    write_text(table, text.getvalue())
    return {name: reason for name, (*_, reason) in zip(names, probed, strict=True) if reason}


def _length(path: Path | None) -> tuple[float | str, str, str]:
    """Seconds, what a row of the video is kept out for, and the reason in full."""
    if path is None:
        return "", "no such video", "no such video"
    try:
        return probe(path).duration_s, "", ""
    except UserError as error:
        return "", "video cannot be read", str(error)


def _link(found: dict[str, Path], folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, path in found.items():
        (folder / _link_name(name, path)).symlink_to(path.resolve())


def _link_name(name: str, path: Path) -> str:
    return f"{name}{path.suffix.lower()}"
