"""Inspections: which queries, whether the maps are of the very forward pass, words with tokens."""

import random
import shutil

import numpy as np
import pytest
import torch

from evaluation.mirror_samples import activitynet, charades_sta, tacos
from inspection_samples import CLIP_S, CLIPS, SENTENCES, make_task, queries
from tsgbench.config import Catalogue
from tsgbench.datasets.moments import iou
from tsgbench.datasets.queries import Queries, write_queries
from tsgbench.errors import UserError
from tsgbench.inspection.choice import choose_queries
from tsgbench.inspection.examples import find_example, read_examples
from tsgbench.inspection.store import read_inspection
from tsgbench.inspection.thumbnails import read_thumbnails
from tsgbench.jobs.records import Record
from tsgbench.phases.inspect import run
from tsgbench.specifications.printed import examples_to_choose
from tsgbench.training.assembly import Assembly
from video_samples import write_video

ALL = {"ids": [f"{video}_{n}" for video in CLIPS for n in (0, 1)], "best": 0, "worst": 0}
# Outputs of each model's forward pass that a figure may draw, by the sizes of their axes
MAPS = {
    "ia_net": {
        f"attention{block}_{rows}_over_{columns}": (rows, columns)
        for block in (1, 2, 3)
        for rows in ("clips", "words")
        for columns in ("clips", "words")
    },
    "fsan": {"attention": ("clips", "words"), "raw": ("clips", "words")}
    | {"segments": ("clips", "clips")},
    "seqpan": {"attention": ("clips", "words"), "match": ("clips", 4), "match_logits": ("clips", 4)}
    | {"start": ("clips",), "end": ("clips",)},
    "cma": {"clip_weights": ("clips",), "location": (2,)}
    | {f"attention{layer}_clips_over_words": ("clips", "words") for layer in (1, 2)}
    | {"attention1_words_over_clips": ("words", "clips")},
    "fian": {},  # its figure shows spans alone
}
SLOTS = {"ia_net": 3}  # beside the words, or the clips, of another modality


@pytest.mark.parametrize("model", MAPS)
def test_maps_are_those_of_the_predictions_and_hold_no_padding(tmp_path, model):
    task = make_task(tmp_path, model, ALL)
    facts, files = run(task)
    inspected = read_inspection(files[0])
    assert [query.query_id for query in inspected] == ALL["ids"]
    assert set(MAPS[model]) <= set(facts["maps"])
    for query, fact in zip(inspected, facts["queries"], strict=True):
        assert query.forward_gap_s < 1e-4  # alone as in the batch of the prediction file
        sizes = {"clips": CLIPS[query.video_id], "words": len(query.words)}
        for name, axes in MAPS[model].items():
            shape = [sizes.get(axis, axis) for axis in axes]
            if name.endswith(("clips_over_words", "words_over_clips")):
                shape[1] += SLOTS.get(model, 0)
            assert query.maps[name].shape == tuple(shape), name
            assert query.maps[name].dtype == np.float32
            if "_over_" in name or (model, name) == ("seqpan", "attention"):
                assert query.maps[name].sum(axis=1) == pytest.approx(np.ones(shape[0]), abs=1e-5)
        spans = query.predictions
        assert 1 <= len(spans) <= 5 and (spans[:, 0] < spans[:, 1]).all()
        assert spans.min() >= 0 and spans.max() <= query.duration_s
        assert fact["iou"] == pytest.approx(iou(spans[0], query.moment), abs=1e-6)
    again = files[0].read_bytes()
    run(task)
    assert files[0].read_bytes() == again


def test_regions_are_labelled_and_found_for_every_clip(tmp_path):
    run(make_task(tmp_path, "seqpan", ALL))
    for query in read_inspection(tmp_path / "inspection.npz"):
        assert len(query.regions_true) == len(query.regions_found) == CLIPS[query.video_id]
        assert (query.regions_found == query.maps["match"].argmax(axis=1)).all()
        # A clip in the middle of the moment is none of the outside
        middle = int(query.moment.mean() / query.duration_s * len(query.regions_true))
        assert query.regions_true[middle] > 0


