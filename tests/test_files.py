"""Atomic writes, digests and unpacking."""

import codecs
import errno
import io
import json
import os
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tsgbench import files
from tsgbench.errors import UserError
from tsgbench.files import (
    access,
    atomic_path,
    digest,
    read_json,
    read_utf8,
    sha256_file,
    unpack,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError("of a library")])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_path(path) as temporary:
        temporary.write_text("half of the new")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["result.json"]


def test_nothing_is_seen_before_the_block_ends(tmp_path):
    path = tmp_path / "new folder/result.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists() and temporary.parent == path.parent
    assert path.read_text() == "new" and names(path.parent) == ["result.txt"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "quota exceeded; free some space"),
        (errno.EIO, "input/output error; the disk or the network failed"),
        (errno.EROFS, "read-only file system; write elsewhere"),
        (errno.EFBIG, "file too large"),
        (errno.ESTALE, "stale file handle; the network file system"),
    ],
)
def test_a_write_that_fails_is_a_sentence_about_the_file(tmp_path, number, said):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(UserError, match=rf"result\.txt: .*{said}"), atomic_path(path):
        raise OSError(number, os.strerror(number))
    assert path.read_text() == "old"


def test_another_file_that_the_block_reads_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"), atomic_path(tmp_path / "result.txt"):
        (tmp_path / "gone").read_bytes()
    with pytest.raises(UserError, match=r"file/result\.txt: file exists; a file stands where a"):
        (tmp_path / "file").write_text("x")
        write_text(tmp_path / "file" / "result.txt", "x")


def test_a_written_file_has_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "result.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == 0o640


def test_json_comes_back_as_it_was(tmp_path):
    content = {"b": [1, 2.5, None, True], "a": {"ä": "x\ny"}}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert read_json(tmp_path / "x.json") == {"a": 1}


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    (tmp_path / "x.json").write_bytes(codecs.BOM_UTF8 + b'{"a": 1}')
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert read_utf8(tmp_path / "x.json") == '{"a": 1}'


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}", b"[" * 100_000])
def test_malformed_json_names_the_file(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json: not (valid JSON|UTF-8 text)"):
        read_json(tmp_path / "x.json")


def test_missing_json_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"x\.json: no such file"):
        read_json(tmp_path / "x.json")


def shuffle_keys(content, dice: random.Random):
    if isinstance(content, dict):
        items = [(key, shuffle_keys(value, dice)) for key, value in content.items()]
        dice.shuffle(items)
        return dict(items)
    if isinstance(content, list):
        return [shuffle_keys(value, dice) for value in content]
    return content


def test_a_digest_ignores_the_order_of_keys_and_nothing_else():
    content = {"a": {"x": 1, "y": [1, 2, {"p": 0, "q": None}]}, "b": "text", "c": 0.1, "d": True}
    expected = digest(content)
    for seed in range(20):
        assert digest(shuffle_keys(content, random.Random(seed))) == expected
    text = json.dumps(content)
    for old, new in [("1, 2", "2, 1"), ("0.1", "0.2"), ('"text"', '"texT"'), ("null", "false")]:
        assert digest(json.loads(text.replace(old, new))) != expected
    assert len(expected) == 16 and int(expected, 16) >= 0


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "x") == known


FILES = {"a.txt": b"first", "folder/b.bin": bytes(range(256)) * 40, "folder/deeper/c": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    mode = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return path


def make(path: Path, files: dict[str, bytes]) -> Path:
    return make_zip(path, files) if path.suffix == ".zip" else make_tar(path, files)


KINDS = ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz", "x.tar.bz2"]


@pytest.mark.parametrize("kind", KINDS)
def test_unpacking_gives_every_file(tmp_path, kind):
    archive = make(tmp_path / kind, FILES)
    made = unpack(archive, tmp_path / "out")
    assert made == sorted(tmp_path / "out" / name for name in FILES)
    for name, content in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == content
    assert names(tmp_path) == ["out", kind]


def test_unpacking_again_replaces_the_folder_whole(tmp_path):
    unpack(make_zip(tmp_path / "1.zip", {"old.txt": b"old"}), tmp_path / "out")
    unpack(make_zip(tmp_path / "2.zip", {"new.txt": b"new"}), tmp_path / "out")
    assert names(tmp_path / "out") == ["new.txt"]


@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
@pytest.mark.parametrize("name", ["../escape.txt", "a/../../escape.txt", "/tmp/escape.txt", ".."])
def test_a_member_outside_the_folder_is_refused_before_anything_is_written(tmp_path, kind, name):
    (tmp_path / "inner").mkdir()
    archive = make(tmp_path / kind, {"good.txt": b"x", name: b"bad"})
    with pytest.raises(UserError, match="leaves its folder"):
        unpack(archive, tmp_path / "inner/out")
    assert names(tmp_path / "inner") == [] and names(tmp_path) == ["inner", kind]


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "a.txt"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(tmp_path, kind, target):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = kind, target
    with pytest.raises(UserError, match="link or device"):
        unpack(make_tar(tmp_path / "x.tar", {"a.txt": b"x"}, link), tmp_path / "out")
    assert names(tmp_path) == ["x.tar"]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices_in_a_tar_are_refused(tmp_path, kind):
    device = tarfile.TarInfo("device")
    device.type = kind
    with pytest.raises(UserError, match="link or device"):
        unpack(make_tar(tmp_path / "x.tar", {}, device), tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="holds a link"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert names(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.97])
def test_a_truncated_archive_is_reported_and_the_old_folder_stays(tmp_path, kind, cut):
    noise = {f"{n}.bin": random.Random(n).randbytes(31_337) for n in range(3)}
    archive = make(tmp_path / kind, noise)
    size = int(cut * archive.stat().st_size)
    if kind == "x.tar":  # its tail is empty blocks: cut inside a member instead
        size = min(size, 80_000)
    os.truncate(archive, size)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.txt").write_text("old")
    with pytest.raises(UserError, match="download it again"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path / "out") == ["old.txt"] and names(tmp_path) == ["out", kind]


@pytest.mark.parametrize("kind", ["x.zip", "x.tar.gz", "x.tar.xz", "x.tar.bz2"])
def test_a_damaged_archive_is_a_sentence_wherever_the_damage_sits(tmp_path, kind):
    text = {f"{n}.txt": b"some words that deflate well " * 200 for n in range(3)}
    whole = make(tmp_path / kind, text).read_bytes()
    refused = 0
    for place in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[place] ^= 0x5A
        (tmp_path / kind).write_bytes(damaged)
        try:
            unpack(tmp_path / kind, tmp_path / "out")
        except UserError:
            refused += 1
        assert set(names(tmp_path)) <= {kind, "out"}
    assert refused > 3


def test_what_is_no_archive_is_said_so(tmp_path):
    (tmp_path / "x.zip").write_text("<html>Not found</html>")
    with pytest.raises(UserError, match="neither a zip nor a tar archive"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_lock_has_a_limit_and_a_remedy(tmp_path):
    path = tmp_path / "folder" / "x.lock"
    again = files.locked(path, "wait for it", patience_s=0.1)
    with files.locked(path, ""), pytest.raises(UserError, match="another process.*; wait"), again:
        pass
    with files.locked(path, ""):
        pass


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(access.fcntl, "flock", refuse)
    with files.locked(tmp_path / "x.lock", ""):
        pass
    assert "has no locks" in caplog.text
