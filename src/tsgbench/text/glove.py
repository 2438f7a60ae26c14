"""Word vectors as text: read right even where a word holds blanks, written, learned for the demo.

A line is a word and `dim` numbers, separated by single blanks. In glove.840B.300d some "words" hold
blanks themselves ("at name@domain.com"): taking the first field as the word would give "at" the
vector of an e-mail address. So the last `dim` fields are the vector and the rest is the word.

word2vec and fastText write the same lines behind a first one of two numbers, how many words and how
many numbers each. How a file is packed is seen in its first bytes: gzip, bzip2, xz, zip or not.
"""

import codecs
import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from tsgbench.errors import UserError
from tsgbench.files import DAMAGED, atomic_path, to_number
from tsgbench.files.access import readable
from tsgbench.files.packed import open_packed
from tsgbench.text.tokens import find_tokenizer

FASTTEXT_MODEL = b"\xba\x16\x4f\x2f"
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # in no text in practice
HEADER = re.compile(rb"(\d+) (\d+)")  # of word2vec and fastText: words, numbers per word


def read_glove(
    path: str | Path, words: set[str] | None = None, *, member: str | None = None
) -> tuple[list[str], np.ndarray]:
    """Read vectors from a text file, packed or not, or from a zip that holds one.

    words: only these (None: all). member: file inside the zip, needed if it holds several `.txt`.
    Returns the N words found, in file order, and (N, dim) float32; the first of repeated rows
    counts. `UserError` names file and line of a malformed row.
    """
    path = Path(path)
    wanted = None if words is None else {word.encode() for word in words}
    # cheap test before the costly split of a 300-field line: most rows are of words not asked for
    beginnings = None if wanted is None else {word.split(b" ", 1)[0] for word in wanted}
    vector_of: dict[str, np.ndarray] = {}
    dim, stated, blank, rows = None, None, None, 0
    with _open_stream(path, member) as stream:
        for number, line in enumerate(stream, start=1):
            line = line.rstrip(b" \r\n")
            if number == 1:
                line = _without_mark(path, line)
                if stated := HEADER.fullmatch(line):
                    continue
            if not line:  # at the end, an editor's; before it, a row is lost
                blank = blank or number
                continue
            if dim is None:
                dim = _measure(path, number, line, stated, stream)
            if blank or line.count(b" ") < dim:
                raise _malformed(path, blank or number, f"expected a word and {dim} numbers")
            rows += 1
            if beginnings is not None and line.split(b" ", 1)[0] not in beginnings:
                continue
            name, *numbers = line.rsplit(b" ", dim)
            # A row of more numbers than the first has: its word would end in one
            if not name or (b" " in name and _is_number(name.rpartition(b" ")[2])):
                raise _malformed(path, number, f"expected a word and {dim} numbers")
            if wanted is not None and name not in wanted:
                continue
            try:
                word = name.decode("utf-8")
                with np.errstate(over="ignore"):  # infinite as float32: refused next
                    vector = np.array([to_number(value) for value in numbers], dtype=np.float32)
            except ValueError as error:
                raise _malformed(path, number, str(error)) from None
            if not np.isfinite(vector).all():
                raise _malformed(path, number, "a number is not finite")
            vector_of.setdefault(word, vector)
    if stated and 0 < rows < int(stated[1]):
        raise UserError(
            f"{path}: states {int(stated[1])} words and holds {rows}: cut off; download it again"
        )
    if dim is None:
        raise UserError(f"{path}: empty, expected word vectors; download it again")
    vectors = np.stack(list(vector_of.values())) if vector_of else np.zeros((0, dim), np.float32)
    return list(vector_of), vectors


