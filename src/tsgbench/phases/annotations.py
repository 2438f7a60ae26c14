"""Read a data set's public annotation files into the one table of queries, split by split.

Beside the splits, `dropped.csv` lists every row that was dropped or repaired, for people to read.
"""

import csv
import io
from pathlib import Path

import numpy as np

from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.datasets.readers import read_annotations
from tsgbench.errors import UserError
from tsgbench.files import write_text
from tsgbench.jobs.records import Record
from tsgbench.phases import Outcome, Task

# What policies call moments that reach outside, but for rounding errors
OUTSIDE = tuple(f"moment {how} the video" for how in ("outside", "cut to", "reaches outside"))
FEW = 10  # rows that say nothing of a unit
LONG_S = 5.0  # videos of which somebody describes more than the first second


def run(task: Task) -> Outcome:
    """settings: the reader, its own settings, and which `generated` file has which role.

    facts: rows kept and dropped, with reasons.
    """
    settings = dict(task.settings)
    reader, generated = settings.pop("reader"), settings.pop("generated")
    files = {role: _file(record, generated.get(role)) for role, record in task.inputs.items()}
    splits, report = read_annotations(reader, files, settings=settings)
    refuse_empty(report)
    refuse_other_units(splits, report)
    written = [task.folder / "dropped.csv"]
    write_bad_rows(written[0], report)
    for split, queries in splits.items():
        path = task.folder / f"{split}.jsonl"
        write_queries(path, queries)
        written.append(path)
    return report, written


def refuse_empty(report: dict) -> None:
    """`UserError` for a split of which the policy left nothing: with the most frequent reason."""
    for split, counted in report["splits"].items():
        if counted["rows"] and not counted["kept"]:
            reason, most = max(counted["dropped"].items(), key=lambda item: item[1]["count"])
            raise UserError(
                f"{most['rows'][0]}: none of the {counted['rows']} rows of split {split!r} can be"
                f" used: {reason} ({most['count']} of them); mend the file, or its settings"
            )


def refuse_other_units(splits: dict[str, Queries], report: dict) -> None:
    """`UserError` for a split whose times are hardly seconds: most moments reach outside their
    videos (milliseconds, frames), or all end within the first second of long ones (shares)."""
    for split, queries in splits.items():
        counted = report["splits"][split]
        affected = counted["dropped"] | counted["repaired"]
        outside = [affected[reason] for reason in OUTSIDE if reason in affected]
        if (count := sum(one["count"] for one in outside)) > counted["rows"] / 2 and count >= FEW:
            raise UserError(
                f"{outside[0]['rows'][0]}: this and {count - 1} more of the {counted['rows']}"
                f" moments of split {split!r} reach outside their videos: milliseconds, or frames?"
                " Give times in seconds"
            )
        is_early = len(queries) >= FEW and queries.moments.max() <= 1.0
        if is_early and np.median(queries.durations) > LONG_S:
            raise UserError(
                f"split {split!r}: all of its {len(queries)} moments end within 1 s of the start of"
                " their videos: shares of the video? Give times in seconds"
            )


def write_bad_rows(path: Path, report: dict) -> None:
    """One line for each row that the policy dropped or repaired, in the order of the splits.

    `row` is file and line, or file and place within its JSON. A row repaired in two ways has two
    lines.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["split", "action", "reason", "row"])
    for split, entry in report["splits"].items():
        for action in ("dropped", "repaired"):
            for reason, affected in entry[action].items():
                table.writerows([split, action, reason, row] for row in affected["rows"])
    write_text(path, text.getvalue())


def _file(record: Record, name: str | None) -> Path:
    """The named file among those a renderer made, or the one file of a download."""
    files = record.files()
    return next(path for path in files.values() if name in (None, path.name))
