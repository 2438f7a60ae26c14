"""Sources that an installed Python package holds: the right version and bytes, or one sentence."""

import hashlib
import sys
from pathlib import Path

import pytest

from tsgbench.cli.sources import inspect_source
from tsgbench.downloads import content_key, obtain
from tsgbench.errors import UserError

FILES = {"made_up/data/rows.bin": b"rows", "made_up/data/words.bin": b"words"}
COPIES = {"vectors/it/rows.bin": b"rows", "vectors/it/words.bin": b"words"}


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder of packages on the path, with version 1.0.0 of the package `made-up`."""
    folder = tmp_path / "site"
    for name, body in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    (folder / "made_up-1.0.0.dist-info").mkdir()
    about = "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0.0\n"
    (folder / "made_up-1.0.0.dist-info/METADATA").write_text(about)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


def source(**more) -> dict:
    members = [
        {"member": name, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for name, body in FILES.items()
    ]
    package = {"name": "made-up", "version": "1.0.0", "members": members} | more
    about = {"kind": "vectors", "licence": "MIT", "purpose": "a test", "path": "vectors/it"}
    return about | {"package": package}


def get(folder: Path, mirror: Path | None = None, **more) -> dict:
    entry = {"it": source(**more)}
    return obtain("it", entry, folder, mirror=mirror and str(mirror), progress=False)


def contents(folder: Path) -> dict:
    return {name: (folder / name).read_bytes() for name in COPIES}


def test_members_are_copied_once(site, tmp_path):
    facts = get(tmp_path / "raw")
    assert contents(tmp_path / "raw") == COPIES
    assert [file["path"] for file in facts["files"]] == list(COPIES)
    assert {file["from"] for file in facts["files"]} == {"package made-up==1.0.0"}
    assert facts["package"] == {"name": "made-up", "version": "1.0.0"}
    for name in FILES:
        (site / name).unlink()
    assert {file["from"] for file in get(tmp_path / "raw")["files"]} == {"present"}


def test_a_mirror_needs_no_package(tmp_path):
    for name, body in COPIES.items():
        (tmp_path / "mirror" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / name).write_bytes(body)
    facts = get(tmp_path / "raw", tmp_path / "mirror")
    assert {file["from"] for file in facts["files"]} == {"mirror"}
    assert contents(tmp_path / "raw") == COPIES


def test_a_missing_package_is_a_sentence_with_the_remedy(tmp_path):
    with pytest.raises(UserError, match=r"made-up is not installed; pip install made-up==1\.0\.0"):
        get(tmp_path / "raw")


def test_another_version_is_refused(site, tmp_path):
    with pytest.raises(UserError, match=r"is 1\.0\.0 here and must be 2\.0; pip install"):
        get(tmp_path / "raw", version="2.0")


@pytest.mark.parametrize("body", [b"rowz", b"longer rows", None])
def test_other_bytes_than_stated_are_refused(site, tmp_path, body):
    place = site / "made_up/data/rows.bin"
    place.write_bytes(body) if body else place.unlink()
    with pytest.raises(UserError, match=r"rows\.bin: not as config/sources.yaml.*--force-rein"):
        get(tmp_path / "raw")
    assert not (tmp_path / "raw/vectors/it/rows.bin").exists()


def test_version_and_digests_are_the_identity():
    assert content_key(source()) == content_key(source() | {"path": "elsewhere"})
    assert content_key(source()) != content_key(source(version="2.0"))
    other = [member | {"sha256": "0" * 64} for member in source()["package"]["members"]]
    assert content_key(source()) != content_key(source(members=other))


def test_the_listing_says_where_it_stands(site, tmp_path):
    def state(**more) -> tuple:
        found = inspect_source("it", {"it": source(**more)}, tmp_path / "raw")
        return found.state, found.here, found.expected, found.note, found.origin

    origin = "package made-up 1.0.0"
    assert state() == ("missing", 0, 9, "the package is installed", origin)
    assert "pip install made-up==2.0" in state(version="2.0")[3]
    get(tmp_path / "raw")
    assert state() == ("present", 9, 9, "", origin)
    (tmp_path / "raw/vectors/it/rows.bin").write_bytes(b"rowz")
    assert state()[0] == "wrong"
