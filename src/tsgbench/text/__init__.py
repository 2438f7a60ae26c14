"""Words: tokenisers, GloVe files, the word table of a data set, word vectors made for the demo."""

from tsgbench.text.glove import learn_vectors, read_glove, write_glove
from tsgbench.text.tokens import TOKENIZERS, tokenize
from tsgbench.text.words import (
    PAD,
    UNK,
    WordTable,
    build_vocabulary,
    encode,
    load_word_table,
    save_word_table,
    words_seen,
)

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
