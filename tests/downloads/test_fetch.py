"""One source: mirror, excerpts, substitutes, joined parts."""

import hashlib

import pytest
from download_server import BODY, SHA256, serve, status

from tsgbench.downloads import content_key, fetch, obtain
from tsgbench.errors import UserError


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


def test_a_mirror_that_is_no_folder_is_refused_rather_than_passed_over(server, tmp_path):
    """A letter wrong in a study would fetch everything from upstream, and say nothing."""
    server.plans["a"] = [serve(BODY)]
    entry = {"path": "raw/file.bin", "sha256": SHA256, "urls": [f"{server.url}/a"]}
    here = tmp_path / "mirror"
    with pytest.raises(UserError, match=r"mirror: .*mirror: there is no such folder; correct"):
        obtain("it", {"it": entry}, tmp_path / "data", mirror=str(here), progress=False)
    assert not server.requests and not (tmp_path / "data").exists()
    here.mkdir()
    obtain("it", {"it": entry}, tmp_path / "data", mirror=str(here), progress=False)
    assert (tmp_path / "data/raw/file.bin").read_bytes() == BODY


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


def test_a_substitute_stands_in_and_is_flagged(server, get, tmp_path):
    rows = b"the same rows in another order"
    entry = {"path": "raw/again.txt", "bytes": len(rows), "purpose": "order differs"}
    entry["sha256"] = hashlib.sha256(rows).hexdigest()
    (tmp_path / "mirror/raw").mkdir(parents=True)
    (tmp_path / "mirror/raw/again.txt").write_bytes(rows)
    server.plans["a"] = [serve(BODY)]
    for mirror in (str(tmp_path / "mirror"), None):  # the second time it is here
        facts = get("a", mirror=mirror, substitutes=[entry])
        assert facts["substitute"] is True and facts["excerpt"] is False
        assert [file["path"] for file in facts["files"]] == ["raw/again.txt"]
    assert server.requests == []


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_without_a_right_substitute_the_original_is_fetched(server, get, target, tmp_path, content):
    entry = {"path": "raw/again.txt", "bytes": 7, "sha256": "0" * 64, "purpose": "order differs"}
    (tmp_path / "mirror/raw").mkdir(parents=True)
    if content:
        (tmp_path / "mirror/raw/again.txt").write_bytes(content)
    server.plans["a"] = [serve(BODY)]
    facts = get("a", mirror=str(tmp_path / "mirror"), substitutes=[entry])
    assert facts["substitute"] is False and target.read_bytes() == BODY


PIECES = [BODY[:400_000], BODY[400_000:700_000], BODY[700_000:]]


@pytest.fixture
def join(server, tmp_path):
    """Fetch `raw/joined.bin` from the pieces p0, p1, p2 of the server."""

    def run(mirror=None, **source) -> dict:
        parts = [{"urls": [f"{server.url}/p{place}"]} for place in range(3)]
        entry = {"path": "raw/joined.bin", "parts": parts} | source
        patience = {"attempts": 2, "backoff_s": 0.001, "timeout_s": 2}
        return fetch(entry, tmp_path / "data", mirror=mirror, progress=False, **patience)

    return run


def test_parts_are_joined_in_order(server, join, tmp_path):
    server.plans |= {f"p{place}": [serve(piece)] for place, piece in enumerate(PIECES)}
    facts = join()
    assert (tmp_path / "data/raw/joined.bin").read_bytes() == BODY
    assert facts["files"][0]["sha256"] == SHA256 and len(server.requests) == 3
    left = sorted(path.name for path in (tmp_path / "data/raw").iterdir())
    assert left == ["joined.bin", "joined.bin.sha256"]
    assert join()["files"][0]["from"] == "present" and len(server.requests) == 3


def test_a_missing_part_keeps_the_others_for_the_next_time(server, join, tmp_path):
    server.plans |= {"p0": [serve(PIECES[0])], "p1": [serve(PIECES[1], stop_after=100, etag='"1"')]}
    server.plans["p1"].append(status(500))
    with pytest.raises(UserError, match=r"p1: HTTP 500 \(2 attempts\)"):
        join()
    assert not (tmp_path / "data/raw/joined.bin").exists()
    server.requests.clear()
    server.plans |= {"p1": [serve(PIECES[1], etag='"1"')], "p2": [serve(PIECES[2])]}
    join()
    assert server.requests == [("p1", "bytes=100-"), ("p2", None)]
    assert (tmp_path / "data/raw/joined.bin").read_bytes() == BODY


def test_a_part_damaged_on_disk_is_fetched_again(server, join, tmp_path):
    server.plans |= {"p0": [serve(PIECES[0])], "p1": [serve(PIECES[1])], "p2": [status(404)]}
    with pytest.raises(UserError):
        join()
    (tmp_path / "data/raw/joined.bin.parts/00").write_bytes(b"x" * len(PIECES[0]))
    server.plans["p2"] = [serve(PIECES[2])]
    join()
    assert (tmp_path / "data/raw/joined.bin").read_bytes() == BODY


def test_parts_that_make_another_file_are_thrown_away(server, join, tmp_path):
    server.plans |= {f"p{place}": [serve(piece)] for place, piece in enumerate(PIECES)}
    server.plans["p1"] = [serve(PIECES[1][::-1])]
    with pytest.raises(UserError, match=r"joined from 3 parts: wrong SHA-256"):
        join(sha256=SHA256)
    assert not any(path.is_file() for path in (tmp_path / "data").rglob("*"))


def test_a_page_for_a_part_is_refused(server, join):
    server.plans |= {f"p{place}": [serve(piece)] for place, piece in enumerate(PIECES)}
    server.plans["p1"] = [serve(b"<html>gone</html>")]
    with pytest.raises(UserError, match="p1: a web page"):
        join()


def test_a_mirror_gives_the_joined_file(server, join, tmp_path):
    (tmp_path / "mirror/raw").mkdir(parents=True)
    (tmp_path / "mirror/raw/joined.bin").write_bytes(BODY)
    assert join(mirror=str(tmp_path / "mirror"))["files"][0]["from"] == "mirror"
    assert server.requests == []


def test_what_only_a_person_can_get_names_the_page(tmp_path):
    source = {"path": "raw/x.zip", "page": "https://example.org/form"}
    with pytest.raises(UserError, match=r"by hand, from https://example\.org/form at .*raw/x\.zip"):
        fetch(source, tmp_path, mirror=None, progress=False)


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        ({"urls": ["http://elsewhere/x"]}, False),
        ({"licence": "other"}, False),
        ({"sha256": "1" * 64}, True),
        ({"unpack": {"into": "a", "max_bytes": 9, "members": ["*.mp4"]}}, True),
    ],
)
def test_the_content_key_follows_the_bytes(change, is_other):
    source = {"path": "x.zip", "urls": ["http://here/x"], "sha256": "0" * 64, "licence": "x"}
    assert (content_key(source) != content_key(source | change)) is is_other
