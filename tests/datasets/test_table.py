"""Annotations as strangers write them: what is read, what is kept out, what is refused."""

import bz2
import gzip
import json
import lzma

import pytest

from tsgbench.datasets import read_annotations
from tsgbench.datasets.table import Form, annotated_videos, parse_time, video_id_of
from tsgbench.errors import UserError
from tsgbench.phases.annotations import refuse_empty, refuse_other_units

HEADER = "video,sentence,start,end,split\n"
ROWS = (
    "a.mp4,a person waves,1,2.5,train\nb.mp4,the door opens,0,4,val\nc.mp4,she sits down,2,6,test\n"
)
VIDEOS = "video,duration_s,problem\na,10.0,\nb,10.0,\nc,10.0,\nbroken,,video cannot be read\n"


def write(folder, content, name="annotations.csv", videos=VIDEOS):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    files = {"annotations": path}
    if videos:
        files["durations"] = folder / "durations.csv"
        files["durations"].write_text(videos)
    return files


def read(folder, content, name="annotations.csv", videos=VIDEOS, **settings):
    return read_annotations("table", write(folder, content, name, videos), settings=settings)


def rows_of(tables):
    return {
        split: [
            (video, sentence, *moment)
            for video, sentence, moment in zip(
                table.video_ids, table.sentences, table.moments.tolist(), strict=True
            )
        ]
        for split, table in tables.items()
    }


