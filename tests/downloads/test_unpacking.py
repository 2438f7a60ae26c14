"""Archives as an enemy would write them: escapes, links, devices, doubles, bombs. Small ones."""

import io
import signal
import stat
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

from tsgbench import files
from tsgbench.errors import UserError
from tsgbench.files import unpack

FILES = {"set/a.mp4": b"first", "set/b.mp4": b"second", "set/notes.txt": b"words"}
KINDS = ["x.zip", "x.tar", "x.tar.gz"]


def make(path: Path, members: list[tuple[str, bytes]]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", KINDS)
def test_only_chosen_members_are_written(tmp_path, kind):
    archive = make(tmp_path / kind, list(FILES.items()))
    made = unpack(archive, tmp_path / "out", members=["*.mp4"])
    assert made == [tmp_path / "out/set/a.mp4", tmp_path / "out/set/b.mp4"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_choice_that_fits_nothing_is_said_so(tmp_path, kind):
    archive = make(tmp_path / kind, list(FILES.items()))
    with pytest.raises(UserError, match=r"holds no file that matches \*\.h5"):
        unpack(archive, tmp_path / "out", members=["*.h5"])
    assert names(tmp_path) == [kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("double", ["set/a.mp4", "set//a.mp4", "./set/a.mp4", "set/x/../a.mp4"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path, kind, double):
    archive = make(tmp_path / kind, [*FILES.items(), (double, b"other")])
    with pytest.raises(UserError, match="twice"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == [kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_name_that_is_file_and_folder_is_refused(tmp_path, kind, order):
    archive = make(tmp_path / kind, [("a", b"file"), ("a/b", b"inside")][::order])
    with pytest.raises(UserError, match="a is both a file and a folder"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_before_it_is_written(tmp_path, kind):
    archive = make(tmp_path / kind, [("zeros", bytes(5_000_000))])
    assert kind == "x.tar" or archive.stat().st_size < 10_000
    with pytest.raises(UserError, match="more than 4,999,999 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=4_999_999)
    assert names(tmp_path) == [kind]
    assert unpack(archive, tmp_path / "out", max_bytes=5_000_000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_of_many_small_files_counts_together(tmp_path, kind, monkeypatch):
    archive = make(tmp_path / kind, [(f"{n}", b"x" * 10) for n in range(50)])
    with pytest.raises(UserError, match="more than 499 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=499)
    monkeypatch.setattr(files, "UNPACKED_FILES", 49)
    with pytest.raises(UserError, match="or 49 files"):
        unpack(archive, tmp_path / "out")


def test_a_zip_that_lies_about_a_members_size_gives_no_more_than_it_says(tmp_path):
    archive = make(tmp_path / "x.zip", [("zeros", bytes(1_000_000))])
    whole = bytearray(archive.read_bytes())
    entry = whole.rindex(b"PK\x01\x02")
    whole[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    archive.write_bytes(whole)
    with pytest.raises(UserError, match="damaged archive"):
        unpack(archive, tmp_path / "out", max_bytes=2000)
    assert names(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("kind", KINDS)
def test_too_little_room_is_noticed_before_the_first_file(tmp_path, kind, monkeypatch):
    archive = make(tmp_path / kind, [("a", bytes(3_000_000))])
    usage = type("Usage", (), {"free": 1_000_000})()
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="unpacks to 3 MB, the disk has 1 MB"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == [kind]


@pytest.mark.parametrize("form", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFBLK])
def test_what_is_no_file_in_a_zip_is_refused(tmp_path, form):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        member = zipfile.ZipInfo("thing")
        member.create_system, member.external_attr = 3, (form | 0o666) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match="link or device"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert names(tmp_path) == ["x.zip"]


def test_a_link_to_write_through_is_never_made(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        inside = tarfile.TarInfo("door/file.mp4")
        inside.size = 4
        archive.addfile(inside, io.BytesIO(b"evil"))
    with pytest.raises(UserError, match="link or device"):
        unpack(tmp_path / "x.tar", tmp_path / "out")
    unpack(tmp_path / "x.tar", tmp_path / "out", members=["*.mp4"])  # without the link: a folder
    assert names(outside) == [] and (tmp_path / "out/door/file.mp4").read_bytes() == b"evil"


@pytest.mark.parametrize("kind", KINDS)
def test_unchosen_escapes_are_not_written_either(tmp_path, kind):
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / kind, [("a.mp4", b"x"), ("../evil.txt", b"x"), ("/evil.txt", b"x")])
    unpack(archive, tmp_path / "in/out", members=["a.mp4"])
    assert names(tmp_path) == sorted(["in", "in/out", "in/out/a.mp4", kind])


def test_what_finish_writes_comes_with_the_folder(tmp_path):
    archive = make(tmp_path / "x.zip", list(FILES.items()))

    def fail(staging):
        (staging / "list").write_text("x")
        raise UserError("stop")

    with pytest.raises(UserError, match="stop"):
        unpack(archive, tmp_path / "out", finish=fail)
    assert names(tmp_path) == ["x.zip"]
    unpack(archive, tmp_path / "out", finish=lambda staging: (staging / "list").write_text("x"))
    assert (tmp_path / "out/list").is_file()


def test_what_a_killed_unpacking_left_is_removed(tmp_path):
    archive = make(tmp_path / "x.zip", list(FILES.items()))
    begin = textwrap.dedent(f"""
        import os, signal
        from tsgbench.files import unpack
        kill = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
        unpack({str(archive)!r}, {str(tmp_path / "out")!r}, finish=kill)
    """)
    killed = subprocess.run([sys.executable, "-c", begin])
    assert killed.returncode == -signal.SIGKILL
    assert names(tmp_path) != ["x.zip"] and not (tmp_path / "out").exists()
    unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.zip"]
