"""The trainer: resumes to the very bit, keeps the best epoch, refuses to go on with NaN."""

import numpy as np
import pytest
import torch
from torch import nn

from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.metrics import evaluate
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.models.base import Grounder
from tsgbench.text import WordTable
from tsgbench.training import data as loading
from tsgbench.training.arrays import Arrays, position_times, segments
from tsgbench.training.data import GroundingData
from tsgbench.training.trainer import (
    TrainSettings,
    describe_precision,
    predict_first,
    seed_everything,
    train,
)

CPU = torch.device("cpu")
INPUTS = {
    "tokenizer": "strip_punct",
    "oov": "unk",
    "max_words": 8,
    "max_clips": 12,
    "resample": "round_mean",
    "resample_when": "longer",
}
WORDS = ["<pad>", "<unk>", "jumps", "runs", "he"]


class Toy(Grounder):
    """Scores clips by a linear layer on clip and words; enough to be trained, dropout included."""

    def __init__(self, dim):
        super().__init__()
        self.clip, self.word = nn.Linear(dim, 8), nn.Embedding(len(WORDS), 8)
        self.out, self.drop = nn.Linear(8, 2), nn.Dropout(0.3)

    def forward(self, batch):
        words = (self.word(batch.tokens) * batch.q_mask[..., None]).sum(1, keepdim=True)
        logits = self.out(self.drop(torch.tanh(self.clip(batch.video) + words)))
        return {"logits": logits.masked_fill(~batch.v_mask[..., None], -1e4)}

    def loss(self, outputs, batch):
        clips = batch.v_mask.sum(1)
        target = (batch.gt / batch.dur[:, None] * clips[:, None]).long()
        target = torch.minimum(target, clips[:, None] - 1)
        return {"span": nn.functional.cross_entropy(outputs["logits"], target)}

    def decode(self, outputs, batch, k):
        first, last = outputs["logits"].argmax(1).sort(1).values.unbind(1)
        step = batch.dur / batch.v_mask.sum(1)
        score = outputs["logits"].amax(1).sum(1)
        return torch.stack([first * step, (last + 1) * step, score], 1)[:, None]


