"""Data sets that a phase makes, rendered or joined: annotations written beside the videos.

`annotations.json` is `{"videos": [{"video_id", "split", "duration_s", "queries": [{"query_id",
"sentence", "start_s", "end_s"}], ...}]}`; what else a video says (its events or clips) is
not read here.
"""

from pathlib import Path
from typing import Any

from tsgbench.datasets.readers import Row, need_file, parse_seconds, register
from tsgbench.errors import UserError
from tsgbench.files import read_json

SPLITS = ("train", "val", "test")


@register("made")
def read(files: dict[str, Path]) -> dict[str, list[Row]]:
    """Rows of the splits train, val and test. files: the role `annotations`."""
    path = need_file(files, "annotations", "made")
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for index, video in enumerate(_need(read_json(path), "videos", list, f"{path}")):
        within = f"{path}, videos[{index}]"
        split = _need(video, "split", str, within)
        if split not in splits:
            raise UserError(f"{within}: split: {split!r} is none of {list(SPLITS)}")
        video_id = _need(video, "video_id", str, within)
        duration_s = _need_seconds(video, "duration_s", within)
        for number, query in enumerate(_need(video, "queries", list, within)):
            where = f"{within}.queries[{number}]"
            query_id = _need(query, "query_id", str, where)
            splits[split].append(
                Row(
                    where=f"{path.name}:{query_id}",
                    query_id=query_id,
                    video_id=video_id,
                    sentence=_need(query, "sentence", str, where),
                    start_s=_need_seconds(query, "start_s", where),
                    end_s=_need_seconds(query, "end_s", where),
                    duration_s=duration_s,
                )
            )
    return splits


def _need(holder: object, name: str, kind: type, where: str) -> Any:
    if not isinstance(holder, dict) or not isinstance(holder.get(name), kind):
        raise UserError(f"{where}: {name}: missing or no {kind.__name__}; make the data set again")
    return holder[name]


def _need_seconds(holder: dict, name: str, where: str) -> float:
    return parse_seconds(holder.get(name), where, name)  # type: ignore[arg-type]  # refuses None
