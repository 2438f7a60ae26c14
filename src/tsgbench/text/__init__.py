"""Words: tokenisers, GloVe files, the word table of a data set, word vectors made for the demo."""

from tsgbench.text.glove import learn_vectors, read_glove, write_glove
from tsgbench.text.table import (
    PAD,
    UNK,
    WordTable,
    build_vocabulary,
    encode,
    load_word_table,
    save_word_table,
    words_seen,
)
from tsgbench.text.tokens import TOKENIZERS, tokenize

__all__ = [
    "PAD",
    "TOKENIZERS",
    "UNK",
    "WordTable",
    "build_vocabulary",
    "encode",
    "learn_vectors",
    "load_word_table",
    "read_glove",
    "save_word_table",
    "tokenize",
    "words_seen",
    "write_glove",
]