PLAIN = {
    "train": [("a", "a person waves", 1.0, 2.5)],
    "val": [("b", "the door opens", 0.0, 4.0)],
    "test": [("c", "she sits down", 2.0, 6.0)],
}


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROWS,
        b"\xef\xbb\xbf" + (HEADER + ROWS).encode(),
        (HEADER + ROWS).encode("utf-16"),
        (HEADER + ROWS).replace("\n", "\r\n"),
        (HEADER + ROWS).replace(",", ";").replace("2.5", "2,5"),
        (HEADER + ROWS).replace(",", "\t"),
        HEADER + ROWS + "\n\n,,,,\n",
        "\n" + HEADER + ROWS,
        (HEADER + ROWS)
        .replace("video,sentence,start,end,split", "Video ID,Query,Start (s),End,Set")
        .replace("Start (s)", "Start_s"),
        (HEADER + ROWS).replace(",2.5", ",0:02.5").replace(",6,", ",0:00:06,"),
        (HEADER + ROWS).replace(",val", ", Validation ").replace(",test", ",TEST"),
        (HEADER + ROWS).replace("a.mp4", "clips/a.MP4").replace("b.mp4", "clips\\b.avi"),
        HEADER + ROWS.replace("a person waves", '"a person waves"'),
    ],
    ids=[
        *("plain", "utf8_mark", "utf16", "crlf", "semicolons_commas", "tabs", "blank_lines"),
        *("blank_first", "other_header", "clock", "split_variants", "folders", "quoted"),
    ],
)
def test_the_same_rows_however_they_are_written(tmp_path, content):
    tables, report = read(tmp_path, content)
    assert rows_of(tables) == PLAIN
    assert all(not counted["dropped"] for counted in report["splits"].values())


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_gives_the_same(tmp_path, name):
    records = [
        {"video": video, "query": sentence, "start": start, "end": end, "split": split}
        for split, rows in PLAIN.items()
        for video, sentence, start, end in rows
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    content = lines if name == "a.jsonl" else json.dumps(records, indent=1)
    tables, _ = read(tmp_path, content, name)
    assert rows_of(tables) == PLAIN


def test_a_quoted_sentence_may_hold_commas_quotes_and_lines(tmp_path):
    said = 'he said ""no"",\r\nthen left'
    tables, _ = read(tmp_path, HEADER + ROWS + f'a.mp4,"{said}",3,4,train\n')
    assert tables["train"].sentences[1] == 'he said "no",\r\nthen left'


BAD = {
    "start not before end": ("a.mp4,x,5,3,train", "dropped"),
    "moment outside the video": ("a.mp4,x,11,12,train", "dropped"),
    "moment cut to the video": ("a.mp4,x,8,12,train", "repaired"),
    "no such video": ("z.mp4,x,1,2,train", "dropped"),
    "video cannot be read": ("broken.mp4,x,1,2,train", "dropped"),
    "repeated": ("a.mp4,a person waves,1,2.5,train", "dropped"),
    "time not understood": ("a.mp4,x,soon,2,train", "dropped"),
    "empty sentence": ("a.mp4,  ,1,2,train", "dropped"),
    "no video named": (",x,1,2,train", "dropped"),
    "no split named": ("a.mp4,x,1,2,", "dropped"),
    "other number of cells than the header": ("a.mp4,x, y,1,2,train", "dropped"),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_is_counted_and_named_and_the_others_stay(tmp_path, reason):
    row, action = BAD[reason]
    tables, report = read(tmp_path, HEADER + ROWS + row + "\n")
    found = report["splits"]["train"][action]
    assert found == {reason: {"count": 1, "rows": ["annotations:5"]}}
    assert len(tables["train"]) == (2 if action == "repaired" else 1)
    assert rows_of(tables)["test"] == PLAIN["test"]


def test_a_column_of_durations_stands_for_the_videos(tmp_path):
    content = HEADER.replace("split", "split,duration") + "".join(
        f"{row},{seconds}\n" for row, seconds in zip(ROWS.split("\n"), ("0:20", 9, 8), strict=False)
    )
    content += "a.mp4,y,1,2,train,21\na.mp4,z,1,2,train,long\n"
    tables, report = read(tmp_path, content, videos=None)
    assert tables["train"].durations.tolist() == [20.0]
    assert set(report["splits"]["train"]["dropped"]) == {
        "another duration than an earlier row of the video",
        "duration not understood",
    }


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ("clip,sentence,start,end\n", {}, r"line 1: no column is called video; it has 'clip', "),
        ("videos,sentence,start,end\n", {}, r"called video; did you mean 'videos'\? .*columns"),
        (HEADER + ROWS, {"columns": {"video": "vidoe"}}, r"no column 'vidoe'; did you mean 'vid"),
        ("video,file,sentence,start,end\n", {}, r"'video' and 'file' may both be the video"),
        ("video,sentence,start,end,end\n", {}, r"column 'end' stands twice"),
        ("", {}, r"is empty"),
        (HEADER + 'a.mp4,"no end,1,2,train\nb,x,1,2,val\n', {}, r"line 2: not valid CSV"),
        (HEADER + 'a.mp4,"he" ran,1,2,train\n', {}, r"line 2: not valid CSV .*quote"),
        (
            (HEADER + ROWS).encode() + b"a,caf\xe9,1,2,train\n",
            {},
            r"line 5: byte 0xe9 is not utf-8",
        ),
        (HEADER + ROWS, {"encoding": "utf-9"}, r"encoding: 'utf-9' is unknown"),
        (HEADER + ROWS, {"splits": ["train", "ood"]}, r"no row of split 'ood' .*test, train, val"),
        ("video,sentence,start,end\na,x,1,2\n", {}, r"nothing says which split"),
        (HEADER + ROWS + "a\0,x,1,2,train\n", {}, r"NUL"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_remedy(tmp_path, content, settings, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, content, **settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"video": "a"\n', r"line 1: not valid JSON"),
        ('{"video": "a", "query": "x", "start": 1, "end": 2}\n[1]\n', r"2: is no JSON object"),
        ("\n", r"is empty"),
    ],
)
def test_json_that_is_none_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text, "a.jsonl")


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path):
    _, report = read(tmp_path, HEADER + "a,x,9,1,train\na,x,2,1,train\nb,x,1,2,test\n")
    with pytest.raises(UserError, match=r"^annotations:2: none of the 2 rows of split 'train' can"):
        refuse_empty(report)


def test_an_encoding_can_be_named(tmp_path):
    content = (HEADER + ROWS + "a.mp4,un café,1,2,train\n").encode("cp1252")
    tables, _ = read(tmp_path, content, encoding="cp1252")
    assert tables["train"].sentences[1] == "un café"


