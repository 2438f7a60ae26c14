"""What `tsgbench sources` says of whole, begun, spoilt and missing sources."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from tsgbench.cli import sources as listing
from tsgbench.cli.main import main
from tsgbench.cli.sources import close_over_needs, inspect_source, list_sources, total
from tsgbench.downloads import obtain

ROWS = b'{"v_A": {}, "v_B": {}, "v_C": {}}'
CLIP = b"\0\0\0\x18ftypmp42"


def entry(**more) -> dict:
    about = {"kind": "annotation", "licence": "MIT", "purpose": "a test"}
    return about | {"path": "ids.json", "urls": ["https://example.org/ids.json"]} | more


def stated(path: str, body: bytes) -> dict:
    sha256 = hashlib.sha256(body).hexdigest()
    return {"path": path, "bytes": len(body), "sha256": sha256, "purpose": "stands in"}


def videos(**more) -> dict:
    spec = {"ids_from": ["ids"], "suffix": ".mp4", "by": "page", "max_failed_share": 1}
    source = entry(path="videos/set", kind="videos", page="https://example.org/form", needs=["ids"])
    source.pop("urls")
    return source | {"videos": spec | more}


@pytest.fixture
def state(tmp_path):
    def run(source: dict, **others) -> tuple[str, int, int | None]:
        found = inspect_source("it", {"it": source} | others, tmp_path)
        return found.state, found.here, found.expected

    return run


def put(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def test_a_file(tmp_path, state):
    source = entry() | stated("ids.json", ROWS)
    size = len(ROWS)
    assert state(source) == ("missing", 0, size)
    put(tmp_path / "ids.json.part", ROWS[:5])
    assert state(source) == ("partly", 5, size)
    put(tmp_path / "ids.json", ROWS)
    assert state(source) == ("present", size, size)
    put(tmp_path / "ids.json", ROWS[::-1])
    assert state(source) == ("wrong", size, size)
    put(tmp_path / "ids.json", ROWS + b" ")
    assert state(source) == ("wrong", size + 1, size)


def test_large_files_are_judged_by_size(tmp_path, state, monkeypatch):
    monkeypatch.setattr(listing, "MAX_HASHED_BYTES", 10)
    put(tmp_path / "ids.json", ROWS[::-1])
    assert state(entry() | stated("ids.json", ROWS))[0] == "present"


def test_a_noted_checksum_counts(tmp_path, state):
    put(tmp_path / "ids.json", ROWS)
    put(tmp_path / "ids.json.sha256", b"0" * 64 + b"  ids.json\n")
    assert state(entry())[0] == "wrong"


def test_excerpts_are_a_part_and_substitutes_the_whole(tmp_path, state):
    source = entry(bytes=1000, excerpts=[stated("one.txt", b"one"), stated("two.txt", b"two")])
    put(tmp_path / "one.txt", b"one")
    assert state(source) == ("partly", 3, 1000)
    source = entry(substitutes=[stated("again.json", ROWS)])
    assert state(source)[0] == "missing"
    put(tmp_path / "again.json", ROWS)
    assert state(source)[0] == "present"
    put(tmp_path / "again.json", ROWS[::-1])
    assert state(source)[0] == "missing"


def test_joined_parts(tmp_path, state):
    source = entry(
        parts=[{"urls": ["http://x/0"], "bytes": 6}, {"urls": ["http://x/1"], "bytes": 4}]
    )
    source.pop("urls")
    assert state(source) == ("missing", 0, 10)
    put(tmp_path / "ids.json.parts/00", b"123456")
    put(tmp_path / "ids.json.parts/01.part", b"12")
    assert state(source) == ("partly", 8, 10)


def test_an_unpacked_archive(tmp_path, state):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.mp4", CLIP)
    source = entry(path="x.zip", kind="videos", about_bytes=999)
    source |= {"unpack": {"into": "set", "max_bytes": 100, "keep": True}}
    assert state(source) == ("missing", 0, 999)
    put(tmp_path / "x.zip", stream.getvalue())
    assert state(source)[0] == "partly"
    obtain("it", {"it": source}, tmp_path, mirror=None, progress=False)
    assert state(source) == ("present", len(CLIP), len(CLIP))
    (tmp_path / "set/a.mp4").unlink()
    assert state(source)[0] == "wrong"


def test_videos_by_id(tmp_path, state):
    assert state(videos(), ids=entry())[0] == "missing"
    put(tmp_path / "ids.json", ROWS)
    assert state(videos(), ids=entry())[0] == "missing"
    put(tmp_path / "videos/set/v_A.mp4", CLIP)
    put(tmp_path / "videos/set/other.mp4.part", CLIP)
    assert state(videos(), ids=entry()) == ("partly", len(CLIP), None)
    put(tmp_path / "videos/set/v_B.mp4", CLIP)
    table = b"id,reason,date,final\nv_C,private,2026-01-01,%s\n"
    put(tmp_path / "videos/set/unavailable.csv", table % b"no")
    assert state(videos(), ids=entry())[0] == "partly"
    put(tmp_path / "videos/set/unavailable.csv", table % b"yes")
    assert state(videos(), ids=entry()) == ("present", 2 * len(CLIP), 2 * len(CLIP))
    put(tmp_path / "videos/set/unavailable.csv", b"nonsense\n1\n")
    assert state(videos(), ids=entry())[0] == "wrong"


def test_totals_count_what_is_known_and_say_what_is_not(tmp_path):
    put(tmp_path / "ids.json", ROWS)
    members = [{"member": "theirs/a.bin", "bytes": 900, "sha256": "0" * 64}]
    package = {"name": "theirs", "version": "1.0.0", "members": members}
    sources = {
        "ids": entry() | stated("ids.json", ROWS),
        "big": entry(path="big.zip", bytes=5_000),
        "begun": entry(path="begun.zip", bytes=7_000),
        "unknown": entry(path="unknown.zip"),
        "installed": entry(path="vectors", package=package),  # copied, not fetched
        "mine": entry(path="mine", folder={"at": "nowhere"}),
    }
    put(tmp_path / "begun.zip.part", bytes(1_000))
    statuses = list_sources(sources, tmp_path)
    totals = total(statuses, tmp_path / "not/made/yet")
    assert [status.name for status in statuses] == list(sources)
    assert totals | {"bytes_free": 0} == {
        "sources": 6,
        "present": 1,
        "bytes_here": len(ROWS) + 1_000,
        "bytes_to_fetch": 11_000,
        "unknown_sizes": 1,
        "bytes_free": 0,
    }
    assert totals["bytes_free"] > 0
    text = listing.render(statuses, totals)
    assert text.endswith("of disk free") and "11.0 kB to fetch and 1 of unknown size" in text
    for wanted in ("partly  begun", "1.0 kB of 7.0 kB", "example.org", "a test [MIT]"):
        assert wanted in text


def test_a_choice_brings_what_it_needs():
    sources = {"ids": entry(), "set": videos(spares=["old"]), "old": entry(), "else": entry()}
    assert close_over_needs(sources, ["set"]) == {"ids", "set", "old"}


@pytest.mark.parametrize("study", [None, "config/blind.yaml"])
def test_the_verb_lists_the_catalogue_or_a_study(study, capsys):
    arguments = ["sources", "--json", *(["--study", study] if study else [])]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    names = {source["name"] for source in found["sources"]}
    assert {"charades_sta_train", "glove_840b_300d"} <= names
    assert ("activitynet_videos" in names) is (study is None)
    assert found["totals"]["sources"] == len(names)
    states = {source["state"] for source in found["sources"]}
    assert states <= {"present", "partly", "missing", "wrong"}
