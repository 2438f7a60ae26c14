"""Centre, standardise and project clip features with statistics of the training videos."""

from tsgbench.datasets.queries import read_splits
from tsgbench.features.failures import read_failures
from tsgbench.features.reduce import reduce
from tsgbench.phases import Outcome, Task


def run(task: Task) -> Outcome:
    """settings: a recipe's `reduce`, and the `splits` that it learns from.

    facts: as `reduce` counts them, and training videos without clips.
    """
    recipe = dict(task.settings)
    queries = read_splits(task.inputs["annotations"], recipe.pop("splits"))
    (clips,) = task.inputs["clips"].files(".h5").values()
    train = set(queries.video_ids)
    lacking: set[str] = set()
    for path in task.inputs["clips"].files(".failed.csv").values():
        lacking |= train & read_failures(path)
    facts = reduce(
        clips,
        task.files["features"],
        train_ids=sorted(train - lacking),
        recipe=recipe,
        identity=task.identity,
    )
    facts["train_videos_lacking"] = len(lacking)
    facts["durations"] = task.inputs["clips"].facts.get("durations")
    return facts, [task.files["features"]]