def test_columns_can_be_named(tmp_path):
    content = HEADER.replace("video", "clip").replace("end", "until") + ROWS
    tables, _ = read(tmp_path, content, columns={"video": "clip", "end": "until"})
    assert rows_of(tables) == PLAIN


def many(videos):
    return "video,sentence,start,end\n" + "".join(
        f"v{number}.mp4,sentence {place} of {number},{place},{place + 1}\n"
        for number in videos
        for place in range(3)
    )


def test_shares_part_the_videos_and_not_their_sentences(tmp_path):
    lengths = "video,duration_s,problem\n" + "".join(f"v{n},9.0,\n" for n in range(50))
    shares = {"val_share": 0.1, "test_share": 0.2}
    tables, _ = read(tmp_path, many(range(50)), videos=lengths, **shares)
    videos = {split: set(table.video_ids) for split, table in tables.items()}
    assert {split: len(found) for split, found in videos.items()} == {
        "train": 35,
        "val": 5,
        "test": 10,
    }
    assert not videos["train"] & videos["val"] | videos["train"] & videos["test"]
    assert not videos["val"] & videos["test"]
    again, _ = read(tmp_path, many(reversed(range(50))), videos=lengths, **shares)
    assert {split: set(table.video_ids) for split, table in again.items()} == videos
    other, _ = read(tmp_path, many(range(50)), videos=lengths, **shares, split_seed=1)
    assert set(other["test"].video_ids) != videos["test"]


def test_a_file_for_each_split(tmp_path):
    files = {}
    for split, row in zip(("train", "test"), ROWS.splitlines(), strict=False):
        files[split] = tmp_path / f"{split}.csv"
        files[split].write_text(HEADER.replace("split", "note") + row + "\n")
    files["durations"] = tmp_path / "durations.csv"
    files["durations"].write_text(VIDEOS)
    tables, _ = read_annotations("table", files, settings={})
    assert {split: table.video_ids for split, table in tables.items()} == {
        "train": ["a"],
        "test": ["b"],
    }


def test_ids_of_queries_stay_when_rows_come_go_or_move(tmp_path):
    first, _ = read(tmp_path, HEADER + ROWS)
    lines = ROWS.splitlines(keepends=True)
    second, _ = read(tmp_path, HEADER + "a.mp4,new,1,2,train\n" + "".join(reversed(lines)))
    known = {name for table in first.values() for name in table.query_ids}
    assert len(known) == 3
    assert known < {name for table in second.values() for name in table.query_ids}


def test_a_stated_query_id_is_kept_and_a_repeated_one_refused(tmp_path):
    content = "qid," + HEADER + "".join(f"q{n},{row}\n" for n, row in enumerate(ROWS.splitlines()))
    tables, _ = read(tmp_path, content)
    assert [name for table in tables.values() for name in table.query_ids] == ["q0", "q1", "q2"]
    for row, said in (
        ("q1,a.mp4,again,1,2,train\n", "query id 'q1' is also that of .*; give each row its own"),
        ("a/1,a.mp4,again,1,2,train\n", "query id 'a/1' has odd characters; use letters from a"),
    ):
        with pytest.raises(UserError, match=said):
            read(tmp_path, content + row)


def test_rows_said_twice_in_two_splits_have_ids_of_their_own(tmp_path, caplog):
    tables, _ = read(tmp_path, HEADER + ROWS + "a.mp4,a person waves,1,2.5,test\n")
    assert len({*tables["train"].query_ids, *tables["test"].query_ids}) == 3
    assert "1 videos are both in train and in test, such as a" in caplog.text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("12.5", 12.5), ("1:02", 62.0), ("1:02:03.5", 3723.5), ("90:00", 5400.0), ("-1", -1.0)),
        *((" 7 ", 7.0), ("1:75", None), ("", None), ("nan", None), ("1:2:3:4", None)),
    ],
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


def test_composed_and_decomposed_names_are_one_video():
    assert video_id_of("cafe\u0301.mp4") == video_id_of("caf\u00e9") == "caf\u00e9"


