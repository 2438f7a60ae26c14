"""A bundle without names, for a double-blind review: what tells who made it is replaced.

Files that change get their new digests in the records, and these in the records of what was made
from them, so that the archive is as consistent as the project: `tsgbench verify` accepts it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tsgbench.bundling.contents import Contents, File, Result
from tsgbench.bundling.identifying import (
    ABBREVIATED,
    ANY_HOME,
    COMMITS,
    FOLDERS,
    HOME,
    SOMEBODY,
    SOMEWHERE,
    Needle,
    Needles,
    find_needles,
)
from tsgbench.downloads.manifest import MANIFEST
from tsgbench.errors import UserError
from tsgbench.files import CHUNK_BYTES, read_json, sha256_file, write_json
from tsgbench.jobs.records import Record, digest_of

LEFT_OUT = ("CITATION.cff",)  # names authors, and nothing else of use
WORD = re.compile(r"[A-Za-z0-9]+")
DIGEST = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{16}|[0-9a-f]{64})(?![0-9a-f])")  # of records, files
CODE = (".py", ".css", ".js", ".html", ".tex")
LONGEST = 1024  # of what is searched for, in bytes
MAX_REWRITTEN_BYTES = 64 << 20  # a larger file is looked through, and refused where it tells
# Of files that pack what they hold, nothing can be seen
PACKED = (".gz", ".npz", ".parquet", ".pdf", ".png", ".pt", ".zip", ".h5", ".mp4")


@dataclass
class Hidden:
    """What was replaced, and what could not be seen. replaced: kind -> times. code: files of the
    code that are no longer what they were. suspected: name -> files in which it stands, perhaps as
    another word. unread: endings of files that nothing can be seen in. free: texts that people
    wrote."""

    replaced: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    suspected: dict[str, list[str]] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    free: list[str] = field(default_factory=list)


class Anonymiser:
    """Rewrites the files of a bundle into a folder, and keeps count."""

    def __init__(self, needles: Needles, folder: Path) -> None:
        self._needles, self._folder = needles, folder
        self._digests: dict[str, str] = {}  # of what was rewritten, old -> new
        self._read: dict[str, str] = {}  # record -> its digest now
        self._patterns = {
            is_code: _any_of(one.pattern for one in _sorted(needles) if one.is_plain or not is_code)
            for is_code in (False, True)
        }
        self.hidden = Hidden()

    def text(self, text: str, *, is_code: bool = False) -> str:
        """A text without names. is_code: a bare name in it may be another word."""
        pattern = self._patterns[is_code]
        text = pattern.sub(self._instead, text) if pattern else text
        if not is_code:
            text = ANY_HOME.sub(self._any_home, text)
        return DIGEST.sub(lambda match: self._digests.get(match[0], match[0]), text)

    def _instead(self, match: re.Match[str]) -> str:
        needle = self._needles.found.get(match[0]) or next(
            one
            for one in self._needles.found.values()
            if re.fullmatch(one.pattern, match[0], re.IGNORECASE)
        )
        self.hidden.replaced[needle.kind] += 1
        return needle.instead[: len(match[0])] if needle.kind == COMMITS else needle.instead

    def _any_home(self, match: re.Match[str]) -> str:
        if match[0] != HOME:
            self.hidden.replaced[FOLDERS] += 1
        return HOME

    def rewrite(self, file: File, *, is_code: bool = False) -> File:
        """The file, or what stands for it."""
        if not file.is_packed or file.bytes > MAX_REWRITTEN_BYTES:
            return file
        try:
            text = file.location.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return file
        hidden = self.text(text, is_code=is_code)
        if hidden == text:
            return file
        target = self._folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(hidden.encode())
        new = replace(
            file, location=target, sha256=sha256_file(target), bytes=target.stat().st_size
        )
        self._digests[file.sha256] = new.sha256
        return new

    def result(self, result: Result, *, is_data: bool) -> Result:
        """A result with its record. is_data: bare names in it are somebody's words."""
        listed = {path.as_posix(): name for name, path in result.record.files().items()}
        files = [
            self.rewrite(file, is_code=is_data and Path(file.path).name != MANIFEST)
            if file.path in listed
            else file  # of a manifest, which has its digest
            for file in result.files
        ]
        content = json.loads(self.text(json.dumps(result.record.content, ensure_ascii=False)))
        for read in content["inputs"].values():
            read["digest"] = self._read.get(read["record"], read["digest"])
        for file in files:
            if file.path in listed:
                content["outputs"][listed[file.path]] = {"sha256": file.sha256, "bytes": file.bytes}
        if "host" in content.get("made", {}):
            content["made"]["host"] = SOMEWHERE
        for entry in content.get("accepted", []):
            entry["by"] = SOMEBODY
        old, content["digest"] = content["digest"], digest_of(content["outputs"], content["facts"])
        if old != content["digest"]:
            self._digests[old] = content["digest"]
        self._read[result.job.record] = content["digest"]
        target = self._folder / result.record_file.path
        write_json(target, content)
        record_file = File(
            result.record_file.path, target, sha256_file(target), target.stat().st_size
        )
        return Result(result.job, Record(result.record.path, content), record_file, files)

    def check(self, files: Iterable[File], texts: dict[str, str]) -> None:
        """`UserError` if what cannot be another word is left anywhere."""
        look = _Search(one for one in self._needles.found.values() if one.is_plain)
        for file in files:
            if not file.is_packed:
                continue
            if found := look.in_file(file.location):
                raise UserError(
                    f"{file.path}: holds {found!r}, and cannot be rewritten; leave it out, or make"
                    " it where nothing is called so"
                )
            if file.path.endswith(PACKED):
                self.hidden.unread[Path(file.path).suffix] += 1
        for name, text in texts.items():
            if found := look.in_bytes(text.encode()):
                raise UserError(f"{name}: would hold {found!r}; take it out of the study")
        self._suspect(file for file in files if file.is_packed and not file.path.endswith(PACKED))

    def _suspect(self, files: Iterable[File]) -> None:
        """Files in which a bare name stands, and names that are ordinary words of the code."""
        self.hidden.suspected = {name: [] for name in sorted(self._needles.ordinary)}
        bare = [one for one in self._needles.found.values() if not one.is_plain]
        look = _Search(bare, within_words=True)
        for file in files:
            if name := look.in_file(file.location):
                self.hidden.suspected.setdefault(name.lower(), []).append(file.path)


