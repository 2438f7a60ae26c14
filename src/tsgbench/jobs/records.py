"""Records: the small JSON file by which every result carries its own identity.

A record says which job made its files: `identity` (a digest of the job's settings, its code and
the identities of its inputs), `digest` (of what the files hold), the files with their sizes and
SHA-256, the inputs as they were found, and the facts the phase reports. A consumer is told the
identity it must find and refuses anything else, so that no checkout, pull or edit can put an old
number under a new setting. A user may declare that a result stands for another identity as well,
after a harmless change of code (`accepted`; planning/accepting.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired, TypedDict

from tsgbench.errors import UserError
from tsgbench.files import digest, read_json, sha256_file, write_json
from tsgbench.files.access import Inaccessible, named

SCHEMA = 1
# Larger files are checked by size only: hashing gigabytes of features before each training would
# cost more than it saves, and HDF5 checks its own chunks when they are read.
MAX_HASHED_BYTES = 256 << 20
# What a plan hashes of every result before each run: tables and scores, not features
MAX_PLANNED_BYTES = 256 << 10
# What readers count on
FORM = {
    ("identity", "digest"): str,
    ("inputs", "outputs", "facts", "settings", "made"): dict,
    ("accepted",): list,
}
LONGEST_NAME = 255  # of a file
OPTIONAL = ("settings", "made", "accepted")
GONE = "is missing though its record lists it"


class Output(TypedDict):
    """A file that a job made."""

    sha256: str
    bytes: int


class Input(TypedDict):
    """A record that a job read, as it was then: its path, identity and digest."""

    record: str
    identity: str
    digest: str


# What a user declared: who, when, why, at which commit, from which identity and code to which
Acceptance = TypedDict(
    "Acceptance",
    {
        "by": str,
        "at": str,
        "reason": str,
        "commit": str | None,
        "from": str,
        "to": str,
        "code": list[str | None],
    },
    total=False,
)


class Content(TypedDict):
    """What a record says (docs/identity.md). Optional is what no reader needs: see `FORM`."""

    schema: int
    identity: str
    digest: str
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    facts: dict[str, Any]
    phase: NotRequired[str]
    key: NotRequired[str]
    settings: NotRequired[dict[str, Any]]
    code: NotRequired[str]
    made: NotRequired[dict[str, Any]]
    accepted: NotRequired[list[Acceptance]]


@dataclass(frozen=True)
class Record:
    """A record read from disk. `content` is the JSON object, `folder` where its files are."""

    path: Path
    content: Content

    @property
    def identity(self) -> str:
        """Of the settings, code and inputs that made the result."""
        return self.content["identity"]

    @property
    def accepted(self) -> list[Acceptance]:
        """What users declared, oldest first: by, at, reason, commit, from, to, code."""
        return self.content.get("accepted", [])

    @property
    def identities(self) -> list[str]:
        """The identity that made the result, then those that it was accepted for."""
        return [self.identity, *(entry["to"] for entry in self.accepted)]

    def stands_for(self, identity: str) -> bool:
        """Whether it was made for an identity, or accepted for it."""
        return identity in self.identities

    @property
    def digest(self) -> str:
        """Of what the files hold."""
        return self.content["digest"]

    @property
    def facts(self) -> dict:
        """What the phase counted and measured."""
        return self.content["facts"]

    def file(self, name: str) -> Path:
        """Path of one of the files the record lists."""
        if name not in self.content["outputs"]:
            raise UserError(f"{self.path}: lists no file {name!r}; make it again")
        return self.path.parent / name

    def files(self, ending: str = "") -> dict[str, Path]:
        """The listed files whose names end so, by their name relative to the record."""
        names = [name for name in self.content["outputs"] if name.endswith(ending)]
        return {name: self.path.parent / name for name in names}


def write_record(
    path: str | Path,
    *,
    phase: str,
    key: str,
    identity: str,
    settings: dict,
    code: str,
    inputs: dict[str, Record],
    files: list[Path],
    facts: dict,
    made: dict,
) -> None:
    """Write the record of a finished job, last of its files: no record, no result.

    facts: what the phase counted or measured. made: when, where, by which commit and in how long;
    unlike the facts it differs between two equal runs.
    """
    path = Path(path)
    outputs: dict[str, Output] = {
        file.relative_to(path.parent).as_posix(): {
            "sha256": sha256_file(file),
            "bytes": file.stat().st_size,
        }
        for file in sorted(files)
    }
    write_json(
        path,
        {
            "schema": SCHEMA,
            "phase": phase,
            "key": key,
            "identity": identity,
            "digest": digest_of(outputs, facts),
            "settings": settings,
            "code": code,
            "inputs": {
                role: {
                    "record": str(record.path),
                    "identity": record.identity,
                    "digest": record.digest,
                }
                for role, record in inputs.items()
            },
            "outputs": outputs,
            "facts": facts,
            "made": made,
        },
    )


def digest_of(outputs: Mapping[str, Output], facts: dict) -> str:
    """Of what consumers read: the files, or the facts where there is no file beside the record."""
    return digest({name: entry["sha256"] for name, entry in outputs.items()} or facts)


def read_record(path: str | Path) -> Record:
    """Read a record; `UserError` if it is missing, malformed, misshapen or of another schema."""
    path = Path(path)
    content = read_json(path)
    if wrong := _wrong_field(content):
        raise UserError(
            f"{path}: not a record of this version ({wrong} is missing, or of another form); run"
            " snakemake, which makes it again"
        )
    return Record(path, content)


def _wrong_field(content: object) -> str | None:
    """The first field that is missing or of another form, so that no reader trips over it."""
    if not isinstance(content, dict):
        return "an object"
    if content.get("schema") != SCHEMA:
        return "schema"
    for names, kind in FORM.items():
        for name in names:
            if not isinstance(content.get(name, kind() if name in OPTIONAL else None), kind):
                return name
    if not all(map(_is_output, content["outputs"], content["outputs"].values())):
        return "outputs"
    if not all(map(_is_input, content["inputs"].values())):
        return "inputs"
    if not all(
        isinstance(entry, dict) and isinstance(entry.get("to"), str)
        for entry in content.get("accepted", [])
    ):
        return "accepted"
    return None


def _is_input(entry: object) -> bool:
    """Whether this says which record was read, and what it was then."""
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), str) for name in Input.__required_keys__
    )


def _is_output(name: str, entry: object) -> bool:
    """Whether this is a file below the record, with its size and checksum."""
    path = PurePosixPath(name)
    return (
        0 < len(path.name) <= LONGEST_NAME
        and not path.is_absolute()
        and ".." not in path.parts
        and "\0" not in name
        and isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and isinstance(entry.get("sha256"), str)
    )


def check_input(path: str | Path, identity: str) -> Record:
    """Read an input's record, refusing another identity and damaged or missing files."""
    record = read_record(path)
    if not record.stands_for(identity):
        raise UserError(
            f"{path}: made under other settings, code or inputs (identity {record.identity}, this "
            f"job needs {identity}); run snakemake again, it remakes what is out of date"
        )
    for problem in damages(record):
        raise UserError(f"{repair(problem)}run snakemake again")
    return record


