"""No number depends on how many candidates a prediction file keeps: every model, every convention.

Models give all their candidates, in one order however many are asked for; the kept ones score as
all of them do; and their order is of single precision.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from model_samples import CATALOGUE, make_batch, make_model, pick

from tsgbench.config import Catalogue
from tsgbench.datasets.queries import Queries
from tsgbench.evaluation.conventions import for_dataset, score_convention
from tsgbench.evaluation.needs import needs_of_all
from tsgbench.evaluation.predictions import read_ranked, write_predictions
from tsgbench.models import Batch
from tsgbench.models.targets import best_first
from tsgbench.training.trainer import TrainSettings, autocast, predict, predict_first

CONVENTIONS = Catalogue.load().conventions
CLIPS = {"ia_net": 160, "fian": 160}  # others: as long as model_samples makes them
MODELS = ["ia_net", "fian", "fsan", "cma", "seqpan"]
# Enough candidates that the first hundred do not reach what suppression leaves
SETTINGS = {
    "ia_net": {"widths": [2, 16, 24, 32, 48, 64, 96, 128]},
    "fian": {"windows": [8, 16, 24, 32, 48, 64, 96, 128], "max_clips": 160},
}


@dataclass
class Split:
    """Stands in for loaded data: one batch of many queries."""

    batch: Batch
    queries: Queries
    source_clips: np.ndarray

    def batches_in_order(self, size):
        for rows in torch.arange(len(self.queries)).split(size):
            yield rows.numpy(), pick(self.batch, rows)

    batches_of_one_shape = batches_in_order  # here all queries have one shape


def split(size=70, clips=40, seed=0) -> Split:
    """More than a batch of prediction has; annotators' moments beside each query's own."""
    batch = make_batch(size, clips=clips, seed=seed).to(torch.float32)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 6, (size, 4))
    marked = 5.0 * np.stack([starts, rng.integers(starts + 1, 7)], axis=-1)
    names = [f"q{row}" for row in range(size)]
    # Not representable in single precision, as annotated durations are not
    durations = batch.dur.double().numpy() * (1 + 1e-9)
    queries = Queries(names, names, names, durations, batch.gt.double().numpy(), list(marked))
    return Split(batch, queries, batch.v_mask.sum(dim=1).numpy() * 2)


class Peaked(torch.nn.Module):
    """A model that is sure of one moment per query, and of those around it: the higher the score,
    the nearer. What it really says of its candidates is left, as noise."""

    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, batch):
        outputs = self.model(batch)
        clips = batch.v_mask.shape[1]
        place = torch.arange(clips).float()
        middle = batch.v_mask.sum(dim=1).float()[:, None] * torch.tensor([0.3, 0.6])  # (B, 2)
        off = -((place - middle[..., None]) ** 2) / 50  # (B, 2, T)
        if self.name == "seqpan":
            for row, end in enumerate(("start", "end")):
                outputs[end] = outputs[end] + off[:, row]
        if self.name == "fsan":
            outputs["segments"] = outputs["segments"] + off[:, 0, :, None] + off[:, 1, None]
        if self.name in ("ia_net", "fian"):
            is_fian = self.name == "fian"
            boxes = (
                self.model.head.candidates
                if is_fian
                else self.model.candidates(batch, torch.float32)[0].flatten(0, 1)
            )
            near = -((boxes - middle[:, None]) ** 2).sum(dim=-1) / 50  # (B, J)
            key = "candidate_score" if is_fian else "logits"
            outputs[key] = 0.1 * outputs[key] + near.view_as(outputs[key])
        return outputs

    def decode(self, outputs, batch, k=None):
        return self.model.decode(outputs, batch, k)


def trained(name) -> Peaked:
    return Peaked(make_model(name, **SETTINGS.get(name, {})).float().eval(), name)


@pytest.mark.parametrize("name", MODELS)
def test_kept_candidates_score_as_all_of_them_under_every_convention(name, tmp_path):
    data, model = split(clips=CLIPS.get(name, 40)), trained(name)
    whole, kept, differs = {}, {}, set()
    for dataset in ("activitynet_captions", "charades_cd"):
        conventions = {key: for_dataset(x, dataset) for key, x in CONVENTIONS.items()}
        needs = needs_of_all(conventions.values())
        for path, wanted, found in (
            (tmp_path / "all", None, whole),
            (tmp_path / "few", needs, kept),
        ):
            ranked = predict(model, data, wanted, batch_size=16)
            write_predictions(path, data.queries, ranked, data.source_clips, kept=wanted)
            found[dataset] = read_ranked(path, data.queries)
        everything, few = whole[dataset], kept[dataset]
        cut = read_ranked(tmp_path / "all", data.queries)
        cut.spans[:, 100:] = np.nan
        for key, options in conventions.items():
            expected = score_convention(everything, data.queries, options, dataset)
            found = score_convention(few, data.queries, options, dataset)
            for metric, values in expected.values.items():
                np.testing.assert_array_equal(found.values[metric], values, f"{key} {metric}")
            for count, values in expected.counts.items():
                np.testing.assert_array_equal(found.counts[count], values, f"{key} {count}")
            old = score_convention(cut, data.queries, options, dataset)
            differs |= {
                key for m, values in expected.values.items() if (old.values[m] != values).any()
            }
        np.testing.assert_array_equal(few.counts, everything.counts)
    if name == "cma":  # regresses one moment
        assert everything.spans.shape[1] == 1
        return
    assert few.spans.shape[1] < 60 < 150 < everything.spans.shape[1]
    assert differs & {"seconds", "official_ia_net"}, "the first hundred would have done"


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_candidate_is_given_once_in_one_order_for_every_k(name):
    draws = {"draws": 300} if name in ("random", "prior") else {}
    clips = CLIPS.get(name, 40)
    batch = make_batch(3, clips=clips)
    model = make_model(name, **(SETTINGS.get(name, {}) | draws))
    found = {}
    with torch.inference_mode():
        for k in (1, 7, None):
            if hasattr(model, "generator"):
                model.generator.manual_seed(0)
            found[k] = model.decode(model(batch), batch, k)[..., :2]
    expected = {"ia_net": 8 * clips, "cma": 1, "whole_video": 1}
    if name == "fian":
        expected[name] = len(model.head.candidates)
    expected |= {"random": 300, "prior": 300, "prior_action": 210, "prior_frequency": 210}
    # Moments of 6 s on average, of 40 clips in 28 to 29 s
    expected |= {"cuts": 5}
    assert found[None].shape[1] == expected.get(name, clips * (clips + 1) // 2)
    if name in ("random", "prior"):
        return  # other numbers of draws are other draws
    for k in (1, 7):
        first = found[None][:, :k]
        torch.testing.assert_close(found[k], first, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("k", [1, 4, 30, None])
def test_equal_scores_stand_in_the_order_of_their_candidates(k):
    scores = torch.tensor([[2.0, 3.0, 2.0, 3.0, -torch.inf, 2.0] * 50, [1.0] * 300])
    best, place = best_first(scores, k)
    for row, values in enumerate(scores.tolist()):
        order = sorted(range(300), key=lambda at: (-values[at], at))[:k]
        assert place[row].tolist() == order
        assert best[row].tolist() == [values[at] for at in order]


@pytest.mark.parametrize("name", MODELS)
def test_candidates_of_equal_scores_are_suppressed_alike_whoever_kept_them(name, tmp_path):
    """All scores equal: nothing but the order of the candidates decides."""

    class Flat(Peaked):
        def forward(self, batch):
            outputs = self.model(batch)
            for key in ("start", "end", "segments", "candidate_score", "logits"):
                if key in outputs:
                    outputs[key] = torch.where(outputs[key].isneginf(), -torch.inf, 0.0)
            return outputs

    data = split(20, clips=CLIPS.get(name, 40))
    model = Flat(make_model(name, **SETTINGS.get(name, {})).float().eval(), name)
    options = for_dataset(CONVENTIONS["seconds"], "activitynet_captions")
    needs = needs_of_all([options])
    scores = []
    for wanted in (None, needs):
        ranked = predict(model, data, wanted, batch_size=16)
        write_predictions(tmp_path / "p", data.queries, ranked, data.source_clips, kept=wanted)
        found = read_ranked(tmp_path / "p", data.queries)
        scores.append(score_convention(found, data.queries, options, "x").values["R@5,IoU=0.3"])
    np.testing.assert_array_equal(*scores)


def test_predictions_are_ranked_in_single_precision():
    """An IA-Net as on ActivityNet Captions: bf16 leaves its scores some 530 values or fewer."""
    data = split(3, clips=200)
    widths = CATALOGUE["ia_net"]["datasets"]["activitynet_captions"]["model"]["widths"]
    model = make_model("ia_net", widths=widths).float().eval()
    ranked = predict(model, data, None, batch_size=64)
    assert ranked.counts[0] == 719

    def distinct(scores):
        return len(np.unique(scores))

    assert distinct(ranked.moments[ranked.rows == 0, 2]) > 700
    (_, batch), *_ = data.batches_in_order(64)
    with torch.inference_mode(), autocast(TrainSettings(precision="bf16"), torch.device("cpu")):
        rough = model.decode(model(batch), batch)[0, :719, 2]
    assert distinct(rough.numpy()) < 600
    np.testing.assert_array_equal(predict_first(model, data, 64), ranked.moments[ranked.ranks == 0])
