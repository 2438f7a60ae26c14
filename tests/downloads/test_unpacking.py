"""Archives as an enemy would write them: escapes, links, devices, doubles, bombs. Small ones."""

import gzip
import io
import signal
import stat
import subprocess
import sys
import tarfile
import textwrap
import unicodedata
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
def test_names_that_meet_on_one_path_are_refused(tmp_path, kind):
    """`a/../b` is `b` to some programs and `a/b` to others, Python's zipfile among them."""
    archive = make(tmp_path / kind, [("a/b", b"first"), ("a/../b", b"second")])
    with pytest.raises(UserError, match=r"a name in it leads through \.\. \(a/\.\./b\)"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == [kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pair", [("A/b.mp4", "a/B.mp4"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_some_disks_take_for_one_are_said(tmp_path, kind, pair, caplog, monkeypatch):
    archive = make(tmp_path / kind, [(name, b"x") for name in pair])
    assert len(unpack(archive, tmp_path / "out")) == 2
    assert "are one file on some disks" in caplog.text

    write = files._write_member

    def overwrite(path, content):  # what such a disk does
        kept = path.relative_to(tmp_path).as_posix().casefold()
        write(tmp_path / unicodedata.normalize("NFC", kept), content)

    monkeypatch.setattr(files, "_write_member", overwrite)
    with pytest.raises(UserError, match="are one file on this disk"):
        unpack(archive, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_escaped_in_what_is_said(tmp_path, kind):
    """A terminal would act on the codes in it."""
    archive = make(tmp_path / kind, [("../\x1b[2J\nfine", b"x")])
    with pytest.raises(UserError, match=r"leaves its folder \(\.\./\\x1b\[2J\\nfine\)"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["n" * 300, "folder/" * 700 + "n"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_too_long_for_the_disk_is_a_sentence(tmp_path, kind, name):
    with pytest.raises(UserError, match="file name too long"):
        unpack(make(tmp_path / kind, [(name, b"x")]), tmp_path / "out")
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


def entry(name: str, kind: bytes, size: int) -> bytes:
    """One block of a tar's list, with any size: beyond eight octal digits, and below 0."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def said(*records: tuple[bytes, bytes]) -> bytes:
    """What a PAX header says of the member that follows it."""
    text = b""
    for key, value in records:
        size = len(key) + len(value) + 3
        size += len(str(size + len(str(size))))
        text += b"%d %s=%s\n" % (size, key, value)
    return text


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)


GIGABYTE = 1 << 30
HEADERS = [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
SPARSE = padded(said((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")))
PEAK = """
import re, sys
from tsgbench.errors import UserError
from tsgbench.files import unpack
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024
before = peak()
try:
    unpack(sys.argv[1], sys.argv[2], members=sys.argv[3:] or ["*"])
except UserError as error:
    print(error)
print(peak() - before)
"""


def unpack_apart(archive: Path, *members: str) -> tuple[str, int]:
    """What a process of its own says of an archive, and by how many MB it grew."""
    command = [sys.executable, "-c", PEAK, str(archive), str(archive.parent / "out"), *members]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    *lines, grown = done.stdout.splitlines()
    assert not done.stderr
    return "\n".join(lines), int(grown)


def packed(path: Path, *blocks: bytes, zeros: int = 0) -> Path:
    """The blocks, and then so many bytes that gzip makes nothing of."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b"".join(blocks))
        for _ in range(zeros >> 20):
            stream.write(b"1\n" * (1 << 19))
    return path


BOMBS = {
    **{f"header {kind!r}": entry("x", kind, GIGABYTE) for kind in HEADERS},
    "header below 0": entry("x", tarfile.XHDTYPE, -1024),
    "list of holes": entry("x", tarfile.XHDTYPE, len(SPARSE))
    + SPARSE
    + entry("x", tarfile.REGTYPE, GIGABYTE)
    + b"999999999\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_list_that_unpacks_to_gigabytes_takes_little_memory(tmp_path, bomb):
    """200 MB that gzip packs into one: what a member says of itself is read at once."""
    archive = packed(tmp_path / "x.tar.gz", BOMBS[bomb], zeros=200 << 20)
    assert archive.stat().st_size < 2 << 20
    message, grown = unpack_apart(archive)
    assert "x.tar.gz: refused, an entry of its list takes over 65,536 bytes" in message
    assert grown < 50 and names(tmp_path) == ["x.tar.gz"]


def test_a_list_of_many_entries_that_nobody_wants_takes_little_memory(tmp_path):
    long = padded(said((b"comment", b"c" * 3000)))
    one = entry("h", tarfile.XHDTYPE, len(long)) + long + entry("d", tarfile.DIRTYPE, 0)
    wanted = entry("a.mp4", tarfile.REGTYPE, 0)
    archive = packed(tmp_path / "x.tar.gz", *[one] * 20_000, wanted)
    message, grown = unpack_apart(archive, "*.mp4")
    assert not message and names(tmp_path) == ["out", "out/a.mp4", "x.tar.gz"]
    assert grown < 40


@pytest.mark.parametrize("head", [b"", padded(said((b"size", b"-1024")))])
def test_a_size_below_zero_does_not_lead_in_a_circle(tmp_path, head):
    blocks = [entry("a", tarfile.REGTYPE, 0)]
    blocks += [entry("h", tarfile.XHDTYPE, len(head)), head] if head else []
    blocks += [entry("b", tarfile.REGTYPE, 0 if head else -1024)]
    (tmp_path / "x.tar").write_bytes(b"".join(blocks) + bytes(1024))
    message, _ = unpack_apart(tmp_path / "x.tar", "a")
    assert "x.tar: damaged archive (a size below 0)" in message


def test_sparse_files_are_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(entry("a", tarfile.GNUTYPE_SPARSE, 0) + bytes(1024))
    with pytest.raises(UserError, match="link or device"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


def test_a_tar_whose_list_breaks_off_is_refused(tmp_path):
    """Python's tarfile takes an entry that it cannot read for the end."""
    archive = make(tmp_path / "x.tar", list(FILES.items()))
    content = bytearray(archive.read_bytes())
    content[2 * tarfile.BLOCKSIZE] ^= 1  # the second name
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged archive \(its list breaks off\)"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == ["x.tar"]


def test_a_zip_with_a_list_of_gigabytes_is_refused(tmp_path, monkeypatch):
    archive = make(tmp_path / "x.zip", [(f"{n}" * 50, b"") for n in range(9)])
    monkeypatch.setattr(files, "ZIP_LIST_BYTES", 800)
    with pytest.raises(UserError, match="its list of members takes over 800 bytes"):
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
