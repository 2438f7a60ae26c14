"""The list of videos that a data set needs, out of its annotation files."""

import re
from pathlib import Path

from tsgbench.errors import UserError
from tsgbench.files import read_json

# An id becomes a file name: no separators, no leading dot
SAFE = re.compile(r"(?!\.)[\w@.+-]{1,200}", re.ASCII)


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


def read_keys(path: Path) -> dict[str, str]:
    """A table of two columns, what a host calls each video: `6010978700<tab>5b85c5f2…`."""
    pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
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
    found = match.group(1)
    return found if keys is None else keys.get(found)


def fill_template(template: str, key: str) -> str:
    """An address with {key}, and {key_1} and {key_2}: its first and its second three characters."""
    return template.format(key=key, key_1=key[:3], key_2=key[3:6])