def test_the_videos_that_a_file_names(tmp_path):
    files = write(tmp_path, HEADER + ROWS + ",x,1,2,train\n")
    assert annotated_videos([files["annotations"]], Form()) == {"a", "b", "c"}


@pytest.mark.parametrize("sentence", ["\u200b", "\ufeff", "\u00a0\u2003", "\u200e\u00ad"])
def test_a_sentence_that_nobody_can_read_is_none(tmp_path, sentence):
    _, report = read(
        tmp_path, HEADER + ROWS + f"a.mp4,x{sentence},1,2,train\na.mp4,{sentence},1,2,train\n"
    )
    assert report["splits"]["train"]["dropped"]["empty sentence"]["rows"] == ["annotations:6"]


@pytest.mark.parametrize(
    "time", ["1_0", "1s", "1000ms", "1,5", "0x1", "inf", "00:00:01:12", "1 PM", "1/2", "-", "1e999"]
)
def test_a_time_that_is_no_number_of_seconds_is_none(tmp_path, time):
    _, report = read(tmp_path, HEADER + ROWS + f'a.mp4,x,0,"{time}",train\n')
    assert report["splits"]["train"]["dropped"]["time not understood"]["count"] == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", gzip.compress((HEADER + ROWS).encode()), "packed by gzip; unpack it"),
        ("a.json", bz2.compress(b"[]"), "packed by bz2; unpack it"),
        ("a.jsonl.xz", lzma.compress(b"[]"), "packed by xz; unpack it"),
        ("a.csv", b"PK\x03\x04\x14\0", "a zip archive; unpack it, or export a workbook as CSV"),
        ("a.jsonl", b'{"video": "a", "video": "b"}', "line 1: not valid JSON .video: stands twice"),
        ("a.json", b'[{"video": "a"},]', "not valid JSON"),
        ("a.jsonl", b'{"video": "a"},\n', "line 1: not valid JSON"),
        ("a.json", b'{"annotations": []}', "no column is called video; it has 'annotations'"),
        ("a.csv", b"sep=;\r\nvideo;sentence;start;end\r\n", "no column is called video"),
        ("a.csv", b"video,sentence,start_ms,end_ms\n", "called start; did you mean 'start_ms'"),
        ("a.csv", b"video,sentence,start_frame,end_frame\n", "mean 'start_frame'"),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, name, content, said):
    with pytest.raises(UserError, match=said):
        read(tmp_path, content, name)


def of_times(tmp_path, moments, videos=VIDEOS):
    rows = [f"a.mp4,sentence {n},{start},{end},train\n" for n, (start, end) in enumerate(moments)]
    return read(tmp_path, HEADER + "".join(rows), videos=videos)


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        (
            [(0, 1000 * n + 500) for n in range(12)],
            "annotations:2: this and 11 more of the 12 mom.*seco",
        ),
        (
            [(25 * n, 25 * n + 30) for n in range(12)],
            "reach outside their videos: milliseconds, or fr",
        ),
        (
            [(n / 20, n / 20 + 0.2) for n in range(12)],
            "all of its 12 moments end within 1 s .*shares",
        ),
    ],
    ids=["milliseconds", "frames", "shares"],
)
def test_other_units_than_seconds_are_refused(tmp_path, moments, said):
    tables, report = of_times(tmp_path, moments)
    with pytest.raises(UserError, match=said):
        refuse_other_units(tables, report)


@pytest.mark.parametrize(
    "moments",
    [
        [(n / 2, 10.2 if n % 3 else 9) for n in range(11)] + [(1, 2), (2, 3), (3, 4), (4, 5)],
        [(n / 20, n / 20 + 0.2) for n in range(11)] + [(5, 7)],
        [(0, 1)] * 3,
    ],
    ids=["some outside", "one long", "few"],
)
def test_seconds_are_not_taken_for_another_unit(tmp_path, moments):
    refuse_other_units(*of_times(tmp_path, moments))


def test_short_videos_may_have_short_moments(tmp_path):
    videos = "video,duration_s,problem\na,3.0,\n"
    refuse_other_units(*of_times(tmp_path, [(n / 20, 0.9) for n in range(12)], videos))
