"""One file from one address: against a server that drops, lies, corrupts and refuses."""

import errno
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from download_server import BODY, SHA256, missing, plain, serve, status

from tsgbench.downloads import fetch, transfer
from tsgbench.errors import UserError


def test_a_sound_server_gives_the_file_and_its_facts(server, get, target, part):
    server.plans["a"] = [serve(BODY)]
    facts = get("a")
    assert target.read_bytes() == BODY and not part.exists()
    assert facts["files"] == [
        {
            "path": "raw/file.bin",
            "bytes": len(BODY),
            "sha256": SHA256,
            "from": f"{server.url}/a",
        }
    ]
    assert facts["excerpt"] is False and facts["tried"] == []


def test_a_correct_file_is_kept_without_asking(server, get, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY)
    assert get("a")["files"][0]["from"] == "present"
    assert server.requests == []


def test_a_wrong_file_is_replaced(server, get, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY[:-1] + b"x")
    server.plans["a"] = [serve(BODY)]
    assert "wrong SHA-256" in get("a")["tried"][0]
    assert target.read_bytes() == BODY


def test_a_wrong_file_stays_if_nothing_better_comes(server, get, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    with pytest.raises(UserError, match=r"file\.bin: 3 bytes, expected 1048576"):
        get("a")
    assert target.read_bytes() == b"old"


def test_dropped_connections_resume_where_they_stopped(server, get, target):
    server.plans["a"] = [serve(BODY, stop_after=200_000)]  # six requests, each 200 kB further
    get("a")
    assert target.read_bytes() == BODY
    begins = [int(asked.removeprefix("bytes=")[:-1]) for _, asked in server.requests if asked]
    assert begins == [200_000, 400_000, 600_000, 800_000, 1_000_000]


def test_a_part_of_a_killed_download_is_used(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:700_000])
    server.plans["a"] = [serve(BODY)]
    get("a")
    assert server.requests == [("a", "bytes=700000-")]
    assert target.read_bytes() == BODY


def test_a_complete_part_needs_no_request(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY)
    get("a")
    assert server.requests == [] and target.read_bytes() == BODY


def test_a_stale_part_is_thrown_away_and_the_file_fetched_whole(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 500_000)
    server.plans["a"] = [serve(BODY)]
    get("a")
    assert [asked for _, asked in server.requests] == ["bytes=500000-", None]
    assert target.read_bytes() == BODY


def test_an_over_long_part_is_thrown_away(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY + b"x")
    server.plans["a"] = [serve(BODY)]
    get("a")
    assert server.requests == [("a", None)] and target.read_bytes() == BODY


def test_a_part_is_not_trusted_where_nothing_can_prove_it(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 500_000)
    server.plans["a"] = [serve(BODY)]
    get("a", bytes=None, sha256=None)
    assert server.requests == [("a", None)] and target.read_bytes() == BODY


def test_a_server_that_ignores_ranges_starts_over(server, get, target):
    server.plans["a"] = [
        serve(BODY, stop_after=300_000),
        serve(BODY, ranges=False, stop_after=100_000),
        serve(BODY, ranges=False),
    ]
    get("a")
    assert target.read_bytes() == BODY
    assert server.requests[1] == ("a", "bytes=300000-")


def test_another_range_than_asked_for_is_not_appended(server, get, target):
    def shifted(handler):
        rest = BODY[handler.begin() + 7 :]
        place = f"bytes {handler.begin() + 7}-{len(BODY) - 1}/{len(BODY)}"
        handler.answer(206, rest, **{"Content-Range": place})

    server.plans["a"] = [serve(BODY, stop_after=300_000), shifted, serve(BODY)]
    get("a")
    assert target.read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", None]


def test_a_range_that_the_server_cannot_satisfy_starts_over(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:700_000])
    server.plans["a"] = [status(416), serve(BODY)]
    get("a")
    assert [asked for _, asked in server.requests] == ["bytes=700000-", None]
    assert target.read_bytes() == BODY


def test_a_stalled_connection_keeps_what_has_come(server, get, target):
    def stall(handler):
        handler.answer(200, BODY[:300_000], **{"Content-Length": str(len(BODY))})
        handler.wfile.flush()
        server.released.wait(10)

    server.plans["a"] = [stall, serve(BODY)]
    get("a", timeout_s=0.3)
    server.released.set()
    assert target.read_bytes() == BODY
    assert server.requests[1] == ("a", "bytes=300000-")


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_retried(server, get, target, code):
    server.plans["a"] = [status(code), status(code), serve(BODY)]
    get("a")
    assert len(server.requests) == 3 and target.read_bytes() == BODY