@pytest.mark.parametrize("oov", ["unk", "drop"])
def test_words_stand_at_the_places_of_their_tokens(tmp_path, oov):
    task = make_task(tmp_path, "seqpan", ALL, oov=oov, max_words=5)
    run(task)
    inspected = read_inspection(tmp_path / "inspection.npz")
    with Assembly(task.settings["model"], task.inputs, torch.device("cpu")) as cell:
        tokens, table = cell.load("test").tokens, cell.words
    for query, row in zip(inspected, tokens, strict=True):
        known = [word if word in table.words else "<unk>" for word in query.words]
        assert known == [table.words[token] for token in row if token]
    assert inspected[2].words == ["the", "opens", "a", "window"] if oov == "drop" else (
        inspected[2].words == ["the", "zebra", "opens", "a", "window"]
    )  # fmt: skip


def test_places_know_the_seconds_of_their_frames(tmp_path):
    run(make_task(tmp_path, "seqpan", ALL, resample_when="longer", max_clips=5))
    for query in read_inspection(tmp_path / "inspection.npz"):
        assert len(query.clips_s) == 5 == len(query.maps["start"])
        assert query.clips_s[0, 0] == 0 and (np.diff(query.clips_s[:, 0]) > 0).all()
        assert (query.clips_s[:, 1] - query.clips_s[:, 0] >= CLIP_S).all()


def test_ablations_of_the_input_show_what_was_shown(tmp_path):
    run(make_task(tmp_path / "video", "seqpan", ALL, video="mismatched"))
    shown = read_inspection(tmp_path / "video" / "inspection.npz")
    assert all(query.video_shown != query.video_id for query in shown)
    assert all(len(query.clips_s) == CLIPS[query.video_shown] for query in shown)
    run(make_task(tmp_path / "query", "seqpan", ALL, query="shuffled"))
    shown = read_inspection(tmp_path / "query" / "inspection.npz")
    assert [query.sentence for query in shown] == SENTENCES
    assert all(query.words[0] in ("a", "the") for query in shown)
    assert sum("zebra" in query.words for query in shown) == 1 and "zebra" not in shown[2].words


def split(sentences: list[str], videos: str) -> Queries:
    ids = [f"q{place}" for place in range(len(videos))]
    moments = np.tile([1.0, 2.0], (len(ids), 1)) + np.arange(len(ids))[:, None]
    return Queries(ids, list(videos), sentences, np.full(len(ids), 20.0), moments)


def choose(ious, words, videos, **more) -> list[tuple[int, str]]:
    given = {"best": 0, "worst": 0, "ids": [], "examples": []} | more
    table = split([""] * len(videos), videos)
    found = choose_queries(np.array(ious), np.array(words), table, **given)
    return [(choice.row, choice.kind) for choice in found]


def test_best_and_worst_are_of_different_videos_and_have_words():
    ious, words = [0.9, 0.8, 0.99, 0.1, 0.0, 0.2], [5, 6, 2, 9, 5, 4]
    assert choose(ious, words, "aabbac", best=2, worst=2) == [
        (0, "best"),  # q2 is better, but has two words
        (5, "best"),  # q1 is better, but of the same video
        (3, "worst"),  # q4 is worse, but its video is shown already
        (4, "worst"),  # no video is left
    ]
    assert choose([0.0] * 4, [5] * 4, "abcd", worst=2) == [(0, "worst"), (1, "worst")]
    assert len(choose([0.5, 0.6], [5, 5], "ab", best=9, worst=9)) == 2


def test_examples_and_named_queries_come_first_and_once():
    found = choose([0.9, 0.5, 0.1], [5] * 3, "abc", best=1, ids=["q2", "q1"], examples=[2])
    assert found == [(2, "example"), (1, "named"), (0, "best")]


def test_printed_examples_are_found_by_words_and_seconds():
    table = split(["The man opens it.", "the man opens it", "A man's shoe"], "abc")
    assert find_example("the man opens it", (2.0, 3.0), table) == 1  # not the first: its seconds
    assert find_example("The man ... it", (1.1, 1.9), table) == 0
    assert find_example("a mans shoe", (3.0, 4.2), table) == 2
    assert find_example("the man opens it", (5.0, 6.0), table) is None
    assert find_example("the woman closes it", (1.0, 2.0), table) is None
    assert find_example("Then the man opens it", (1.0, 2.0), table) == 0  # edited, same seconds
    assert find_example("Then the man opens it", (1.1, 2.0), table) is None
    table.moments[2] = [15.0, 20.0]
    assert find_example("A man's shoe", (15.0, 23.0), table) == 2  # cut to the video
    assert find_example("a mans ... shoe", None, table) == 2
    assert find_example("the man opens it", None, table) is None  # two queries say so


