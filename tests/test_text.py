"""Tokenisers, GloVe files, word tables and learned vectors."""

import bz2
import gzip
import hashlib
import itertools
import lzma
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.text import (
    PAD,
    TOKENIZERS,
    UNK,
    WordTable,
    build_vocabulary,
    encode,
    learn_vectors,
    load_word_table,
    read_glove,
    save_word_table,
    tokenize,
    write_glove,
)
from tsgbench.text.glove import fix_signs

TREEBANK = {
    "A person opens the door.": "a person opens the door .",
    "person they're drinking a glass of water.": "person they 're drinking a glass of water .",
    "person opens refrigerator's door.": "person opens refrigerator 's door .",
    "the door won't open.": "the door wo n't open .",
    "They don't; I'll go, we've, he'd, I'm.": "they do n't ; i 'll go , we 've , he 'd , i 'm .",
    "a blanket/pillow, a walk-in closet": "a blanket/pillow , a walk-in closet",
    "person #1 drinks & smiles!": "person # 1 drinks & smiles !",
    "outside/ the (removes socks.": "outside/ the ( removes socks .",
    "closes the door.the person stops.": "closes the door.the person stops .",
    "takes off their jacket .the person": "takes off their jacket .the person",
    "in the drawer. He closes it.": "in the drawer . he closes it .",
    'reads "howcast original".': "reads `` howcast original '' .",
    "the 'good' bowl": "the ' good ' bowl",
    "10,000 steps at 4:30, really": "10,000 steps at 4:30 , really",
    "dr. who waits... then -- goes": "dr. who waits ... then -- goes",
    "he cannot, and is gonna": "he can not , and is gon na",
    "the man’s “bag”": "the man ’ s “ bag ”",
    "the parents' house": "the parents ' house",
    "   ": "",
}


@pytest.mark.parametrize("sentence", TREEBANK)
def test_treebank_rules(sentence):
    assert tokenize(sentence, "nltk_punct") == TREEBANK[sentence].split()


def test_the_other_tokenizers():
    sentence = "Person #1's hat (red), isn't it?  Yes."
    assert tokenize(sentence, "nltk_drop_punct") == [
        "person",
        "#",
        "1",
        "'s",
        "hat",
        "red",
        "is",
        "n't",
        "it",
        "yes",
    ]
    assert tokenize(sentence, "strip_punct") == ["person", "1s", "hat", "red", "isnt", "it", "yes"]
    with pytest.raises(UserError, match="unknown name 'nltk'"):
        tokenize(sentence, "nltk")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_tokenizer_loses_or_invents_a_character(name):
    dice = random.Random(0)
    pieces = [
        "it",
        "'s",
        "n't",
        "'",
        '"',
        ".",
        "...",
        ",",
        "?",
        "(",
        ")",
        "--",
        "/",
        " ",
        "Is",
        "9",
    ]
    dropped = {"nltk_drop_punct": ".?,()", "strip_punct": "'\".,?()-/"}.get(name, "")
    for _ in range(2000):
        sentence = "".join(dice.choices(pieces, k=dice.randint(0, 10)))
        tokens = tokenize(sentence, name)
        assert all(token and not token.isspace() for token in tokens)
        joined = "".join(tokens).replace("``", "''")
        expected = "".join(sentence.lower().split()).replace('"', "''")
        for mark in dropped:
            joined, expected = joined.replace(mark, ""), expected.replace(mark, "")
        assert joined == expected


def read_sentences(mirror: Path) -> dict[str, list[str]]:
    return {
        split: [
            line.split("##")[1]
            for line in (mirror / f"charades_sta/charades_sta_{split}.txt").read_text().splitlines()
        ]
        for split in ("train", "test")
    }


def test_the_vocabulary_sizes_that_the_papers_print(mirror):
    sentences = read_sentences(mirror)
    both = sentences["train"] + sentences["test"]
    tokens = [tokenize(sentence, "nltk_punct") for sentence in both]
    # SeqPAN, table 7: 1,303 words, 7.22 words a sentence, on train and test
    assert len({token for words in tokens for token in words}) == 1303
    assert round(sum(map(len, tokens)) / len(tokens), 2) == 7.22
    # CMA: 1,140 with four special words, on train
    train = {
        token for sentence in sentences["train"] for token in tokenize(sentence, "strip_punct")
    }
    assert len(train) + 4 == 1140


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


