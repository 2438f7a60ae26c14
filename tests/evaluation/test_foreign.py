"""Files of other programs: recognised by content, read whole, refused in one sentence."""

import bz2
import csv
import gzip
import io
import json
import math

import numpy as np
import pytest

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.foreign import PREDICTIONS, read_foreign, recognise
from tsgbench.evaluation.predictions import write_predictions

WINDOWS = {
    "qid": 7,
    "query": "a dog",
    "vid": "v1",
    "pred_relevant_windows": [[0, 4.5, 0.9], [6, 8, 0.1]],
    "pred_saliency_scores": [0.5] * 75,
}
SAMPLE = {  # as lmms-eval's log has it: without `doc`, the query is in what the task submits
    "doc_id": 0,
    "target": "[24.3, 30.4]",
    "filtered_resps": ["The event happens in 1 - 2 seconds."],
    "doc_hash": "0",
    "input": "Please find the visual event …",
    "submission": {"v1.mp4>>>a dog>>>[24.3, 30.4]": "The event happens in 1 - 2 seconds."},
}
KEYED = {
    "v_x.mp4>>>a dog>>>[0.0, 4.0]": {"timestamps": [[0.0, 5.0]], "answers": "in 1 - 2 seconds"},
    "v_x.mp4>>>it >>> stops>>>[0.0, 4.0]": {"answers": "in 1 - 2 seconds"},
}
ROWS = "video_id,sentence,start_s,end_s,score\nv1,a dog,1,2,0.1\nv2,a cat,3,4,\nv1,a dog,5,6,0.7\n"


