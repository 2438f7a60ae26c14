"""Bring released features into a feature file, with the seconds that their rows stand for."""

from tsgbench.datasets.table import read_queries
from tsgbench.downloads.manifest import files_of
from tsgbench.features.failures import listed_if_stopped, stopped_list, write_failures
from tsgbench.features.released import convert
from tsgbench.phases import Task


def run(task: Task):
    durations = {}
    for path in task.inputs["annotations"].files(".jsonl").values():
        queries = read_queries(path)
        durations.update(zip(queries.video_ids, queries.durations.tolist(), strict=True))
    parts = [record for role, record in task.inputs.items() if role.startswith("released")]
    words = [task.inputs["vectors"]] if "vectors" in task.inputs else []
    with listed_if_stopped(stopped_list(task.files["failed"])):
        facts = convert(
            {name: path for part in parts for name, path in files_of(part).items()},
            durations,
            task.files["features"],
            recipe=task.settings["released"],
            identity=task.identity,
            vectors=[path for record in words for path in record.files().values()],
        )
    failed = facts.pop("failed")
    write_failures(task.files["failed"], failed)
    return facts | {"failed": len(failed)}, [task.files["features"], task.files["failed"]]
