"""Decode a data set's videos and turn every clip into raw features.

A video that its download lists as unavailable is listed here, too, and does not count against what
extraction may lose: the download has its own limit for that. Anything else that gives no features,
a broken file or one that nobody lists, does. So does, on an account of its own, one that does not
last as long as annotated, unless the annotation counts in chunks.
"""

from collections.abc import Sequence
from pathlib import Path

from tsgbench.datasets.queries import video_durations
from tsgbench.downloads.manifest import files_of
from tsgbench.downloads.unavailable import read_unavailable
from tsgbench.features.extract import Wanted, extract, extract_shard
from tsgbench.features.failures import (
    find_file,
    listed_if_stopped,
    name_by_video,
    stopped_list,
    write_failures,
)
from tsgbench.features.journal import journal_of
from tsgbench.features.shards import (
    Shard,
    finished,
    folder_of,
    journal_of_shard,
    journals,
    report_of,
)
from tsgbench.files import write_json
from tsgbench.phases import Outcome, Task
from tsgbench.training.devices import choose_device


def run(task: Task) -> Outcome:
    """settings: a recipe of clips.

    facts: as `features.extract` counts them, and videos without clips: those that `failed`, and
    those that were `unavailable`.
    """
    annotations, features = task.inputs["annotations"], task.files["features"]
    videos, gone = _videos(task)
    shards = finished(features, task.identity)
    with listed_if_stopped(stopped_list(task.files["failed"]), gone):
        facts = extract(
            videos,
            features,
            recipe=task.settings,
            identity=task.identity,
            threads=task.threads,
            checkpoint=_checkpoint(task),
            device=str(choose_device()),
            shards=shards,
            durations=(
                None if annotations.facts.get("duration_grid_s") else video_durations(annotations)
            ),
        )
    failed = facts.pop("failed")
    write_failures(task.files["failed"], [*failed, *gone])
    if folder_of(features).exists():
        task.done_with.append(folder_of(features))
    counts = {"failed": len(failed), "unavailable": len(gone)}
    return facts | counts, [features, task.files["failed"]]


def run_shard(tasks: Sequence[Task], shard: Shard) -> None:
    """A part of the videos, for `run` to go on from (features/shards.py).

    tasks: extractions of the same videos, which are decoded once for all of them.
    """
    videos, _ = _videos(tasks[0])
    found = extract_shard(
        {video: videos[video] for video in shard.share(list(videos))},
        [_wanted(task, shard) for task in tasks],
        threads=tasks[0].threads,
        device=str(choose_device()),
    )
    for task, facts in zip(tasks, found, strict=True):
        write_json(report_of(task.files["features"], task.identity, shard), facts)


def _wanted(task: Task, shard: Shard) -> Wanted:
    features = task.files["features"]
    return Wanted(
        features,
        task.settings,
        task.identity,
        _checkpoint(task),
        journal_of_shard(features, task.identity, shard),
        # What an extraction in one piece, or in other shards, had made when it was killed
        [journal_of(features), *journals(features, task.identity)],
    )


def _videos(task: Task) -> tuple[dict[str, Path], list[dict[str, str]]]:
    """The videos to extract, sorted, each with its file, and those that are known to be lost.

    A video that is not there, and nobody knows why, is among the first: extraction counts it.
    """
    path_of = name_by_video(files_of(task.inputs["videos"]))
    folder = task.inputs["videos"].path.parent
    durations = video_durations(task.inputs["annotations"])
    paths = {video: find_file(video, path_of) for video in sorted(durations)}
    lost = {
        video: reason
        for video, reason in read_unavailable(task.inputs["videos"]).items()
        if video in paths and paths[video] is None
    }
    gone = [{"video": video, "reason": f"unavailable: {why}"} for video, why in lost.items()]
    return {
        video: path or folder / video for video, path in paths.items() if video not in lost
    }, gone


def _checkpoint(task: Task) -> Path | None:
    if "checkpoint" not in task.inputs:
        return None
    (checkpoint,) = files_of(task.inputs["checkpoint"]).values()
    return checkpoint