def test_patience_ends_and_the_next_address_follows(server, get, target):
    server.plans |= {"a": [status(500)], "b": [serve(BODY)]}
    facts = get("a", "b")
    assert [name for name, _ in server.requests] == ["a", "a", "a", "b"]
    assert facts["files"][0]["from"].endswith("/b")
    assert facts["tried"] == [f"{server.url}/a: HTTP 500 (3 attempts)"]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_final_refusal_is_not_repeated(server, get, target, code):
    server.plans |= {"a": [status(code)], "b": [serve(BODY)]}
    get("a", "b")
    assert [name for name, _ in server.requests] == ["a", "b"]


def test_corrupt_bytes_are_refused_and_leave_nothing(server, get, target, part):
    server.plans["a"] = [serve(BODY[:-1] + b"x")]
    with pytest.raises(UserError, match=rf"wrong SHA-256 [0-9a-f]{{64}}, expected {SHA256}"):
        get("a")
    assert not target.exists() and not part.exists()
    assert len(server.requests) == 1


def test_corrupt_bytes_from_one_address_do_not_spoil_the_next(server, get, target):
    server.plans |= {"a": [serve(b"\1" * len(BODY), stop_after=400_000), missing]}
    server.plans["b"] = [serve(BODY)]
    get("a", "b")
    assert target.read_bytes() == BODY


def test_corrupt_and_dropping_at_once_comes_to_an_end(server, get, target, part):
    server.plans["a"] = [serve(b"\1" * len(BODY), stop_after=600_000)]
    with pytest.raises(UserError):
        get("a")
    assert not target.exists() and len(server.requests) < 12


def test_a_body_shorter_than_announced_is_truncated(server, get, target, part):
    server.plans["a"] = [plain(BODY[:1000], str(len(BODY)))]
    with pytest.raises(UserError, match=r"1000 of 1048576 bytes \(3 attempts\)"):
        get("a")
    assert not target.exists() and part.read_bytes() == BODY[:1000]


def test_a_short_file_announced_as_such_is_refused_at_once(server, get, target):
    server.plans["a"] = [serve(BODY[:1000])]
    with pytest.raises(UserError, match="announces 1000 bytes, expected 1048576"):
        get("a")
    assert len(server.requests) == 1


def test_a_body_longer_than_expected_is_refused(server, get, target, part):
    server.plans["a"] = [plain(BODY + BODY, "")]
    with pytest.raises(UserError, match="sends more than the expected 1048576 bytes"):
        get("a")
    assert not target.exists() and not part.exists()


def test_more_bytes_than_announced_are_not_taken(server, get, target):
    server.plans["a"] = [plain(BODY + b"more", str(len(BODY)))]
    get("a")
    assert target.read_bytes() == BODY


def test_a_body_without_length_is_checked_against_the_known_size(server, get, target):
    server.plans["a"] = [plain(BODY[:5000], ""), plain(BODY, "")]
    get("a")
    assert target.read_bytes() == BODY


def test_an_empty_file_is_never_right(server, get, target):
    server.plans["a"] = [plain(b"", "0")]
    with pytest.raises(UserError, match="empty"):
        get("a", bytes=None, sha256=None)
    assert not target.exists()


def test_an_unknown_checksum_is_recorded_and_then_holds(server, get, target):
    server.plans["a"] = [serve(BODY)]
    assert get("a", sha256=None)["files"][0]["sha256"] == SHA256
    assert target.with_name("file.bin.sha256").read_text().split() == [SHA256, "file.bin"]
    target.write_bytes(b"x" * len(BODY))
    server.plans["a"] = [serve(b"y" * len(BODY))]
    with pytest.raises(UserError, match=r"wrong SHA-256 .*file\.bin\.sha256"):
        get("a", sha256=None)


def test_a_refused_connection_and_a_bad_address_are_reported_together(server, get, tmp_path):
    source = {
        "path": "raw/file.bin",
        "urls": ["http://127.0.0.1:9/x", "ftp://127.0.0.1/x", "http://[broken/x"],
        "bytes": 1,
    }
    with pytest.raises(UserError) as error:
        fetch(source, tmp_path, mirror=None, progress=False, attempts=2, backoff_s=0.001)
    text = str(error.value)
    assert re.search(r"127\.0\.0\.1:9/x: .*refused.*\(2 attempts\)", text)
    assert "scheme 'ftp' is not one of http, https, file" in text
    assert "TSGBENCH_MIRROR" in text and str(tmp_path / "raw/file.bin") in text
    assert "[broken" in text


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/x", "file:///etc/hostname"])
def test_a_redirection_never_leaves_http(server, get, target, where):
    server.plans["a"] = [lambda handler: handler.answer(302, b"", Location=where)]
    with pytest.raises(UserError):
        get("a", bytes=None, sha256=None)
    assert not target.exists()


