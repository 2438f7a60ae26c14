"""What the JSON formats share: strict parsing, and the layout "video, its moments, its sentences".

ActivityNet Captions, TACoS, Charades-CD and ActivityNet-CD are all one object
`{video: {"timestamps": [[start, end], ...], "sentences": [...], ...}}`; they differ in the name of
the duration and in the unit of time, which the caller's `Clock` knows.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tsgbench.datasets.readers import Row, need_file, read_lines
from tsgbench.errors import UserError
from tsgbench.files import RepeatedError, named_once, read_utf8

KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}

LARGEST = sys.float_info.max  # nothing is compared with it wrongly: no NaN, no longer whole number

# (video, its entry, place for messages) -> duration in seconds, or None; time units a second
Clock = Callable[[str, dict, str], tuple[float | None, float]]


def read_strict(path: Path, kind: type) -> Any:
    """The JSON object or list of a file.

    `UserError` names line and column of malformed JSON, and a name that stands twice in one object:
    the parser alone would keep the last and forget the others.
    """
    return check_kind(_parse(read_utf8(path), path), kind, f"{path}", "content")


def read_strict_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """The number and the JSON object of each line that is not blank; errors as of `read_strict`."""
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield number, check_kind(_parse(line, path, number), dict, where, "content")


def _parse(text: str, path: Path, first_line: int = 1) -> object:
    try:
        return json.loads(text, object_pairs_hook=named_once)
    except RepeatedError as error:
        raise UserError(f"{path}: {error}; download it again") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {first_line + error.lineno - 1}, column {error.colno}: not valid JSON"
            f" ({error.msg}); download it again"
        ) from None
    except RecursionError:
        raise UserError(f"{path}: nested without end; download it again") from None
    except ValueError:  # a whole number that Python does not read
        raise UserError(
            f"{path}: holds a number of thousands of digits; download it again"
        ) from None


def need(holder: dict, name: str, kind: type, where: str) -> Any:
    """Field `name` of a JSON object; `UserError` if it is missing or of another kind."""
    if name not in holder:
        raise UserError(f"{where}: {name}: is missing; download the file again")
    return check_kind(holder[name], kind, where, name)


def check_kind(value: object, kind: type, where: str, name: str) -> Any:
    """The value, if it is of this kind (true and false are no numbers)."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(
            f"{where}: {name}: expected {KINDS[kind]}, got {json.dumps(value)[:40]}; download the"
            " file again"
        )
    return value


def number(value: Any, where: str, name: str) -> float:
    """A finite JSON number (a text that looks like one is refused)."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= LARGEST:
        raise UserError(
            f"{where}: {name}: expected a number, got {json.dumps(value)[:40]}; download the file"
            " again"
        )
    return float(value)


def optional_number(holder: dict, name: str, where: str) -> float | None:
    """The number, or None where the field is absent or null: the policy judges such a row."""
    return None if holder.get(name) is None else number(holder[name], where, name)


def field_clock(name: str) -> Clock:
    """For entries whose field `name` is their duration, all times being seconds."""
    return lambda video, entry, where: (  # noqa: ARG005 (a Clock takes the video, too)
        optional_number(entry, name, where),
        1.0,
    )


def read_videos(path: Path, label: str, clock: Clock) -> list[Row]:
    """Rows of a file of the shared layout, in file order.

    label: part of the query ids, `{video}_{label}_{index in the video}`, which keeps the ids of two
    files apart that annotate the same videos. A video id loses the ending `.avi`.
    """
    rows = []
    for name, entry in read_strict(path, dict).items():
        where = f"{path}, {name}"
        check_kind(entry, dict, where, "entry")
        sentences = need(entry, "sentences", list, where)
        timestamps = need(entry, "timestamps", list, where)
        if len(sentences) != len(timestamps):
            raise UserError(
                f"{where}: sentences: {len(sentences)} of them for {len(timestamps)} timestamps;"
                " download the file again"
            )
        duration_s, units_per_s = clock(name, entry, where)
        video_id = name.removesuffix(".avi")
        for index, (moment, sentence) in enumerate(zip(timestamps, sentences, strict=True)):
            start, end = read_moment(moment, f"{where}[{index}]", "timestamps")
            rows.append(
                Row(
                    where=f"{path.name}:{name}[{index}]",
                    query_id=f"{video_id}_{label}_{index:03d}",
                    video_id=video_id,
                    sentence=check_kind(sentence, str, f"{where}[{index}]", "sentences"),
                    start_s=start / units_per_s,
                    end_s=end / units_per_s,
                    duration_s=duration_s,
                )
            )
    return rows


def read_files(
    files: dict[str, Path], roles: Iterable[str], dataset: str, clock: Clock
) -> dict[str, list[Row]]:
    """Rows of one file of the shared layout a role; `UserError` names a role without its file."""
    return {role: read_videos(need_file(files, role, dataset), role, clock) for role in roles}


def read_moment(moment: object, where: str, name: str) -> tuple[float, float]:
    """Start and end of a JSON list of two numbers."""
    if not isinstance(moment, list) or len(moment) != 2:
        raise UserError(
            f"{where}: {name}: expected [start, end], got {json.dumps(moment)[:40]}; download"
            " the file again"
        )
    return number(moment[0], where, name), number(moment[1], where, name)
