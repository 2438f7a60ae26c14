"""Conventions: the options do what they say, and the shipped ones are complete."""

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml

from tsgbench.config import Catalogue
from tsgbench.config.refusals import check
from tsgbench.config.sections import conventions as sections
from tsgbench.datasets.moments import nearest_index
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.evaluation.conventions import evaluate_convention, for_dataset
from tsgbench.evaluation.predictions import Predictions, write_predictions
from tsgbench.features import resample
from tsgbench.phases import Task, evaluate
from tsgbench.planning.study import Study

SHIPPED = Catalogue.load().conventions
INDEX = {
    "predictions": "spans",
    "labels": "windows",
    "iou": "index",
    "compare": ">=",
    "nms": {"minus": 0.05},
    "positions": 24,
    "metrics": ["R@1,IoU=0.3", "R@1,IoU=0.7", "R@5,IoU=0.3", "R@5,IoU=0.7", "mIoU"],
}


def invented(count=60, candidates=30, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"q{row}" for row in range(count)]
    durations = rng.uniform(20, 60, count)
    moments = np.sort(rng.uniform(0, 1, (count, 2)), axis=1) * durations[:, None]
    queries = Queries(names, names, names, durations, moments)
    spans = np.sort(rng.uniform(0, 1, (count, candidates, 2))) * durations[:, None, None]
    return queries, Predictions(spans, rng.integers(5, 90, count))


def plain_index_scores(predictions, queries, positions):
    """IA-Net's evaluation, one query and one candidate after another."""
    hits = dict.fromkeys(INDEX["metrics"], 0.0)
    for row, candidates in enumerate(predictions.spans):
        clips, duration = predictions.clips[row], queries.durations[row]
        index = [int(np.floor(value)) for value in np.linspace(0, clips - 1, positions)]
        start, end = queries.moments[row]
        a = int(clips / duration * start)
        b = min(int(clips / duration * end), clips - 1)
        a = min(a, b)
        last = max(place for place, clip in enumerate(index) if clip <= b)
        first = min(place for place, clip in enumerate(index) if clip >= a)
        first = min(first, last)
        boxes = []
        for start, end in candidates * positions / duration:
            s, e = max(0, round(start)), min(round(end - 1), positions - 1)
            s = min(s, positions - 1)
            boxes.append((s, max(s, e)))
        found = []
        for s, e in boxes:
            shared = max(0, min(e, last) - max(s, first) + 1)
            found.append(shared / (max(e, last) - min(s, first) + 1))
        for name in hits:
            if name == "mIoU":
                hits[name] += found[0]
                continue
            n, m = int(name[2]), float(name.split("=")[1])
            kept = []
            for place, (s, e) in enumerate(boxes):
                clear = True
                for other in kept:
                    t, f = boxes[other]
                    shared = max(0, min(e, f) - max(s, t))
                    union = (e - s) + (f - t) - shared
                    clear &= union == 0 or shared / union <= m - 0.05
                if clear:
                    kept.append(place)
            hits[name] += any(found[place] >= m for place in kept[:n])
    return {name: 100 * total / len(queries) for name, total in hits.items()}


def test_indices_against_quantised_labels_equal_a_plain_loop():
    queries, predictions = invented()
    found = evaluate_convention(predictions, queries, INDEX, "any")
    assert found["metrics"] == pytest.approx(plain_index_scores(predictions, queries, 24))
    assert found["counts"]["queries"] == 60
    assert 0 < found["counts"]["first_moments_narrower_than_a_position"] < 20


@pytest.mark.parametrize("name", ["official_ia_net", "official_fian", "official_seqpan"])
def test_the_quantised_label_itself_scores_100_only_under_its_own_convention(name):
    queries, predictions = invented(200)
    options = {**for_dataset(SHIPPED[name], "charades_sta"), "positions": 12}
    if options["labels"] == "windows":
        positions = np.full(200, 12)
        index = resample.linspace_labels(predictions.clips, 12, queries.moments, queries.durations)
    else:
        positions = np.minimum(predictions.clips, 12)
        index = nearest_index(queries.moments, queries.durations, positions)
    spans = (index + [0, 1]) * (queries.durations / positions)[:, None]
    own = Predictions(spans[:, None], predictions.clips)
    assert set(evaluate_convention(own, queries, options, "x")["metrics"].values()) == {100.0}
    in_seconds = evaluate_convention(own, queries, SHIPPED["seconds"], "x")["metrics"]
    assert in_seconds["R@1,IoU=0.7"] < 100