def anonymise(contents: Contents, folder: Path) -> tuple[Contents, Anonymiser]:
    """A bundle's contents without names. folder: for the files that change, as long as the archive
    is written. Generated texts go through `text`, and all at last through `check`."""
    config = contents.study.config
    needles = find_needles(
        contents.records,
        _words(contents.code),
        mirror=config.get("mirror"),
        commits=[(contents.verified or {}).get("git_commit")],
    )
    hide = Anonymiser(needles, folder)
    own = f"{contents.study.layout.folders['results']}/"
    results = {
        path: hide.result(result, is_data=not path.startswith(own))
        for path, result in contents.results.items()
    }
    code = []
    for file in contents.code:
        if file.path in LEFT_OUT:
            hide.hidden.left_out.append(file.path)
            continue
        hidden = hide.rewrite(file, is_code=True)
        if hidden is not file:
            hide.hidden.code.append(file.path)
        code.append(hidden)
    hide.hidden.free = _free_texts(contents)
    verified, kept = contents.verified, contents.verified_file
    if kept:
        kept = hide.rewrite(kept)
        verified = read_json(kept.location)
    changed = replace(contents, results=results, code=code, verified=verified, verified_file=kept)
    return changed, hide


def _words(code: list[File]) -> set[str]:
    """Every word of the package's code, in small letters."""
    texts = (
        file.location.read_text(encoding="utf-8", errors="ignore")
        for file in code
        if file.path.startswith("src/") and file.path.endswith(CODE)
    )
    return {word.lower() for text in texts for word in WORD.findall(text)}


def _free_texts(contents: Contents) -> list[str]:
    """Where people write what they like."""
    reasons = sum(len(record.accepted) for record in contents.records)
    texts = ["titles, notes and sources in study.json and config/"]
    return texts + ([f"reasons of {reasons} acceptances in records"] if reasons else [])


def _sorted(needles: Needles) -> list:
    """The longest first, of which the others may be parts."""
    return sorted(needles.found.values(), key=lambda one: -len(one.text))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(patterns)
    return re.compile(joined, re.IGNORECASE) if joined else None


class _Search:
    """Whether any of some texts stands in a file of any kind and size.

    within_words: also as a part of a longer word.
    """

    def __init__(self, needles: Iterable[Needle], *, within_words: bool = False) -> None:
        needles = list(needles)
        patterns = (re.escape(one.text) if within_words else one.pattern for one in needles)
        joined = "|".join(patterns).encode()
        self._pattern = re.compile(joined, re.IGNORECASE) if joined else None
        # Looked for first, since a pattern takes a hundred times as long
        self._literals = [
            one.text[: ABBREVIATED if one.kind == COMMITS else None].lower().encode()
            for one in needles
        ]

    def in_bytes(self, content: bytes) -> str | None:
        """The first match."""
        lowered = content.lower()
        if self._pattern is None or not any(text in lowered for text in self._literals):
            return None
        match = self._pattern.search(content)
        return match[0].decode(errors="replace") if match else None

    def in_file(self, path: Path) -> str | None:
        """The first match, read piece by piece."""
        before = b""
        with open(path, "rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                if found := self.in_bytes(before + chunk):
                    return found
                before = chunk[-LONGEST:]
        return None
