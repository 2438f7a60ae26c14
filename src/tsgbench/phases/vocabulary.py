"""Collect a data set's words under one tokeniser, with their frozen vectors."""

from tsgbench.datasets.queries import read_queries
from tsgbench.phases import Outcome, Task
from tsgbench.text import build_vocabulary, save_word_table


def run(task: Task) -> Outcome:
    """settings: the `tokenizer`. facts: words with and without a vector, also by split."""
    # All splits: the vectors are frozen, so a word of the test split leaks nothing
    # (models/common.md, section 2).
    sentences = {
        path.stem: read_queries(path).sentences
        for path in sorted(task.inputs["annotations"].files(".jsonl").values())
    }
    table, facts = build_vocabulary(
        sentences,
        list(task.inputs["vectors"].files().values()),
        tokenizer=task.settings["tokenizer"],
    )
    save_word_table(task.files["words"], table, identity=task.identity)
    return facts, [task.files["words"]]
