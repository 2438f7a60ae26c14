"""A bundle for a double-blind review tells nobody's name, and is as sound as the project."""

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from planning.little_study import CONFIG, RUN, TABLE, make_all
from tsgbench.bundling.anonymous import Hidden, anonymise
from tsgbench.bundling.archive import write_archive
from tsgbench.bundling.bundle import Bundled
from tsgbench.bundling.contents import collect
from tsgbench.bundling.identifying import Needle, find_needles
from tsgbench.cli.bundling import as_text
from tsgbench.errors import UserError
from tsgbench.files import sha256_file
from tsgbench.jobs.records import digest_of
from tsgbench.planning.study import Study

ROOT = Path(__file__).resolve().parents[2]
USER, HOST, MAIL, PERSON = "adalovelace", "quokka7.lab.example.edu", "ada@lab.example.edu", "Ada L"
REMOTE = "git@code.example.com:adalovelace/grounding.git"
TELLING = (USER, "quokka7", "lab.example.edu", PERSON, "code.example.com", "boss.example.net")
MADE = {
    "host": HOST,
    "git_commit": "5eedc0ffee5eedc0ffee5eedc0ffee5eedc0ffee+",
    "mlflow": {"run_id": "1", "uri": "http://ada:secret@boss.example.net:5000"},
    "at": "2026-05-01T12:00:00+00:00",
    "seconds": 1.0,
}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The home of somebody whose name is known here."""
    folder = tmp_path / "home" / USER
    folder.mkdir(parents=True)
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder / ".gitconfig"))
    (folder / ".gitconfig").write_text(f"[user]\n  name = {PERSON}\n  email = {MAIL}\n")
    return folder


@pytest.fixture
def study(home, monkeypatch) -> Study:
    """Made results in a checkout, with names wherever the project writes them."""
    project = home / "work"
    project.mkdir()
    for part in ("config", "published", "Snakefile", "CITATION.cff"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, project / part)
    monkeypatch.chdir(project)
    monkeypatch.setenv("PWD", str(project))
    for words in (["init", "-q"], ["remote", "add", "origin", REMOTE], ["add", "Snakefile"]):
        subprocess.run(["git", *words], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)
    made = Study(CONFIG)
    make_all(made)
    return made


def names_in_records(study: Study) -> None:
    """As jobs leave them: who, where, which commit and store, in a log of what failed, a table."""
    for record in study.jobs:
        path = Path(record)
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"made": MADE}))
    write(study, TABLE, ".md", f"made by {USER} on quokka7 in {Path.cwd()}/results, 5eedc0ffee5e\n")


def write(study: Study, record: str, ending: str, text: str | bytes) -> Path:
    """Another content of a result, with all that follows from it."""
    content = json.loads(Path(record).read_text())
    (name,) = (name for name in content["outputs"] if name.endswith(ending))
    path = Path(record).parent / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    entry = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    content["outputs"][name] = entry
    content["digest"] = digest_of(content["outputs"], content["facts"])
    Path(record).write_text(json.dumps(content))
    for other in map(Path, study.jobs):
        reader = json.loads(other.read_text())
        for read in reader["inputs"].values():
            if read["record"] == record:
                read["digest"] = content["digest"]
        other.write_text(json.dumps(reader))
    return path


def pack(study: Study, path: Path) -> Hidden:
    """As `bundle` does, but for what it says of results, which these are not fit for."""
    folder = path.with_suffix("")
    contents, hide = anonymise(collect(study, [TABLE], with_data=True), folder)
    texts = {"README.md": hide.text(f"by {PERSON}, {MAIL}, {REMOTE}\n")}
    hide.check(contents.files, texts)
    write_archive(path, contents.files, texts)
    shutil.rmtree(folder)
    return hide.hidden


def said_of(hidden: Hidden) -> str:
    return as_text(Bundled(Path("a.zip"), 1, 1, 1, 0, 0, 1, 0, hidden))


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_no_name_is_left_in_any_member(study, home, tmp_path):
    names_in_records(study)
    write_archive(tmp_path / "plain.zip", collect(study, [TABLE], with_data=True).files, {})
    whole = b"".join(unpacked(tmp_path / "plain.zip").values()).lower()
    told = {text for text in (*TELLING, str(home)) if text.lower().encode() in whole}
    assert told >= {USER, "quokka7", "boss.example.net", str(home)}  # what there is to hide
    hidden = pack(study, tmp_path / "hidden.zip")
    members = unpacked(tmp_path / "hidden.zip")
    for name, content in members.items():
        lowered = name.lower().encode() + content.lower()
        for text in (*TELLING, str(home), MAIL, "5eedc0ffee", str(tmp_path)):
            assert text.lower().encode() not in lowered, (name, text)
    assert "CITATION.cff" not in members and hidden.left_out == ["CITATION.cff"]
    assert members["README.md"].decode() == (
        "by anonymous, anonymous@example.org, https://example.org/repository\n"
    )
    said = said_of(hidden)
    assert "machines " in said and "commits " in said and "left out: CITATION.cff" in said
    assert "titles, notes and sources" in said and "pass it on" not in said


def test_records_have_the_digests_of_what_is_in_the_archive(study, tmp_path):
    names_in_records(study)
    pack(study, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "un")
    records = {path: json.loads((tmp_path / "un" / path).read_text()) for path in (TABLE, RUN)}
    before = json.loads(Path(TABLE).read_text())
    assert records[TABLE]["digest"] != before["digest"]  # its page named somebody
    assert records[RUN]["made"]["host"] == "machine"
    assert records[RUN]["made"]["git_commit"] == "0" * 40 + "+"
    for path, content in records.items():
        assert content["digest"] == digest_of(content["outputs"], content["facts"])
        for name, entry in content["outputs"].items():
            text = (tmp_path / "un" / path).parent.joinpath(name).read_bytes()
            assert len(text) == entry["bytes"]
    said = (tmp_path / "un" / TABLE).with_suffix(".md").read_text()
    assert said == "made by anonymous on machine in /project/results, 000000000000\n"


def test_equal_results_give_equal_bytes(study, tmp_path):
    names_in_records(study)
    for name in ("one.zip", "two.zip"):
        pack(study, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_what_was_made_from_a_changed_file_names_its_new_digest(study, tmp_path):
    names_in_records(study)
    contents, _ = anonymise(collect(study), tmp_path / "made")
    digests = {path: one.record.digest for path, one in contents.results.items()}
    assert digests[TABLE] != json.loads(Path(TABLE).read_text())["digest"]
    read = [
        (entry["record"], entry["digest"])
        for one in contents.results.values()
        for entry in one.record.content["inputs"].values()
    ]
    assert TABLE in {path for path, _ in read}
    assert all(digests[path] == digest for path, digest in read)


def test_a_name_in_a_file_that_cannot_be_rewritten_is_refused(study, tmp_path, home):
    names_in_records(study)
    write(study, RUN, "predictions.parquet", b"\xff\xfe" + str(home).encode() + b"/x")
    with pytest.raises(UserError, match=r"predictions\.parquet: holds .*cannot be rewritten"):
        pack(study, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_name_that_is_a_word_of_the_code_is_said_and_changes_no_code(
    study, tmp_path, monkeypatch
):
    monkeypatch.setenv("LOGNAME", "max")
    names_in_records(study)
    hidden = pack(study, tmp_path / "a.zip")
    assert hidden.suspected["max"] == [] and hidden.code == []
    members = unpacked(tmp_path / "a.zip")
    for file in collect(study, [TABLE]).code:
        if file.path != "CITATION.cff":
            assert members[file.path] == file.location.read_bytes(), file.path
    assert "'max' is a word of the code" in said_of(hidden)


def test_a_name_within_a_longer_word_is_said(study, tmp_path):
    names_in_records(study)
    write(study, TABLE, ".md", f"the{USER}table\n")
    hidden = pack(study, tmp_path / "a.zip")
    (files,) = (files for name, files in hidden.suspected.items() if name == USER)
    assert files == [TABLE.replace(".json", ".md")]


@pytest.mark.parametrize(
    ("text", "kind", "inside", "matched"),
    [
        ("0123456789abcdef", "commits", "at 0123456", "0123456"),
        ("0123456789abcdef", "commits", "at 0123456789", "0123456789"),
        ("0123456789abcdef", "commits", "a0123456", None),
        ("0123456789abcdef", "commits", "012345678a", None),
        ("/home/ada", "folders", "file:///home/ada/x", "/home/ada"),
        ("/home/ada", "folders", "/home/adam", None),
        ("ada", "user names", "ada_results", "ada"),
        ("ada", "user names", "adaptive", None),
    ],
)
def test_what_is_found_stands_alone(text, kind, inside, matched):
    match = re.search(Needle(text, "", kind).pattern, inside)
    assert (match and match[0]) == matched


def test_outside_git_and_without_names_nothing_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    needles = find_needles([], set())
    assert str(tmp_path) in needles.found
    assert not {one.kind for one in needles.found.values()} & {"commits", "repositories"}
