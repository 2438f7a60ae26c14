"""`sources --adopt`: what lies in a folder of somebody's is found, linked to, and left as it is."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from tsgbench.cli.main import main
from tsgbench.cli.sources import as_adopted
from tsgbench.downloads import obtain
from tsgbench.downloads.adoption import adopt
from tsgbench.errors import UserError


def described(content: bytes) -> dict:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


VIDEO = b"\0\0\0\x18ftypmp42" + bytes(16)
CONTENT = {"train.json": b'{"v_a": {}, "v_b": {}}', "weights.pt": b"PK\x03\x04 weights"}


@pytest.fixture
def mine(tmp_path) -> Path:
    """What somebody has, in folders of their own, with a link that leads back."""
    folder = tmp_path / "mine"
    (folder / "old stuff/videos").mkdir(parents=True)
    (folder / "old stuff/captions (1).json").write_bytes(CONTENT["train.json"])
    (folder / "weights.pt").write_bytes(CONTENT["weights.pt"])
    (folder / "old stuff/videos/v_a.mp4").write_bytes(VIDEO)
    (folder / "old stuff/videos/v_b.mp4").write_bytes(b"<html>log in</html>")
    (folder / "old stuff/again").symlink_to("..", target_is_directory=True)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("x.txt", "text")
    return folder


@pytest.fixture
def sources(mine) -> dict:
    return {
        "train": {"path": "set/train.json", "urls": [], **described(CONTENT["train.json"])},
        "weights": {"path": "weights.pt", "urls": []},  # whose checksum nobody states
        "videos": {
            "path": "videos",
            "needs": ["train"],
            "videos": {"ids_from": ["train"], "suffix": ".mp4", "by": "page"},
        },
        "packed": {
            "path": "packed.zip",
            "urls": [],
            **described((mine / "a.zip").read_bytes()),
            "unpack": {"into": "packed"},
        },
        "other": {"path": "other/weights.pt", "urls": [], **described(b"another version")},
        "package": {"path": "p", "package": {"name": "p", "version": "1", "members": []}},
    }


def look(sources, folder, destination, names=None):
    found = adopt(sources, names or sources, folder, destination, track=lambda items, _: items)
    return {one.source: one for one in found}


def test_files_are_found_by_checksum_or_name_and_videos_by_id(mine, sources, tmp_path):
    raw = tmp_path / "data/raw"
    found = look(sources, mine, raw)
    assert found.keys() == {"train", "weights", "videos", "packed", "other"}
    linked = {name: list(one.linked.values()) for name, one in found.items()}
    assert linked["train"] == [mine / "old stuff/captions (1).json"]
    assert found["train"].by == "checksum" and found["weights"].by == "name"
    assert (raw / "set/train.json").read_bytes() == CONTENT["train.json"]
    assert (
        (raw / "weights.pt.sha256")
        .read_text()
        .startswith(described(CONTENT["weights.pt"])["sha256"])
    )
    assert linked["videos"] == [mine / "old stuff/videos/v_a.mp4"] and found["videos"].of == 2
    assert "a web page" in found["videos"].refused[0]
    assert not linked["other"] and "weights.pt: 12 bytes, expected 15" in found["other"].refused[0]
    assert found["train"].refused == []
    said = as_adopted(list(found.values()), mine, as_json=False)
    assert "1 of 2 files  (by name)" in said and "4 sources found" in said
    assert json.loads(as_adopted(list(found.values()), mine, as_json=True))["folder"] == str(mine)


def test_a_download_takes_what_was_adopted_and_leaves_it_to_its_owner(mine, sources, tmp_path):
    raw, before = tmp_path / "data/raw", (mine / "a.zip").read_bytes()
    look(sources, mine, raw)
    facts = obtain("train", sources, raw, mirror=None, progress=False)
    assert facts["files"][0]["from"] == "present"
    obtain("packed", sources, raw, mirror=None, progress=False)
    assert (raw / "packed/x.txt").read_text() == "text" and not (raw / "packed.zip").exists()
    assert (mine / "a.zip").read_bytes() == before
    # What is here is not looked for again
    assert look(sources, mine, raw).keys() == {"videos", "other"}


def test_videos_wait_for_the_annotations_that_name_them(mine, sources, tmp_path):
    found = look(sources, mine, tmp_path / "raw", ["videos"])
    assert found["videos"].refused == ["train, which names its videos, is not here yet"]


def test_what_is_downloaded_already_is_not_adopted_from_itself(sources, tmp_path):
    raw = tmp_path / "data/raw"
    (raw / "old").mkdir(parents=True)
    (raw / "old/train.json").write_bytes(CONTENT["train.json"])
    assert not look(sources, tmp_path / "data", raw, ["train"])["train"].linked


def test_the_command_says_what_it_found(project_folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert (
        main(["--project", str(project_folder), "sources", "--adopt", str(tmp_path / "empty")]) == 1
    )
    assert "0 sources found" in capsys.readouterr().out
    with pytest.raises(UserError, match="no such folder"):
        look({}, tmp_path / "nowhere", tmp_path)


@pytest.fixture
def project_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)  # which the verb leaves
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("config", "published"):
        (folder / name).symlink_to(Path(__file__).parents[2] / name)
    return folder
