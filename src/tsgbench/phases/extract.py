"""Decode a data set's videos and turn every clip into raw features."""

from tsgbench.datasets.table import read_queries
from tsgbench.devices import choose_device
from tsgbench.features.extract import extract
from tsgbench.phases import Task


def run(task: Task):
    annotations = task.inputs["annotations"].files(".jsonl").values()
    wanted = sorted({video for path in annotations for video in read_queries(path).video_ids})
    found = {path.stem: path for path in task.inputs["videos"].files().values()}
    checkpoint = None
    if "checkpoint" in task.inputs:
        (checkpoint,) = task.inputs["checkpoint"].files().values()
    facts = extract(
        # A video that is not there is passed on all the same: extraction counts it as failed
        {video: found.get(video, task.inputs["videos"].path.parent / video) for video in wanted},
        task.files["features"],
        recipe=task.settings,
        identity=task.identity,
        threads=task.threads,
        checkpoint=checkpoint,
        device=str(choose_device()),
    )
    return facts, [task.files["features"]]
