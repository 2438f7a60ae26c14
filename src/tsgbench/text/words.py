"""The word table of a data set: its words and their frozen vectors; sentences as row numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import DAMAGED_ARRAYS, atomic_path
from tsgbench.files.access import readable
from tsgbench.text.arrays import pair_up, read_array
from tsgbench.text.glove import read_glove
from tsgbench.text.tokens import find_tokenizer

PAD, UNK = 0, 1
_RESERVED = ["<pad>", "<unk>"]  # no tokeniser here makes these: `<` is always a token of its own


@dataclass(frozen=True)
class WordTable:
    """The words of a data set with their frozen vectors.

    words: V strings; row 0 is padding, row 1 the unknown word. vectors: (V, Dw) float32, zeros
    where there is none. has_vector: (V,) bool, False for padding, unknown and words that the
    vector file lacks (they keep a row, so that a model can still read their characters).
    """

    words: list[str]
    vectors: np.ndarray
    has_vector: np.ndarray


def build_vocabulary(
    sentences: Mapping[str, Sequence[str]], vector_files: Sequence[str | Path], tokenizer: str
) -> tuple[WordTable, dict]:
    """Give every word of the given splits a row, and its vector if a file has one.

    sentences: by split. vector_files: GloVe texts, or arrays, each with the index of its words
    (arrays.py). Vectors are frozen, so words of a test split may be looked up too. Words
    are sorted; of several files the first that has a word counts. Facts: `tokenizer`, `words`,
    `with_vector`, `dim`, `splits` (sentences, tokens, types and the shares that have a vector) and
    the words without one, commonest first.
    """
    cut = find_tokenizer(tokenizer)
    counts = {
        split: Counter(w for s in lines for w in cut(s)) for split, lines in sentences.items()
    }
    total: Counter = sum(counts.values(), Counter())
    words = _RESERVED + sorted(total)
    vectors, has_vector = look_up(words, vector_files)
    known = {word for word, has in zip(words, has_vector, strict=True) if has}
    facts = {
        "tokenizer": tokenizer,
        "words": len(words) - len(_RESERVED),
        "with_vector": len(known),
        "dim": vectors.shape[1],
        "splits": {
            split: {
                "sentences": len(sentences[split]),
                "tokens": count.total(),
                "tokens_with_vector": sum(n for word, n in count.items() if word in known),
                "types": len(count),
                "types_with_vector": sum(word in known for word in count),
            }
            for split, count in counts.items()
        },
        "without_vector": sorted(set(total) - known, key=lambda word: (-total[word], word)),
    }
    return WordTable(words, vectors, has_vector), facts


def encode(
    sentences: Sequence[str],
    table: WordTable,
    *,
    tokenizer: str,
    oov: Literal["unk", "drop"],
    max_words: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sentences as rows of the table, padded to the longest: tokens (Q, L) int64, mask (Q, L) bool.

    A word that the table lacks becomes `UNK`. oov: what to do with words without a vector: `unk`
    keeps their row (the model sees that `has_vector` is False), `drop` removes them. The first
    `max_words` of what is left count; a sentence of which nothing is left is one `UNK`.
    """
    if oov not in ("unk", "drop") or max_words < 1:
        raise UserError(f"encode: oov {oov!r} must be 'unk' or 'drop', max_words {max_words} >= 1")
    row = {word: index for index, word in enumerate(table.words)}
    kept = _kept_words(sentences, table, row, tokenizer, oov, max_words)
    coded = [[row.get(word, UNK) for word in words] or [UNK] for words in kept]
    lengths = np.array([len(rows) for rows in coded], dtype=np.int64)
    mask = np.arange(lengths.max(initial=1))[None, :] < lengths[:, None]  # (Q, L)
    tokens = np.full(mask.shape, PAD, dtype=np.int64)
    tokens[mask] = [index for rows in coded for index in rows]
    assert mask.any(axis=1).all(), "every query must have at least one word"
    return tokens, mask


def words_seen(
    sentences: Sequence[str],
    table: WordTable,
    *,
    tokenizer: str,
    oov: Literal["unk", "drop"],
    max_words: int,
) -> list[list[str]]:
    """The words behind the tokens that `encode` makes of each sentence, as they are spelt."""
    row = {word: index for index, word in enumerate(table.words)}
    kept = _kept_words(sentences, table, row, tokenizer, oov, max_words)
    return [words or [table.words[UNK]] for words in kept]


def _kept_words(
    sentences: Sequence[str],
    table: WordTable,
    row: dict[str, int],
    tokenizer: str,
    oov: str,
    max_words: int,
) -> Iterator[list[str]]:
    """The words of each sentence that a model is given, perhaps none."""
    cut = find_tokenizer(tokenizer)
    for sentence in sentences:
        words = cut(sentence)
        if oov == "drop":
            words = [word for word in words if table.has_vector[row.get(word, UNK)]]
        yield words[:max_words]


def save_word_table(path: str | Path, table: WordTable, *, identity: str) -> None:
    """Write a word table as npz without pickle, atomically; equal tables give equal bytes."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            words=np.array(table.words, dtype=np.str_),
            vectors=table.vectors.astype(np.float32),
            has_vector=table.has_vector.astype(bool),
            identity=np.array(identity, dtype=np.str_),
        )


def load_word_table(path: str | Path, *, identity: str | None = None) -> WordTable:
    """Read a word table; `UserError` if it is missing, damaged, or not of the given identity."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such word table; name it to snakemake, which makes it")
    remedy = "move it away and run snakemake again"
    with (
        readable(path, DAMAGED_ARRAYS, "damaged word table", remedy),
        open(path, "rb") as stream,
        np.load(stream, allow_pickle=False) as content,
    ):
        words, vectors = content["words"].tolist(), content["vectors"]
        has_vector, made_by = content["has_vector"], str(content["identity"])
    if identity is not None and made_by != identity:
        raise UserError(
            f"{path}: identity: made by other settings, code or inputs ({made_by}, expected"
            f" {identity}); {remedy}"
        )
    if not len(words) == len(vectors) == len(has_vector):
        raise UserError(f"{path}: words and vectors differ in number; {remedy}")
    return WordTable(words, vectors, has_vector)


def look_up(words: list[str], vector_files: Sequence[str | Path]) -> tuple[np.ndarray, np.ndarray]:
    """(V, dim) float32 vectors of V words, zeros where no file has one, and (V,) whether one has.

    Of several files the first that has a word counts.
    """
    row = {word: index for index, word in enumerate(words)}
    vectors, has_vector = None, np.zeros(len(words), dtype=bool)
    wanted = set(words) - set(_RESERVED)
    for path, index in pair_up(vector_files):
        found, values = read_array(path, index, wanted) if index else read_glove(path, wanted)
        if vectors is None:
            vectors = np.zeros((len(words), values.shape[1]), dtype=np.float32)
        if values.shape[1] != vectors.shape[1]:
            raise UserError(
                f"{path}: vectors of width {values.shape[1]}, but the files before it have width"
                f" {vectors.shape[1]}; use files of one width"
            )
        rows = np.array([row[word] for word in found], dtype=np.int64)
        new = ~has_vector[rows]
        vectors[rows[new]] = values[new]
        has_vector[rows] = True
    if vectors is None or not has_vector.any():
        raise UserError(
            f"{list(map(str, vector_files))}: has none of the {len(words) - 2} words;"
            " check the vector files of the data set"
        )
    return vectors, has_vector