@pytest.fixture(scope="module")
def public(mirror) -> dict[str, Queries]:
    """Splits of the public files in which printed examples are."""
    return {
        "train": activitynet(mirror, "train"),
        "val_1": activitynet(mirror, "val_1"),
        "val_2": activitynet(mirror, "val_2"),
        "charades": charades_sta(mirror, "test"),
        "tacos train": tacos(mirror, "train"),
        "tacos test": tacos(mirror, "test"),
    }


@pytest.mark.parametrize(
    ("paper", "figure", "places"),
    [
        ("ia_net", "fig5b", ["val_2", "val_2", "tacos train", "charades"]),
        ("cma", "fig5", ["charades", "charades"]),
        ("cma", "fig6", ["val_2"] * 5 + ["val_1"] * 2),
        ("seqpan", "fig8", ["val_1", "val_1"]),
        ("fian", "fig1", ["train"]),
        ("fian", "fig6", ["val_2"]),
        ("ia_net", "fig1", ["train"]),
        ("fsan", "fig1", ["charades"]),
    ],
)
def test_printed_examples_are_in_the_public_files(public, paper, figure, places):
    """Some are training queries: IA-Net's of TACoS, and FIAN's and IA-Net's first figures."""
    entries = {entry["id"]: entry for entry in Catalogue.load().published[paper]["figures"]}
    found = [
        [name for name, table in public.items()
         if find_example(example.sentence, example.moment_s, table) is not None]
        for example in read_examples(entries[figure])
    ]  # fmt: skip
    assert found == [[place] for place in places]


def test_the_example_of_fians_figure_6_is_the_one_that_its_words_name(public):
    """Its text has the sentence alone; its times are only in the picture."""
    entries = {entry["id"]: entry for entry in Catalogue.load().published["fian"]["figures"]}
    [example] = read_examples(entries["fig6"])
    table = public["val_2"]
    row = find_example(example.sentence, None, table)
    assert example.moment_s is None and table.video_ids[row] == "v_hGziyfXmotc"
    assert table.moments[row].tolist() == [138.65, 215.94]


def test_examples_that_are_not_in_the_split_are_counted(tmp_path):
    entries = [
        {"query": SENTENCES[3], "gt_s": queries().moments[3].tolist(), "ours_s": [0.0, 1.0]},
        {"query": "somebody else", "gt_s": [0, 1]},
        {"query": "no seconds are printed", "gt_s": None},
    ]
    wanted = examples_to_choose([{"numbers": {"examples": entries}}])
    facts, _ = run(make_task(tmp_path, "cma", {"examples": wanted, "best": 0, "worst": 0}))
    assert [query["query_id"] for query in facts["queries"]] == ["b_1"]
    assert facts["examples_not_found"] == ["somebody else", "no seconds are printed"]


def add_split(task, name: str, role: str, table: Queries) -> None:
    """Another split of the task's data set, in a role of its cell; empty for none."""
    path = task.inputs["annotations"].path
    write_queries(path.parent / f"{name}.jsonl", table)
    outputs = task.inputs["annotations"].content["outputs"] | {f"{name}.jsonl": {}}
    task.inputs["annotations"] = Record(path, {"outputs": outputs})
    if role:
        task.settings["model"]["splits"][role] = [name]


def some(rows: list[int], sentence: str, video: str = "") -> Queries:
    """Queries of the samples under other names, the first with another sentence, and video."""
    table = queries().take(np.array(rows))
    table.query_ids = [f"other_{name}" for name in table.query_ids]
    table.sentences[0] = sentence
    table.video_ids[0] = video or table.video_ids[0]
    return table


def test_a_printed_training_query_is_looked_at_and_told_from_the_test_split(tmp_path):
    said = "the window opens the door"
    printed = {"sentence": said, "moment_s": queries().moments[2].tolist()}
    wanted = [{"sentence": SENTENCES[0], "moment_s": None}, printed]
    task = make_task(tmp_path, "cma", {"examples": wanted, "best": 1, "worst": 0})
    add_split(task, "train", "train", some([2, 3], said))
    facts, files = run(task)
    of_test, best, of_train = read_inspection(files[0])
    assert (of_test.query_id, of_test.split, of_test.role) == ("a_0", "test", "test")
    assert (of_train.query_id, of_train.split, of_train.role) == ("other_b_0", "train", "train")
    assert (of_train.kind, of_train.sentence, best.kind) == ("example", said, "best")
    # No rank among the queries that were predicted, whose ranks it does not change either
    assert (of_train.better, of_train.worse, of_train.of, best.of) == (0, 0, 0, len(SENTENCES))
    assert of_train.iou == pytest.approx(iou(of_train.predictions[0], of_train.moment))
    assert of_train.maps["attention2_clips_over_words"].shape == (CLIPS["b"], 5)
    assert [query["split"] for query in facts["queries"]] == ["test", "test", "train"]
    assert not facts["examples_not_found"]


