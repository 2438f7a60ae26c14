"""Videos that gave no features: listed beside the features, and too many stop the phase."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import write_text

FIELDS = ("video", "reason")
LISTS = (".csv", ".json", ".txt")  # beside the videos of a download
PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")  # beside them, or frames of them
VIDEO_ENDINGS = (
    *(".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".webm", ".wmv"),
)


class TooManyFailed(UserError):
    """More videos failed than the recipe allows. failed: all of them, {video, reason}."""

    def __init__(self, message: str, failed: list[dict]) -> None:
        super().__init__(message)
        self.failed = failed


def check_failures(
    out: Path, failed: list[dict], videos: int, allowed: float, hint: str = ""
) -> None:
    """`TooManyFailed` if more than the share `allowed` of `videos` failed. failed: {video, reason}.

    Asked once every video was tried, so that the list is whole. hint: what may be behind it.
    """
    if len(failed) > allowed * videos:
        first = failed[0]["reason"] + hint
        raise TooManyFailed(
            f"{out}: {len(failed)} of {videos} videos failed, the first: {first};"
            " mend them, or raise max_failed_share in the recipe: finished videos are kept",
            failed,
        )


def stopped_list(failed: Path) -> Path:
    """Where a phase that stops lists its failures, `failed` being the list of one that ends well.

    Snakemake removes what a failed job declared as its output, and so would take that list away.
    """
    return failed.with_name(failed.name.removesuffix(".failed.csv") + ".stopped.failed.csv")


@contextmanager
def listed_if_stopped(path: Path, others: Sequence[dict] = ()) -> Iterator[None]:
    """List all failures in `path` if too many of them stop what is in the `with` block, and say so;
    if it ends well, an old list is taken away. others: {video, reason}, listed with them."""
    try:
        yield
    except TooManyFailed as error:
        write_failures(path, [*error.failed, *others])
        raise UserError(f"{error} (each with its reason: {path})") from None
    path.unlink(missing_ok=True)


def write_failures(path: Path, failed: list[dict]) -> None:
    """One row a video, sorted; a header alone where none failed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(failed, key=lambda row: row["video"]))
    write_text(path, text.getvalue())


def read_failures(path: Path) -> set[str]:
    """The videos that `write_failures` listed."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        return {row["video"] for row in csv.DictReader(stream)}


def name_by_video(files: dict[str, Path], endings: tuple[str, ...] = ()) -> dict[str, Path]:
    """Files by their names without folder and ending; `UserError` if two of them share one.

    endings: of the files that count; all that are no lists without it. A picture stands for what
    has no other file, so that a folder of pictures is called one.
    """
    videos: dict[str, Path] = {}
    pictures: dict[str, Path] = {}
    for path in sorted(files.values()):
        if path.suffix in LISTS or (endings and path.suffix not in endings):
            continue
        if path.suffix.lower() in PICTURES:
            pictures[path.stem] = path
            continue
        if path.stem in videos:
            raise UserError(
                f"{path}: {videos[path.stem]} is of the same video; move one of the two elsewhere"
            )
        videos[path.stem] = path
    return pictures | videos


def find_file(video_id: str, files: dict[str, Path]) -> Path | None:
    """The file of a video among `files` (name without its last suffix -> path), or None.

    A file may be named by the whole id or by what is left of it without a suffix: the ids of some
    versions of TACoS end in `.avi`, and the files' names do, too.
    """
    return files.get(video_id) or files.get(Path(video_id).stem)
