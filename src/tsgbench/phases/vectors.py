"""Learn word vectors from a data set's own training sentences, in GloVe's text format."""

from tsgbench.datasets.queries import read_splits
from tsgbench.phases import Outcome, Task
from tsgbench.text import learn_vectors, write_glove


def run(task: Task) -> Outcome:
    """settings: `splits` to learn from, and those of `learn_vectors`. facts: how many words."""
    settings = dict(task.settings)
    sentences = read_splits(task.inputs["annotations"], settings.pop("splits")).sentences
    words, vectors = learn_vectors(sentences, **settings)
    write_glove(task.files["vectors"], words, vectors)
    facts = {"sentences": len(sentences), "words": len(words), "dim": int(vectors.shape[1])}
    return facts, [task.files["vectors"]]
