"""Centre, standardise and project clip features with statistics of the training videos."""

from tsgbench.datasets.table import read_queries
from tsgbench.features.reduce import reduce
from tsgbench.phases import Task


def run(task: Task):
    recipe = dict(task.settings)
    train = recipe.pop("splits")["train"]
    queries = read_queries(task.inputs["annotations"].file(f"{train}.jsonl"))
    (clips,) = task.inputs["clips"].files().values()
    facts = reduce(
        clips,
        task.files["features"],
        train_ids=sorted(set(queries.video_ids)),
        recipe=recipe,
        identity=task.identity,
    )
    return facts, [task.files["features"]]