GLOVE = ", 0.5 -1 2\nat 1 2 3\nat name@domain.com 7 8 9\n. . . 4 5 6\nnaïve\u00a0x 1e-3 0 -0.0\n"


def test_words_with_blanks_do_not_overwrite_other_words(tmp_path):
    words, vectors = read_glove(write(tmp_path / "g.txt", GLOVE))
    assert words == [",", "at", "at name@domain.com", ". . .", "naïve\u00a0x"]
    assert vectors.dtype == np.float32
    assert vectors[1].tolist() == [1, 2, 3] and vectors[3].tolist() == [4, 5, 6]
    words, vectors = read_glove(tmp_path / "g.txt", {"at", ". . .", "absent"})
    assert words == ["at", ". . ."] and vectors.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_the_first_of_repeated_rows_counts(tmp_path):
    words, vectors = read_glove(write(tmp_path / "g.txt", "a 1 2\nb 3 4\na 5 6\n"))
    assert words == ["a", "b"] and vectors.tolist() == [[1, 2], [3, 4]]


def test_nothing_found_still_knows_the_width(tmp_path):
    words, vectors = read_glove(write(tmp_path / "g.txt", GLOVE), {"absent"})
    assert words == [] and vectors.shape == (0, 3)


def test_a_zip_is_streamed(tmp_path):
    with zipfile.ZipFile(tmp_path / "g.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("g.3d.txt", GLOVE)
        archive.writestr("README", "no vectors")
    words, vectors = read_glove(tmp_path / "g.zip")
    expected = read_glove(write(tmp_path / "g.txt", GLOVE))
    assert words == expected[0] and (vectors == expected[1]).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.txt", "g.zip"]


def test_a_zip_of_several_needs_a_member(tmp_path):
    with zipfile.ZipFile(tmp_path / "g.zip", "w") as archive:
        archive.writestr("g.50d.txt", "a 1 2\n")
        archive.writestr("g.100d.txt", "a 1 2 3\n")
    with pytest.raises(UserError, match="name the member"):
        read_glove(tmp_path / "g.zip")
    assert read_glove(tmp_path / "g.zip", member="g.100d.txt")[1].tolist() == [[1, 2, 3]]
    with pytest.raises(UserError, match="no member 'x'"):
        read_glove(tmp_path / "g.zip", member="x")


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "txt": bytes}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["g.txt", "g.vec"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", ["", "5 3\n"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n \n\n"])
def test_packing_headers_marks_and_blank_ends_are_seen_by_content(
    tmp_path, packer, name, mark, header, end
):
    """As word2vec (header), fastText (header, a blank behind each row) and editors write it."""
    expected = read_glove(write(tmp_path / "plain.txt", GLOVE))
    text = mark + header + (GLOVE.replace("\n", " \n") if header else GLOVE) + end
    (tmp_path / name).write_bytes(PACKERS[packer](text.encode()))
    words, vectors = read_glove(tmp_path / name)
    assert words == expected[0] and (vectors == expected[1]).all()


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
def test_a_damaged_packed_file_is_a_sentence(tmp_path, packer):
    lines = "".join(f"word{n} {n} {n * 7}\n" for n in range(3000)).encode()
    content = PACKERS[packer](lines)
    for bad in (content[: len(content) // 2], content[:40] + b"x" * 40 + content[80:]):
        (tmp_path / "g.txt").write_bytes(bad)
        with pytest.raises(UserError, match=r"g\.txt: damaged archive"):
            read_glove(tmp_path / "g.txt")


@pytest.mark.parametrize("seed", range(20))
def test_binary_vectors_are_called_by_their_format(tmp_path, seed):
    rows = np.random.default_rng(seed).normal(size=(4, 300)).astype("<f4")
    content = b"4 300\n" + b"".join(b"word%d " % n + row.tobytes() for n, row in enumerate(rows))
    (tmp_path / "w.bin").write_bytes(content)
    with pytest.raises(UserError, match=r"w\.bin: word2vec's binary format"):
        read_glove(tmp_path / "w.bin")
    (tmp_path / "f.bin").write_bytes(struct.pack("<ii", 793712314, 12) + content)
    with pytest.raises(UserError, match=r"f\.bin: a binary model of fastText"):
        read_glove(tmp_path / "f.bin")
    (tmp_path / "u.txt").write_text(GLOVE, encoding="utf-16")
    with pytest.raises(UserError, match=r"u\.txt: is UTF-16 text"):
        read_glove(tmp_path / "u.txt")


def test_a_damaged_zip_is_a_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "g.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("g.txt", "".join(f"word{n} {n} {n * 7}\n" for n in range(3000)))
    content = bytearray((tmp_path / "g.zip").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "g.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"g\.zip"):
        read_glove(tmp_path / "g.zip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2 3\nb 1 2\n", r"g\.txt, line 2: expected a word and 3 numbers"),
        ("a 1 2 3\nb 1 x 3\n", r"g\.txt, line 2: could not convert .*x"),
        ("a 1 2 3\nb 1 nan 3\n", r"g\.txt, line 2: a number is not finite"),
        ("a 1 2 3\n\nb 1 2 3\n", r"g\.txt, line 2: expected a word"),
        ("1144 300\na 1 2 3\n", r"g\.txt, line 2: the first line states 300 numbers"),
        ("2 3\n", r"g\.txt: empty"),
        ("the first line\n", r"g\.txt, line 1: could not convert"),
        ("a 1 2 3\nb 4 5 6 7\n", r"g\.txt, line 2: expected a word and 3 numbers"),
        ("a 1 2\nb 4 5 6\n", r"g\.txt, line 2: expected a word and 2 numbers"),
        (" 1 2 3\n", r"g\.txt, line 1: expected a word and 3 numbers"),
        ("a 1_0 2 3\n", r"g\.txt, line 1: could not convert .*1_0"),
        ("a 1,0 2 3\n", r"g\.txt, line 1: could not convert .*1,0"),
        ("a 1e39 2 3\n", r"g\.txt, line 1: a number is not finite"),
        ("a\t1 2 3\n", r"g\.txt, line 1: expected a word and its numbers"),
        ("a,1,2,3\n", r"g\.txt, line 1: expected a word and its numbers"),
        ("9 3\na 1 2 3\nb 4 5 6\n", r"g\.txt: states 9 words and holds 2: cut off"),
        ("word\n", r"g\.txt, line 1: expected a word and its numbers"),
        ("", r"g\.txt: empty"),
    ],
)
def test_a_malformed_line_names_file_and_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_glove(write(tmp_path / "g.txt", text))


def test_a_short_line_is_noticed_even_among_words_not_asked_for(tmp_path):
    with pytest.raises(UserError, match="line 2"):
        read_glove(write(tmp_path / "g.txt", "a 1 2 3\nb 1 2\n"), {"a"})
    with pytest.raises(UserError, match="line 2"):  # its word would be "b 4", and b have none
        read_glove(write(tmp_path / "g.txt", "a 1 2 3\nb 4 5 6 7\n"), {"b"})


def test_written_vectors_come_back_bit_for_bit(tmp_path):
    dice = np.random.default_rng(0)
    scale = 10.0 ** dice.integers(-9, 9, (200, 7))
    vectors = (dice.standard_normal((200, 7)) * scale).astype(np.float32)
    words = [f"w{n}" for n in range(198)] + ["a b", "ü,."]
    write_glove(tmp_path / "g.txt", words, vectors)
    back, values = read_glove(tmp_path / "g.txt")
    assert back == words and (values == vectors).all()


@pytest.mark.parametrize("word", ["", "a\nb", "a\r"])
def test_a_word_that_breaks_the_format_is_refused(tmp_path, word):
    with pytest.raises(ValueError, match="cannot stand"):
        write_glove(tmp_path / "g.txt", [word], np.zeros((1, 3)))
    assert list(tmp_path.iterdir()) == []


SENTENCES = {"train": ["The dog sat.", "A dog ran, far!"], "test": ["the zyx sat."]}


@pytest.fixture
def table(tmp_path) -> WordTable:
    first = write(tmp_path / "1.txt", "dog 1 2\nsat 3 4\nthe 5 6\n<unk> 9 9\n")
    second = write(tmp_path / "2.txt", "dog 7 7\n. 8 8\nunused 1 1\n")
    return build_vocabulary(SENTENCES, [first, second], "nltk_punct")[0]


def test_the_vocabulary_holds_every_word_and_the_first_vector(table):
    assert table.words == [
        "<pad>",
        "<unk>",
        "!",
        ",",
        ".",
        "a",
        "dog",
        "far",
        "ran",
        "sat",
        "the",
        "zyx",
    ]
    known = dict(zip(table.words, table.vectors.tolist(), strict=True))
    assert known["dog"] == [1, 2] and known["."] == [8, 8] and known["zyx"] == [0, 0]
    assert known["<pad>"] == known["<unk>"] == [0, 0]
    has = {word for word, has in zip(table.words, table.has_vector, strict=True) if has}
    assert has == {"dog", "sat", "the", "."}


def test_the_coverage_facts_count_types_and_tokens(tmp_path):
    vectors = write(tmp_path / "1.txt", "dog 1 2\nsat 3 4\n")
    _, facts = build_vocabulary(SENTENCES, [vectors], "nltk_punct")
    assert facts["words"] == 10 and facts["with_vector"] == 2 and facts["dim"] == 2
    assert facts["splits"]["train"] == {
        "sentences": 2,
        "tokens": 10,
        "tokens_with_vector": 3,
        "types": 9,
        "types_with_vector": 2,
    }
    assert facts["without_vector"] == [".", "the", "!", ",", "a", "far", "ran", "zyx"]


def test_the_order_of_sentences_does_not_matter(tmp_path):
    vectors = write(tmp_path / "1.txt", "dog 1 2\nsat 3 4\n")
    turned = {split: lines[::-1] for split, lines in reversed(SENTENCES.items())}
    tables = [build_vocabulary(s, [vectors], "nltk_punct")[0] for s in (SENTENCES, turned)]
    assert tables[0].words == tables[1].words
    assert (tables[0].vectors == tables[1].vectors).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["other 1 2\n"], "none of the 10 words"),
        (["dog 1 2\n", "sat 1 2 3\n"], "width 3"),
        ([], "none of"),
    ],
)
def test_useless_vector_files_are_refused(tmp_path, texts, message):
    paths = [write(tmp_path / f"{n}.txt", text) for n, text in enumerate(texts)]
    with pytest.raises(UserError, match=message):
        build_vocabulary(SENTENCES, paths, "nltk_punct")


