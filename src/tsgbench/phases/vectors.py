"""Learn word vectors from a data set's own training sentences, in GloVe's text format."""

from tsgbench.datasets.table import read_queries
from tsgbench.phases import Task
from tsgbench.text import learn_vectors, write_glove


def run(task: Task):
    sentences = read_queries(task.inputs["annotations"].file("train.jsonl")).sentences
    words, vectors = learn_vectors(sentences, **task.settings)
    write_glove(task.files["vectors"], words, vectors)
    facts = {"sentences": len(sentences), "words": len(words), "dim": int(vectors.shape[1])}
    return facts, [task.files["vectors"]]
