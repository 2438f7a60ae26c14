"""Render the videos and sentences of a synthetic data set."""

from tsgbench.making.shapes import render
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """settings: those of the renderer (docs/shapes.md). facts: as `render` counts them."""
    folder = task.folder / task.wildcards["dataset"]
    facts = render(folder, settings=task.settings, workers=task.threads)
    return facts, [folder / "annotations.json", *sorted((folder / "videos").glob("*.mp4"))]
