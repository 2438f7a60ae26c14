"""Decode a data set's videos and turn every clip into raw features.

A video that its download lists as unavailable is listed here, too, and does not count against what
extraction may lose: the download has its own limit for that. Anything else that gives no features,
a broken file or one that nobody lists, does. So does, on an account of its own, one that does not
last as long as annotated, unless the annotation counts in chunks.
"""

from tsgbench.datasets.queries import video_durations
from tsgbench.downloads.manifest import files_of
from tsgbench.downloads.unavailable import read_unavailable
from tsgbench.features.extract import extract
from tsgbench.features.failures import (
    find_file,
    listed_if_stopped,
    name_by_video,
    stopped_list,
    write_failures,
)
from tsgbench.phases import Outcome, Task
from tsgbench.training.devices import choose_device


def run(task: Task) -> Outcome:
    """settings: a recipe of clips.

    facts: as `features.extract` counts them, and videos without clips: those that `failed`, and
    those that were `unavailable`.
    """
    annotations = task.inputs["annotations"]
    durations = video_durations(annotations)
    path_of = name_by_video(files_of(task.inputs["videos"]))
    folder = task.inputs["videos"].path.parent
    checkpoint = None
    if "checkpoint" in task.inputs:
        (checkpoint,) = files_of(task.inputs["checkpoint"]).values()
    paths = {video: find_file(video, path_of) for video in sorted(durations)}
    lost = {
        video: reason
        for video, reason in read_unavailable(task.inputs["videos"]).items()
        if video in paths and paths[video] is None
    }
    gone = [{"video": video, "reason": f"unavailable: {why}"} for video, why in lost.items()]
    with listed_if_stopped(stopped_list(task.files["failed"]), gone):
        facts = extract(
            # A video that is not there, and nobody knows why, is passed on: extraction counts it
            {video: path or folder / video for video, path in paths.items() if video not in lost},
            task.files["features"],
            recipe=task.settings,
            identity=task.identity,
            threads=task.threads,
            checkpoint=checkpoint,
            device=str(choose_device()),
            durations=None if annotations.facts.get("duration_grid_s") else durations,
        )
    failed = facts.pop("failed")
    write_failures(task.files["failed"], [*failed, *gone])
    counts = {"failed": len(failed), "unavailable": len(gone)}
    return facts | counts, [task.files["features"], task.files["failed"]]