def write_array(folder: Path, words: list[str], vectors: np.ndarray) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"index": words}), folder / "words.parquet")
    np.save(folder / "rows.npy", vectors)
    return [folder / "rows.npy", folder / "words.parquet"]


def test_vectors_of_an_array_go_by_its_index(tmp_path):
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    files = write_array(tmp_path, ["b", "x", "a", "b", "y"], rows)
    made, facts = build_vocabulary({"train": ["a b c"]}, files, "nltk_punct")
    by_word = dict(zip(made.words, made.vectors.tolist(), strict=True))
    assert by_word["a"] == [4, 5] and by_word["b"] == [0, 1] and by_word["c"] == [0, 0]
    assert (facts["with_vector"], facts["dim"]) == (2, 2)


def test_only_the_rows_asked_for_are_read(tmp_path):
    rows = np.full((3, 2), np.nan, dtype=np.float32)
    rows[1] = 7  # the others would be refused
    files = write_array(tmp_path, ["x", "a", "y"], rows)
    made, _ = build_vocabulary({"train": ["a"]}, files, "nltk_punct")
    assert made.vectors[made.words.index("a")].tolist() == [7, 7]


def test_arrays_that_do_not_fit_their_index_are_refused(tmp_path):
    files = write_array(tmp_path, ["a", "b"], np.zeros((3, 2), np.float32))
    with pytest.raises(UserError, match="lists 2 words"):
        build_vocabulary({"train": ["a"]}, files, "nltk_punct")
    with pytest.raises(UserError, match="needs one .parquet file"):
        build_vocabulary({"train": ["a"]}, files[:1], "nltk_punct")
    files[0].write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a NumPy array"):
        build_vocabulary({"train": ["a"]}, files, "nltk_punct")
    files[1].write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a Parquet file"):
        build_vocabulary({"train": ["a"]}, files, "nltk_punct")


