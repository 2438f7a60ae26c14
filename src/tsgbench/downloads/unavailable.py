"""Which videos of a source cannot be had, and why: `unavailable.csv` beside the manifest.

A final refusal (deleted, private) is not asked again; strike its row out, or delete the file, to
have it tried once more. Anything else is tried again in the next run.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tsgbench.downloads.manifest import MANIFEST
from tsgbench.errors import UserError
from tsgbench.files import write_text
from tsgbench.jobs.records import Record

UNAVAILABLE = "unavailable.csv"
MOST_REASONS = 12  # a record stays small, whatever a site makes up
FIELDS = ("id", "reason", "date", "final")


class Unavailable(Exception):
    """One video did not come. is_final: nor will it tomorrow."""

    def __init__(self, reason: str, *, is_final: bool):
        super().__init__(reason)
        self.is_final = is_final


@dataclass(frozen=True)
class Loss:
    """One row: why a video is not there, since which day (UTC)."""

    reason: str
    date: str
    is_final: bool

    @classmethod
    def of(cls, error: Unavailable) -> "Loss":
        """As of today, for the reason that the error gives."""
        return cls(str(error), datetime.now(UTC).date().isoformat(), error.is_final)


def read_losses(path: Path) -> dict[str, Loss]:
    """Id -> why it is not there; empty if there is no file yet."""
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        return {
            row["id"]: Loss(row["reason"], row["date"], {"yes": True, "no": False}[row["final"]])
            for row in rows
        }
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path}: no table of {', '.join(FIELDS)} ({error}); move it away and run again"
        ) from None


def read_unavailable(videos: Record) -> dict[str, str]:
    """Video -> why a download of videos by id list could not have it."""
    return {
        video: loss.reason
        for path in videos.files(MANIFEST).values()
        for video, loss in read_losses(path.with_name(UNAVAILABLE)).items()
    }


def write_losses(path: Path, losses: dict[str, Loss]) -> None:
    """Write the table, sorted by id; an empty one says that nothing is missing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for video, loss in sorted(losses.items()):
        writer.writerow((video, loss.reason, loss.date, "yes" if loss.is_final else "no"))
    write_text(path, text.getvalue())


def count_reasons(losses: dict[str, Loss]) -> dict[str, int]:
    """How many videos each reason cost, the commonest first; the rarest together as "other"."""
    counted = Counter(loss.reason for loss in losses.values()).most_common()
    reasons = dict(counted[:MOST_REASONS])
    if rest := sum(count for _, count in counted[MOST_REASONS:]):
        reasons["other"] = rest
    return reasons