def test_a_redirection_within_http_is_followed(server, get, target):
    server.plans["a"] = [lambda handler: handler.answer(302, b"", Location="/b")]
    server.plans["b"] = [serve(BODY)]
    get("a")
    assert target.read_bytes() == BODY


def test_a_full_disk_names_the_file_and_keeps_the_part(server, get, target, part, monkeypatch):
    server.plans["a"] = [serve(BODY, stop_after=300_000), serve(BODY)]
    written, real_open = [], open

    def open_full(path, mode="r", *args, **kwargs):
        stream = real_open(path, mode, *args, **kwargs)
        if str(path).endswith(".part") and mode == "r+b":

            class Full:
                seek, flush, close = stream.seek, stream.flush, stream.close

                def write(self, chunk):
                    written.append(len(chunk))
                    raise OSError(errno.ENOSPC, "No space left on device")

            return Full()
        return stream

    monkeypatch.setattr("builtins.open", open_full)
    with pytest.raises(UserError, match=r"file\.bin: the disk is full; free some space"):
        get("a")
    monkeypatch.undo()
    assert written and part.read_bytes() == BODY[:300_000] and not target.exists()
    get("a")
    assert target.read_bytes() == BODY


def test_too_little_room_is_noticed_before_the_first_byte(server, get, part, monkeypatch):
    server.plans["a"] = [serve(BODY)]
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="needs 1 MB, the disk has 0 MB"):
        get("a")
    assert not part.exists()


OTHER = bytes(reversed(BODY))  # as long as BODY, and nowhere the same for long
DAY = "Wed, 01 Jan 2020 00:00:00 GMT"
NEXT_DAY = "Thu, 02 Jan 2020 00:00:00 GMT"


@pytest.mark.parametrize("version", [{"etag": '"one"'}, {"modified": DAY}])
def test_an_unknown_checksum_resumes_on_the_servers_word(server, get, target, version):
    server.plans["a"] = [serve(BODY, stop_after=300_000, **version)]
    get("a", bytes=None, sha256=None)
    begins = [asked for _, asked in server.requests]
    assert begins == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert target.read_bytes() == BODY
    assert sorted(path.name for path in target.parent.iterdir()) == ["file.bin", "file.bin.sha256"]


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [({"etag": '"one"'}, {"etag": '"two"'}), ({"modified": DAY}, {"modified": NEXT_DAY})],
)
def test_a_file_that_changes_between_attempts_is_not_spliced(
    server, get, target, first, second, heeds
):
    server.plans["a"] = [
        serve(BODY, stop_after=300_000, **first),
        serve(OTHER, heeds_if_range=heeds, **second),
    ]
    get("a", bytes=None, sha256=None)
    assert target.read_bytes() == OTHER


def test_a_weak_etag_proves_nothing(server, get, target):
    server.plans["a"] = [serve(BODY, stop_after=300_000, etag='W/"one"'), serve(OTHER)]
    get("a", bytes=None, sha256=None)
    assert target.read_bytes() == OTHER
    assert [asked for _, asked in server.requests] == [None, None]


def test_the_right_size_alone_does_not_make_pieces_fit(server, get, target):
    server.plans["a"] = [serve(BODY, stop_after=300_000), serve(OTHER)]
    get("a", sha256=None)
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("version", "sent"),
    [({"etag": '"one"', "modified": DAY}, '"one"'), ({"etag": 'W/"one"', "modified": DAY}, DAY)],
)
def test_the_server_is_asked_for_the_same_version(server, get, target, version, sent):
    asked = []

    def note(handler):
        asked.append(handler.headers.get("If-Range"))
        serve(BODY, **version)(handler)

    server.plans["a"] = [serve(BODY, stop_after=300_000, **version), note]
    get("a")
    assert asked == [sent] and target.read_bytes() == BODY


def test_a_part_of_one_address_is_not_continued_from_another(server, get, target):
    server.plans["a"] = [serve(BODY, stop_after=300_000, etag='"one"'), status(404)]
    server.plans["b"] = [serve(OTHER, etag='"one"')]
    get("a", "b", bytes=None, sha256=None)
    assert target.read_bytes() == OTHER
    assert server.requests[-1] == ("b", None)


def test_a_killed_download_of_unknown_checksum_goes_on(server, get, target, part):
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:700_000])
    note = {"address": f"{server.url}/a", "etag": '"one"', "modified": ""}
    part.with_name("file.bin.part.json").write_text(json.dumps(note))
    server.plans["a"] = [serve(BODY, etag='"one"')]
    get("a", bytes=None, sha256=None)
    assert server.requests == [("a", "bytes=700000-")] and target.read_bytes() == BODY


