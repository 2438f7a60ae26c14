"""Downloads against a local server that drops, lies, corrupts and refuses."""

import errno
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
import yaml

from tsgbench.downloads import fetch, transfer
from tsgbench.errors import UserError

ROOT = Path(__file__).parents[1]
BODY = bytes(range(256)) * 4096  # 1 MiB: too long for one socket buffer to hide a drop
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers a path by the next of its planned behaviours; the last one stays."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.split("?")[0].lstrip("/")
        self.server.requests.append((name, self.headers.get("Range")))
        plan = self.server.plans.get(name, [missing])
        behave = plan.pop(0) if len(plan) > 1 else plan[0]
        self.close_connection = True
        behave(self)

    def begin(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match.group(1)) if match else 0

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(body: bytes, *, ranges: bool = True, stop_after: int | None = None) -> Callable:
    """A sound server of `body`, with ranges or without; `stop_after` bytes it hangs up."""

    def behave(handler: Handler) -> None:
        begin = handler.begin() if ranges else 0
        headers = {"Content-Length": str(len(body) - begin)}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        sent = body[begin:][:stop_after]
        handler.answer(206 if begin else 200, sent, **headers)

    return behave


def status(code: int) -> Callable:
    return lambda handler: handler.answer(code, b"no")


def plain(body: bytes, content_length: str) -> Callable:
    """Send `body` under any Content-Length ('' for none: the body ends with the connection)."""
    return lambda handler: handler.answer(200, body, **{"Content-Length": content_length})


missing = status(404)


@pytest.fixture
def server(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.plans, running.requests = {}, []
        running.released = threading.Event()
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path) -> Callable[..., dict]:
    """Fetch `raw/file.bin` from the names given, in order."""

    def run(*names: str, mirror: str | None = None, timeout_s: float = 2, **source) -> dict:
        entry = {"bytes": len(BODY), "sha256": SHA256} | source
        entry = {key: value for key, value in entry.items() if value is not None}
        entry |= {"path": "raw/file.bin", "urls": [f"{server.url}/{name}" for name in names]}
        return fetch(
            entry,
            tmp_path / "data",
            mirror=mirror,
            progress=False,
            attempts=3,
            backoff_s=0.001,
            timeout_s=timeout_s,
        )

    return run


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "data/raw/file.bin"


@pytest.fixture
def part(target) -> Path:
    return target.with_name("file.bin.part")


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


@pytest.mark.parametrize("code", [500, 503, 429])
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


@pytest.mark.parametrize("kind", ["folder", "url", "file url"])
def test_a_mirror_comes_first(server, get, target, tmp_path, kind):
    folder = tmp_path / "a mirror"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw/file.bin").write_bytes(BODY)
    server.plans |= {"m/raw/file.bin": [serve(BODY)], "a": [serve(BODY)]}
    mirror = {"folder": str(folder), "url": f"{server.url}/m/", "file url": folder.as_uri()}[kind]
    assert get("a", mirror=mirror)["files"][0]["from"] == "mirror"
    assert target.read_bytes() == BODY
    assert "a" not in [name for name, _ in server.requests]


@pytest.mark.parametrize("content", [None, b"short", b"x" * len(BODY)])
def test_a_mirror_without_the_right_file_is_passed_over(server, get, target, tmp_path, content):
    (tmp_path / "mirror/raw").mkdir(parents=True)
    if content is not None:
        (tmp_path / "mirror/raw/file.bin").write_bytes(content)
    server.plans["a"] = [serve(BODY)]
    facts = get("a", mirror=str(tmp_path / "mirror"))
    assert len(facts["tried"]) == 1 and target.read_bytes() == BODY


EXCERPTS = {f"raw/part{n}.txt": f"rows {n}".encode() for n in (1, 2)}


