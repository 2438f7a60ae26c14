"""Captions of a video's frames as features: the word vectors of each caption, weighted and summed.

A word that occurs in a share p of all captions' words weighs a / (a + p), with a = `RARE`: words
that are everywhere ("a", "is") weigh next to nothing (Arora et al., A Simple but Tough-to-Beat
Baseline for Sentence Embeddings, ICLR 2017). Shares are counted over the captions of every video
asked for: captions are made of pictures, and no query or label is read.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tsgbench.errors import UserError
from tsgbench.features.failures import find_file, name_by_video
from tsgbench.files import read_utf8
from tsgbench.text.tokens import find_tokenizer
from tsgbench.text.words import look_up

ENDING = ".jsonl"
RARE = 1e-3
PLACE, TEXT = "moment", "description"  # fields of a line


@contextmanager
def read_captions(files: dict[str, Path], recipe: dict, vectors: Sequence[Path]) -> Iterator[tuple]:
    """A reader of videos' rows, as `released.LAYOUTS` has them, and the videos' names.

    files: JSON lines, a file a video, a line a caption: `moment`, its place from 0 on, and
    `description`. recipe: `tokenizer`. vectors: files of word vectors. Rows are (n, dim) float32; a
    caption without any known word is a row of zeros.
    """
    caption_files = name_by_video(files, (ENDING,))
    if not caption_files:
        raise UserError(f"feature recipe: released: captions, but the source has no {ENDING} file")
    cut = find_tokenizer(recipe["tokenizer"])
    captions = {
        name: [cut(text) for text in _read_file(path)] for name, path in caption_files.items()
    }
    counts = Counter(word for lines in captions.values() for words in lines for word in words)
    row = {word: index for index, word in enumerate(sorted(counts))}
    table, _ = look_up(list(row), vectors)
    shares = np.array([counts[word] for word in row]) / counts.total()
    table = table * (RARE / (RARE + shares))[:, None].astype(np.float32)

    def read(video: str) -> np.ndarray | None:
        path = find_file(video, caption_files)
        if path is None:
            return None
        lines = captions[path.stem]
        words = np.array([row[word] for words in lines for word in words], dtype=np.int64)
        caption_of = np.repeat(np.arange(len(lines)), [len(words) for words in lines])
        rows = np.zeros((len(lines), table.shape[1]), np.float32)
        np.add.at(rows, caption_of, table[words])
        return rows

    yield read, caption_files.keys()


def _read_file(path: Path) -> list[str]:
    """The captions of a video by their places; `UserError` unless these are 0, 1, 2, ..."""
    texts = {}
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if line.strip():
            try:
                entry = json.loads(line)
                texts[entry[PLACE]] = str(entry[TEXT])
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"{path}, line {number}: not an object with {PLACE!r} and {TEXT!r} ({error});"
                    " get the file again"
                ) from None
    if sorted(texts) != list(range(len(texts))):
        raise UserError(f"{path}: {PLACE}: not 0, 1, 2, ... without a gap; get the file again")
    return [texts[index] for index in range(len(texts))]
