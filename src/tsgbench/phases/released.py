"""Bring released features into a feature file, with the seconds that their rows stand for."""

from tsgbench.datasets.queries import video_durations
from tsgbench.downloads.manifest import files_of
from tsgbench.features.failures import listed_if_stopped, stopped_list, write_failures
from tsgbench.features.released import convert
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """settings: a recipe's `released`. facts: videos converted, unused and failed."""
    annotations = task.inputs["annotations"]
    parts = [record for role, record in task.inputs.items() if role.startswith("released")]
    words = [task.inputs["vectors"]] if "vectors" in task.inputs else []
    with listed_if_stopped(stopped_list(task.files["failed"])):
        facts = convert(
            {name: path for part in parts for name, path in files_of(part).items()},
            video_durations(annotations),
            task.files["features"],
            recipe=task.settings["released"],
            identity=task.identity,
            vectors=[path for record in words for path in record.files().values()],
            are_exact=not annotations.facts.get("duration_grid_s"),
        )
    failed = facts.pop("failed")
    write_failures(task.files["failed"], failed)
    return facts | {"failed": len(failed)}, [task.files["features"], task.files["failed"]]
