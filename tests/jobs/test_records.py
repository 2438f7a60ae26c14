"""A consumer refuses whatever is not exactly what it was told to find."""

import errno
import json

import pytest

from tsgbench.errors import UserError
from tsgbench.files.access import Inaccessible
from tsgbench.jobs.records import check_input, current_record, read_record, write_record


@pytest.fixture
def record(tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("some numbers")
    path = tmp_path / "data.json"
    write_record(
        path,
        phase="reduce",
        key="shapes/x",
        identity="0123456789abcdef",
        settings={},
        code="c",
        inputs={},
        files=[data],
        facts={"n": 1},
        made={"at": "now"},
    )
    return path


def test_accepts_its_own_identity(record):
    found = check_input(record, "0123456789abcdef")
    assert found.file("data.txt").read_text() == "some numbers"
    assert current_record(record, "0123456789abcdef") == found


def test_refuses_another_identity(record):
    with pytest.raises(UserError, match="made under other settings.*run snakemake"):
        check_input(record, "f" * 16)
    assert current_record(record, "f" * 16) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing"), ("other length", "SHA-256"), ("short", "5 bytes")],
)
def test_refuses_damaged_files(record, content, message):
    file = record.parent / "data.txt"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(UserError, match=message):
        check_input(record, "0123456789abcdef")


def test_a_file_that_is_gone_or_damaged_has_its_own_remedy(record):
    file = record.parent / "data.txt"
    file.write_text("other length")
    with pytest.raises(UserError, match=r"data\.txt: .*SHA-256.*; delete it and run snakemake"):
        check_input(record, "0123456789abcdef")
    file.unlink()
    with pytest.raises(UserError, match=r"data\.txt: is missing .*; run snakemake again"):
        check_input(record, "0123456789abcdef")


def test_a_file_that_cannot_be_read_just_now_is_neither_damaged_nor_stale(record, monkeypatch):
    """Else the job would run again, over a file that is whole."""

    def refuse(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("tsgbench.jobs.records.sha256_file", refuse)
    for look in (check_input, current_record):
        with pytest.raises(Inaccessible, match=r"data\.txt: input/output error; the disk or"):
            look(record, "0123456789abcdef")
    monkeypatch.setattr("tsgbench.files.read_utf8", refuse)
    with pytest.raises(Inaccessible, match=r"data\.json: input/output error"):
        current_record(record, "0123456789abcdef")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 99}'])
def test_refuses_malformed_records(record, text):
    record.write_text(text)
    with pytest.raises(UserError, match=str(record)):
        read_record(record)
    assert current_record(record, "0123456789abcdef") is None


@pytest.mark.parametrize("missing", ["record", "identity", "digest"])
def test_refuses_a_record_that_does_not_say_what_it_read(record, missing):
    content = json.loads(record.read_text())
    entry = {"record": "data/a.json", "identity": "1" * 16, "digest": "2" * 16}
    content["inputs"] = {"a": entry}
    record.write_text(json.dumps(content))
    assert read_record(record).content["inputs"]["a"] == entry
    content["inputs"] = {"a": {name: said for name, said in entry.items() if name != missing}}
    record.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"inputs is missing, or of another form"):
        read_record(record)


def test_digest_follows_the_files_not_the_circumstances(record, tmp_path):
    before = read_record(record).digest
    content = json.loads(record.read_text())
    same = {
        name: content[name] for name in ("phase", "key", "identity", "settings", "code", "facts")
    }
    same |= {"inputs": {}, "files": [tmp_path / "data.txt"]}
    write_record(record, **same, made={"at": "later"})
    assert read_record(record).digest == before
    (tmp_path / "data.txt").write_text("other number")
    write_record(record, **same, made={})
    assert read_record(record).digest != before