def make_data(tmp_path, *, count=24, seed=0, **inputs):
    rng = np.random.default_rng(seed)
    videos = [f"v{row}" for row in range(count // 2)]
    store = tmp_path / f"f{seed}.h5"
    lengths = rng.integers(5, 20, len(videos))
    attrs = {"identity": "x", "recipe": {}, "extractor": "test", "weights": "none"}
    attrs |= {"clip_len": 16, "stride": 8, "versions": {}}
    with FeatureWriter(store, attrs) as writer:
        for video, n in zip(videos, lengths, strict=True):
            times = np.stack([np.arange(n), np.arange(n) + 1.0], 1)
            writer.write(video, rng.normal(size=(n, 6)).astype(np.float32), times)
    moments = np.sort(rng.uniform(0, 20, (count, 2)), axis=1) + [0, 0.1]
    queries = Queries(
        [f"q{row}" for row in range(count)],
        [videos[row // 2] for row in range(count)],
        ["he jumps" if row % 2 else "he runs" for row in range(count)],
        np.full(count, 21.0),
        moments,
    )
    table = WordTable(
        WORDS, np.zeros((5, 4), np.float32), np.array([False, False, True, True, True])
    )
    with FeatureStore(store) as opened:
        return GroundingData(
            queries, opened, table, {**INPUTS, **inputs}, with_moments=True, seed=0, device=CPU
        )


def run(tmp_path, data, epochs=6, stop_after=None, has_selection=True, **settings):
    how = TrainSettings(epochs=epochs, batch_size=4, lr=1e-2, clip_norm=1.0, **settings)
    seed_everything(3)
    model = Toy(data.clip_dim)

    def on_epoch(epoch, values):
        if epoch == stop_after:
            raise KeyboardInterrupt

    state = train(
        model,
        data,
        data if has_selection else None,
        how,
        seed=3,
        scratch=tmp_path / "scratch",
        device=CPU,
        on_epoch=on_epoch,
    )
    return model, state


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path):
    data = make_data(tmp_path)
    whole, whole_state = run(tmp_path / "whole", data)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", data, stop_after=3)
    resumed, resumed_state = run(tmp_path / "cut", data)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    scores = [{k: v for k, v in row.items() if k != "seconds"} for row in whole_state.history]
    assert scores == [
        {k: v for k, v in row.items() if k != "seconds"} for row in resumed_state.history
    ]


def test_a_bit_that_flips_in_the_saved_state_changes_no_result(tmp_path, caplog):
    """It is noticed, and training starts anew; or it is in a place that says nothing."""
    data = make_data(tmp_path)
    whole, _ = run(tmp_path / "whole", data, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", data, epochs=3, stop_after=2)
    saved = tmp_path / "cut/scratch/last.pt"
    content, rng = saved.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, 8 * len(content), 30):
        spoilt = bytearray(content)
        spoilt[place // 8] ^= 1 << (place % 8)
        saved.write_bytes(spoilt)
        again, _ = run(tmp_path / "cut", data, epochs=3)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), (place, name)
    assert caplog.text.count("training starts at its first epoch") > 15
    saved.write_bytes(content[: len(content) // 2])
    again, state = run(tmp_path / "cut", data, epochs=3)
    assert state.epoch == 3 and torch.equal(again.out.weight, whole.out.weight)


def test_a_saved_state_that_cannot_be_read_is_no_damage(tmp_path):
    (tmp_path / "scratch/last.pt").mkdir(parents=True)
    with pytest.raises(UserError, match=r"last\.pt: is a directory"):
        run(tmp_path, make_data(tmp_path))


def test_an_interrupted_training_draws_the_same_offsets(tmp_path):
    data = make_data(tmp_path, resample="stride_pick", max_clips=5, offset="random")
    whole, _ = run(tmp_path / "whole", data)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", data, stop_after=3)
    resumed, _ = run(tmp_path / "cut", data)
    fixed, _ = run(tmp_path / "fixed", make_data(tmp_path, resample="stride_pick", max_clips=5))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(whole.out.weight, fixed.out.weight)


def test_the_best_epoch_is_kept_and_patience_ends(tmp_path):
    data = make_data(tmp_path)
    model, state = run(tmp_path, data, epochs=40, patience=3)
    scores = [row["val/mIoU"] for row in state.history]
    assert state.best_epoch == int(np.argmax(scores)) + 1
    assert state.epoch == min(40, state.best_epoch + 3)
    kept = evaluate(predict_first(model, data, 4)[:, None, :2], data.queries.moments, ["mIoU"])
    assert kept["mIoU"] == state.best_score == max(scores)


@pytest.mark.parametrize(
    "how",
    [{"has_selection": False}, {"select": "last"}, {"has_selection": False, "select": "last"}],
)
def test_without_a_choice_the_last_epoch_is_kept_and_patience_is_not_asked(tmp_path, how):
    data = make_data(tmp_path)
    last, state = run(tmp_path / "a", data, epochs=4, patience=1, **how)
    assert state.epoch == state.best_epoch == len(state.history) == 4
    scored = any(name.startswith("val/") for row in state.history for name in row)
    assert scored == how.get("has_selection", True)
    # Choosing moves neither weights nor draws: the epochs are those of a training that chooses
    chosen, other = run(tmp_path / "b", data, epochs=4)
    assert [row["loss"] for row in state.history] == [row["loss"] for row in other.history]
    assert other.best_epoch < 4 and not torch.equal(last.out.weight, chosen.out.weight)


def test_an_interrupted_training_without_a_selection_split_ends_with_the_same_bits(tmp_path):
    data = make_data(tmp_path)
    whole, _ = run(tmp_path / "whole", data, has_selection=False)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", data, stop_after=3, has_selection=False)
    resumed, state = run(tmp_path / "cut", data, has_selection=False)
    assert state.best_epoch == 6
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("name", "value"), [("select", "R@5,IoU=0.5"), ("precision", "auto"), ("optimizer", "sgd")]
)
def test_choices_that_nothing_knows_are_refused_before_the_first_epoch(name, value):
    with pytest.raises(UserError, match=f"train.{name}: '{value}' is not one of"):
        TrainSettings(**{name: value})


def test_bf16_is_of_the_training_and_fp32_the_default(tmp_path, monkeypatch):
    data, seen = make_data(tmp_path), {True: set(), False: set()}
    forward = Toy.forward

    def watched(self, batch):
        outputs = forward(self, batch)
        seen[self.training].add((torch.is_autocast_enabled("cpu"), self.clip(batch.video).dtype))
        return outputs

    monkeypatch.setattr(Toy, "forward", watched)
    plain, _ = run(tmp_path / "fp32", data, epochs=2)
    assert seen == {True: {(False, torch.float32)}, False: {(False, torch.float32)}}
    seen[True].clear()
    rough, _ = run(tmp_path / "bf16", data, epochs=2, precision="bf16")
    assert seen == {True: {(True, torch.bfloat16)}, False: {(False, torch.float32)}}
    assert not torch.equal(plain.out.weight, rough.out.weight)


def test_the_precision_is_said_in_words():
    gpu, half = torch.device("cuda"), {"precision": "bf16", "resident": "fp16"}
    assert describe_precision(TrainSettings(), CPU) == "fp32"
    assert describe_precision(TrainSettings(), gpu) == "fp32 (TF32 in matrix products)"
    assert describe_precision(TrainSettings(**half), CPU) == "bf16 in training, fp32 in prediction"
    assert describe_precision(TrainSettings(**half), gpu) == (
        "bf16 in training, fp32 (TF32 in matrix products) in prediction, features in fp16"
    )


@pytest.mark.parametrize(("half", "dtype"), [(False, torch.float32), (True, torch.float16)])
def test_features_beside_a_gpu_are_in_half_precision_only_if_asked(monkeypatch, half, dtype):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    rows = np.ones((3, 2), np.float32)
    arrays = Arrays(["a"], rows, np.array([0, 3]), np.array([3]))
    for device, found in ((torch.device("cuda"), dtype), (CPU, torch.float32)):
        clips = loading._Clips(arrays, ["a"], device=device, half=half, is_blind=False)
        index = np.arange(3)[None]
        taken = clips.take(np.array([0]), index, index < 2)
        assert taken.dtype == found and taken[0].tolist() == [[1, 1], [1, 1], [0, 0]]


def test_training_learns(tmp_path):
    _, state = run(tmp_path, make_data(tmp_path), epochs=80)
    assert state.history[-1]["loss"] < 0.8 * state.history[0]["loss"]


def test_a_loss_that_is_not_finite_is_named(tmp_path):
    data = make_data(tmp_path)
    data._clips._arrays.rows[0, 0] = float("nan")
    with pytest.raises(UserError, match="loss/span became nan in epoch 1"):
        run(tmp_path, data)


def test_batches_cover_every_query_once_padded_to_their_longest(tmp_path):
    data = make_data(tmp_path)
    seen = []
    for batch in data.batches(5, torch.Generator().manual_seed(0)):
        assert batch.v_mask.any(0).all() and batch.q_mask.any(0).all()
        assert (batch.video[~batch.v_mask] == 0).all()
        seen += batch.gt[:, 0].tolist()
    assert sorted(seen) == sorted(data._moments[:, 0].tolist())


def test_random_offsets_are_drawn_in_training_and_only_there(tmp_path):
    sampled = {"resample": "stride_pick", "max_clips": 5}
    fixed, data = make_data(tmp_path, **sampled), make_data(tmp_path, offset="random", **sampled)
    for (_, first), (_, second) in zip(
        fixed.batches_in_order(5), data.batches_in_order(5), strict=True
    ):
        assert torch.equal(first.video, second.video) and torch.equal(first.v_mask, second.v_mask)
    source = data._source
    arrays = source.clips._arrays
    assert source.limits.max() >= 2 and source.limits.min() == 0
    seen = {}
    for epoch in range(20):
        for batch in data.batches(5, torch.Generator().manual_seed(epoch)):
            assert batch.v_mask.any(0).all() and (batch.video[~batch.v_mask] == 0).all()
            for row, video in enumerate(batch.video_idx.tolist()):
                found = batch.video[row][batch.v_mask[row]].numpy()
                limit = int(source.limits[video])
                rows = arrays.rows[arrays.ends[video] : arrays.ends[video + 1]]
                length = len(rows)
                stride = max(length / 5, 1)
                picks = [np.round(np.arange(o, length - 0.5, stride)) for o in range(limit + 1)]
                matches = [
                    offset
                    for offset, pick in enumerate(picks)
                    if np.array_equal(found, rows[pick.astype(int)])
                ]
                assert matches, "the clips that some offset picks"
                seen.setdefault(video, set()).update(matches)
    assert all(len(seen[video]) == source.limits[video] + 1 for video in seen)


def test_offsets_of_short_videos_and_blind_ones(tmp_path):
    short = make_data(tmp_path, resample="stride_pick", max_clips=30, offset="random")
    assert short._source is None, "there is nothing to draw"
    blind = make_data(tmp_path, resample="stride_pick", max_clips=5, offset="random", video="zero")
    assert all((b.video == 0).all() for b in blind.batches(5, torch.Generator()))


def test_even_pick_lets_every_video_fill_its_places(tmp_path):
    """128 clips of every video, which is CMA's sec. 4.3; LGI's rule leaves short videos shorter."""
    for rule, shortest in (("even_pick", 30), ("stride_pick", 5)):
        data = make_data(tmp_path, resample=rule, max_clips=30)
        counts = data.batch(torch.arange(24), with_moments=False).v_mask.sum(1)
        assert counts.min() == shortest, rule


def make_chunks(tmp_path, chunks, durations, max_clips=6, chunk_s=5, **inputs):
    """DiDeMo's: a row per chunk, numbered as its chunk is; the chunks that have rows, by video."""
    attrs = {"identity": "x", "recipe": {}, "extractor": "test", "weights": "none"}
    attrs |= {"clip_len": 0, "stride": 0, "versions": {}}
    with FeatureWriter(tmp_path / "chunks.h5", attrs) as writer:
        for video, known in chunks.items():
            known = np.array(known, float)
            rows = np.tile(1 + known[:, None], 4).astype(np.float32)
            writer.write(video, rows, np.stack([5 * known, 5 * known + 5], 1))
    moments = np.array([[0.0, 5.0]] * len(chunks))
    count = len(chunks)
    queries = Queries(
        list("abcdef")[:count], [*chunks], ["he runs"] * count, np.array(durations), moments
    )
    table = WordTable(WORDS, np.zeros((5, 4), np.float32), np.zeros(5, bool))
    how = INPUTS | {"resample": "chunks", "max_clips": max_clips, "chunk_s": chunk_s} | inputs
    with FeatureStore(tmp_path / "chunks.h5") as store:
        return GroundingData(queries, store, table, how, with_moments=True, seed=0, device=CPU)


def test_row_i_is_chunk_i_whatever_the_number_of_rows(tmp_path):
    """Segments of 5 s, as many as the annotators saw: place i is [5 i, 5 i + 5) s."""
    chunks = {"a": range(6), "b": range(5), "c": range(6), "d": [0, 1, 2, 4], "e": range(5)}
    data = make_chunks(tmp_path, chunks, [30.0, 30.0, 25.0, 30.0, 25.0])
    batch = data.batch(torch.arange(5), with_moments=False)
    assert batch.video[..., 0].tolist() == [
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 0],  # a sixth chunk without a row is a chunk
        [1, 2, 3, 4, 5, 0],  # a row beyond the last chunk is none
        [1, 2, 3, 0, 5, 0],
        [1, 2, 3, 4, 5, 0],
    ]
    places = batch.v_mask.sum(1)
    assert places.tolist() == [6, 6, 5, 6, 5]
    assert (batch.dur / places == 5).all(), "what makes models' places chunks"


def test_features_that_are_not_of_chunks_are_named(tmp_path):
    with pytest.raises(UserError, match=r"chunks\.h5: b: has several rows in one chunk"):
        make_chunks(tmp_path, {"a": [0, 1], "b": [0, 0.5, 1]}, [10.0, 10.0])
    with pytest.raises(UserError, match=r"chunks\.h5: b: lasts 11 s"):
        make_chunks(tmp_path, {"a": [0, 1], "b": [0, 1]}, [10.0, 11.0])
    with pytest.raises(UserError, match=r"inputs\.chunk_s: resample chunks needs"):
        make_chunks(tmp_path, {"a": [0]}, [5.0], chunk_s=None)
    with pytest.raises(UserError, match=r"inputs\.max_clips: a video has 6 chunks, and only 4"):
        make_chunks(tmp_path, {"a": range(6)}, [30.0], max_clips=4)


@pytest.mark.parametrize("rule", ["round_mean", "linspace_mean", "stride_pick", "even_pick"])
def test_seconds_of_places_are_those_of_their_source_clips(rule):
    times = np.stack([np.arange(9) * 2.0, np.arange(9) * 2.0 + 3], axis=1)
    inputs = INPUTS | {"resample": rule, "max_clips": 4}
    found = position_times(times, 4, inputs)
    assert len(found) == 4 and (np.diff(found[:, 0]) > 0).all()
    starts, stops = segments(np.array([9]), inputs)
    assert found[:, 0].tolist() == times[starts[0], 0].tolist()
    assert found[:, 1].tolist() == times[stops[0] - 1, 1].tolist()


def test_seconds_of_chunks_do_not_depend_on_their_rows():
    inputs = INPUTS | {"resample": "chunks", "chunk_s": 5}
    found = position_times(np.array([[0, 5], [5, 10], [15, 20]]), 4, inputs)
    assert found.tolist() == [[0, 5], [5, 10], [10, 15], [15, 20]]


def test_prediction_batches_carry_no_moments(tmp_path):
    assert all(batch.gt is None for _, batch in make_data(tmp_path).batches_in_order(5))


def test_blind_zeroes_and_mismatched_swaps_every_video(tmp_path):
    rows = torch.arange(24)
    real = make_data(tmp_path).batch(rows, with_moments=False)
    blind = make_data(tmp_path, video="zero").batch(rows, with_moments=False)
    other = make_data(tmp_path, video="mismatched").batch(rows, with_moments=False)
    assert (blind.video == 0).all() and torch.equal(blind.v_mask, real.v_mask)
    assert (other.video_idx != real.video_idx).all()
    assert torch.equal(other.tokens, real.tokens) and torch.equal(other.dur, real.dur)


def test_shuffled_queries_keep_their_videos(tmp_path):
    rows = torch.arange(24)
    real = make_data(tmp_path).batch(rows, with_moments=False)
    other = make_data(tmp_path, query="shuffled").batch(rows, with_moments=False)
    assert torch.equal(other.video, real.video)
    assert not torch.equal(other.tokens, real.tokens)


def test_wrong_inputs_are_named(tmp_path):
    for name in ("video", "resample", "offset", "query", "oov"):
        with pytest.raises(UserError, match=f"inputs.{name}: 'magic' is not one of"):
            make_data(tmp_path, **{name: "magic"})
    with pytest.raises(UserError, match="inputs.offset.*stride_pick, not round_mean"):
        make_data(tmp_path, offset="random")
