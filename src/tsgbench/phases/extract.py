"""Decode a data set's videos and turn every clip into raw features."""

from tsgbench.datasets.table import read_queries
from tsgbench.devices import choose_device
from tsgbench.downloads.manifest import files_of
from tsgbench.features.extract import extract
from tsgbench.features.failures import find_file, name_by_video, write_failures
from tsgbench.phases import Task


def run(task: Task):
    annotations = task.inputs["annotations"].files(".jsonl").values()
    wanted = sorted({video for path in annotations for video in read_queries(path).video_ids})
    found = name_by_video(files_of(task.inputs["videos"]))
    folder = task.inputs["videos"].path.parent
    checkpoint = None
    if "checkpoint" in task.inputs:
        (checkpoint,) = files_of(task.inputs["checkpoint"]).values()
    facts = extract(
        # A video that is not there is passed on all the same: extraction counts it as failed
        {video: find_file(video, found) or folder / video for video in wanted},
        task.files["features"],
        recipe=task.settings,
        identity=task.identity,
        threads=task.threads,
        checkpoint=checkpoint,
        device=str(choose_device()),
    )
    failed = facts.pop("failed")
    write_failures(task.files["failed"], failed)
    return facts | {"failed": len(failed)}, [task.files["features"], task.files["failed"]]
