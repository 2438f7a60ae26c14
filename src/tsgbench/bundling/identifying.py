"""What tells who made results, and where: of this machine and checkout, and of the records."""

import getpass
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tsgbench.jobs.records import Record

FOLDERS, MAILS, REPOSITORIES, COMMITS = "folders", "mail addresses", "repositories", "commits"
PEOPLE, USERS, HOSTS, SERVERS = "names of people", "user names", "machines", "servers"
SOMEBODY, SOMEWHERE = "anonymous", "machine"
PROJECT, HOME, MAIL = "/project", "/home/anonymous", "anonymous@example.org"
REPOSITORY, SERVER = "https://example.org/repository", "https://example.org"
# A folder of anybody's, on any machine
ANY_HOME = re.compile(r"(?<![\w.])/(?:export/|data/)?(?:home|Users)/[\w.-]+")
SHORTEST = 3  # a name of fewer letters is found everywhere
ABBREVIATED = 7  # of a commit, at least
HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Needle:
    """What is to be replaced. is_plain: nothing but this can be meant, so that it is replaced in
    code, too; a bare name may be a word of it."""

    text: str
    instead: str
    kind: str
    is_plain: bool = True

    @property
    def pattern(self) -> str:
        """It alone, and not as a part of a longer word. Of a commit, however much of it there is,
        so that the match is replaced letter by letter."""
        if self.kind == COMMITS:
            rest = "".join(f"(?:{letter}" for letter in self.text[ABBREVIATED:])
            closed = ")?" * len(self.text[ABBREVIATED:])
            return rf"(?<![0-9a-f]){self.text[:ABBREVIATED]}{rest}{closed}(?![0-9a-f])"
        return rf"(?<![A-Za-z0-9]){re.escape(self.text)}(?![A-Za-z0-9])"


@dataclass
class Needles:
    """What is to be replaced, each text once. ordinary: names that are also words of the code, so
    that only what holds nothing else is replaced: fields of records, and folders."""

    found: dict[str, Needle] = field(default_factory=dict)
    ordinary: set[str] = field(default_factory=set)

    def add(self, text: str | None, instead: str, kind: str, *, is_plain: bool = True) -> None:
        """Unless there is nothing to be found by."""
        text = (text or "").strip()
        if len(text) >= SHORTEST and text not in ("/root", "localhost", instead):
            self.found.setdefault(text, Needle(text, instead, kind, is_plain))

    def add_name(self, text: str | None, instead: str, kind: str, words: set[str]) -> None:
        """A name. One of several words is meant wherever it stands; a word of the code nowhere."""
        text = (text or "").strip()
        if text.lower() in words:
            self.ordinary.add(text)
        else:
            self.add(text, instead, kind, is_plain=" " in text)


def find_needles(
    records: Iterable[Record],
    words: set[str],
    *,
    mirror: str | None = None,
    commits: Iterable[str | None] = (),
) -> Needles:
    """All that is known. words: of the code, in small letters. mirror: as the study names it.
    commits: others than those of records and of the checkout."""
    records = list(records)
    needles = Needles()
    needles.add(str(Path.cwd()), PROJECT, FOLDERS)
    needles.add(os.environ.get("PWD"), PROJECT, FOLDERS)
    needles.add(str(Path.home()), HOME, FOLDERS)
    needles.add_name(_user(), SOMEBODY, USERS, words)
    _add_host(needles, os.uname().nodename, words)
    if mirror:
        needles.add(mirror, SERVER, SERVERS)
    for commit in commits:
        _add_commit(needles, commit)
    for made in (record.content.get("made", {}) for record in records):
        _add_made(needles, made, words)
    for record in records:
        for entry in record.accepted:
            needles.add_name(entry.get("by"), SOMEBODY, USERS, words)
            _add_commit(needles, entry.get("commit"))
    _add_git(needles, words)
    return needles


def _add_made(needles: Needles, made: dict[str, Any], words: set[str]) -> None:
    _add_host(needles, made.get("host"), words)
    _add_commit(needles, made.get("git_commit"))
    store = str((made.get("mlflow") or {}).get("uri") or "")
    if store.startswith("sqlite:///"):
        folder = Path(store.removeprefix("sqlite:///")).parent
        if folder.is_absolute():
            needles.add(str(folder), PROJECT, FOLDERS)
    elif host := urlsplit(store).hostname:
        needles.add(urlsplit(store).netloc, "example.org", SERVERS)
        needles.add(host, "example.org", SERVERS)


def _add_host(needles: Needles, host: str | None, words: set[str]) -> None:
    """The whole name, and its first part, by which a machine is called among its own."""
    for name in (host, (host or "").partition(".")[0]):
        needles.add_name(name, SOMEWHERE, HOSTS, words)


def _add_commit(needles: Needles, commit: str | None) -> None:
    commit = (commit or "").rstrip("+")
    if len(commit) > ABBREVIATED and set(commit) <= set(HEX):
        needles.add(commit, "0" * len(commit), COMMITS)


def _add_git(needles: Needles, words: set[str]) -> None:
    for line in _git("remote", "-v"):
        address = line.split()[1] if len(line.split()) > 1 else ""
        for text in (address, address.removesuffix(".git")):
            needles.add(text, REPOSITORY, REPOSITORIES)
        path = re.split(r"[:/]", address.removesuffix(".git"))[-2:]
        if len(path) == 2 and all(path):
            needles.add("/".join(path), "anonymous/repository", REPOSITORIES)
    for line in _git("rev-parse", "HEAD"):
        _add_commit(needles, line)
    for mail in (*_git("config", "user.email"), *_git("log", "--format=%ae")):
        needles.add(mail, MAIL, MAILS)
    for name in (*_git("config", "user.name"), *_git("log", "--format=%an")):
        needles.add_name(name, SOMEBODY, PEOPLE, words)


def _git(*words: str) -> Iterator[str]:
    """The lines that git says, each once; none outside a repository."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return
    yield from dict.fromkeys(done.stdout.splitlines())


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # of a container's user without a name
        return None
