"""Sources that come as archives: fetched, unpacked, listed, and never fetched twice."""

import io
import json
import os
import zipfile

import pytest
from download_server import serve

from tsgbench.downloads import obtain
from tsgbench.downloads.archives import STAMP
from tsgbench.downloads.manifest import files_of, read_manifest
from tsgbench.errors import UserError
from tsgbench.files import sha256_file
from tsgbench.jobs.records import read_record, write_record


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


VIDEOS = {f"Charades/{name}.mp4": name.encode() * 50 for name in ("AAA", "BBB", "CCC")}


@pytest.fixture
def get(server, tmp_path):
    server.plans["a"] = [serve(zipped(VIDEOS | {"readme.txt": b"x"}), etag='"1"')]

    def run(mirror=None, **change) -> dict:
        spec = {"into": "videos/charades", "members": ["*.mp4"], "max_bytes": 10_000}
        spec |= change.pop("unpack", {})
        source = {"path": "videos/x.zip", "urls": [f"{server.url}/a"], "unpack": spec} | change
        how = {"mirror": mirror, "progress": False, "attempts": 2, "backoff_s": 0.001}
        return obtain("source", {"source": source}, tmp_path / "data", **how)

    return run


def test_the_folder_comes_with_its_manifest_and_the_archive_goes(server, get, tmp_path):
    facts = get()
    folder = tmp_path / "data/videos/charades"
    assert [file["path"] for file in facts["files"]] == ["videos/charades/manifest.csv"]
    assert set(read_manifest(folder / "manifest.csv")) == set(VIDEOS)
    assert facts["unpacked"] == {"files": 3, "bytes": 450}
    assert not (tmp_path / "data/videos/x.zip").exists()
    again = get()
    assert again["files"][0]["from"] == "present" and len(server.requests) == 1
    assert again["files"][0]["sha256"] == facts["files"][0]["sha256"]
    assert again["archive_sha256"] == facts["archive_sha256"]


def test_a_folder_of_one_file_is_that_file(get, tmp_path):
    for origin in (None, "present"):
        (file,) = get(unpack={"members": ["*BBB.mp4"]})["files"]
        assert file["path"] == "videos/charades/Charades/BBB.mp4" and file["bytes"] == 150
        assert origin in (None, file["from"])
        assert sha256_file(tmp_path / "data" / file["path"]) == file["sha256"]


def test_the_archive_stays_where_it_is_asked_to(get, tmp_path):
    get(unpack={"keep": True})
    assert (tmp_path / "data/videos/x.zip").exists()


@pytest.mark.parametrize("damage", ["gone", "cut", "stamp", "manifest", "half"])
def test_a_spoilt_folder_is_made_anew(server, get, tmp_path, damage):
    first = get()
    folder = tmp_path / "data/videos/charades"
    match damage:
        case "gone":
            (folder / "Charades/AAA.mp4").unlink()
        case "cut":
            os.truncate(folder / "Charades/AAA.mp4", 3)
        case "stamp":
            (folder / STAMP).write_text("{")
        case "manifest":
            (folder / "manifest.csv").write_text("nonsense\n1\n")
        case "half":
            (folder / "manifest.csv").unlink()
    assert get()["files"][0]["sha256"] == first["files"][0]["sha256"]
    assert len(server.requests) == 2
    assert (folder / "Charades/AAA.mp4").read_bytes() == VIDEOS["Charades/AAA.mp4"]


def test_another_choice_of_members_unpacks_again(server, get, tmp_path):
    get()
    get(unpack={"members": ["*.txt"]})
    assert (tmp_path / "data/videos/charades/readme.txt").exists()
    assert not (tmp_path / "data/videos/charades/Charades").exists()


def test_another_archive_than_the_config_states_is_not_kept(server, get):
    get()
    with pytest.raises(UserError, match=r"expected 0{64}"):
        get(sha256="0" * 64)


def test_a_bomb_leaves_the_archive_and_no_folder(get, tmp_path):
    with pytest.raises(UserError, match="more than 449 bytes"):
        get(unpack={"max_bytes": 449})
    assert not (tmp_path / "data/videos/charades").exists()
    assert (tmp_path / "data/videos/x.zip").exists()


def test_a_killed_unpacking_starts_from_the_archive_that_is_here(server, get, tmp_path):
    with pytest.raises(UserError):
        get(unpack={"max_bytes": 449})
    get()
    assert len(server.requests) == 1


def test_an_archive_cannot_bring_its_own_manifest(server, get):
    server.plans["a"] = [serve(zipped({"manifest.csv": b"name,bytes,sha256\n", "a.mp4": b"x"}))]
    with pytest.raises(UserError, match=r"holds a manifest\.csv of its own"):
        get(unpack={"members": ["*"]})


def test_a_record_of_a_folder_stays_small_and_gives_every_file(get, tmp_path):
    facts = get()
    path = tmp_path / "data/source.json"
    files = [tmp_path / "data" / file["path"] for file in facts["files"]]
    about = {"phase": "download", "key": "source", "identity": "0", "settings": {}, "code": "none"}
    write_record(path, **about, inputs={}, files=files, facts=facts, made={})
    record = read_record(path)
    assert list(record.files()) == ["videos/charades/manifest.csv"]
    found = files_of(record)
    assert {found[f"videos/charades/{name}"].read_bytes() for name in VIDEOS} == set(
        VIDEOS.values()
    )
    assert "AAA" not in json.dumps(record.content)
    (tmp_path / "data/videos/charades/Charades/BBB.mp4").unlink()
    with pytest.raises(UserError, match=r"BBB\.mp4: missing or changed"):
        files_of(record)
