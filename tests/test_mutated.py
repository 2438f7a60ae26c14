"""Files of others and of ours, spoilt at random: whoever reads one has it, or says one sentence.

A few mutations a reader in every run; `make faults` draws many (FAULTS: how many; SEED: which).
"""

import bz2
import contextlib
import gzip
import json
import lzma
import os
import random
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tsgbench.datasets.queries import Queries
from tsgbench.datasets.table import read as read_table
from tsgbench.errors import LONGEST, UserError
from tsgbench.evaluation.foreign import read_foreign, recognise
from tsgbench.evaluation.predictions import read_first, write_predictions
from tsgbench.evaluation.query_scores import read_query_scores, write_query_scores
from tsgbench.features.foreign import take_inventory
from tsgbench.features.layouts import LAYOUTS, Unusable
from tsgbench.text.glove import read_glove
from tsgbench.text.words import WordTable, load_word_table, save_word_table

SEED = int(os.environ.get("SEED", "1"))
FAULTS = int(os.environ.get("FAULTS", "3000"))
FEW = 60
COUNT = 20  # queries, words or videos of each file
# What breaks readers more often than chance would write it
SPICE = (
    *(b"9" * 5000, b"1e999", b"NaN", b"null", b"[", b"{" * 3000, b"\xff", b"\0", b"\xed\xa0\x80"),
    *(b"-1", b'"', b"\r", b",", b"true", b"\xef\xbb\xbf", b"99999999999999999999", b"\xe2\x80\xa8"),
)
WORDS = "".join(f"word{n} 0.125 -0.5 {n}.25 1.0\n" for n in range(COUNT)).encode()
ROWS = [
    {"video": f"v{n}", "query": "a man sits", "start": n, "end": n + 1.5, "split": "train"}
    for n in range(COUNT)
]
WINDOWS = [
    {"qid": n, "query": "a man sits", "vid": f"v{n}", "pred_relevant_windows": [[n, n + 2, 0.9]]}
    for n in range(COUNT)
]
QUERIES = Queries(
    [f"q{n}" for n in range(COUNT)],
    [f"v{n // 2}" for n in range(COUNT)],
    ["a man sits"] * COUNT,
    np.full(COUNT, 10.0),
    np.tile([1.0, 5.0], (COUNT, 1)),
)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.txt", WORDS)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(4):
            file.create_dataset(f"v{number}", data=np.ones((number + 1, 5)), compression="gzip")


def words_of(path: Path) -> object:
    return read_glove(path, {f"word{n}" for n in range(0, COUNT, 3)})


def own_rows(path: Path) -> object:
    return read_table({"annotations": path})


def answers_of(path: Path) -> object:
    return read_foreign(path, recognise(path))


def features_of(path: Path, layout: str) -> None:
    recipe = {"key": "(.*)", "name": "{key}", "member": None}
    with LAYOUTS[layout]({path.name: path}, recipe, ()) as (find, names):
        for video in list(names):
            with contextlib.suppress(Unusable):
                find(video)


# Name of a file -> what writes a sound one, and who reads it
KINDS = {
    "vectors.txt": (lambda path: path.write_bytes(WORDS), words_of),
    "vectors.zip": (zipped, words_of),
    "vectors.gz": (lambda path: path.write_bytes(gzip.compress(WORDS)), words_of),
    "vectors.bz2": (lambda path: path.write_bytes(bz2.compress(WORDS)), words_of),
    "vectors.xz": (lambda path: path.write_bytes(lzma.compress(WORDS)), words_of),
    "words.npz": (
        lambda path: save_word_table(
            path,
            WordTable(["a", "b"], np.ones((2, 4), "f4"), np.array([True, False])),
            identity="x",
        ),
        load_word_table,
    ),
    "features.npz": (
        lambda path: np.savez_compressed(path, **{f"v{n}": np.ones((n + 1, 5)) for n in range(4)}),
        lambda path: features_of(path, "npz"),
    ),
    "features.hdf5": (hdf5, lambda path: features_of(path, "hdf5")),
    "listed.hdf5": (hdf5, take_inventory),
    "v0.npy": (lambda path: np.save(path, np.ones((9, 5))), lambda path: features_of(path, "npy")),
    "own.csv": (
        lambda path: path.write_text(
            "video;sentence;start;end;split\n"
            + "".join(f"v{n}.mp4;a man sits;{n},0;0:25.{n};train\n" for n in range(COUNT))
        ),
        own_rows,
    ),
    "own.jsonl": (lambda path: path.write_text("\n".join(map(json.dumps, ROWS))), own_rows),
    "own.json": (lambda path: path.write_text(json.dumps(ROWS, indent=1)), own_rows),
    "windows.jsonl": (
        lambda path: path.write_text("\n".join(map(json.dumps, WINDOWS))),
        answers_of,
    ),
    "answers.csv": (
        lambda path: path.write_text(
            "video_id,sentence,start_s,end_s,score\n"
            + "".join(f"v{n},a man sits,{n}.0,{n}.5,0.5\n" for n in range(COUNT))
        ),
        answers_of,
    ),
    "predictions.parquet": (
        lambda path: write_predictions(path, QUERIES, np.ones((COUNT, 3, 3))),
        lambda path: read_first(path, QUERIES.query_ids),
    ),
    "scores.parquet": (
        lambda path: write_query_scores(
            path, QUERIES, ["test"] * COUNT, {"seconds": {"mIoU": np.arange(COUNT) / 1.0}}
        ),
        read_query_scores,
    ),
}


def spoil(content: bytes, draw: random.Random) -> bytes:
    spoilt = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        kind, at = draw.random(), draw.randrange(len(spoilt))
        if kind < 0.5:
            spoilt[at] = draw.randrange(256)
        elif kind < 0.8:
            spoilt[at : at + draw.choice([0, 1, 5])] = draw.choice(SPICE)
        elif len(spoilt) > 20:
            del spoilt[at : at + draw.choice([1, 3, 19])]
    return bytes(spoilt[: draw.randrange(1, len(spoilt))] if draw.random() < 0.1 else spoilt)


def read_spoilt(folder: Path, name: str, count: int) -> None:
    write, read = KINDS[name]
    path = folder / name
    write(path)
    read(path)
    content, draw, refused = path.read_bytes(), random.Random(f"{SEED} {name}"), 0
    for number in range(count):
        path.write_bytes(spoilt := spoil(content, draw))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except UserError as error:
            refused += 1
            said = str(error)
            assert name in said and "\n" not in said and len(said) < LONGEST + 10, said
        except Exception as error:
            raise AssertionError(f"mutation {number} of {name}: {spoilt[:300]!r}") from error
    assert refused > count / 10


@pytest.mark.parametrize("name", KINDS)
def test_a_spoilt_file_is_read_or_refused_in_one_sentence(tmp_path, name):
    read_spoilt(tmp_path, name, FEW)


@pytest.mark.faults
@pytest.mark.parametrize("name", KINDS)
def test_many_spoilt_files(tmp_path, name):
    read_spoilt(tmp_path, name, FAULTS)
