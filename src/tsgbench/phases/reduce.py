"""Centre, standardise and project clip features with statistics of the training videos."""

from tsgbench.datasets.table import read_splits
from tsgbench.features.reduce import reduce
from tsgbench.phases import Task


def run(task: Task):
    recipe = dict(task.settings)
    queries = read_splits(task.inputs["annotations"], recipe.pop("splits"))
    (clips,) = task.inputs["clips"].files().values()
    facts = reduce(
        clips,
        task.files["features"],
        train_ids=sorted(set(queries.video_ids)),
        recipe=recipe,
        identity=task.identity,
    )
    return facts, [task.files["features"]]
