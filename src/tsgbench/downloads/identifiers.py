"""The list of videos that a data set needs, out of its annotation files."""

import csv
import re
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import read_json, read_utf8
from tsgbench.outside import shipped

# An id becomes a file name: no separators, no leading dot
SAFE = re.compile(r"(?!\.)[\w@.+-]{1,200}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}")


def read_ids(path: Path) -> list[str]:
    """Video ids of one annotation file: keys of a JSON object, or `video` of a list's rows."""
    content = read_json(path)
    try:
        ids = list(content) if isinstance(content, dict) else [row["video"] for row in content]
    except (TypeError, KeyError):
        raise UserError(
            f"{path}: neither a JSON object by video id nor a list of rows with `video`; download"
            " it again"
        ) from None
    for video in ids:
        if not isinstance(video, str) or not SAFE.fullmatch(video):
            raise UserError(f"{path}: {video!r}: not a video id that can name a file")
    return ids


def read_list(path: Path) -> dict[str, str]:
    """A table of this repository with columns `video` and `sha256`: id -> checksum of its file."""
    path = path if path.exists() else shipped() / path
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        listed = {row["video"]: row["sha256"] for row in rows}
    except (FileNotFoundError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path}: no table of video, sha256 ({error}); check it out again"
        ) from None
    for video, sha256 in listed.items():
        if not SAFE.fullmatch(video) or not SHA256.fullmatch(sha256 or ""):
            raise UserError(f"{path}: {video!r}: not a video id with a SHA-256; check it out again")
    return listed


def wanted_videos(spec: dict, files: dict[str, list[Path]]) -> dict[str, str | None]:
    """Id -> SHA-256 (None where nobody states it) of every video that a source asks for, sorted.

    spec: its `videos` section. files: annotation source -> its files.
    """
    if "listed_in" in spec:
        return dict(sorted(read_list(Path(spec["listed_in"])).items()))
    named = {video for need in spec["ids_from"] for path in files[need] for video in read_ids(path)}
    return dict.fromkeys(sorted(named))


def read_keys(path: Path) -> dict[str, str]:
    """A table of two columns, what a host calls each video: `6010978700<tab>5b85c5f2…`."""
    pairs = [line.split() for line in read_utf8(path).splitlines() if line.strip()]
    if bad := [pair for pair in pairs if len(pair) != 2]:
        raise UserError(f"{path}: {' '.join(bad[0])!r}: not two columns; download it again")
    return dict(pairs)


def key_of(video: str, pattern: str, keys: dict[str, str] | None) -> str | None:
    """What the host calls a video: the group of `pattern`, looked up in `keys` where there are any.

    None if the id does not fit the pattern or the table does not know it.
    """
    match = re.fullmatch(pattern, video)
    if not match:
        return None
    name = match.group(1)
    return name if keys is None else keys.get(name)


def fill_template(template: str, key: str) -> str:
    """An address with {key}, and {key_1} and {key_2}: its first and its second three characters."""
    return template.format(key=key, key_1=key[:3], key_2=key[3:6])


def addresses_of(entry: dict) -> list[str]:
    """The addresses of a source's file or of a part, in the order in which they are tried."""
    alternates = (one["url"] for one in entry.get("alternates", []) if "url" in one)
    return list(dict.fromkeys([*entry.get("urls", []), *alternates]))


def templates_of(source: dict) -> list[str]:
    """The templates of a source of videos, in the order in which they are tried."""
    return addresses_of(source | {"urls": as_list(source["videos"].get("url", []))})


def as_list(addresses: str | list[str]) -> list[str]:
    """The templates of a source, of which it may state one or several."""
    return [addresses] if isinstance(addresses, str) else addresses