@pytest.mark.parametrize("note", ["", "{", "[]", "null"])
def test_a_half_written_note_proves_nothing(server, get, target, part, note):
    part.parent.mkdir(parents=True)
    part.write_bytes(OTHER[:700_000])
    part.with_name("file.bin.part.json").write_text(note)
    server.plans["a"] = [serve(BODY)]
    get("a", bytes=None, sha256=None)
    assert server.requests == [("a", None)] and target.read_bytes() == BODY


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_honoured(server, get, target, naps, code):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    server.plans["a"] = [
        status(code, Retry_After="3"),
        status(code, Retry_After=soon),
        serve(BODY),
    ]
    get("a")
    assert target.read_bytes() == BODY
    assert naps[0] == 3 and 1 < naps[1] <= 4


@pytest.mark.parametrize("said", ["", "soon", "-3"])
def test_a_retry_after_that_says_nothing_is_the_usual_wait(server, get, target, naps, said):
    server.plans["a"] = [status(429, Retry_After=said), serve(BODY)]
    get("a")
    assert len(naps) == 1 and naps[0] < 0.1 and target.read_bytes() == BODY


def test_a_server_that_asks_for_too_much_patience_is_passed_by(server, get, target, naps):
    server.plans |= {"a": [status(429, Retry_After="3600")], "b": [serve(BODY)]}
    facts = get("a", "b")
    assert facts["tried"] == [f"{server.url}/a: HTTP 429, asks for 3600 s of patience"]
    assert naps == [] and target.read_bytes() == BODY


def test_a_circle_of_redirections_ends(server, get, target):
    server.plans["a"] = [lambda handler: handler.answer(302, b"", Location="/a")]
    with pytest.raises(UserError, match="HTTP 302"):
        get("a")
    assert len(server.requests) < 30


PAGES = [
    b"<!DOCTYPE html><title>Google Drive - Virus scan warning</title>",
    b"\xef\xbb\xbf\n  <HTML><body>Please log in</body></HTML>",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
]
GOOD = {
    "x.zip": b"PK\x03\x04rest",
    "x.tar.gz": b"\x1f\x8brest",
    "x.h5": b"\x89HDF\r\n\x1a\nrest",
    "x.json": b" \n[1]",
    "x.mp4": b"\0\0\0\x18ftypmp42",
    "x.avi": b"RIFF\0\0\0\0AVI LIST",
    "x.pth": b"\x80\x02rest",
    "x.npy": b"\x93NUMPYrest",
    "x.txt": b"the 0.1 0.2",
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_instead_of_the_file_is_refused(server, get, tmp_path, name, page):
    server.plans |= {"a": [serve(page)], "b": [serve(GOOD[name])]}
    facts = get("a", "b", path=name, bytes=None, sha256=None)
    assert (tmp_path / "data" / name).read_bytes() == GOOD[name]
    assert len(facts["tried"]) == 1 and "a web page" in facts["tried"][0]


@pytest.mark.parametrize("name", [name for name in GOOD if name != "x.txt"])
def test_another_format_than_the_suffix_says_is_refused(server, get, tmp_path, name):
    server.plans["a"] = [serve(b"Sorry, too many people have downloaded this file")]
    with pytest.raises(UserError, match="not a .* file"):
        get("a", path=name, bytes=None, sha256=None)
    assert not any(path.is_file() for path in (tmp_path / "data").rglob("*"))


def test_a_page_left_by_hand_is_not_taken_for_the_file(server, get, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.zip").write_bytes(PAGES[0])
    server.plans["a"] = [serve(GOOD["x.zip"])]
    get("a", path="x.zip", bytes=None, sha256=None)
    assert (tmp_path / "data/x.zip").read_bytes() == GOOD["x.zip"]


def test_a_process_killed_within_a_body_goes_on_where_it_was(server, get, target, part):
    def stall(handler):
        content = {"Content-Length": str(len(BODY)), "ETag": '"one"'}
        handler.answer(200, BODY[:300_000], **content)
        handler.wfile.flush()
        server.released.wait(10)

    server.plans["a"] = [stall]
    script = (
        "from tsgbench.downloads import fetch\n"
        f"fetch({{'path': 'raw/file.bin', 'urls': ['{server.url}/a']}},"
        f" {str(target.parents[1])!r}, mirror=None, progress=False)"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as running:
        deadline = time.monotonic() + 15
        while transfer.size_of(part) < 300_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        running.kill()
    server.released.set()
    assert part.stat().st_size == 300_000 and not target.exists()
    server.plans["a"] = [serve(BODY, etag='"one"')]
    get("a", bytes=None, sha256=None)
    assert server.requests[-1] == ("a", "bytes=300000-") and target.read_bytes() == BODY
