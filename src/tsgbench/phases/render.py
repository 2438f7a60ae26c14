"""Render the videos and sentences of a synthetic data set."""

from tsgbench.making.shapes import render
from tsgbench.phases import Task


def run(task: Task):
    folder = task.folder / task.wildcards["dataset"]
    facts = render(folder, settings=task.settings, workers=task.threads)
    return facts, [folder / "annotations.json", *sorted((folder / "videos").glob("*.mp4"))]
