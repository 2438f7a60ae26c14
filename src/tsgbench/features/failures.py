"""Videos that gave no features: listed beside the features, and too many stop the phase."""

import csv
import io
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import write_text

FIELDS = ("video", "reason")
LISTS = (".csv", ".json", ".txt")  # beside the videos of a download


def check_failures(out: Path, failed: list[dict], videos: int, allowed: float) -> None:
    """`UserError` if more than the share `allowed` of `videos` failed. failed: {video, reason}."""
    if len(failed) > allowed * videos:
        raise UserError(
            f"{out}: {len(failed)} of {videos} videos failed, the first: {failed[0]['reason']}; "
            "mend them, or raise max_failed_share in the recipe: finished videos are kept"
        )


def write_failures(path: Path, failed: list[dict]) -> None:
    """One row a video, sorted; a header alone where none failed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(failed, key=lambda row: row["video"]))
    write_text(path, text.getvalue())


def read_failures(path: Path) -> set[str]:
    """The videos that `write_failures` listed."""
    with open(path, newline="", encoding="utf-8") as stream:
        return {row["video"] for row in csv.DictReader(stream)}


def name_by_video(files: dict[str, Path], endings: tuple[str, ...] = ()) -> dict[str, Path]:
    """Files by their names without folder and ending; `UserError` if two of them share one.

    endings: of the files that count; all that are no lists without it.
    """
    found: dict[str, Path] = {}
    for path in sorted(files.values()):
        if path.suffix in LISTS or (endings and path.suffix not in endings):
            continue
        if path.stem in found:
            raise UserError(
                f"{path}: {found[path.stem]} is of the same video; remove one of the two"
            )
        found[path.stem] = path
    return found


def find_file(video_id: str, files: dict[str, Path]) -> Path | None:
    """The file of a video among `files` (name without its last suffix -> path), or None.

    A file may be named by the whole id or by what is left of it without a suffix: the ids of some
    versions of TACoS end in `.avi`, and the files' names do, too.
    """
    return files.get(video_id) or files.get(Path(video_id).stem)