def test_a_saved_table_comes_back_without_pickle(table, tmp_path):
    save_word_table(tmp_path / "t.npz", table, identity="abc")
    back = load_word_table(tmp_path / "t.npz", identity="abc")
    assert back.words == table.words and (back.vectors == table.vectors).all()
    assert (back.has_vector == table.has_vector).all() and back.has_vector.dtype == bool
    with np.load(tmp_path / "t.npz", allow_pickle=False) as content:
        assert str(content["identity"]) == "abc"
    save_word_table(tmp_path / "u.npz", table, identity="abc")
    first, second = ((tmp_path / name).read_bytes() for name in ("t.npz", "u.npz"))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_a_table_of_other_settings_is_refused(table, tmp_path):
    save_word_table(tmp_path / "t.npz", table, identity="abc")
    with pytest.raises(UserError, match=r"t\.npz: identity: .*abc, expected xyz"):
        load_word_table(tmp_path / "t.npz", identity="xyz")
    with pytest.raises(UserError, match="no such word table"):
        load_word_table(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["cut", "text", "flip", "keys"])
def test_a_damaged_table_is_a_sentence(table, tmp_path, damage):
    path = tmp_path / "t.npz"
    save_word_table(path, table, identity="abc")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    elif damage == "flip":
        content[content.index(np.array([1, 2], dtype=np.float32).tobytes())] ^= 1
        path.write_bytes(content)
    else:
        np.savez(path, words=np.array(["a"]))
    with pytest.raises(UserError, match="damaged word table"):
        load_word_table(path)


