"""Bring released features into a feature file, with the seconds that their rows stand for."""

from tsgbench.datasets.table import video_durations
from tsgbench.downloads.manifest import files_of
from tsgbench.features.failures import listed_if_stopped, stopped_list, write_failures
from tsgbench.features.released import convert
from tsgbench.phases import Task


def run(task: Task):
    annotations = task.inputs["annotations"]
    with listed_if_stopped(stopped_list(task.files["failed"])):
        facts = convert(
            files_of(task.inputs["released"]),
            video_durations(annotations),
            task.files["features"],
            recipe=task.settings["released"],
            identity=task.identity,
            are_exact=not annotations.facts.get("duration_grid_s"),
        )
    failed = facts.pop("failed")
    write_failures(task.files["failed"], failed)
    return facts | {"failed": len(failed)}, [task.files["features"], task.files["failed"]]