@pytest.mark.parametrize(("role", "shown"), [("select", "select"), ("", "")])
def test_other_splits_are_told_by_their_role(tmp_path, role, shown):
    wanted = [{"sentence": "the door", "moment_s": None}]
    task = make_task(tmp_path, "seqpan", {"examples": wanted, "best": 0, "worst": 0})
    add_split(task, "held_out", role, some([0], "The door."))
    [query] = read_inspection(run(task)[1][0])
    assert (query.split, query.role) == ("held_out", shown) and len(query.regions_true)


def test_printed_queries_without_features_or_of_swapped_inputs_are_not_found(tmp_path):
    wanted = {"examples": [{"sentence": "the door", "moment_s": None}], "best": 1, "worst": 0}
    task = make_task(tmp_path / "a", "cma", wanted)
    add_split(task, "train", "train", some([0], "The door.", video="gone"))
    assert run(task)[0]["examples_not_found"] == ["the door"]
    task = make_task(tmp_path / "b", "cma", wanted, video="mismatched")
    add_split(task, "train", "train", some([0], "The door."))
    assert run(task)[0]["examples_not_found"] == ["the door"]


def test_thumbnails_are_the_middles_of_eighths(tmp_path):
    path = write_video(tmp_path / "v.mp4", 48, size=(48, 64), fps=8)  # frame k is grey 8 + 4 k
    pictures, times = read_thumbnails(path, 6.0)
    assert pictures.shape == (8, 64, 85, 3) and pictures.dtype == np.uint8
    frames = np.rint((pictures.mean(axis=(1, 2, 3)) - 8) / 4)
    assert frames.tolist() == [3, 9, 15, 21, 27, 33, 39, 45]  # on screen at 0.375 s, 1.125 s, ...
    assert times[0].tolist() == [0, 0.75] and times[-1].tolist() == [5.25, 6]
    assert len(read_thumbnails(path, 12.0)[0]) == 4  # the annotation says more than there is


def test_videos_without_frames_are_named_with_the_reason(tmp_path):
    task = make_task(tmp_path, "cma", ALL)
    write_video(tmp_path / "a.mp4", 40)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    task.inputs["videos"] = Record(tmp_path / "r.json", {"outputs": {"a.mp4": {}, "b.mp4": {}}})
    facts, files = run(task)
    assert set(facts["without_thumbnails"]) == {"b", "c"}
    assert "cannot be decoded" in facts["without_thumbnails"]["b"]
    assert "no file" in facts["without_thumbnails"]["c"]
    assert [len(query.thumbnails) > 0 for query in read_inspection(files[0])] == [1, 1, 0, 0, 0, 0]


def test_unknown_ids_other_checkpoints_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"choose.ids: query 'z_9' is not among"):
        run(make_task(tmp_path / "a", "cma", {"ids": ["z_9"]}))
    task = make_task(tmp_path / "b", "seqpan")
    shutil.copy(tmp_path / "a" / "checkpoint.pt", tmp_path / "b")
    with pytest.raises(UserError, match=r"checkpoint\.pt: not a checkpoint of seqpan"):
        run(task)
    path = tmp_path / "inspection.npz"
    with pytest.raises(UserError, match="no such inspection"):
        read_inspection(path)
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="not an inspection of this version"):
        read_inspection(path)


def test_a_checkpoint_with_a_flipped_bit_is_refused_or_as_it_was(tmp_path):
    """Torch compares no checksum, and of a file beyond 256 MB the record's is not looked at."""
    task = make_task(tmp_path, "seqpan")
    path, draw, refused = tmp_path / "checkpoint.pt", random.Random(1), 0
    content = path.read_bytes()
    with Assembly(task.settings["model"], task.inputs, torch.device("cpu")) as cell:
        whole = cell.load_model(task.inputs["run"]).state_dict()
        for _ in range(25):
            damaged = bytearray(content)
            damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(damaged)
            try:
                found = cell.load_model(task.inputs["run"]).state_dict()
            except UserError as error:
                assert "not a checkpoint of seqpan" in str(error) and "\n" not in str(error)
                refused += 1
                continue
            assert all(torch.equal(value, found[name]) for name, value in whole.items())
    assert refused > 12