def excerpt_entries() -> list[dict]:
    return [
        {"path": path, "bytes": len(rows), "sha256": hashlib.sha256(rows).hexdigest()}
        for path, rows in EXCERPTS.items()
    ]


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_excerpts_stand_in_where_a_mirror_lacks_the_whole(server, get, tmp_path, kind):
    for path, rows in EXCERPTS.items():
        (tmp_path / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / path).write_bytes(rows)
        server.plans[f"m/{path}"] = [serve(rows)]
    mirror = {"folder": str(tmp_path / "mirror"), "url": f"{server.url}/m"}[kind]
    server.plans["a"] = [serve(BODY)]
    facts = get("a", mirror=mirror, excerpts=excerpt_entries())
    assert facts["excerpt"] is True
    assert [file["path"] for file in facts["files"]] == list(EXCERPTS)
    for path, rows in EXCERPTS.items():
        assert (tmp_path / "data" / path).read_bytes() == rows
    again = get("a", excerpts=excerpt_entries())
    assert again["excerpt"] is True and {file["from"] for file in again["files"]} == {"present"}
    assert "a" not in [name for name, _ in server.requests]


def test_the_whole_is_taken_where_a_mirror_has_both(get, tmp_path):
    for path, rows in (EXCERPTS | {"raw/file.bin": BODY}).items():
        (tmp_path / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / path).write_bytes(rows)
    facts = get(mirror=str(tmp_path / "mirror"), excerpts=excerpt_entries())
    assert facts["excerpt"] is False
    assert not (tmp_path / "data/raw/part1.txt").exists()


@pytest.mark.parametrize("damage", ["absent", "wrong"])
def test_one_bad_excerpt_and_the_whole_is_fetched(server, get, target, tmp_path, damage):
    path, rows = next(iter(EXCERPTS.items()))
    (tmp_path / "mirror/raw").mkdir(parents=True)
    (tmp_path / "mirror" / path).write_bytes(rows)
    if damage == "wrong":
        (tmp_path / "mirror/raw/part2.txt").write_bytes(b"rows 3")
    server.plans["a"] = [serve(BODY)]
    facts = get("a", mirror=str(tmp_path / "mirror"), excerpts=excerpt_entries())
    assert facts["excerpt"] is False and target.read_bytes() == BODY
    assert any("part2" in reason for reason in facts["tried"])


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", ""])
def test_a_path_outside_the_folder_is_refused(tmp_path, path):
    with pytest.raises(UserError, match="must be a relative path"):
        fetch({"path": path, "urls": []}, tmp_path, mirror=None, progress=False)


def read_config(name: str) -> dict:
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())


def read_schema(name: str) -> dict:
    return json.loads((ROOT / f"config/schemas/{name}.schema.json").read_text())


@pytest.mark.parametrize("name", ["sources", "datasets"])
def test_the_configs_meet_their_schemas(name):
    jsonschema.Draft202012Validator.check_schema(read_schema(name))
    jsonschema.validate(read_config(name), read_schema(name))


@pytest.mark.parametrize(
    "change",
    [
        {"urls": []},
        {"urls": ["ftp://x/y"]},
        {"path": "../x"},
        {"path": "a/../../x"},
        {"path": "/x"},
        {"sha256": "12"},
        {"sha-256": "0" * 64},
        {"bytes": 0},
    ],
)
def test_the_sources_schema_rejects(change):
    source = {"path": "a/b.txt", "urls": ["http://x/y"], "licence": "MIT", "purpose": "test"}
    schema = read_schema("sources")
    jsonschema.validate({"good": source}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"bad": source | change}, schema)


def test_every_file_of_a_data_set_is_a_source():
    sources = read_config("sources")
    for entry in read_config("datasets").values():
        assert set(entry["files"].values()) <= set(sources)
        assert entry["files"] or entry["generated"]


def test_the_mirror_holds_what_the_sources_state(mirror, tmp_path):
    for source in read_config("sources").values():
        facts = fetch(source | {"urls": []}, tmp_path, mirror=str(mirror), progress=False)
        assert all(file["from"] == "mirror" for file in facts["files"])
