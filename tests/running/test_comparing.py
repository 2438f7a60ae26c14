"""What differs between two files is named where it does; pictures alone are not compared."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsgbench.running.comparing import difference

SCORES = {"query_id": ["a", "b", "c"], "iou": [0.1, math.nan, 0.3]}


def write_pair(folder, name, kept, made):
    for place, content in (("kept", kept), ("made", made)):
        path = folder / place / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, dict):
            metadata = content.pop("head", {"a": "b"})
            pq.write_table(pa.table(content).replace_schema_metadata(metadata), path)
        else:
            path.write_bytes(content.encode())
    return folder / "kept" / name, folder / "made" / name


@pytest.mark.parametrize(
    ("name", "kept", "made", "said"),
    [
        ("a.md", "| 12.34 |\n", "| 12.34 |\n", None),
        ("a.md", "one\n| 12.34 |\n", "one\n| 12.35 |\n", "line 2: '| 12.34 |' -> '| 12.35 |'"),
        ("a.csv", "x\n1\n", "x\n1\n2\n", "line 3: '' -> '2'"),
        ("a.tex", "x\r\n", "x\n", "other ends of lines"),
        ("a.pt", "x", "y", "other bytes"),
        ("a.png", "x", "y", None),
        ("a.parquet", SCORES, {**SCORES, "iou": [0.1, math.nan, 0.4]}, "query_id 'c': 0.3 -> 0.4"),
        ("a.parquet", SCORES, {**SCORES, "iou": [0.2, 1.0, 0.4]}, "'a': 0.1 -> 0.2, and 2 more"),
        ("a.parquet", SCORES, {"query_id": ["a"], "iou": [0.1]}, "3 rows -> 1"),
        ("a.parquet", SCORES, {"query_id": ["a", "b", "c"]}, "other columns (iou)"),
        ("a.parquet", SCORES, {**SCORES, "head": {"a": "c"}}, "other facts in its head"),
    ],
)
def test_the_first_difference_is_named(tmp_path, name, kept, made, said):
    found = difference(
        *write_pair(tmp_path, name, dict(kept) if isinstance(kept, dict) else kept, made)
    )
    assert found is None if said is None else said in found


def test_equal_tables_in_other_bytes_are_equal(tmp_path):
    kept, made = write_pair(tmp_path, "a.parquet", dict(SCORES), dict(SCORES))
    pq.write_table(pq.read_table(made), made, compression="none")
    assert kept.read_bytes() != made.read_bytes()
    assert difference(kept, made) is None


def test_a_long_line_is_shown_where_it_differs(tmp_path):
    found = difference(*write_pair(tmp_path, "a.html", "x" * 500 + "1", "x" * 500 + "2"))
    assert found.endswith("xx1' -> '" + "x" * 20 + "2'") and len(found) < 80
