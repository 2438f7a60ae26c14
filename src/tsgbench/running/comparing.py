"""Say in words how a file that was made again differs from the one that was kept."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TABLES = (".parquet",)
TEXTS = (".csv", ".html", ".json", ".md", ".tex", ".js")
# What draws them (fonts, libraries) differs between machines: their numbers stand beside as CSV
PICTURES = (".pdf", ".png")
SHOWN = 40  # characters around the first that differs
IDS = ("query_id", "video_id")


def difference(kept: Path, made: Path) -> str | None:
    """How `made` differs from `kept`; None where it holds the same. Pictures are not compared."""
    if made.suffix in PICTURES or kept.read_bytes() == made.read_bytes():
        return None
    if made.suffix in TABLES:
        return next(_tables(*(pq.ParquetFile(path).read() for path in (kept, made))), None)
    if made.suffix in TEXTS:
        return _texts(kept.read_text(encoding="utf-8"), made.read_text(encoding="utf-8"))
    return "other bytes"


def _tables(kept: pa.Table, made: pa.Table) -> Iterator[str]:
    if kept.schema.names != made.schema.names:
        names = sorted(set(kept.schema.names) ^ set(made.schema.names))
        yield f"other columns ({', '.join(names)})"
        return
    if kept.num_rows != made.num_rows:
        yield f"{kept.num_rows} rows -> {made.num_rows}"
        return
    for name in kept.schema.names:
        # By what they print as: a number that is none equals itself
        pairs = zip(kept[name].to_pylist(), made[name].to_pylist(), strict=True)
        rows = [(row, *pair) for row, pair in enumerate(pairs) if repr(pair[0]) != repr(pair[1])]
        if rows:
            row, before, after = rows[0]
            named = [f"{key} {kept[key][row].as_py()!r}" for key in IDS if key in kept.schema.names]
            more = f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
            yield f"{name} of {', '.join(named) or f'row {row}'}: {before!r} -> {after!r}{more}"
    if kept.schema.metadata != made.schema.metadata:
        yield "other facts in its head"


def _texts(kept: str, made: str) -> str:
    """The first line that differs, around where it does."""
    pairs = zip(kept.splitlines() + [""], made.splitlines() + [""], strict=False)
    for number, (before, after) in enumerate(pairs, start=1):
        if before != after:
            same = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
            at = len(list(same))
            shown = slice(max(0, at - SHOWN // 2), at + SHOWN // 2)
            return f"line {number}: {before[shown]!r} -> {after[shown]!r}"
    return "other ends of lines"
