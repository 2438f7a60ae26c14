"""What MSR-VTT says of its clips: sentences, category, and the YouTube video each is of.

`test_videodatainfo.json` is `{"videos": [{"video_id", "category", "url", ...}], "sentences":
[{"video_id", "caption", ...}]}` (Xu et al., MSR-VTT, CVPR 2016).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tsgbench.errors import UserError
from tsgbench.files import read_json


@dataclass(frozen=True)
class Description:
    """One clip. source: the YouTube id of the video it is of. sentences: different ones."""

    source: str
    category: int
    sentences: tuple[str, ...]


def read_descriptions(path: Path) -> dict[str, Description]:
    """Clip -> what the file says of it; `UserError` names the place and field at fault."""
    content = read_json(path)
    captions: dict[str, dict[str, str]] = {}
    for index, row in enumerate(_need(content, "sentences", list, path)):
        where = f"{path}, sentences[{index}]"
        clip = _need(row, "video_id", str, where)
        text = " ".join(_need(row, "caption", str, where).split())
        if text:  # of two that differ in capitals alone, the first
            captions.setdefault(clip, {}).setdefault(text.lower(), text)
    clips = {}
    for index, row in enumerate(_need(content, "videos", list, path)):
        where = f"{path}, videos[{index}]"
        clip = _need(row, "video_id", str, where)
        clips[clip] = Description(
            _youtube_id(_need(row, "url", str, where), where),
            _need(row, "category", int, where),
            tuple(captions.get(clip, {}).values()),
        )
    return clips


def _youtube_id(url: str, where: str) -> str:
    ids = parse_qs(urlsplit(url).query).get("v", [])
    if len(ids) != 1:
        raise UserError(f"{where}: url: {url!r} names no YouTube video; download the file again")
    return ids[0]


def _need(holder: object, name: str, kind: type, where: object) -> Any:
    if not isinstance(holder, dict) or not isinstance(holder.get(name), kind):
        raise UserError(f"{where}: {name}: missing or no {kind.__name__}; download the file again")
    return holder[name]