def rows_of(table: WordTable, *words: str) -> list[int]:
    return [table.words.index(word) for word in words]


def test_encoding_keeps_or_drops_words_without_vector(table):
    sentences = ["The zyx dog sat.", "quux", "a far"]
    tokens, mask = encode(sentences, table, tokenizer="nltk_punct", oov="unk", max_words=10)
    assert tokens.dtype == np.int64 and mask.dtype == bool and tokens.shape == mask.shape == (3, 5)
    assert tokens[0].tolist() == rows_of(table, "the", "zyx", "dog", "sat", ".")
    assert tokens[1].tolist() == [UNK, PAD, PAD, PAD, PAD]
    assert mask.sum(axis=1).tolist() == [5, 1, 2]
    tokens, mask = encode(sentences, table, tokenizer="nltk_punct", oov="drop", max_words=10)
    assert tokens[0].tolist() == rows_of(table, "the", "dog", "sat", ".")
    assert tokens[1:, 0].tolist() == [UNK, UNK] and mask.sum(axis=1).tolist() == [4, 1, 1]


def test_dropping_comes_before_cutting(table):
    tokens, _ = encode(["zyx the far dog"], table, tokenizer="nltk_punct", oov="drop", max_words=2)
    assert tokens.tolist() == [rows_of(table, "the", "dog")]


@pytest.mark.parametrize("oov", ["unk", "drop"])
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_every_sentence_has_a_word_and_padding_is_pad(table, oov, tokenizer):
    dice = random.Random(0)
    pieces = ["the", "dog", "zyx", ".", "...", "?", "", "sat", "(", "quux"]
    sentences = [" ".join(dice.choices(pieces, k=dice.randint(0, 8))) for _ in range(300)]
    for max_words in (1, 3, 50):
        tokens, mask = encode(sentences, table, tokenizer=tokenizer, oov=oov, max_words=max_words)
        assert mask.any(axis=1).all() and mask.shape[1] <= max_words
        assert (tokens[~mask] == PAD).all() and (tokens[mask] != PAD).all()
        assert (np.diff(mask.astype(int), axis=1) <= 0).all()  # real words come first
        assert mask.any(axis=0).all()  # no column of padding alone


