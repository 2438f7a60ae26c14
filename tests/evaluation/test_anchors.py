"""Numbers that trivial predictions must get on the real annotations.

Recomputed elsewhere with other code; the tolerances are those numbers' own last digits.
"""

import numpy as np
import pytest
from mirror_samples import activitynet, charades_sta, didemo, tacos

from tsgbench.config import Catalogue
from tsgbench.datasets import moments
from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.conventions import evaluate_convention
from tsgbench.evaluation.didemo import Chunks, score_candidates
from tsgbench.evaluation.metrics import to_percent
from tsgbench.evaluation.predictions import Predictions
from tsgbench.features import resample

CATALOGUE = Catalogue.load()
CONVENTIONS = CATALOGUE.conventions
RECALL = ["R@1,IoU=0.1", "R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "mIoU"]
CHUNKS = Chunks()


def whole_video(queries: Queries, convention: str) -> list[float]:
    spans = np.stack([np.zeros(len(queries)), queries.durations], axis=1)[:, None]
    found = evaluate_convention(spans, queries, CONVENTIONS[convention], "any")["metrics"]
    return [found[name] for name in RECALL]


def test_whole_video_on_charades_sta(mirror):
    queries = charades_sta(mirror, "test")
    assert len(queries) == 3720
    assert whole_video(queries, "seconds")[1:] == pytest.approx([35.0, 0.4, 0.0, 27.1], abs=0.051)


@pytest.mark.parametrize(
    ("split", "convention", "expected"),
    [
        ("val_2", "official_tan", [82.54, 47.99, 21.08, 12.41, 34.57]),
        ("val_2", "official_fsan", [82.54, 47.99, 21.08, 12.41, 34.57]),
        ("val_2", "seconds", [82.57, 48.02, 21.21, 12.41, 34.57]),
        ("val_1", "official_tan", [75.50, 42.84, 22.59, 11.38, 32.29]),
    ],
)
def test_whole_video_on_activitynet_captions(mirror, split, convention, expected):
    queries = activitynet(mirror, split)
    assert len(queries) == {"val_1": 17505, "val_2": 17031}[split]
    assert whole_video(queries, convention) == pytest.approx(expected, abs=0.011)


def test_a_printed_row_decides_how_fsan_counts_hits(mirror):
    """Its row without the grounding module is the whole video, at all thresholds by > alone."""
    tables = {table["id"]: table for table in CATALOGUE.published["fsan"]["tables"]}
    (row,) = (row for row in tables["table4"]["rows"] if row["key"] == "w/o_grounding_module")
    printed = [row["values"][name] for name in RECALL if name in row["values"]]
    queries = activitynet(mirror, "val_2")
    away = {}
    for convention in ("official_fsan", "seconds"):
        found = dict(zip(RECALL, whole_video(queries, convention), strict=True))
        found = [found[name] for name in RECALL if name in row["values"]]
        away[convention] = np.abs(np.subtract(found, printed)).max()
    assert len(printed) == 4
    assert away["official_fsan"] < 0.05 < 0.1 < away["seconds"]


def test_a_quantised_label_of_tacos_is_perfect_by_index_and_poor_in_seconds(mirror):
    queries = tacos(mirror, "test")
    assert len(queries) == 4083
    clips = (queries.durations * 29.4 / 8).astype(np.int64)
    index = resample.linspace_labels(clips, 200, queries.moments, queries.durations)
    spans = moments.from_index(index, queries.durations, np.full(len(queries), 200))
    label = Predictions(spans[:, None], clips)
    by_index = evaluate_convention(label, queries, CONVENTIONS["official_ia_net"], "tacos")
    assert set(by_index["metrics"].values()) == {100.0}
    found = evaluate_convention(label, queries, CONVENTIONS["seconds"], "tacos")["metrics"]
    # The source rate is an assumption: one clip more or less a video moves these by a point or two
    assert found["R@1,IoU=0.5"] == pytest.approx(79.4, abs=1)
    assert found["R@1,IoU=0.7"] == pytest.approx(62.2, abs=2)
    assert found["mIoU"] == pytest.approx(70, abs=1.5)


def runs(queries: Queries) -> list[np.ndarray]:
    """Place among the candidates of every annotator's run, by query."""
    whole = [np.rint(marked / 5 - [0, 1]).astype(int) for marked in queries.annotators]
    return [CHUNKS.place[run[:, 0], run[:, 1]] for run in whole]


def didemo_scores(queries: Queries, order: np.ndarray) -> list[float]:
    """order: (21,) or (Q, 21) candidates, best first."""
    spans = 5.0 * (CHUNKS.candidates[order] + [0, 1])
    spans = np.broadcast_to(spans, (len(queries), 21, 2))
    result = evaluate_convention(spans, queries, CONVENTIONS["official_didemo"], "didemo")
    assert result["counts"]["queries_with_appended_candidates"] == 0
    return list(result["metrics"].values())


def test_didemo_moment_frequency_prior(mirror):
    val, test = didemo(mirror, "val"), didemo(mirror, "test")
    assert (len(val), len(test)) == (4180, 4021)
    counts = np.bincount(np.concatenate(runs(val)), minlength=21)
    order = np.argsort(-counts, kind="stable")
    assert didemo_scores(val, order) == pytest.approx([18.68, 69.95, 25.22], abs=0.006)
    assert didemo_scores(test, order) == pytest.approx([19.40, 68.12, 25.42], abs=0.006)
    # The order of the training split, as inferred: prints what the header of eval.py states
    swap = {CHUNKS.place[4, 4]: CHUNKS.place[5, 5], CHUNKS.place[5, 5]: CHUNKS.place[4, 4]}
    train = np.array([swap.get(run, run) for run in order])
    header = [18.6842, 68.6842, 25.2216]
    assert didemo_scores(val, train) == pytest.approx(header, abs=1e-4)


def test_didemo_majority_of_the_annotators(mirror):
    test = didemo(mirror, "test")
    votes = np.stack([np.bincount(marked, minlength=21) for marked in runs(test)])
    order = np.argsort(-votes, axis=1, kind="stable")
    assert didemo_scores(test, order) == pytest.approx([74.8, 100, 96.0], abs=0.06)


def test_didemo_uniform_random(mirror):
    val = didemo(mirror, "val")
    rng = np.random.default_rng(0)
    drawn = [
        [to_percent(values) for values in score_candidates(ranks, val.annotators, CHUNKS).values()]
        for ranks in (rng.random((len(val), 21)).argsort(axis=1) + 1 for _ in range(20))
    ]
    # One run scatters by 0.29, 0.66 and 0.4 around the exact expectation
    error = np.abs(np.mean(drawn, axis=0) - [3.56, 22.41, 22.64])
    assert (error < 3 * np.array([0.29, 0.66, 0.4]) / np.sqrt(20)).all()
