"""What conventions need of a prediction file: shared, as deep as the deepest, met or named."""

import json

import pytest

from tsgbench.config import Catalogue
from tsgbench.evaluation.needs import first_unmet, needs_of, needs_of_all

SPANS = {
    "predictions": "spans",
    "labels": "annotated",
    "iou": "seconds",
    "nms": 0.5,
    "metrics": ["R@1,IoU=0.5", "R@5,IoU=0.5", "R@5,IoU=0.7", "mIoU"],
}
INDEX = SPANS | {"iou": "index", "labels": "windows", "positions": 200, "nms": {"minus": 0.05}}


def test_a_suppression_in_seconds_is_one_need_however_many_metrics_ask_for_it():
    assert needs_of(SPANS) == [{"ranks": 1}, {"iou": "seconds", "above": 0.5, "depth": 5}]


def test_a_suppression_anew_for_each_iou_is_a_need_for_each():
    axis = {"iou": "index", "positions": 200, "labels": "windows"}
    assert needs_of(INDEX)[1:] == [
        {**axis, "above": 0.5 - 0.05, "depth": 5},
        {**axis, "above": 0.7 - 0.05, "depth": 5},  # in double: below 0.65
    ]


def test_without_suppression_the_first_ranks_are_needed():
    assert needs_of(SPANS | {"nms": None}) == [{"ranks": 5}]
    assert needs_of(SPANS | {"metrics": ["R@1,IoU=0.5", "mIoU"]}) == [{"ranks": 1}]


def test_a_ranking_of_chunks_needs_the_first_naming_of_each():
    options = {"predictions": "chunks", "chunks": 6, "chunk_s": 5, "metrics": ["Rank@1"]}
    assert needs_of(options) == [{"chunks": 6, "chunk_s": 5}]


def test_what_decides_no_suppression_adds_no_need():
    others = [
        SPANS | {"compare": ">", "labels": "nearest_span", "positions": 64},
        SPANS | {"metrics": ["dR@5,IoU=0.3"]},
    ]
    assert needs_of_all([SPANS, *others]) == needs_of_all([SPANS])
    known = Catalogue.load().conventions
    same = [known["official_ia_net"], known["official_fian"]]
    assert needs_of_all(same) == needs_of_all(same[:1])


def test_the_deepest_of_a_kind_holds_the_others():
    deep = SPANS | {"metrics": ["R@10,IoU=0.5"]}
    held = needs_of_all([SPANS, deep])
    assert held == [{"ranks": 5}, {"iou": "seconds", "above": 0.5, "depth": 10}]
    assert first_unmet(needs_of(SPANS), held) is None
    assert first_unmet(needs_of(deep), needs_of_all([SPANS])) == held[1]


@pytest.mark.parametrize(
    "other",
    [
        SPANS | {"nms": 0.45},
        INDEX | {"nms": 0.5},
        SPANS | {"nms": None, "metrics": ["R@10,IoU=0.5"]},
        {"predictions": "chunks", "chunks": 6, "chunk_s": 5, "metrics": ["Rank@1"]},
    ],
)
def test_another_need_is_unmet(other):
    assert first_unmet(needs_of(other), needs_of_all([SPANS])) == needs_of(other)[-1]
    assert first_unmet(needs_of(INDEX | {"positions": 64}), needs_of_all([INDEX])) is not None


def test_needs_survive_settings_and_schemas():
    for dataset in Catalogue.load().datasets:
        needs = Catalogue.load().needs_of(dataset)
        assert needs[0] == {"ranks": 5} and json.loads(json.dumps(needs)) == needs
        assert first_unmet(needs, json.loads(json.dumps(needs))) is None
