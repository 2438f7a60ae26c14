"""Take the predictions of another program for a cell's, as the file that a training writes.

Queries that the file does not have are unanswered, as those are whose video a training lacks: they
are left out of the score, which says so. A query that it has without a moment stays, as a miss;
where a convention ranks all candidates in an order of its own, which would answer for it, it is
left out like the others.
"""

import shutil
from pathlib import Path

import numpy as np

from tsgbench.datasets.queries import Queries, read_splits
from tsgbench.errors import UserError
from tsgbench.evaluation.foreign import PREDICTIONS, read_foreign, recognise
from tsgbench.evaluation.matching import MAX_ABSENT, match
from tsgbench.evaluation.predictions import write_predictions
from tsgbench.files import atomic_path, sha256_file
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """facts: format of the file, queries that it answers, and what was met in it.

    settings: `splits`, `needs`, and `predictions`: the `file`, its `sha256`, its `source`, and
    `max_missing`.
    """
    settings = task.settings
    path = Path(settings["predictions"]["file"])
    if not path.is_file() or sha256_file(path) != settings["predictions"]["sha256"]:
        raise UserError(f"{path}: changed, or gone, since this job was planned; run it again")
    splits = settings["splits"]["test"]
    queries = read_splits(task.inputs["annotations"], splits)
    form = recognise(path)
    facts = {"parameters": 0, "format": form, "of_queries": len(queries)}
    if form == PREDICTIONS:  # whose it is, the evaluation finds out
        with atomic_path(task.files["predictions"]) as temporary:
            shutil.copyfile(path, temporary)
    else:
        facts |= _adopt(path, form, queries, task)
    return facts, list(task.files.values())


def _adopt(path: Path, form: str, queries: Queries, task: Task) -> dict:
    of = f"{task.wildcards['dataset']} ({' + '.join(task.settings['splits']['test'])})"
    allowed = task.settings["predictions"].get("max_missing", MAX_ABSENT)
    matched = match(read_foreign(path, form), queries, of=of, max_absent=allowed)
    if any("chunks" in need for need in task.settings["needs"]):
        matched = matched.without_empty()
    left_out = np.setdiff1d(np.arange(len(queries)), matched.rows)
    write_predictions(
        task.files["predictions"],
        queries.take(matched.rows),
        matched.ranked(),
        unanswered=[queries.query_ids[row] for row in left_out],
    )
    counts = {name: count for name, count in matched.counts.items() if count}
    return {"queries": len(matched.rows), "counts": counts}