def damages(record: Record, max_hashed: float = MAX_HASHED_BYTES) -> Iterator[str]:
    """In words, the files of a record that are missing or not what it says.

    max_hashed: bytes of the largest file that is read whole; of larger ones the size is compared.
    """
    for name, file in record.files().items():
        problem = _damage(file, record.content["outputs"][name], max_hashed)
        if problem:
            yield f"{file}: {problem}"


def repair(problem: str) -> str:
    """One of `damages` as the start of a sentence that goes on with the command to run.

    What is there must go first: a plan takes a large file of the right size for whole.
    """
    return f"{problem}; " if problem.endswith(GONE) else f"{problem}; delete it and "


def current_record(path: Path, identity: str) -> Record | None:
    """The record at `path`, if it is of this very job and its files are all there, whole.

    Asked of every result before each run of the workflow, so larger files by their sizes only.
    """
    try:
        record = read_record(path)
    except Inaccessible:
        raise
    except UserError:
        return None
    is_whole = record.stands_for(identity) and not any(
        _damage(file, record.content["outputs"][name], MAX_PLANNED_BYTES)
        for name, file in record.files().items()
    )
    return record if is_whole else None


def _damage(file: Path, expected: Output, max_hashed: float) -> str | None:
    with named(file):
        if not file.exists():
            return GONE
        size = file.stat().st_size
        if size != expected["bytes"]:
            return f"has {size} bytes where its record says {expected['bytes']}"
        if size <= max_hashed and sha256_file(file) != expected["sha256"]:
            return "does not have the SHA-256 its record states (damaged or edited)"
    return None
