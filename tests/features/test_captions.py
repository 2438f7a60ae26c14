"""Captions as features: weights, sums, order, and what is wrong with a file of captions."""

import json

import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.features.captions import RARE, read_captions
from tsgbench.features.released import convert
from tsgbench.features.store import FeatureStore

RECIPE = {
    "source": "any",
    "layout": "captions",
    "vectors": "any",
    "tokenizer": "nltk_drop_punct",
    "times": {"chunk_s": 2},
}
VECTORS = {"a": [1.0, 0.0], "dog": [0.0, 1.0], "runs": [2.0, -1.0]}


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {x} {y}\n" for word, (x, y) in VECTORS.items()))
    return [path]


def write(folder, **captions):
    files = {}
    for video, lines in captions.items():
        path = folder / f"{video}.jsonl"
        path.write_text(
            "".join(json.dumps({"moment": n, "description": t}) + "\n" for n, t in lines)
        )
        files[path.name] = path
    return files


def test_rows_are_weighted_sums_in_the_order_of_places(tmp_path, vectors):
    files = write(
        tmp_path,
        one=[(1, "A dog runs, a dog."), (0, "a cat"), (2, "zebra")],  # not in order
        two=[(0, "a a a")],
    )
    out = tmp_path / "features.h5"
    durations = {"one": 6.0, "two": 2.0}
    facts = convert(files, durations, out, recipe=RECIPE, identity="i", vectors=vectors)
    assert (facts["videos"], facts["rows"], facts["dim"], facts["failed"]) == (2, 4, 2, [])
    counts = {"a": 6, "dog": 2, "runs": 1}  # of eleven, with cat and zebra
    total = sum(counts.values()) + 2
    weighed = {
        word: np.array(VECTORS[word]) * RARE / (RARE + count / total)
        for word, count in counts.items()
    }
    expected = [
        weighed["a"],
        2 * weighed["a"] + 2 * weighed["dog"] + weighed["runs"],
        np.zeros(2),
    ]
    with FeatureStore(out) as store:
        rows, times = store.read("one")
    np.testing.assert_allclose(rows, expected, rtol=1e-4)
    assert times.tolist() == [[0, 2], [2, 4], [4, 6]]


def test_a_video_without_captions_is_listed(tmp_path, vectors):
    files = write(tmp_path, one=[(0, "a dog")])
    recipe = RECIPE | {"max_failed_share": 0.5}
    out = tmp_path / "features.h5"
    facts = convert(
        files, {"one": 2.0, "gone": 2.0}, out, recipe=recipe, identity="i", vectors=vectors
    )
    assert [entry["video"] for entry in facts["failed"]] == ["gone"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"moment": 0}\n', "line 1: not an object"),
        ('{"moment": 0, "description": "x"}\n[]\n', "line 2: not an object"),
        ("{\n", "line 1: not an object"),
        ('{"moment": 1, "description": "x"}\n', "without a gap"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, vectors, text, said):
    path = tmp_path / "one.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    reading = read_captions({path.name: path}, RECIPE, vectors)
    with pytest.raises(UserError, match=rf"one\.jsonl.*{said}"), reading:
        pass


def test_a_source_without_captions_is_refused(tmp_path, vectors):
    reading = read_captions({"x.npy": tmp_path / "x.npy"}, RECIPE, vectors)
    with pytest.raises(UserError, match=r"no \.jsonl file"), reading:
        pass