def test_a_duration_in_single_precision_is_the_duration():
    durations = np.random.default_rng(5).uniform(10, 200, 500)
    names = [str(row) for row in range(500)]
    half = np.stack([np.zeros(500), durations / 2], axis=1)
    queries = Queries(names, names, names, durations, half)
    rounded = durations.astype(np.float32).astype(np.float64)
    spans = np.stack([np.zeros(500), rounded], axis=1)[:, None]
    found = evaluate_convention(spans, queries, SHIPPED["seconds"], "any")["metrics"]
    assert found["R@1,IoU=0.5"] == 100
    found = evaluate_convention(spans - [0, 2e-3], queries, SHIPPED["official_tan"], "any")
    assert found["metrics"]["R@1,IoU=0.5"] == 100  # really shorter: really above one half


def test_quantising_without_clips_or_positions_is_refused():
    queries, predictions = invented()
    with pytest.raises(UserError, match="column clips is missing"):
        evaluate_convention(predictions.spans, queries, INDEX, "any")
    without = {key: value for key, value in INDEX.items() if key != "positions"}
    with pytest.raises(UserError, match="positions: is missing"):
        evaluate_convention(predictions, queries, without, "any")


def test_a_data_set_changes_the_options_it_names_and_no_others():
    convention = {"nms": 0.5, "compare": ">", "datasets": {"tacos": {"nms": 0.4}}}
    assert for_dataset(convention, "tacos") == {"nms": 0.4, "compare": ">"}
    assert for_dataset(convention, "other") == {"nms": 0.5, "compare": ">"}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_convention_scores(name):
    queries, predictions = invented(80)
    rng = np.random.default_rng(1)
    starts = rng.integers(0, 6, (80, 4))
    queries.annotators = list(5.0 * np.stack([starts, starts + 1], axis=-1))
    for dataset in ("charades_sta", "activitynet_captions", "tacos", "didemo", "charades_cd"):
        options = for_dataset(SHIPPED[name], dataset)
        found = evaluate_convention(predictions, queries, SHIPPED[name], dataset)
        # No moment invented here is longer than 10 s
        left_out = {"mAP,middle", "mAP,long"}
        defined = [metric for metric in options["metrics"] if metric not in left_out]
        assert list(found["metrics"]) == defined
        assert all(0 <= value <= 100 for value in found["metrics"].values())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("seconds", "nms", {"plus": 0.1}),
        ("seconds", "metrics", ["Rank@1"]),
        ("seconds", "iou", "index"),  # needs quantised labels
        ("seconds", "labels", "windows"),  # needs positions
        ("official_didemo", "metrics", ["R@1,IoU=0.5"]),
        ("official_tan", "compare", "=="),
    ],
)
def test_a_wrong_convention_is_named(name, key, value):
    content = yaml.safe_load(Path("config/conventions.yaml").read_text())
    content[name] = {**content[name], key: value}
    with pytest.raises(UserError, match=rf"config/conventions.yaml: {name}"):
        check(sections.FILE, content, "config/conventions.yaml")


def planned(conventions, names=("official_seqpan",)):
    """Identities of the demo's training and evaluation of one cell under these conventions."""
    known = Catalogue.load()
    datasets = copy.deepcopy(known.datasets)
    datasets["shapes"]["conventions"] = list(names)
    fields = {key: getattr(known, key) for key in known.__dataclass_fields__}
    catalogue = Catalogue(**{**fields, "datasets": datasets, "conventions": conventions})
    config = yaml.safe_load(Path("config/demo.yaml").read_text())
    study = Study(config, catalogue)
    model, dataset, ablation, seed = next(iter(study.cells))
    cell = {"model": model, "dataset": dataset, "ablation": ablation, "seed": str(seed)}
    return [study.identity(study.find(phase, cell).record) for phase in ("train", "evaluate")]


def test_a_changed_convention_evaluates_again_and_trains_nothing():
    train, evaluated = planned(SHIPPED)
    changed = copy.deepcopy(SHIPPED)
    changed["official_seqpan"]["positions"] = 32
    assert planned(changed)[0] == train and planned(changed)[1] != evaluated
    worded = copy.deepcopy(SHIPPED)
    worded["official_seqpan"]["title"] = "another"
    worded["official_seqpan"]["datasets"]["tacos"]["positions"] = 1
    worded["official_tan"]["nms"] = 0.1  # not named by the data set
    assert planned(worded) == [train, evaluated]


def test_a_changed_suppression_predicts_again_and_one_that_another_has_does_not():
    names = ("official_tan", "official_cma")
    train, _ = planned(SHIPPED, names)
    for convention, key, value, is_new in (
        ("official_tan", "compare", ">=", False),
        ("official_cma", "nms", 0.5, False),  # of first predictions: suppresses nothing
        ("official_tan", "nms", 0.4, True),
        ("seconds", "metrics", ["R@10,IoU=0.5"], True),
    ):
        changed = copy.deepcopy(SHIPPED)
        changed[convention][key] = value
        assert (planned(changed, names)[0] != train) == is_new, (convention, key)
    assert planned(SHIPPED, names[:1])[0] == train  # without one that needs nothing more