def dump(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def read(folder, text: str | bytes, form: str | None = None):
    path = folder / "file"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_foreign(path, form or recognise(path))


def answers(foreign, entry: int = 0) -> list:
    return foreign.spans[foreign.entries == entry].tolist()


def test_moment_retrieval(tmp_path):
    found = read(tmp_path, dump(WINDOWS, WINDOWS | {"qid": "8", "pred_relevant_windows": []}))
    assert found.format == "moment_retrieval"
    assert (found.ids, found.videos, found.sentences) == (["7", "8"], ["v1"] * 2, ["a dog"] * 2)
    assert answers(found) == [[0, 4.5], [6, 8]] and answers(found, 1) == []
    assert read(tmp_path, dump(WINDOWS | {"qid": 7.0})).ids == ["7"]


def test_samples_of_lmms_eval_by_what_they_submit_or_by_their_doc(tmp_path):
    documented = {"doc": {"video": "v2.mp4", "caption": "a cat"}, "resps": [["3 - 4", "5 - 6"]]}
    nameless = {"doc_id": 2, "resps": [["3 - 4"]]}
    for text in (
        dump(SAMPLE, documented, nameless),
        json.dumps({"args": {}, "logs": [SAMPLE, documented, nameless]}, indent=4),
        json.dumps([SAMPLE, documented, nameless]),
    ):
        found = read(tmp_path, text)
        assert found.format == "lmms_eval"
        assert found.videos == ["v1.mp4", "v2.mp4", None]
        assert found.sentences == ["a dog", "a cat", None]
        assert answers(found) == [[1, 2]] and answers(found, 1) == [[3, 4]]
        assert found.counts["responses_not_read"] == 1


def test_submissions_of_lmms_eval_and_timelens(tmp_path):
    found = read(tmp_path, json.dumps(KEYED, indent=4))
    assert found.format == "timelens" and found.videos == ["v_x.mp4"] * 2
    assert found.sentences == ["a dog", "it >>> stops"]
    assert answers(found) == [[0, 5]] and answers(found, 1) == [[1, 2]]
    by_line = read(tmp_path, dump(*({key: value} for key, value in KEYED.items())))
    assert by_line.sentences == found.sentences and (by_line.spans == found.spans).all()
    said = read(
        tmp_path, json.dumps({"v>>>a dog>>>[0, 1]": "no idea", "v>>>it>>>[0, 1]": "2 to 1"})
    )
    assert said.format == "lmms_eval" and said.counts["texts_without_times"] == 1
    assert answers(said) == [] and answers(said, 1) == [[1, 2]]


def test_rows_of_one_query_are_its_answers_by_score(tmp_path):
    found = read(tmp_path, ROWS)
    assert found.format == "csv" and found.videos == ["v1", "v2"]
    assert answers(found) == [[5, 6], [1, 2]] and answers(found, 1) == [[3, 4]]
    assert found.counts["queries_sorted_by_score"] == 1
    unscored = read(tmp_path, "query_id,start_s,end_s\nq,5,6\np,,\nq,1,2\nq,3,4\n")
    assert unscored.ids == ["q", "p"] and answers(unscored) == [[5, 6], [1, 2], [3, 4]]
    assert unscored.counts["queries_sorted_by_score"] == 0 and answers(unscored, 1) == []


def test_our_own_predictions_are_known_by_their_first_bytes(tmp_path):
    table = Queries(["q"], ["v"], ["a"], np.array([9.0]), np.array([[0.0, 1.0]]))
    write_predictions(tmp_path / "p", table, np.ones((1, 1, 3)))
    assert recognise(tmp_path / "p") == PREDICTIONS


@pytest.mark.parametrize(
    "packer", [gzip.compress, bz2.compress, bytes], ids=["gzip", "bzip2", "no"]
)
@pytest.mark.parametrize(
    "text", [dump(WINDOWS), ROWS, json.dumps(KEYED)], ids=["lines", "csv", "json"]
)
def test_packed_files_marks_and_line_ends_change_nothing(tmp_path, packer, text):
    plain = read(tmp_path, text)
    other = read(tmp_path, packer(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))
    assert (other.format, other.videos, other.ids) == (plain.format, plain.videos, plain.ids)
    assert (other.spans == plain.spans).all() and other.sentences == plain.sentences


def test_sentences_may_hold_commas_and_lines(tmp_path):
    written = io.StringIO()
    row = {"video_id": "v", "sentence": 'a "big", red\ndog', "start_s": 1, "end_s": 2}
    writer = csv.DictWriter(written, row)
    writer.writeheader()
    writer.writerow(row)
    assert read(tmp_path, written.getvalue()).sentences == [row["sentence"]]


def test_what_is_no_moment_is_left_out_and_counted(tmp_path):
    windows = [[math.nan, 2, 1], [1, math.inf, 0.9], [5, 1, 0.8], [None, 3, 0.7], [2, 2, 0.6]]
    windows += [[3, 4, None], [10**400, 1, 0.1], [6, 7, 0.5]]
    found = read(tmp_path, dump(WINDOWS | {"pred_relevant_windows": windows}))
    assert answers(found) == [[2, 2], [6, 7], [3, 4]]
    assert found.counts["answers_not_finite"] == 4 and found.counts["answers_reversed"] == 1


REFUSED = {
    "": "of no format that is known by its content .*--format",
    "hello": "of no format",
    '{"a": 1}': "of no format",
    "[1, 2]": r"\[0\]: expected an object",
    '{"pred_relevant_windows": [[1, 2, 3]], "qid"': "column .*not valid JSON",
    dump(WINDOWS) + '{"qid": 8': "line 2, column .*: not valid JSON",
    dump(WINDOWS, SAMPLE): "line 2: pred_relevant_windows: expected a list, got null",
    dump(WINDOWS) + "[1]\n": "line 2: expected an object",
    dump(WINDOWS | {"pred_relevant_windows": 3}): "line 1: pred_relevant_windows: expected a list",
    dump(WINDOWS | {"pred_relevant_windows": [[1]]}): r"expected \[start, end, score\], got \[1\]",
    dump(WINDOWS | {"pred_relevant_windows": [["1", 2]]}): 'expected a number, got "1"',
    dump(WINDOWS | {"pred_relevant_windows": [[True, 2]]}): "expected a number, got true",
    dump(WINDOWS | {"qid": 7.5}): "qid: expected a text or a number, got 7.5",
    dump(WINDOWS | {"vid": ["v"]}): "vid: expected a text or a number",
    dump(WINDOWS).replace("4.5", "1" * 5000): "file: a number of thousands of digits",
    '{"a>>>b": {"timestamps": 3}}': "timestamps: expected a list",
    '{"a>>>b": {"answers": 3}}': "expected a text as answer, got 3",
    "[" * 100_000: "nested without end",
    "start_s,end_s\n1,2\n": "needed are start_s and end_s, and query_id, or video_id and sentence",
    "query_id,start_s,end_s\nq,1\n": "line 2: 2 fields for 3 columns",
    "query_id,start_s,end_s\nq,1,x\n": "line 2: end_s: expected a number, got 'x'",
    "query_id,query_id,start_s,end_s\n": "two columns of one name",
    "query_id,start_s,end_s\nq,1_0,2_0\n": "line 2: start_s: expected a number, got '1_0'",
    '{"qid": 1, "qid": 2, "pred_relevant_windows": []}': "line 1: qid: stands twice in one object",
    "query_id,start_s,end_s\n": "holds no query",
    "query_id,start_s,end_s\n" + "q" * 200_000 + ",1,2\n": "line 2: not CSV",
}


@pytest.mark.parametrize("text", REFUSED, ids=[str(place) for place in range(len(REFUSED))])
def test_what_is_not_of_a_format_is_refused_with_its_place(tmp_path, text):
    with pytest.raises(UserError, match=REFUSED[text]) as refusal:
        read(tmp_path, text)
    assert str(refusal.value).startswith(f"{tmp_path / 'file'}") and "\n" not in str(refusal.value)


def test_other_encodings_damage_and_folders_are_called_so(tmp_path):
    for content, said in (
        (ROWS.encode("utf-16"), "not UTF-8"),
        (("query_id,start_s,end_s\n" + "q,1,2\n" * 9 + "é,1,2\n").encode("latin-1"), "not UTF-8"),
        (gzip.compress(ROWS.encode() * 99)[:40], "damaged archive"),
    ):
        with pytest.raises(UserError, match=f"file: .*{said}"):
            read(tmp_path, content)
    with pytest.raises(UserError, match="name a file, not a folder"):
        recognise(tmp_path)
    with pytest.raises(UserError, match="gone: no such file"):
        recognise(tmp_path / "gone")


def test_a_value_too_large_for_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tsgbench.evaluation.foreign.LONGEST", 5000)
    with pytest.raises(UserError, match="too large to be one JSON value; write it as JSON lines"):
        read(tmp_path, json.dumps([WINDOWS] * 20, indent=1))
    with pytest.raises(UserError, match="line 2: too long"):
        read(tmp_path, dump(WINDOWS, WINDOWS | {"note": "x" * 6000}))