def write_glove(path: str | Path, words: list[str], vectors: np.ndarray) -> None:
    """Write (N, dim) float32 vectors in GloVe text format, atomically; reading gives equal bits."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        for word, vector in zip(words, vectors, strict=True):
            if not word or "\n" in word or "\r" in word:
                raise ValueError(f"word {word!r} cannot stand in a GloVe file")
            # str() of a float32 is the shortest decimal that reads back as the same number
            numbers = " ".join(str(value) for value in np.asarray(vector, dtype=np.float32))
            stream.write(f"{word} {numbers}\n")


def learn_vectors(
    sentences: list[str],
    dim: int = 100,
    window: int = 4,
    seed: int = 0,
    *,
    tokenizer: str = "nltk_punct",
) -> tuple[list[str], np.ndarray]:
    """Word vectors of a small corpus: positive PMI of co-occurrence, then a truncated SVD.

    A pair of words at distance d <= window counts 1/d, and a word counts once with itself, which
    keeps words with equal contexts (the colours of the demo) apart. Rows are left singular vectors
    times the root of their singular values (Levy et al., TACL 2015), scaled to an rms of 0.4, the
    size of GloVe's; a vocabulary smaller than `dim` leaves the last columns zero.
    Returns the V sorted words and (V, dim) float32; the sign of each column is fixed.
    """
    from sklearn.decomposition import TruncatedSVD

    tokenized = [find_tokenizer(tokenizer)(sentence) for sentence in sentences]
    words = sorted({word for sentence in tokenized for word in sentence})
    if len(words) < 2:
        raise UserError("word vectors: the sentences hold fewer than two words; check the data set")
    matrix = _weigh_pmi(_count_pairs(tokenized, words, window))
    rank = min(dim, len(words) - 1)
    svd = TruncatedSVD(rank, algorithm="randomized", n_iter=20, random_state=seed).fit(matrix)
    basis = fix_signs(svd.components_)  # (rank, V); symmetric matrix: left and right agree
    vectors = np.zeros((len(words), dim))
    vectors[:, :rank] = basis.T * np.sqrt(svd.singular_values_)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors *= 0.4 * math.sqrt(dim) / np.maximum(lengths, 1e-12)
    return words, vectors.astype(np.float32)


def fix_signs(basis: np.ndarray) -> np.ndarray:
    """Make each row's largest entry positive: the sign of a singular vector is arbitrary."""
    largest = basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)]
    return basis * np.sign(largest)[:, None]


def _count_pairs(tokenized: list[list[str]], words: list[str], window: int) -> np.ndarray:
    counts: Any = Counter()  # its type foresees no fractions
    for sentence in tokenized:
        for index, word in enumerate(sentence):
            counts[word, word] += 1.0
            for distance, other in enumerate(sentence[index + 1 : index + 1 + window], start=1):
                counts[word, other] += 1.0 / distance
                counts[other, word] += 1.0 / distance
    row = {word: index for index, word in enumerate(words)}
    matrix = np.zeros((len(words), len(words)))
    for (word, other), count in counts.items():
        matrix[row[word], row[other]] = count
    return matrix


def _weigh_pmi(counts: np.ndarray) -> np.ndarray:
    """max(0, log p(a, b) / (p(a) p(b))), zero where the pair never occurs."""
    totals = counts.sum(axis=1)
    expected = np.outer(totals, totals) / totals.sum()
    ratio = np.divide(counts, expected, out=np.ones_like(counts), where=counts > 0)
    return np.maximum(np.log(ratio), 0.0)


@contextmanager
def _open_stream(path: Path, member: str | None) -> Iterator[io.BufferedReader]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; download the word vectors first")
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as stream:
            head = stream.read(len(FASTTEXT_MODEL))
        if head.startswith(FASTTEXT_MODEL):
            raise UserError(f"{path}: a binary model of fastText; give its vectors as text (.vec)")
        with open_packed(path, "download it again") as stream:
            yield stream
        return
    with (
        readable(path, (*DAMAGED, OSError), "damaged archive", "download it again"),
        _open_member(path, member) as stream,
    ):
        # A member of an archive is a raw stream, which its type does not say
        yield io.BufferedReader(stream, 1 << 20)  # type: ignore[arg-type]


def _open_member(path: Path, member: str | None) -> IO[bytes]:
    """A member of a zip, which stays open for as long as the member is."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".txt", ".vec"))]
            if member is None and len(names) != 1:
                raise UserError(
                    f"{path}: holds {names or 'no .txt or .vec file'}; name the member to read"
                )
            return archive.open(member or names[0])
    except KeyError:
        raise UserError(f"{path}: has no member {member!r}; it holds {names}") from None
    except (NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); unpack it elsewhere") from None


def _is_number(text: bytes) -> bool:
    try:
        to_number(text)
    except ValueError:
        return False
    return True


def _without_mark(path: Path, line: bytes) -> bytes:
    """The first line without a byte order mark, which would be part of the first word."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: is UTF-16 text; save it as UTF-8")
    return line.removeprefix(codecs.BOM_UTF8)


def _measure(
    path: Path, number: int, line: bytes, stated: re.Match | None, stream: io.BufferedReader
) -> int:
    """Numbers per word, by the first row of numbers. stated: the header before it, if any; stream:
    what follows."""
    dim = line.count(b" ")
    if stated and dim != int(stated[2]):
        if CONTROL.search(line + stream.peek(4096)):
            raise UserError(f"{path}: word2vec's binary format; save the vectors as text")
        reason = f"the first line states {int(stated[2])} numbers per word, and here are {dim}"
        raise _malformed(path, number, reason)
    if dim < 2 or b"\t" in line:
        raise _malformed(path, number, "expected a word and its numbers")
    return dim


def _malformed(path: Path, number: int, reason: str) -> UserError:
    return UserError(f"{path}, line {number}: {reason}; download the file again")