def test_encoding_nothing_and_wrong_settings(table):
    tokens, mask = encode([], table, tokenizer="nltk_punct", oov="unk", max_words=5)
    assert tokens.shape == mask.shape == (0, 1)
    for oov, max_words in (("keep", 5), ("unk", 0)):
        with pytest.raises(UserError, match="encode"):
            encode(["a"], table, tokenizer="nltk_punct", oov=oov, max_words=max_words)


COLOURS, SHAPES = ["red", "green", "blue", "yellow"], ["circle", "square", "triangle"]
ACTIONS = ["moves left", "moves right", "moves up", "grows", "shrinks", "blinks"]
DEMO = [
    f"the {colour} {shape} {action}."
    for colour, shape, action in itertools.product(COLOURS, SHAPES, ACTIONS)
]


def test_learned_vectors_are_deterministic_and_do_not_depend_on_order():
    words, vectors = learn_vectors(DEMO, 16, 3, 0)
    again = learn_vectors(DEMO, 16, 3, 0)
    assert again[0] == words and (again[1] == vectors).all()
    shuffled = learn_vectors(random.Random(1).sample(DEMO, len(DEMO)), 16, 3, 0)
    np.testing.assert_allclose(shuffled[1] @ shuffled[1].T, vectors @ vectors.T, atol=1e-3)
    assert words == sorted(words) and vectors.shape == (16, 16) and vectors.dtype == np.float32


def test_learned_vectors_tell_words_of_equal_context_apart():
    words, vectors = learn_vectors(DEMO, 50, 3, 0)
    assert vectors.shape == (16, 50) and np.isfinite(vectors).all()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T - np.eye(len(words))
    assert cosine.max() < 0.9
    np.testing.assert_allclose(np.sqrt((vectors**2).mean(axis=1)), 0.4, atol=1e-5)


def test_the_sign_of_a_singular_vector_is_fixed():
    basis = np.random.default_rng(0).standard_normal((6, 9))
    turned = basis * np.array([1, -1, -1, 1, -1, 1])[:, None]
    np.testing.assert_array_equal(fix_signs(basis), fix_signs(turned))
    assert (fix_signs(basis).max(axis=1) == np.abs(basis).max(axis=1)).all()


def test_learned_vectors_place_companions_closer_than_strangers():
    lines = ["cat purrs", "dog barks", "cat purrs softly", "dog barks loudly"] * 5
    words, vectors = learn_vectors(lines, 4, 2, 0)
    row = dict(zip(words, vectors, strict=True))
    assert row["cat"] @ row["purrs"] > row["cat"] @ row["barks"]
    assert row["dog"] @ row["barks"] > row["dog"] @ row["purrs"]


def test_too_few_words_to_learn_from():
    with pytest.raises(UserError, match="fewer than two words"):
        learn_vectors(["hello", "hello"], 4, 2, 0)


def test_the_real_vectors_cover_charades_sta(mirror):
    files = [mirror / f"glove/charades_sta.{part}glove.300d.txt" for part in ("", "extra.")]
    _, facts = build_vocabulary(read_sentences(mirror), files, "nltk_punct")
    assert (facts["words"], facts["with_vector"], facts["dim"]) == (1303, 1243, 300)
    tokens = sum(split["tokens"] for split in facts["splits"].values())
    covered = sum(split["tokens_with_vector"] for split in facts["splits"].values())
    assert covered / tokens > 0.998


@pytest.mark.parametrize("room", ["text", "datasets", "downloads"])
def test_the_room_is_light_to_import(room):
    code = (
        f"import sys, tsgbench.{room}; "
        "print([m for m in ('torch', 'sklearn', 'mlflow', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
