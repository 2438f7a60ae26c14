"""Read a data set's public annotation files into the one table of queries, split by split."""

from tsgbench.datasets.readers import read_annotations
from tsgbench.datasets.table import write_queries
from tsgbench.phases import Task


def run(task: Task):
    settings = dict(task.settings)
    reader, generated = settings.pop("reader"), settings.pop("generated")
    files = {role: _file(record, generated.get(role)) for role, record in task.inputs.items()}
    splits, report = read_annotations(reader, files, settings=settings)
    written = []
    for split, queries in splits.items():
        path = task.folder / f"{split}.jsonl"
        write_queries(path, queries)
        written.append(path)
    return report, written


def _file(record, name):
    """The named file among those a renderer made, or the one file of a download."""
    files = record.files()
    return next(path for path in files.values() if name in (None, path.name))
