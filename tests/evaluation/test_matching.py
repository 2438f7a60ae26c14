"""Whose query a file answers, and what is counted of the rest."""

import json

import numpy as np
import pytest

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation import matching
from tsgbench.evaluation.foreign import read_foreign
from tsgbench.evaluation.matching import POLICIES, match

RNG = np.random.default_rng(0)
QUERIES = Queries(
    ["val_11", "val_12", "v_a_test_000", "v_a_test_001", "v_a_test_002", "val_13"],
    ["v_Ab_0.0_10.0", "v_Ab_0.0_10.0", "v_a", "v_a", "v_a", "c.avi"],
    ["A dog.", "A cat at the caf\u00e9.", "He sits.", "he sits", "He stands, then", "?"],
    np.full(6, 10.0),
    np.tile([0.0, 5.0], (6, 1)),
)


def write(folder, *asked: tuple, windows=((1, 2),)):
    """asked: (id, video, sentence) or (id, video, sentence, windows)."""
    path = folder / "p.jsonl"
    lines = []
    for qid, vid, query, *own in asked:
        found = own[0] if own else windows
        lines.append({"qid": qid, "vid": vid, "query": query, "pred_relevant_windows": [*found]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_foreign(path, "moment_retrieval")


def find(folder, *asked, share=0.99, **how):
    return match(write(folder, *asked, **how), QUERIES, of="x (test)", max_absent=share)


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        ((11, None, None), 0),  # the number of the public file
        (("val_12", None, None), 1),
        (("v_a_test_001", None, None), 3),
        ((None, "Ab_0.0_10.0.mp4", "a  DOG"), 0),  # without ActivityNet's v_, as a file
        ((None, "videos/v_Ab_0.0_10.0", "A cat at the cafe\u0301"), 1),  # another way to write é
        ((None, "Ab_0.0_10.0", "A&nbsp;dog&#46;"), 0),  # as pages have it
        ((3, "v_a", "he stands - then!"), 4),  # the file's own numbers
        ((11, "v_a", "He stands then"), 4),  # 11 is another video's
        ((11, "v_Ab_0.0_10.0", "A dog, cleaned up"), 0),
        ((11, None, "A cat"), None),
        ((None, "c", "?"), 5),
        ((None, "c", "!"), None),
        ((None, None, "A dog."), None),
        ((99, None, None), None),
        ((None, "v_AB_0.0_10.0", "A dog."), None),  # ids of videos have capitals
    ],
)
def test_a_query_is_found_by_its_id_or_by_video_and_sentence(tmp_path, asked, row):
    other = ("v_a_test_000", None, None)
    found = find(tmp_path, other, asked)
    expected = np.full(6, -1)
    expected[2] = 0
    if row is not None:
        expected[row] = 1
    assert found.source.tolist() == expected.tolist()
    assert found.counts["queries_unknown"] == (row is None)


def test_queries_that_cannot_be_told_apart_take_answers_in_order(tmp_path):
    sits = (None, "v_a", "He sits")
    assert find(tmp_path, sits).source.tolist()[2:4] == [0, 0]
    assert find(tmp_path, sits, sits).source.tolist()[2:4] == [0, 1]
    three = find(tmp_path, sits, sits, sits)
    assert three.source.tolist()[2:4] == [0, 1] and three.counts["queries_repeated"] == 1
    named = find(tmp_path, ("v_a_test_001", None, None), sits)
    assert named.source.tolist()[2:4] == [1, 0] and named.counts["queries_repeated"] == 0


def test_of_two_answers_by_one_id_the_first_counts(tmp_path):
    found = find(tmp_path, (11, None, None), (12, None, None), (11, None, None))
    assert found.source.tolist()[:2] == [0, 1] and found.counts["queries_repeated"] == 1


def test_everything_is_counted(tmp_path):
    found = find(
        tmp_path,
        (11, None, None, [[1, 2], [1, 2], [-1, 3], [4, 10.5], [0, 10], [8, 10.000001], [1, 2, 5]]),
        (12, None, None, [[5, 1]]),
        (99, None, None, [[0, 99], [1, 2], [1, 2]]),
    )
    assert {name: count for name, count in found.counts.items() if count} == {
        "queries_absent": 4,
        "queries_without_answer": 1,
        "queries_unknown": 1,
        "queries_sorted_by_score": 1,
        "answers_reversed": 1,
        "answers_repeated": 2,
        "answers_outside": 2,
    }
    assert found.counts.keys() == POLICIES.keys() and found.first_unknown == "query '99'"
    assert found.rows.tolist() == [0, 1] and found.has_answer.tolist() == [True] + [False] * 5


def test_answers_that_look_like_shares_of_the_video_are_said(tmp_path):
    ids = ("val_11", "val_12", "v_a_test_000", "v_a_test_001", "v_a_test_002", "val_13")
    asked = [(name, None, None) for name in ids]
    shares, seconds = ((0.1, 0.5), (0.2, 1.0)), ((0.1, 0.5), (0.2, 1.1))
    assert find(tmp_path, *asked, windows=shares).counts["answers_as_shares"] == 12
    assert not find(tmp_path, *asked, windows=seconds).counts["answers_as_shares"]
    assert not find(tmp_path, *asked, windows=shares[:1]).counts["answers_as_shares"]  # few


def test_too_few_queries_are_refused_with_one_of_each_side(tmp_path):
    asked = [(11, None, None), (77, "v_z", "A horse")]
    said = (
        r"p\.jsonl: has 1 of the 6 queries of x \(test\); looked for was query 'val_12', video"
        r" 'v_Ab_0\.0_10\.0', sentence 'A cat at the café\.', and there is query '77', video 'v_z',"
        r" sentence 'A horse'; .*--max-missing 0\.84"
    )
    with pytest.raises(UserError, match=said):
        find(tmp_path, *asked, share=0.8)
    assert find(tmp_path, *asked, share=0.84).rows.tolist() == [0]
    with pytest.raises(UserError, match="has 0 of the 6 queries") as refusal:
        find(tmp_path, (77, None, None), share=1.0)
    assert "--max-missing" not in str(refusal.value)


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_blocks_hold_the_answers_of_each_query_in_order(tmp_path, monkeypatch, block):
    monkeypatch.setattr(matching, "BLOCK", block)
    windows = [RNG.uniform(0, 5, (n, 1)) + [0, 1] for n in (3, 0, 1, 5)]
    ids = ["val_12", "val_11", "v_a_test_002", "v_a_test_000"]
    asked = [(name, None, None, w.tolist()) for name, w in zip(ids, windows, strict=True)]
    found = find(tmp_path, *asked)
    rows, seen = [], {}
    for part, predictions in found.blocks():
        rows += part.tolist()
        for row, spans in zip(part, predictions.spans, strict=True):
            seen[QUERIES.query_ids[row]] = spans[~np.isnan(spans[:, 0])]
            assert np.isnan(spans[len(seen[QUERIES.query_ids[row]]) :]).all()
    assert rows == sorted(rows) == found.rows.tolist()
    for name, expected in zip(ids, windows, strict=True):
        assert np.array_equal(seen[name], expected.reshape(-1, 2))