def test_a_data_set_that_names_an_unknown_convention_is_told():
    with pytest.raises(UserError, match="shapes.conventions.*did you mean 'official_seqpan'"):
        planned(SHIPPED, names=("official_seqpam",))


class Folder:
    """Stands in for a checked record: files of one folder."""

    def __init__(self, folder):
        self.folder = folder

    def file(self, name):
        return self.folder / name


def task(folder, **settings):
    inputs = {"annotations": Folder(folder), "run": Folder(folder)}
    wildcards = {"dataset": "charades_sta"}
    files = {"scores": folder / "scores.parquet"}
    return Task(settings, inputs, "id", folder / "metrics.json", files, wildcards)


@pytest.mark.parametrize("with_clips", [True, False])
def test_the_phase_scores_splits_together_parts_alone_and_every_convention(tmp_path, with_clips):
    queries, predictions = invented(50)
    near, far = queries.take(np.arange(20)), queries.take(np.arange(20, 50))
    write_queries(tmp_path / "iid.jsonl", near)
    write_queries(tmp_path / "ood.jsonl", far)
    spans = predictions.spans
    spans[:20, 0] = near.moments  # the near part is answered perfectly
    ranked = np.concatenate([spans, np.zeros((50, 30, 1))], axis=2)
    clips = predictions.clips if with_clips else None
    write_predictions(tmp_path / "predictions.parquet", queries, ranked, clips)
    names = ["seconds", "official_seqpan"]
    facts, files = evaluate.run(
        task(
            tmp_path,
            headline="seconds",
            splits=["iid", "ood"],
            score={"near": ["iid"], "far": "ood"},
            conventions={name: for_dataset(SHIPPED[name], "charades_sta") for name in names},
        )
    )
    assert (
        files == [tmp_path / "scores.parquet"]
        and facts["queries"] == 50
        and facts["split"] == "iid + ood"
    )
    assert facts["headline"] == facts["protocol"] == "seconds" and facts["nms_iou"] == 0.5
    assert facts["metrics"] == facts["conventions"]["seconds"]
    assert facts["parts"]["near"]["metrics"]["mIoU"] == pytest.approx(100)
    assert facts["parts"]["near"]["queries"] == 20 and facts["parts"]["far"]["queries"] == 30
    whole, parts = facts["metrics"]["mIoU"], facts["parts"]
    mean = (20 * parts["near"]["metrics"]["mIoU"] + 30 * parts["far"]["metrics"]["mIoU"]) / 50
    assert whole == pytest.approx(mean)
    assert list(facts["conventions"]) == (names if with_clips else names[:1])
    assert list(facts["not_computable"]) == ([] if with_clips else names[1:])


@pytest.mark.parametrize(
    "dataset", ["charades_sta_reannotated", "activitynet_captions_reannotated"]
)
def test_any_annotator_may_be_right(dataset):
    """Against plain loops; the original's moment counts under its own convention alone."""
    queries, predictions = invented(200)
    rng = np.random.default_rng(4)
    queries.annotators = [
        # Whole percent, so that IoUs of exactly one half occur
        np.sort(rng.choice(101, (5, 2), replace=True) + [[0, 0.5]], axis=1) / 100.5 * duration
        for duration in queries.durations
    ]
    queries.annotators[0] = predictions.spans[0, :1] * [[1, 1]]
    queries.annotators[1] = np.array([[0.0, 2.0], [30.0, 31.0]])
    predictions.spans[1, 0] = [0.0, 1.0]  # an IoU of one half, which is no hit

    def best(row, moments):
        start, end = predictions.spans[row, 0]
        found = []
        for s, e in moments:
            shared = max(0.0, min(e, end) - max(s, start))
            found.append(shared / (max(e, end) - min(s, start)))
        return max(found)

    labels = {"official_otani": queries.annotators, "original_annotation": queries.moments[:, None]}
    for name, moments in labels.items():
        overlaps = [best(row, moments[row]) for row in range(200)]
        wanted = {
            f"R@1,IoU={m}": 100 * sum(one > m for one in overlaps) / 200
            for m in (0.1, 0.3, 0.5, 0.7)
        }
        wanted["mIoU"] = 100 * sum(overlaps) / 200
        found = evaluate_convention(predictions, queries, SHIPPED[name], dataset)["metrics"]
        assert found == pytest.approx(wanted)
